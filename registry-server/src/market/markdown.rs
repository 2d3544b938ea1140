//! Markdown of strangers to HTML that may stand on a page of ours: READMEs, and the documentation of step types.
//!
//! Two walls, one behind the other. comrak parses GitHub's Markdown and leaves raw HTML out; ammonia then reads the result
//! as a browser does and keeps what is on the list here: no script, style, form, frame or SVG, no attribute but those
//! named, links to http, https and mail, images by https only. An [`Html`] can be made in no other way, so a page cannot
//! hold anything else.
//!
//! Ids get a prefix, so that a README cannot take the place of an element of the page (DOM clobbering). Links say that
//! they are a stranger's (`rel`). A link relative to the repository is resolved where `source` is on a forge that we know,
//! and is dropped elsewhere. Images are loaded by the reader's browser, without a referrer; the registry fetches nothing.
//!
//! **Work is bounded by counting.** The bytes that come in, the steps of the parser, the depth and number of what it
//! found, the bytes that go out: each has a limit, and what is over it is refused. That is also what makes the second wall
//! cheap, because the time of an HTML parser grows with the depth times the size.

use ammonia::UrlRelative;
use comrak::{Arena, Options, arena_tree::NodeEdge, nodes::AstNode};
use std::{
    borrow::Cow,
    cell::Cell,
    collections::{HashMap, HashSet},
    fmt,
    sync::LazyLock,
};
use url::Url;
use windlass_package::manifest::MAX_README;

/// Most steps of the Markdown parser (each a line, an inline or a node): sixteen times what prose of the largest README takes.
pub const MAX_STEPS: usize = 1_000_000;
/// Deepest nesting of lists, quotes and emphasis; people stop at five.
pub const MAX_NESTING: usize = 32;
/// Most elements of one text: fifty for each of the thousand paragraphs of a book.
pub const MAX_NODES: usize = 50_000;
/// Largest HTML, in bytes: four times the largest README.
pub const MAX_HTML: usize = 2 * 1024 * 1024;
/// Most `[`, `<`, `*`, `_`, `` ` `` and `~` in a row of one kind that mean something; a longer run is an attempt at a parser.
pub const MAX_RUN: usize = 1_000;
/// Longest link, in bytes: what browsers agree on.
pub const MAX_LINK: usize = 2_000;
/// Most `&`: comrak's time grows with their number times the paragraph's size, and prose has few.
pub const MAX_AMPERSANDS: usize = 4_000;
/// How much of a README is found by, in bytes: what it begins with says what it is about.
pub const MAX_INDEXED: usize = 16 * 1024;
/// What stands before every id.
const ID_PREFIX: &str = "readme-";

/// HTML that went through both walls.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Html(String);

impl Html {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Html> for String {
    fn from(html: Html) -> String {
        html.0
    }
}

/// Why a text was not rendered: which limit it is over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Bomb {
    /// It is too long.
    #[error("it has {0} bytes, at most {MAX_README} are rendered")]
    Long(usize),
    /// One character is repeated on and on.
    #[error("it repeats {0:?} more than {MAX_RUN} times in a row")]
    Run(char),
    /// It has too many `&`.
    #[error("it has more than {MAX_AMPERSANDS} times the character '&'")]
    Ampersands,
    /// It takes the parser too long.
    #[error("parsing it takes more than {MAX_STEPS} steps")]
    Work,
    /// It is nested too deeply.
    #[error("its lists, quotes or emphasis are nested more than {MAX_NESTING} deep")]
    Deep,
    /// It has too many parts.
    #[error("it has more than {MAX_NODES} elements")]
    Many,
    /// The HTML is too long.
    #[error("it becomes more than {MAX_HTML} bytes of HTML")]
    Large,
}

/// Renders `markdown`. `source` is the repository that its relative links are about.
///
/// # Errors
/// [`Bomb`], when it is over a limit. Every other text is rendered.
pub fn render(markdown: &str, source: Option<&str>) -> Result<Html, Bomb> {
    if markdown.len() as u64 > MAX_README {
        return Err(Bomb::Long(markdown.len()));
    }
    if let Some(repeated) = long_run(markdown) {
        return Err(Bomb::Run(repeated));
    }
    if markdown.bytes().filter(|byte| *byte == b'&').count() > MAX_AMPERSANDS {
        return Err(Bomb::Ampersands);
    }
    let arena = Arena::new();
    let steps = Cell::new(0);
    // comrak asks once in 256 steps.
    let over = || {
        steps.set(steps.get() + 256);
        steps.get() > MAX_STEPS
    };
    let root = comrak::try_parse_document(&arena, markdown, &OPTIONS, &over).map_err(|_| Bomb::Work)?;
    measure(root)?;
    let mut html = Bounded(String::with_capacity(markdown.len() * 2));
    comrak::format_html(root, &OPTIONS, &mut html).map_err(|fmt::Error| Bomb::Large)?;
    let clean = sanitiser(source.and_then(Forge::of)).clean(&html.0).to_string();
    if clean.len() > MAX_HTML { Err(Bomb::Large) } else { Ok(Html(clean)) }
}

