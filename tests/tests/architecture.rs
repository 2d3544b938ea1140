//! The arrows between crates, read from `cargo metadata`: ARCHITECTURE.md, "Code map".

use std::{collections::BTreeMap, process::Command};

/// From the bottom up: a crate may use those that stand before it.
const ORDER: &[&str] = &[
    "windlass-serving",
    "windlass-contract",
    "windlass-manifest",
    "windlass-engine",
    "windlass-report",
    "windlass-fuzz-targets",
    "windlass-runtime",
    "windlass-capabilities",
    "windlass-rehearse",
    "windlass-package",
    "windlass-store",
    "windlass-author",
    "windlass-driver",
    "windlass-project",
    "windlass-server",
    "windlass-cli",
    "windlass-registry-server",
    "windlass-tests",
    "windlass-xtask",
];

/// What only one crate may name.
const SOLE_USERS: &[(&str, &str)] =
    &[("wasmtime", "windlass-runtime"), ("wasmtime-wasi", "windlass-runtime"), ("bollard", "windlass-capabilities")];

/// The two crates that keep something in a database, and where in them it is named.
const DATABASES: &[(&str, &[&str])] = &[
    ("windlass-store", &["host/store/src"]),
    ("windlass-registry-server", &["registry-server/src/database/sqlite.rs", "registry-server/src/database/sqlite"]),
];

/// What a pure crate may not use.
const IMPURE: &[&str] = &["tokio", "reqwest", "rand", "chrono", "tempfile", "rustix"];
/// What in the sources of a pure crate would ask for the time, or for what this machine has set. `jiff` may be used for its calendar
/// and its compiled-in time zones.
const ASKS_THE_MACHINE: &[&str] =
    &["::now()", "TimeZone::system", "TimeZone::try_system", "std::time::", "std::fs", "std::net", "std::env::"];
const PURE: &[&str] = &["windlass-contract", "windlass-manifest", "windlass-engine", "windlass-report"];

/// The normal dependencies of each crate of the workspace.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root)
        .output()
        .expect("cargo metadata runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"].as_array().expect("dependencies").iter();
            let names = normal
                .filter(|dependency| dependency["kind"].is_null())
                .map(|dependency| dependency["name"].as_str().expect("a name").to_owned());
            (package["name"].as_str().expect("a name").to_owned(), names.collect())
        })
        .collect()
}

#[test]
fn arrows_point_one_way() {
    for (package, uses) in dependencies() {
        let place = ORDER.iter().position(|name| *name == package);
        let place = place.unwrap_or_else(|| panic!("{package} has no place in the code map"));
        for used in uses.iter().filter(|name| name.starts_with("windlass-")) {
            let other = ORDER.iter().position(|name| name == used);
            assert!(other.is_some_and(|other| other < place), "{package} may not know {used}");
        }
    }
}

#[test]
fn some_libraries_have_one_user() {
    for (package, uses) in dependencies() {
        for (library, sole) in SOLE_USERS {
            let allowed = package == *sole || package == "windlass-tests" || package == "windlass-xtask";
            assert!(allowed || !uses.iter().any(|used| used == library), "{package} may not name {library}");
        }
    }
}

#[test]
fn sqlx_is_named_by_the_databases_alone() {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    for (package, uses) in dependencies() {
        let place = DATABASES.iter().find(|(user, _)| *user == package);
        let allowed = place.is_some() || package == "windlass-tests" || package == "windlass-xtask";
        assert!(allowed || !uses.iter().any(|used| used == "sqlx"), "{package} may not name sqlx");
    }
    let places: Vec<_> = DATABASES.iter().flat_map(|(_, places)| places.iter().map(|place| root.join(place))).collect();
    let names = |path: &std::path::PathBuf| std::fs::read_to_string(path).expect("a source").contains("sqlx::");
    let folders = ["host/store/src", "registry-server/src"].map(|folder| sources(&root.join(folder)));
    let (inside, outside): (Vec<_>, Vec<_>) = folders
        .into_iter()
        .flatten()
        .filter(names)
        .partition(|path| places.iter().any(|place| path.starts_with(place)));
    assert!(!inside.is_empty(), "the search finds what is there");
    assert_eq!(outside, Vec::<std::path::PathBuf>::new(), "these name it too");
}

#[test]
fn the_pure_crates_cannot_reach_the_world() {
    let all = dependencies();
    for package in PURE {
        for library in IMPURE {
            assert!(!all[*package].iter().any(|used| used == library), "{package} may not use {library}");
        }
    }
}

#[test]
fn the_pure_crates_ask_the_machine_nothing() {
    for package in PURE {
        let folder = format!("{}/../host/{}/src", env!("CARGO_MANIFEST_DIR"), package.trim_start_matches("windlass-"));
        let files = sources(std::path::Path::new(&folder));
        assert!(!files.is_empty(), "the search finds what is there");
        for file in files {
            let text = std::fs::read_to_string(&file).expect("a source");
            // What stands behind it are tests.
            let own = text.split("#[cfg(test)]").next().unwrap_or_default();
            for part in ASKS_THE_MACHINE {
                assert!(!own.contains(part), "{} names {part}", file.display());
            }
        }
    }
}

/// Every Rust file below a folder.
fn sources(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).expect("a folder of sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

#[test]
fn only_the_containers_module_names_bollard() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../host/capabilities/src"));
    let names = |path: &std::path::PathBuf| std::fs::read_to_string(path).expect("a source").contains("bollard::");
    let (inside, outside): (Vec<_>, Vec<_>) =
        sources(folder).into_iter().filter(names).partition(|path| path.starts_with(folder.join("containers")));
    assert!(!inside.is_empty(), "the search finds what is there");
    assert_eq!(outside, Vec::<std::path::PathBuf>::new(), "these name it too");
}
