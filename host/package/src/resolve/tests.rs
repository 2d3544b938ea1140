use super::*;
use crate::release::{Notice, tests::release};
use proptest::prelude::*;

const NOW: &str = "2026-11-24T12:00:00Z";

fn rules() -> Rules {
    Rules { engine: Version::new(0, 1, 0), contract: Version::new(0, 1, 0), now: NOW.parse().unwrap(), cool_down: None }
}

fn name(text: &str) -> PluginName {
    format!("acme:{text}").parse().unwrap()
}

/// `a 1.0.0 b^1 c=2.0.0 !yanked @engine>=9`: a release, what it asks for, and what is the matter with it.
fn universe(text: &str) -> Universe {
    let mut universe = Universe::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split_whitespace();
        let (plugin, version) = (name(words.next().unwrap()), words.next());
        let releases = universe.entry(plugin.clone()).or_default();
        let Some(version) = version else { continue };
        let mut made = Release { name: plugin, ..release(version) };
        made.published = "2026-01-01T00:00:00Z".parse().unwrap();
        for word in words {
            let notice = || Notice { reason: "it leaks".to_owned(), since: NOW.parse().unwrap() };
            match word {
                "!yanked" => made.status = Status::Yanked(notice()),
                "!quarantined" => made.status = Status::Quarantined(notice()),
                "!removed" => made.status = Status::Removed(notice()),
                "!young" => made.published = "2026-11-24T10:00:00Z".parse().unwrap(),
                "!contract" => made.contract = Version::new(0, 2, 0),
                "!engine" => made.engine = Some(">=9".parse().unwrap()),
                word => {
                    let at = word.find(|c: char| !c.is_ascii_lowercase()).unwrap();
                    made.dependencies.insert(name(&word[..at]), word[at..].parse().unwrap());
                }
            }
        }
        releases.push(made);
    }
    universe
}

fn roots(text: &str) -> Vec<Root> {
    text.split_whitespace()
        .map(|word| {
            let (plugin, requirement) = word.split_once('@').unwrap_or((word, "*"));
            Root { name: name(plugin), requirement: requirement.parse().unwrap(), by: AskedBy::Command }
        })
        .collect()
}

fn locks(text: &str) -> BTreeMap<PluginName, Version> {
    let pair = |word: &str| word.split_once('@').map(|(plugin, version)| (name(plugin), version.parse().unwrap()));
    text.split_whitespace().filter_map(pair).collect()
}

fn words(answer: Answer) -> String {
    match answer {
        Answer::Chosen(chosen) => {
            chosen.iter().map(|(name, version)| format!("{}@{version}", name.name())).collect::<Vec<_>>().join(" ")
        }
        Answer::Missing(names) => {
            format!("missing {}", names.iter().map(PluginName::name).collect::<Vec<_>>().join(" "))
        }
        Answer::Conflict(facts) => facts.join("\n"),
    }
}

#[test]
fn what_is_chosen() {
    let check = |text: &str, locked: &str, asked: &str, expect: &str| {
        let got = words(resolve(&universe(text), &locks(locked), &roots(asked), &rules()));
        assert_eq!(got, expect, "{asked} with {locked:?} of\n{text}");
    };
    let two = "a 1.0.0\na 1.2.0\na 2.0.0-rc.1\na 2.0.0";
    check(two, "", "a", "a@2.0.0");
    check(two, "", "a@^1", "a@1.2.0");
    check(two, "a@1.0.0", "a@^1", "a@1.0.0"); // what is locked stays
    check(two, "a@1.0.0", "a@^2", "a@2.0.0"); // unless it may not
    check(two, "", "a@=2.0.0-rc.1", "a@2.0.0-rc.1");
    check("a 1.0.0\na 2.0.0-rc.1", "", "a", "a@1.0.0"); // a pre-release is asked for, never come by
    check("a 1.0.0\na 2.0.0-rc.1", "a@2.0.0-rc.1", "a", "a@2.0.0-rc.1"); // but the lock is the decision
    check("a 1.0.0\na 1.10.0\na 1.9.0", "", "a", "a@1.10.0"); // numbers, not letters

    // With the plugins that are called in turn.
    check("a 1.0.0 b^1\nb 1.0.0 c^1\nb 2.0.0\nc 1.3.0", "", "a", "a@1.0.0 b@1.0.0 c@1.3.0");
    check("a 1.0.0 b^1\nb 1.0.0\nb 1.1.0", "b@1.0.0", "a", "a@1.0.0 b@1.0.0");
    check("a 1.0.0 a^1", "", "a", "a@1.0.0"); // itself
    check("a 1.0.0 b^1\nb 1.0.0 a^1", "", "a", "a@1.0.0 b@1.0.0"); // a ring
    // An older one that fits, rather than a newer one that does not.
    check("a 1.0.0 b^1\na 2.0.0 b^2\nb 1.0.0", "", "a", "a@1.0.0 b@1.0.0");
    check("a 1.0.0 c^1\na 1.1.0 c^2\nb 1.0.0 c^1\nc 1.0.0\nc 2.0.0", "", "a b", "a@1.0.0 b@1.0.0 c@1.0.0");

    // What is passed over.
    check("a 1.0.0\na 1.1.0 !yanked", "", "a", "a@1.0.0");
    check("a 1.0.0\na 1.1.0 !yanked", "a@1.1.0", "a", "a@1.1.0");
    check("a 1.0.0\na 1.1.0 !quarantined", "a@1.1.0", "a", "a@1.0.0"); // not even from the lock
    check("a 1.0.0\na 1.1.0 !removed\na 1.2.0 !engine\na 1.3.0 !contract", "", "a", "a@1.0.0");
}

