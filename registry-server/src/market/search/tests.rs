use super::*;
use proptest::prelude::*;

fn query(q: &str) -> SearchQuery {
    SearchQuery { q: q.to_owned(), ..SearchQuery::default() }
}

fn candidate(id: i64, name: &str, downloads: i64) -> Candidate {
    let facets = "kind=step\nlicence=MIT\nverified=false\nnative=false".to_owned();
    Candidate { id, name: name.to_owned(), bm25: -1.0, downloads, published: id * 1_000, facets }
}

#[test]
fn what_is_typed_is_never_syntax() {
    let check = |q: &str, expect: Option<&str>| {
        let expression = Search::of(&query(q)).unwrap().expression;
        let expect = expect.map(|terms| format!("{{name steps keywords summary readme}} : ({terms})"));
        assert_eq!(expression, expect, "{q}");
    };
    check("", None);
    check("  \t ", None);
    check("shell", Some(r#""shell" *"#));
    check("AWS deploy", Some(r#""AWS" AND "deploy" *"#));
    check("a OR b", Some(r#""a" AND "OR" AND "b" *"#));
    check("facets : x", Some(r#""facets" AND "x" *"#));
    check("\"", None);
    check("\" OR \"\"", Some(r#""OR" *"#));
    check("x\" OR facets:\"y", Some(r#""x""" AND "OR" AND "facets:""y" *"#));
    check("na*me ^x (y)", Some(r#""na*me" AND "^x" AND "(y)" *"#));
    check("NEAR(a b, 5)", Some(r#""NEAR(a" AND "b," AND "5)" *"#));
    check("a\0b", Some(r#""a" AND "b" *"#));
    check("1 2 3 4 5 6 7 8 9", Some(r#""1" AND "2" AND "3" AND "4" AND "5" AND "6" AND "7" AND "8" *"#));
    check("-- ; DROP TABLE", Some(r#""DROP" AND "TABLE" *"#));
}

#[test]
fn filters_are_terms_of_their_own() {
    let only = SearchQuery { kind: Some(PluginKind::Step), native: Some(false), ..SearchQuery::default() };
    insta::assert_snapshot!(Search::of(&only).unwrap().expression.unwrap(), @r#"facets : "fad560f8bd2a0" AND facets : "fe6501e010fbb""#);
    let injected = SearchQuery { licence: Some("\" OR name : \"x".to_owned()), ..SearchQuery::default() };
    let expression = Search::of(&injected).unwrap().expression.unwrap();
    assert_eq!(expression.matches('"').count(), 2, "{expression}");
    let (upper, lower) = (Feature::Licence("MIT").term(), Feature::Licence("mit").term());
    assert_eq!(upper, lower, "a licence is found in any case");
    assert_ne!(Feature::Verified(true).term(), Feature::Native(true).term());
}

#[test]
fn limits() {
    let refused = |query: SearchQuery| Search::of(&query).unwrap_err();
    assert_eq!(refused(query(&"x".repeat(MAX_QUERY + 1))), BadQuery::Long);
    assert!(Search::of(&query(&"ä".repeat(MAX_QUERY))).is_ok());
    assert_eq!(refused(SearchQuery { limit: 0, ..query("x") }), BadQuery::Limit);
    assert_eq!(refused(SearchQuery { limit: MAX_LIMIT + 1, ..query("x") }), BadQuery::Limit);
    for cursor in ["", "x", "%", "cgow", &"A".repeat(500)] {
        assert_eq!(
            refused(SearchQuery { cursor: Some(cursor.to_owned()), ..query("x") }),
            BadQuery::Cursor,
            "{cursor}"
        );
    }
    let search = Search::of(&SearchQuery { sort: Sort::Name, limit: 1, ..query("x") }).unwrap();
    let next = search.page(vec![candidate(1, "a:a", 0), candidate(2, "a:b", 0)]).1;
    let elsewhere = SearchQuery { sort: Sort::New, cursor: next, ..query("x") };
    assert_eq!(refused(elsewhere), BadQuery::Cursor, "a cursor is of one order");
}

#[test]
fn at_most_a_thousand_are_paged_through() {
    let all: Vec<_> = (0..1_500).map(|id| candidate(id, &format!("acme:p{id:04}"), 0)).collect();
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let query = SearchQuery { sort: Sort::Name, limit: MAX_LIMIT, cursor, ..SearchQuery::default() };
        let (ids, next) = Search::of(&query).unwrap().page(all.clone());
        seen.extend(ids);
        cursor = next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
}

#[test]
fn orders() {
    let all = || {
        let mut all =
            vec![candidate(1, "acme:shell-tools", 90), candidate(2, "acme:shell", 10), candidate(3, "zed:x", 50)];
        all[2].bm25 = -9.0;
        all
    };
    let check = |q: &str, sort: Sort, expect: [i64; 3]| {
        let search = Search::of(&SearchQuery { sort, ..query(q) }).unwrap();
        assert_eq!(search.page(all()).0, expect, "{q} {sort:?}");
    };
    check("shell", Sort::Relevance, [2, 3, 1]); // the very name first
    check("tools", Sort::Relevance, [3, 1, 2]);
    check("", Sort::Relevance, [1, 3, 2]); // by downloads
    check("shell", Sort::Downloads, [1, 3, 2]);
    check("shell", Sort::New, [3, 2, 1]);
    check("shell", Sort::Name, [2, 1, 3]);
}

#[test]
fn facets_are_counted() {
    let mut native = candidate(3, "http", 0);
    native.facets = "licence=MIT\ncategory=core\nverified=false\nnative=true".to_owned();
    let all = [candidate(1, "a:a", 0), candidate(2, "a:b", 0), native];
    let facets = count(all.iter().map(|candidate| candidate.facets.as_str()));
    insta::assert_json_snapshot!(facets, @r#"
    {
      "kind": [
        {
          "value": "step",
          "count": 2
        }
      ],
      "capability": [],
      "licence": [
        {
          "value": "MIT",
          "count": 3
        }
      ],
      "category": [
        {
          "value": "core",
          "count": 1
        }
      ],
      "verified": [
        {
          "value": "false",
          "count": 3
        }
      ],
      "native": [
        {
          "value": "false",
          "count": 2
        },
        {
          "value": "true",
          "count": 1
        }
      ]
    }
    "#);
    let many: Vec<_> = (0..50).map(|n| format!("licence=L-{n}")).collect();
    assert_eq!(count(many.iter().map(String::as_str)).licence.len(), MAX_LICENCES);
}

#[test]
fn what_was_probably_meant() {
    let words = ["shell", "docker", "kubernetes", "slack"];
    for (typed, expect) in [
        ("shel", Some("shell")),
        ("dokcer", Some("docker")),
        ("kubernets", Some("kubernetes")),
        ("kubrnets", Some("kubernetes")),
        ("Slcak", Some("slack")),
        ("shell", None),
        ("sla", None),
        ("nothing", None),
    ] {
        assert_eq!(nearest(typed, words), expect, "{typed}");
    }
}

proptest! {
    /// Whatever is published between two pages, what was there before is seen once.
    #[test]
    fn pages_neither_repeat_nor_lose(
        before in proptest::collection::btree_map("[a-z]{1,4}", 0..100_i64, 0..60),
        between in proptest::collection::btree_map("[A-Z]{1,4}", 0..100_i64, 0..20),
        limit in 1..10_u32,
        sort in prop_oneof![Just(Sort::Downloads), Just(Sort::New), Just(Sort::Name), Just(Sort::Relevance)],
    ) {
        let list = |entries: &BTreeMap<String, i64>, from: i64| -> Vec<Candidate> {
            entries.iter().zip(from..).map(|((name, downloads), id)| candidate(id, name, *downloads)).collect()
        };
        let (mut all, more) = (list(&before, 0), list(&between, 1_000));
        let (mut seen, mut cursor, mut first) = (Vec::new(), None, true);
        loop {
            let search = Search::of(&SearchQuery { sort, limit, cursor, ..query("w") }).unwrap();
            let (ids, next) = search.page(all.clone());
            seen.extend(ids.into_iter().filter(|id| *id < 1_000));
            if std::mem::take(&mut first) {
                all.extend(more.clone());
            }
            match next {
                Some(next) => cursor = Some(next),
                None => break,
            }
        }
        // A first page that was the last says so at the time.
        if before.len() > limit as usize {
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..before.len() as i64).collect::<Vec<_>>());
        }
    }
}
