use super::*;
use proptest::prelude::*;

fn html(markdown: &str) -> String {
    render(markdown, None).expect("within the limits").into()
}

/// The tags of a text that a serialiser wrote, with their attributes. Text holds no `<` there, and values no quote.
fn tags(html: &str) -> Vec<(String, Vec<(String, String)>)> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(at) = rest.find('<') {
        rest = &rest[at + 1..];
        let (mut quoted, mut end) = (false, rest.len());
        for (at, c) in rest.char_indices() {
            match c {
                '"' => quoted = !quoted,
                '>' if !quoted => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (name, mut text) = rest[..end].split_once(' ').unwrap_or((&rest[..end], ""));
        let mut attributes = Vec::new();
        while let Some((attribute, after)) = text.split_once("=\"") {
            let (value, after) = after.split_once('"').expect("a value ends");
            attributes.push((attribute.trim().to_owned(), value.to_owned()));
            text = after;
        }
        assert_eq!(text.trim(), "", "what is left of <{}>", &rest[..end]);
        tags.push((name.trim_start_matches('/').to_owned(), attributes));
        rest = &rest[end..];
    }
    tags
}

/// What must hold of every text that was rendered, whatever went in.
#[track_caller]
fn assert_harmless(html: &str) {
    for (tag, attributes) in tags(html) {
        assert!(ELEMENTS.contains(&tag.as_str()), "<{tag}> in {html}");
        for (attribute, value) in attributes {
            let sound = match (tag.as_str(), attribute.as_str()) {
                ("a", "href") => {
                    ["http://", "https://", "mailto:", "#readme-"].iter().any(|start| value.starts_with(start))
                }
                ("img", "src") => value.starts_with("https://"),
                ("h1" | "h2" | "h3" | "h4" | "h5" | "h6", "id") => value.starts_with(ID_PREFIX),
                ("a", "class") => value == "anchor",
                ("a", "aria-hidden") => value == "true",
                ("a", "rel") => value == "nofollow noopener noreferrer ugc",
                ("input", "type") => value == "checkbox",
                ("input", "disabled" | "checked") => value.is_empty(),
                ("img", "loading") => value == "lazy",
                ("img", "referrerpolicy") => value == "no-referrer",
                ("td" | "th", "align") => matches!(value.as_str(), "left" | "center" | "right"),
                ("ol", "start") => value.bytes().all(|b| b.is_ascii_digit()),
                ("a" | "img", "title") | ("img", "alt") => true,
                _ => false,
            };
            assert!(sound, "{attribute}={value:?} of <{tag}> in {html}");
        }
    }
}

#[test]
fn what_a_readme_becomes() {
    let markdown = "\
# Slack & co

Tell a **channel**, ~~pigeons~~. See [below](#setup) or <https://example.com/?a=1&b=2>.

| key | meaning |
|-----|--------:|
| `to` | *who*  |

- [x] done
- [ ] not yet

```yaml
uses: <acme:slack>
```

![logo](https://example.com/l.png \"L\")

## Setup
";
    // ammonia sets attributes in the order of a hash map.
    let settled = html(markdown)
        .replace(r#"disabled="" type="checkbox""#, r#"type="checkbox" disabled="""#)
        .replace(r#"referrerpolicy="no-referrer" loading="lazy""#, r#"loading="lazy" referrerpolicy="no-referrer""#);
    insta::assert_snapshot!(settled, @r##"
    <h1 id="readme-slack--co">Slack &amp; co<a href="#readme-slack--co" class="anchor" rel="nofollow noopener noreferrer ugc"></a></h1>
    <p>Tell a <strong>channel</strong>, <del>pigeons</del>. See <a href="#readme-setup" rel="nofollow noopener noreferrer ugc">below</a> or <a href="https://example.com/?a=1&amp;b=2" rel="nofollow noopener noreferrer ugc">https://example.com/?a=1&amp;b=2</a>.</p>
    <table>
    <thead>
    <tr>
    <th>key</th>
    <th align="right">meaning</th>
    </tr>
    </thead>
    <tbody>
    <tr>
    <td><code>to</code></td>
    <td align="right"><em>who</em></td>
    </tr>
    </tbody>
    </table>
    <ul>
    <li><input checked="" type="checkbox" disabled=""> done</li>
    <li><input type="checkbox" disabled=""> not yet</li>
    </ul>
    <pre><code>uses: &lt;acme:slack&gt;
    </code></pre>
    <p><img src="https://example.com/l.png" alt="logo" title="L" loading="lazy" referrerpolicy="no-referrer"></p>
    <h2 id="readme-setup">Setup<a href="#readme-setup" class="anchor" rel="nofollow noopener noreferrer ugc"></a></h2>
    "##);
}

#[test]
fn attacks_come_to_nothing() {
    // Each line is one README. What remains of it is harmless by `assert_harmless`, and lacks these words outside its text.
    let attacks = include_str!("../../../tests/data/xss.txt");
    let mut count = 0;
    for attack in attacks.lines().filter(|line| !line.is_empty() && !line.starts_with("## ")) {
        let attack = attack.replace("\\n", "\n").replace("\\t", "\t").replace("\\0", "\0");
        for source in [None, Some("https://github.com/acme/slack")] {
            let html: String = render(&attack, source).expect("short").into();
            assert_harmless(&html);
            let live = html.to_lowercase();
            assert!(
                !live.contains("<script") && !live.contains("<svg") && !live.contains("<style"),
                "{attack}: {html}"
            );
        }
        count += 1;
    }
    assert!(count > 60, "the corpus is there: {count}");
}

#[test]
fn the_words_of_a_page() {
    assert_eq!(
        words("<p>Tell a <strong>channel</strong> &amp; more</p>").split_whitespace().collect::<Vec<_>>(),
        ["Tell", "a", "channel", "&amp;", "more"]
    );
    assert_eq!(words(&"ä".repeat(MAX_INDEXED)).len(), MAX_INDEXED);
    assert_eq!(words("<"), " ");
}

#[test]
fn the_check_of_the_attacks_can_fail() {
    for bad in [
        "<script>",
        "<a href=\"javascript:x\">",
        "<img src=\"http://x/\">",
        "<p onclick=\"x\">",
        "<a id=\"cookie\">",
        "<input type=\"text\">",
    ] {
        assert!(std::panic::catch_unwind(|| assert_harmless(bad)).is_err(), "{bad} passed");
    }
}

#[test]
fn links() {
    let check = |source: Option<&str>, markdown: &str, expect: &str| {
        let html: String = render(markdown, source).expect("short").into();
        let tags = tags(&html);
        let target =
            tags.iter().flat_map(|(_, attributes)| attributes).find(|(name, _)| name == "href" || name == "src");
        assert_eq!(target.map_or("", |(_, value)| value), expect, "{markdown}: {html}");
    };
    let hub = Some("https://github.com/acme/plugins");
    let folder = Some("https://github.com/acme/plugins/tree/main/slack");
    let lab = Some("https://gitlab.com/acme/plugins/-/tree/v1/slack/");
    let own = Some("https://git.example.com/acme/plugins");
    check(None, "[x](https://example.com/a)", "https://example.com/a");
    check(None, "[x](HTTPS://EXAMPLE.com/a)", "https://example.com/a");
    check(None, "[x](mailto:a@example.com)", "mailto:a@example.com");
    check(None, "[x](https://bank.example@evil.example/)", "");
    check(None, "[x](//evil.example/)", "");
    check(None, "[x](docs/use.md)", "");
    check(None, "[x](#set-up)", "#readme-set-up");
    check(None, "![x](https://example.com/l.png)", "https://example.com/l.png");
    check(None, "![x](http://example.com/l.png)", "");
    check(None, "![x](data:image/png;base64,AAAA)", "");
    check(hub, "[x](docs/use.md)", "https://github.com/acme/plugins/blob/HEAD/docs/use.md");
    check(hub, "![x](l.png)", "https://github.com/acme/plugins/raw/HEAD/l.png");
    check(folder, "[x](use.md#top)", "https://github.com/acme/plugins/blob/main/slack/use.md#top");
    check(folder, "[x](../LICENSE)", "https://github.com/acme/plugins/blob/main/LICENSE");
    check(folder, "[x](../../../../../evil/x)", "");
    check(folder, "[x](/evil/x)", "");
    check(folder, "[x](\\\\evil.example/x)", "https://github.com/acme/plugins/blob/main/slack/%5Cevil.example/x");
    check(folder, "[x](?tab=stars)", "");
    check(lab, "[x](use.md)", "https://gitlab.com/acme/plugins/-/blob/v1/slack/use.md");
    check(own, "[x](use.md)", "");
    check(Some("javascript:alert(1)"), "[x](use.md)", "");
    check(Some("https://github.com/acme/plugins/issues"), "[x](use.md)", "");
}

/// Each of these brought a Markdown or HTML parser down once. Sizes are at the limit, so that the test would not end in a
/// life if the work were not bounded.
#[test]
fn bombs_are_refused_or_small() {
    let size = usize::try_from(MAX_README).expect("small");
    let fill = |part: &str| part.repeat(size / part.len());
    let steps = |n: usize| (0..n).map(|depth| format!("{}- x\n", "  ".repeat(depth))).collect::<String>();
    let mut outcomes = Vec::new();
    let mut check = |what: &str, markdown: String| {
        outcomes.push(match render(&markdown, None) {
            Ok(html) => {
                assert!(html.as_str().len() <= MAX_HTML);
                format!("{what}: {} KiB of HTML", html.as_str().len() / 1024)
            }
            Err(bomb) => format!("{what}: refused, {bomb}"),
        });
    };
    check("ampersands", fill("a&b "));
    check("as many ampersands as there may be", "a&b ".repeat(MAX_AMPERSANDS));
    check("one byte too many", "x".repeat(size + 1));
    for c in ['[', ']', '(', '<', '>', '*', '_', '`', '~', '!', '&', '\\', '|', '#'] {
        check(&format!("a run of {c}"), fill(&c.to_string()));
    }
    check("a run with spaces", fill("> "));
    check("emphasis in emphasis", fill("*a **a "));
    check("quotes in quotes", format!("{}x", "> ".repeat(MAX_NESTING + 1)));
    check("lists in lists", steps(MAX_NESTING + 1));
    check("elements", fill("*a* "));
    check("elements that cost few steps", "*a* ".repeat(MAX_NODES / 2));
    check("links that do not end", fill("[a]("));
    check("links in links", fill("[a](b"));
    check("images in images", fill("![a"));
    check("tags that do not end", fill("<a b "));
    check("comments that do not end", fill("<!-- "));
    check("entities", fill("&amp;"));
    check("code spans that do not end", (1..MAX_RUN).map(|n| format!("e{}", "`".repeat(n))).collect());
    check("definitions", fill("[a]: /u\n"));
    check("emphasis that opens only", fill("a_*b"));
    check("emphasis that closes only", fill("a* b_ "));
    check("strikes", fill("~~a ~b "));
    check(
        "a wide table with many rows",
        format!("{}\n{}\n{}", "|a".repeat(20_000), "|-".repeat(20_000), "|a\n".repeat(100_000)),
    );
    check("one link said often", format!("[a]: /{}\n\n{}", "u".repeat(1_000), "[a] ".repeat(20_000)));
    check("quotes that go on lazily", format!("{}a\n{}", "> ".repeat(20), fill("a\n").get(60..).expect("long")));
    check("addresses", fill("www.a.b "));
    check("prose", fill("Some words of prose, and a `name`. "));
    insta::assert_snapshot!(outcomes.join("\n"), @r#"
    ampersands: refused, it has more than 4000 times the character '&'
    as many ampersands as there may be: 31 KiB of HTML
    one byte too many: refused, it has 524289 bytes, at most 524288 are rendered
    a run of [: refused, it repeats '[' more than 1000 times in a row
    a run of ]: refused, it repeats ']' more than 1000 times in a row
    a run of (: refused, it repeats '(' more than 1000 times in a row
    a run of <: refused, it repeats '<' more than 1000 times in a row
    a run of >: refused, it repeats '>' more than 1000 times in a row
    a run of *: refused, it repeats '*' more than 1000 times in a row
    a run of _: refused, it repeats '_' more than 1000 times in a row
    a run of `: refused, it repeats '`' more than 1000 times in a row
    a run of ~: refused, it repeats '~' more than 1000 times in a row
    a run of !: refused, it repeats '!' more than 1000 times in a row
    a run of &: refused, it repeats '&' more than 1000 times in a row
    a run of \: refused, it repeats '\\' more than 1000 times in a row
    a run of |: refused, it repeats '|' more than 1000 times in a row
    a run of #: refused, it repeats '#' more than 1000 times in a row
    a run with spaces: refused, it repeats '>' more than 1000 times in a row
    emphasis in emphasis: 512 KiB of HTML
    quotes in quotes: refused, its lists, quotes or emphasis are nested more than 32 deep
    lists in lists: refused, its lists, quotes or emphasis are nested more than 32 deep
    elements: refused, parsing it takes more than 1000000 steps
    elements that cost few steps: refused, it has more than 50000 elements
    links that do not end: refused, parsing it takes more than 1000000 steps
    links in links: 512 KiB of HTML
    images in images: 512 KiB of HTML
    tags that do not end: 819 KiB of HTML
    comments that do not end: 0 KiB of HTML
    entities: refused, it has more than 4000 times the character '&'
    code spans that do not end: 488 KiB of HTML
    definitions: 0 KiB of HTML
    emphasis that opens only: refused, parsing it takes more than 1000000 steps
    emphasis that closes only: 512 KiB of HTML
    strikes: 512 KiB of HTML
    a wide table with many rows: refused, parsing it takes more than 1000000 steps
    one link said often: 81 KiB of HTML
    quotes that go on lazily: refused, parsing it takes more than 1000000 steps
    addresses: refused, it has more than 50000 elements
    prose: 672 KiB of HTML
    "#);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn whatever_goes_in_is_harmless(
        parts in proptest::collection::vec(prop_oneof![
            Just("<".to_owned()), Just(">".to_owned()), Just("\"".to_owned()), Just("'".to_owned()), Just("`".to_owned()),
            Just("[x](".to_owned()), Just("![x](".to_owned()), Just(")".to_owned()), Just("\n".to_owned()),
            Just("javascript:alert(1)".to_owned()), Just("data:text/html,".to_owned()), Just("<script>".to_owned()),
            Just(" onerror=alert(1) ".to_owned()), Just("<img src=x ".to_owned()), Just("<svg ".to_owned()),
            Just("</".to_owned()), Just("<!--".to_owned()), Just("&#x6a;".to_owned()), Just("\t".to_owned()),
            Just("<math><mtext><table><mglyph><style>".to_owned()), Just("| a |\n|---|\n".to_owned()), ".{0,12}",
        ], 0..40),
        forge in any::<bool>(),
    ) {
        let source = forge.then_some("https://github.com/acme/x");
        if let Ok(html) = render(&parts.concat(), source) {
            assert_harmless(html.as_str());
        }
    }
}