#[test]
fn indexes_are_asked_for_together() {
    let check = |text: &str, asked: &str, expect: &str| {
        assert_eq!(words(resolve(&universe(text), &locks(""), &roots(asked), &rules())), expect);
    };
    check("", "a b@^1", "missing a b");
    check("a 1.0.0 c^1 d^1\nb 1.0.0", "a b", "missing c d");
    check("a 1.0.0 c^1 d^1\nb 1.0.0\nc 1.0.0\nd 1.0.0", "a b", "a@1.0.0 b@1.0.0 c@1.0.0 d@1.0.0");
}

#[test]
fn a_cool_down() {
    let rules = Rules { cool_down: Some(SignedDuration::from_hours(24)), ..rules() };
    let check = |locked: &str, asked: &str, expect: &str| {
        let universe = universe("a 1.0.0\na 1.1.0 !young");
        assert_eq!(words(resolve(&universe, &locks(locked), &roots(asked), &rules)), expect, "{asked} {locked}");
    };
    check("", "a", "a@1.0.0");
    check("a@1.1.0", "a", "a@1.1.0");
    check("", "a@=1.1.0", "a@1.1.0");
    check(
        "",
        "a@^1.1",
        "you ask for acme:a ^1.1\nthere are of acme:a: 1.1.0 (too young: published 2026-11-24T10:00:00Z, the cool-down ends 2026-11-25T10:00:00Z), 1.0.0",
    );
}