/// A character of Markdown's own that is repeated without an end, white space between left out of account.
fn long_run(text: &str) -> Option<char> {
    let (mut last, mut run) = (' ', 0);
    for c in text.chars().filter(|c| !matches!(c, ' ' | '\t')) {
        run = if c == last { run + 1 } else { 1 };
        last = c;
        if run > MAX_RUN
            && matches!(c, '[' | ']' | '(' | '<' | '>' | '*' | '_' | '`' | '~' | '!' | '&' | '\\' | '|' | '#')
        {
            return Some(c);
        }
    }
    None
}

fn measure<'a>(root: &'a AstNode<'a>) -> Result<(), Bomb> {
    let (mut depth, mut nodes) = (0, 0);
    for edge in root.traverse() {
        match edge {
            NodeEdge::Start(_) => {
                depth += 1;
                nodes += 1;
                if depth > MAX_NESTING {
                    return Err(Bomb::Deep);
                }
                if nodes > MAX_NODES {
                    return Err(Bomb::Many);
                }
            }
            NodeEdge::End(_) => depth -= 1,
        }
    }
    Ok(())
}

/// Takes at most [`MAX_HTML`] bytes.
struct Bounded(String);

impl fmt::Write for Bounded {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > MAX_HTML {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

static OPTIONS: LazyLock<Options<'static>> = LazyLock::new(|| {
    let mut options = Options::default();
    options.extension.table = true;
    options.extension.strikethrough = true;
    options.extension.autolink = true;
    options.extension.tasklist = true;
    options.extension.header_id_prefix = Some(String::new());
    options
});

/// The elements that may stay; of all others the text does.
const ELEMENTS: [&str; 30] = [
    "a",
    "blockquote",
    "br",
    "code",
    "dd",
    "del",
    "dl",
    "dt",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "img",
    "input",
    "li",
    "ol",
    "p",
    "pre",
    "strong",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "ul",
];

fn sanitiser(forge: Option<Forge>) -> ammonia::Builder<'static> {
    let of = |names: &[&'static str]| names.iter().copied().collect::<HashSet<_>>();
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(of(&ELEMENTS))
        // Where even the text inside is not meant to be read.
        .clean_content_tags(of(&["script", "style", "svg", "math", "template", "iframe", "object", "title"]))
        .generic_attributes(HashSet::new())
        .tag_attributes(HashMap::from([
            ("a", of(&["href", "title", "aria-hidden"])),
            ("h1", of(&["id"])),
            ("h2", of(&["id"])),
            ("h3", of(&["id"])),
            ("h4", of(&["id"])),
            ("h5", of(&["id"])),
            ("h6", of(&["id"])),
            ("img", of(&["src", "alt", "title"])),
            ("ol", of(&["start"])),
            ("input", of(&["checked"])),
        ]))
        .tag_attribute_values(HashMap::from([
            ("td", HashMap::from([("align", of(&["left", "center", "right"]))])),
            ("th", HashMap::from([("align", of(&["left", "center", "right"]))])),
        ]))
        // The only field is the box of a task list, and nobody can tick it.
        .set_tag_attribute_values(HashMap::from([
            ("input", HashMap::from([("type", "checkbox"), ("disabled", "")])),
            ("img", HashMap::from([("loading", "lazy"), ("referrerpolicy", "no-referrer")])),
        ]))
        // The mark beside a heading.
        .allowed_classes(HashMap::from([("a", of(&["anchor"]))]))
        .url_schemes(of(&["http", "https", "mailto"]))
        // Relative links come to the filter, which resolves or drops them.
        .url_relative(UrlRelative::PassThrough)
        .link_rel(Some("nofollow noopener noreferrer ugc"))
        .id_prefix(Some(ID_PREFIX))
        .strip_comments(true)
        .attribute_filter(move |element, attribute, value| match (element, attribute) {
            ("a", "href") => link(value, forge.as_ref()).map(Cow::Owned),
            ("img", "src") => image(value, forge.as_ref()).map(Cow::Owned),
            _ => Some(Cow::Borrowed(value)),
        });
    builder
}