#[test]
fn conflicts_in_words() {
    let check = |text: &str, mut asked: Vec<Root>, locked: &str| {
        if let Some(last) = asked.last_mut().filter(|_| !locked.is_empty()) {
            last.by = AskedBy::Lock;
        }
        words(resolve(&universe(text), &locks(locked), &asked, &rules()))
    };
    let mut by_file = roots("a@^1 b@^2");
    by_file[0].by = AskedBy::Pipeline("ci.yaml".to_owned());
    let all = [
        check("a", roots("a"), ""),
        check("a 1.0.0", roots("a@^2"), ""),
        check("a 1.0.0 !yanked\na 1.1.0 !quarantined\na 1.2.0 !engine\na 1.3.0 !contract", roots("a"), ""),
        check("a 1.0.0\nb 2.0.0 a^3", by_file, ""),
        check("a 1.0.0 c^1\na 1.1.0 c^1\nb 1.0.0 c^2\nc 1.0.0\nc 2.0.0\nc 2.1.0 !yanked", roots("a b"), ""),
        check("a 2.0.0 b^2\nb 1.0.0\nb 2.0.0", roots("a b@=1.0.0"), "b@1.0.0"),
        check("a 1.0.0 b^1\nb 1.0.0 c^1\nc", roots("a"), ""),
        check("a 2.0.0 a^1", roots("a"), ""),
    ];
    insta::assert_snapshot!(all.join("\n\n"), @"
    you ask for acme:a
    its registry has no plugin acme:a

    you ask for acme:a ^2
    there are of acme:a: 1.0.0

    you ask for acme:a
    there are of acme:a: 1.3.0 (built against windlass:plugin 0.2.0), 1.2.0 (runs on Windlass >=9), 1.1.0 (quarantined: it leaks), 1.0.0 (yanked: it leaks)

    you ask for acme:b ^2
    acme:b 2.0.0 asks for acme:a ^3
    there are of acme:b: 2.0.0
    there are of acme:a: 1.0.0

    you ask for acme:b
    you ask for acme:a
    acme:a 1.0.0, 1.1.0 ask for acme:c ^1
    acme:b 1.0.0 asks for acme:c ^2
    there are of acme:a: 1.1.0, 1.0.0
    there are of acme:c: 2.1.0 (yanked: it leaks), 2.0.0, 1.0.0
    there are of acme:b: 1.0.0

    windlass.lock asks for acme:b =1.0.0
    you ask for acme:a
    acme:a 2.0.0 asks for acme:b ^2
    there are of acme:a: 2.0.0
    there are of acme:b: 2.0.0, 1.0.0

    you ask for acme:a
    acme:b 1.0.0 asks for acme:c ^1
    acme:a 1.0.0 asks for acme:b ^1
    there are of acme:b: 1.0.0
    its registry has no plugin acme:c
    there are of acme:a: 1.0.0

    you ask for acme:a
    acme:a 2.0.0 asks for another version of itself
    there are of acme:a: 2.0.0
    ");
}

/// Whether any choice at all satisfies what is asked, by trying every one.
fn by_force(universe: &Universe, roots: &[Root], rules: &Rules) -> bool {
    fn search(
        universe: &Universe,
        rules: &Rules,
        open: &mut Vec<(PluginName, VersionReq)>,
        chosen: &mut BTreeMap<PluginName, Version>,
    ) -> bool {
        let Some((name, requirement)) = open.pop() else { return true };
        let found = match chosen.get(&name) {
            Some(version) => requirement.matches(version) && search(universe, rules, open, chosen),
            None => universe[&name].iter().any(|release| {
                if !requirement.matches(&release.version) || rules.admit(release, false, false).is_err() {
                    return false;
                }
                let mut open = open.clone();
                open.extend(release.dependencies.clone());
                let mut chosen = chosen.clone();
                chosen.insert(name.clone(), release.version.clone());
                search(universe, rules, &mut open, &mut chosen)
            }),
        };
        open.push((name, requirement));
        found
    }
    let mut open = roots.iter().map(|root| (root.name.clone(), root.requirement.clone())).collect();
    search(universe, rules, &mut open, &mut BTreeMap::new())
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn requirement() -> impl Strategy<Value = (PluginName, VersionReq)> {
    let text = prop_oneof![
        (1u64..4).prop_map(|major| format!("^{major}")),
        (1u64..4, 0u64..3).prop_map(|(major, minor)| format!("={major}.{minor}.0")),
        (1u64..4).prop_map(|major| format!("<={major}")),
        Just("*".to_owned()),
    ];
    (proptest::sample::select(&NAMES), text).prop_map(|(plugin, text)| (name(plugin), text.parse().unwrap()))
}

fn random_universe() -> impl Strategy<Value = Universe> {
    let one = (
        proptest::sample::select(&NAMES),
        1u64..4,
        0u64..3,
        proptest::collection::btree_map(proptest::sample::select(&NAMES), requirement(), 0..3),
        proptest::bool::weighted(0.2),
    );
    proptest::collection::vec(one, 0..14).prop_map(|all| {
        let mut universe: Universe = NAMES.iter().map(|plugin| (name(plugin), Vec::new())).collect();
        for (plugin, major, minor, asks, is_yanked) in all {
            let plugin = name(plugin);
            let releases = universe.entry(plugin.clone()).or_default();
            let version = Version::new(major, minor, 0);
            if releases.iter().any(|release| release.version == version) {
                continue;
            }
            let mut made = Release { name: plugin, ..release(&version.to_string()) };
            made.dependencies = asks.into_values().collect();
            if is_yanked {
                made.status = crate::release::tests::yanked("it leaks");
            }
            releases.push(made);
        }
        universe
    })
}

proptest! {
    /// There is an answer exactly when trying everything finds one, and it is one: everything that is asked is in it, and
    /// nothing else. And what was chosen once, locked, is chosen again.
    #[test]
    fn as_good_as_trying_everything(universe in random_universe(), asked in proptest::collection::vec(requirement(), 1..4)) {
        let roots: Vec<Root> =
            asked.into_iter().map(|(name, requirement)| Root { name, requirement, by: AskedBy::Command }).collect();
        let rules = rules();
        match resolve(&universe, &BTreeMap::new(), &roots, &rules) {
            Answer::Chosen(chosen) => {
                let mut open: Vec<_> = roots.iter().map(|root| (root.name.clone(), root.requirement.clone())).collect();
                let mut reached = BTreeSet::new();
                while let Some((name, requirement)) = open.pop() {
                    prop_assert!(chosen.get(&name).is_some_and(|version| requirement.matches(version)), "{name} {requirement}: {chosen:?}");
                    let release = universe[&name].iter().find(|release| release.version == chosen[&name]).unwrap();
                    prop_assert!(release.status.is_ok());
                    if reached.insert(name) {
                        open.extend(release.dependencies.clone());
                    }
                }
                prop_assert_eq!(reached.into_iter().collect::<Vec<_>>(), chosen.keys().cloned().collect::<Vec<_>>());
                prop_assert_eq!(resolve(&universe, &chosen, &roots, &rules), Answer::Chosen(chosen.clone()));
            }
            Answer::Conflict(facts) => {
                prop_assert!(!by_force(&universe, &roots, &rules), "{facts:?}");
                prop_assert!(facts.len() >= 2, "who asks, and what there is: {facts:?}");
            }
            Answer::Missing(names) => prop_assert!(false, "{names:?}"),
        }
    }
}