fn link(text: &str, forge: Option<&Forge>) -> Option<String> {
    if text.len() > MAX_LINK {
        return None;
    }
    if let Some(fragment) = text.strip_prefix('#') {
        let plain = fragment.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '%' | '.'));
        return plain.then(|| format!("#{ID_PREFIX}{fragment}"));
    }
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https" | "mailto") && plain_authority(&url) => Some(url.into()),
        Err(url::ParseError::RelativeUrlWithoutBase) => forge?.resolve(text, Place::Page),
        _ => None,
    }
}

fn image(text: &str, forge: Option<&Forge>) -> Option<String> {
    if text.len() > MAX_LINK {
        return None;
    }
    match Url::parse(text) {
        Ok(url) if url.scheme() == "https" && plain_authority(&url) => Some(url.into()),
        Err(url::ParseError::RelativeUrlWithoutBase) => forge?.resolve(text, Place::Raw),
        _ => None,
    }
}

/// `https://bank.example@evil.example/` reads as the bank's.
fn plain_authority(url: &Url) -> bool {
    url.username().is_empty() && url.password().is_none()
}

/// What of a repository's file a link leads to.
#[derive(Clone, Copy)]
enum Place {
    /// The page that shows it.
    Page,
    /// Its bytes.
    Raw,
}

/// A repository on a forge whose addresses we know how to write.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Forge {
    /// `https://host/owner/repository/`.
    repository: String,
    /// What leads to the page of a file, and to its bytes, before the revision.
    page: &'static str,
    raw: &'static str,
    /// Revision and folder, ending in a slash.
    folder: String,
}

impl Forge {
    fn of(source: &str) -> Option<Self> {
        let url = Url::parse(source).ok().filter(|url| url.scheme() == "https" && url.port().is_none())?;
        let (tree, page, raw) = match url.host_str()? {
            "github.com" => ("tree", "blob/", "raw/"),
            "gitlab.com" => ("-/tree", "-/blob/", "-/raw/"),
            "bitbucket.org" => ("src", "src/", "raw/"),
            _ => return None,
        };
        let path = url.path().trim_matches('/');
        let mut parts = path.splitn(3, '/');
        let (owner, repository) =
            (parts.next().filter(|part| !part.is_empty())?, parts.next()?.trim_end_matches(".git"));
        let folder = match parts.next() {
            None => "HEAD".to_owned(),
            // Anything else below a repository is not a folder of it, and says nothing of where the README lies.
            Some(rest) => rest.strip_prefix(tree)?.strip_prefix('/')?.to_owned(),
        };
        let repository = format!("https://{}/{owner}/{repository}/", url.host_str()?);
        Some(Forge { repository, page, raw, folder: folder + "/" })
    }

    fn resolve(&self, text: &str, place: Place) -> Option<String> {
        // `//host/x` is another host's, `/x` the forge's own: neither is a file beside the README.
        if text.is_empty() || text.starts_with(['/', '\\', '?']) {
            return None;
        }
        let kind = match place {
            Place::Page => self.page,
            Place::Raw => self.raw,
        };
        let url = Url::parse(&format!("{}{kind}{}", self.repository, self.folder)).ok()?.join(text).ok()?;
        let inside = url.as_str().starts_with(&format!("{}{kind}", self.repository));
        (inside && url.query().is_none_or(|query| query == "raw=true")).then(|| url.into())
    }
}

/// The words of HTML that was rendered here, without its tags, for the full-text index: at most [`MAX_INDEXED`] bytes.
pub fn words(html: &str) -> String {
    let mut words = String::new();
    let mut rest = html;
    while words.len() < MAX_INDEXED && !rest.is_empty() {
        let (text, after) = rest.split_once('<').unwrap_or((rest, ""));
        words.push_str(text);
        // Tags divide words, except those within one; a space too many does no harm.
        words.push(' ');
        // A value may hold a `>`, which then splits a word or two off: they are a stranger's text all the same.
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    let end = (0..=words.len().min(MAX_INDEXED)).rev().find(|end| words.is_char_boundary(*end)).unwrap_or_default();
    words.truncate(end);
    words
}

#[cfg(test)]
mod tests;
