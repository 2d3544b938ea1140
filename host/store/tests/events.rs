//! The event log and the list of runs, on a real database.

mod common;

use common::{created, finished, run_id, soon, started, step};
use sqlx::{Connection, SqliteConnection};
use std::{os::unix::fs::PermissionsExt, path::Path};
use windlass_contract::CodedError;
use windlass_engine::{Decision, Event, EventKind, Outcome, RunStatus};
use windlass_store::{FIRST_SEQ, RunFilter, Store, StoreError};

async fn sql(dir: &Path, statement: &'static str) {
    let url = format!("sqlite://{}", dir.join("windlass.db").display());
    let mut connection = SqliteConnection::connect(&url).await.expect("the database opens");
    sqlx::query(statement).execute(&mut connection).await.expect("the statement is sound");
    connection.close().await.expect("it closes");
}

#[tokio::test]
async fn what_was_written_is_read_after_reopening() {
    let dir = tempfile::tempdir().expect("a folder");
    let first = [created("r1", "demo", 1000), started(1)];
    let more = [started(2), started(3)];
    {
        let store = Store::open(dir.path()).await.expect("it opens");
        let next = store.create_run(&first).await.expect("it is new");
        assert_eq!(next, FIRST_SEQ + 2);
        assert_eq!(store.append(&run_id("r1"), next, &more).await.expect("it fits"), next + 2);
        store.close().await;
        assert!(matches!(store.append(&run_id("r1"), next + 2, &more).await, Err(StoreError::Closed)));
    }
    let store = Store::open(dir.path()).await.expect("it opens again");
    assert_eq!(store.events(&run_id("r1")).await.expect("they are there"), [&first[..], &more[..]].concat());
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let first = [created("r1", "demo", 1000)];
    store.create_run(&first).await.expect("it is new");
    let refused = [
        store.append(&run_id("r1"), 1, &[started(1)]).await,
        store.append(&run_id("r1"), 3, &[started(1)]).await,
        store.append(&run_id("r2"), 1, &[started(1)]).await,
        store.append(&run_id("r1"), 2, &[created("r1", "demo", 1)]).await,
        store.create_run(&[created("r1", "other", 1)]).await,
        store.create_run(&[started(1)]).await,
        store.create_run(&[]).await,
        store.create_run(&[created("r3", "demo", 1), created("r4", "demo", 1)]).await,
    ];
    let codes: Vec<_> = refused.map(|result| result.expect_err("it does not fit").code().to_string()).to_vec();
    assert_eq!(codes, ["WL1006", "WL1006", "WL1007", "WL1009", "WL1008", "WL1009", "WL1009", "WL1009"]);
    assert_eq!(store.events(&run_id("r1")).await.expect("they are there"), first);
    assert_eq!(store.runs(RunFilter::default()).await.expect("a list").len(), 1);
    assert!(matches!(store.events(&run_id("r2")).await, Err(StoreError::UnknownRun { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_append_at_one_place_one_wins() {
    let dir = tempfile::tempdir().expect("a folder");
    // As two processes would: each with its own writer.
    let stores = [
        Store::open_shared(dir.path()).await.expect("it opens"),
        Store::open_shared(dir.path()).await.expect("it opens twice"),
    ];
    stores[0].create_run(&[created("r1", "demo", 1)]).await.expect("it is new");
    for next in 2..40 {
        let [one, other] = [0, 1].map(|i| {
            let store = stores[i].clone();
            tokio::spawn(async move { store.append(&run_id("r1"), next, &[started(i as u32 + 1)]).await })
        });
        let results = [one.await.expect("no panic"), other.await.expect("no panic")];
        assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
        assert!(results.iter().any(|result| matches!(result, Err(StoreError::Conflict { .. }))), "{results:?}");
    }
    assert_eq!(stores[0].events(&run_id("r1")).await.expect("no gap").len(), 39);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_runs_at_once() {
    const RUNS: u32 = 40;
    const APPENDS: u32 = 25;
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let one = |n: u32| {
        let store = store.clone();
        async move {
            let id = run_id(&format!("r{n}"));
            let mut next = store.create_run(&[created(id.as_str(), "demo", n.into())]).await.expect("it is new");
            for attempt in 1..=APPENDS {
                next = store.append(&id, next, &[started(attempt), started(attempt)]).await.expect("it fits");
            }
        }
    };
    let tasks: Vec<_> = (0..RUNS).map(|n| tokio::spawn(one(n))).collect();
    for task in tasks {
        task.await.expect("no panic");
    }
    for n in 0..RUNS {
        let id = run_id(&format!("r{n}"));
        let events = store.events(&id).await.expect("no gap");
        let expect: Vec<_> = std::iter::once(created(id.as_str(), "demo", n.into()))
            .chain((1..=APPENDS).flat_map(|attempt| [started(attempt), started(attempt)]))
            .collect();
        assert_eq!(events, expect);
    }
}

#[tokio::test]
async fn an_append_that_nobody_waits_for_is_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    store.create_run(&[created("r1", "demo", 1)]).await.expect("it is new");
    let id = run_id("r1");
    let append = [started(1)];
    let mut dropped = Box::pin(store.append(&id, 2, &append));
    // Polled once, it is on its way.
    assert!(
        std::future::Future::poll(dropped.as_mut(), &mut std::task::Context::from_waker(std::task::Waker::noop()))
            .is_pending()
    );
    drop(dropped);
    store.append(&id, 3, &[started(2)]).await.expect("the one before it was written");
}

#[tokio::test]
async fn the_list_follows_the_events() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let undecided = || Event { at_ms: 7, kind: EventKind::StepUndecided { step: step(), attempt: 1 } };
    let decided = || {
        let (decision, by) = (Decision::Failed, "ada".to_owned());
        Event { at_ms: 8, kind: EventKind::StepDecided { step: step(), attempt: 1, decision, by } }
    };
    let cancel = || Event { at_ms: 9, kind: EventKind::CancelRequested { reason: String::new() } };
    let runs: [(&str, &str, Vec<Event>); 7] = [
        ("ra", "one", vec![]),
        ("rb", "one", vec![undecided()]),
        ("rc", "one", vec![undecided(), undecided(), decided()]),
        ("rd", "one", vec![undecided(), decided()]),
        ("re", "one", vec![undecided(), cancel()]),
        ("rf", "one", vec![finished(Outcome::Succeeded, 90)]),
        ("rg", "two", vec![cancel(), finished(Outcome::Cancelled, 99)]),
    ];
    for ((id, name, events), at_ms) in runs.iter().zip(10..) {
        let next = store.create_run(&[created(id, name, at_ms)]).await.expect("it is new");
        if !events.is_empty() {
            store.append(&run_id(id), next, events).await.expect("it fits");
        }
    }
    let list = |filter: RunFilter| {
        let store = store.clone();
        async move {
            let runs = store.runs(filter).await.expect("a list");
            runs.iter().map(|run| format!("{} {}", run.id, run.status)).collect::<Vec<_>>().join(", ")
        }
    };
    assert_eq!(
        list(RunFilter::default()).await,
        "rg finished, rf finished, re cancelling, rd running, rc waiting, rb waiting, ra running"
    );
    assert_eq!(list(RunFilter { limit: Some(2), ..RunFilter::default() }).await, "rg finished, rf finished");
    let waiting = RunFilter { status: Some(RunStatus::Waiting), ..RunFilter::default() };
    assert_eq!(list(waiting).await, "rc waiting, rb waiting");
    let cancelled = RunFilter { outcome: Some(Outcome::Cancelled), ..RunFilter::default() };
    assert_eq!(list(cancelled).await, "rg finished");
    let unfinished = store.unfinished_runs().await.expect("a list");
    assert_eq!(unfinished.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), "ra rb rc rd re");
    let run = store.run(&run_id("rg")).await.expect("it is there");
    assert_eq!((run.name.as_str(), run.file.as_deref()), ("two", Some("windlass.yaml")));
    assert_eq!((run.created_at_ms, run.finished_at_ms, run.outcome), (16, Some(99), Some(Outcome::Cancelled)));
}

#[tokio::test]
async fn the_last_that_succeeded() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let runs = [
        ("r1", "demo", Outcome::Succeeded, 100),
        ("r2", "demo", Outcome::Succeeded, 300),
        ("r3", "demo", Outcome::Failed, 400),
        ("r4", "other", Outcome::Succeeded, 500),
    ];
    for (id, name, outcome, at_ms) in runs {
        store.create_run(&[created(id, name, 1), finished(outcome, at_ms)]).await.expect("it is new");
    }
    assert_eq!(store.last_succeeded("demo").await.expect("an answer"), Some(run_id("r2")));
    assert_eq!(store.last_succeeded("nobody").await.expect("an answer"), None);
}

#[tokio::test]
async fn damage_is_told_with_its_place() {
    let check = async |statement: &'static str, expect: &str| {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).await.expect("it opens");
        store.create_run(&[created("r1", "demo", 1), started(1), started(2)]).await.expect("it is new");
        store.close().await;
        sql(dir.path(), statement).await;
        let store = Store::open(dir.path()).await.expect("it opens");
        let error = store.events(&run_id("r1")).await.expect_err("it is damaged");
        let told = format!("{} {error}", error.code());
        assert!(told.starts_with(expect), "{statement} gives {told}");
        assert!(error.help().is_some());
    };
    check(
        "UPDATE events SET body = substr(body, 1, 20) WHERE seq = 2",
        "WL1010 event 2 of the run r1: the stored text is not an event",
    )
    .await;
    check(
        "UPDATE events SET body = replace(body, '\"v\":1', '\"v\":9') WHERE seq = 3",
        "WL1010 event 3 of the run r1: the event has version 9; this host reads up to version 1",
    )
    .await;
    check("DELETE FROM events WHERE seq = 2", "WL1011 event 2 of the run r1 is missing").await;
    check("DELETE FROM events WHERE seq = 3", "WL1011 event 3 of the run r1 is missing").await;
    check("DELETE FROM events", "WL1011 event 1 of the run r1 is missing").await;
    check("UPDATE runs SET next_seq = 3", "WL1011 event 3 of the run r1 is missing").await;
}

#[tokio::test]
async fn one_owner_or_several_who_share() {
    let dir = tempfile::tempdir().expect("a folder");
    let alone = Store::open(dir.path()).await.expect("it opens");
    let told = |error: StoreError| format!("{} {error}", error.code());
    let refused = told(Store::open(dir.path()).await.err().expect("it is in use"));
    assert!(refused.starts_with("WL1002 the data folder") && refused.contains("is in use by process"), "{refused}");
    assert!(matches!(Store::open_shared(dir.path()).await, Err(StoreError::Owned { .. })));
    let reader = Store::open_read(dir.path()).await.expect("reading is always allowed");
    alone.create_run(&[created("r1", "demo", 1)]).await.expect("it is new");
    assert_eq!(reader.runs(RunFilter::default()).await.expect("a list").len(), 1);
    assert!(matches!(reader.append(&run_id("r1"), 2, &[started(1)]).await, Err(StoreError::ReadOnly)));
    assert!(reader.plugin_state(&"a:b".parse().expect("a name")).is_err());
    alone.close().await;

    let shared = Store::open_shared(dir.path()).await.expect("it is free");
    let other = Store::open_shared(dir.path()).await.expect("and shared");
    assert!(matches!(Store::open(dir.path()).await, Err(StoreError::Owned { .. })));
    let lock = shared.lock_run(&run_id("r1")).expect("it is free");
    let refused = told(other.lock_run(&run_id("r1")).expect_err("it is held"));
    assert_eq!(refused, format!("WL1003 the run r1 is carried out by process {}", std::process::id()));
    other.lock_run(&run_id("r2")).expect("another run is free");
    drop(lock);
    other.lock_run(&run_id("r1")).expect("it was let go");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_may_make_the_folder_at_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("new").join("home");
    let opens: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { Store::open_shared(&path).await.map(drop) })
        })
        .collect();
    for open in opens {
        open.await.expect("no panic").expect("it opens");
    }
}

#[tokio::test]
async fn where_nothing_is_and_where_something_newer_is() {
    let dir = tempfile::tempdir().expect("a folder");
    assert!(matches!(Store::open_read(dir.path()).await, Err(StoreError::Missing { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).expect("a folder").count(), 0, "looking makes nothing");
    Store::open(dir.path()).await.expect("it opens").close().await;
    sql(
        dir.path(),
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', TRUE, x'00', 0)",
    )
    .await;
    for opened in [Store::open(dir.path()).await, Store::open_read(dir.path()).await] {
        let error = opened.err().expect("it is newer");
        assert!(matches!(error, StoreError::OtherSchema { newer: true, .. }), "{error}");
        assert!(error.help().is_some_and(|help| help.contains("newer version")));
    }
}

#[tokio::test]
async fn only_the_owner_can_look() {
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("home");
    let store = Store::open(&home).await.expect("it opens");
    store.create_run(&[created("r1", "demo", 1)]).await.expect("it is new");
    let mode = |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&home), 0o700);
    for entry in std::fs::read_dir(&home).expect("a folder") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path) & 0o077, 0, "{}", path.display());
    }
}

#[tokio::test]
async fn others_are_woken_after_a_commit() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    store.create_run(&[created("r1", "demo", 1)]).await.expect("it is new");
    let reader = Store::open_read(dir.path()).await.expect("it opens");
    let mut commits = reader.commits().expect("a watch");
    for attempt in 1..20 {
        store.append(&run_id("r1"), u64::from(attempt) + 1, &[started(attempt)]).await.expect("it fits");
        // Woken without having looked in between; what it then sees is what was committed.
        soon(commits.changed()).await;
        assert_eq!(reader.events(&run_id("r1")).await.expect("no gap").len(), attempt as usize + 1);
    }
}

/// What a loss of power can leave: the database, and its log cut off anywhere.
#[tokio::test]
async fn a_copy_of_any_moment_opens_and_has_no_gap() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let mut next = store.create_run(&[created("r1", "demo", 1)]).await.expect("it is new");
    for attempt in 1..=10 {
        next = store.append(&run_id("r1"), next, &[started(attempt), started(attempt)]).await.expect("it fits");
    }
    let wal = std::fs::read(dir.path().join("windlass.db-wal")).expect("the log is there while it is open");
    let database = std::fs::read(dir.path().join("windlass.db")).expect("the database");
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..=24).map(|part| wal.len() * part / 24).chain([wal.len().saturating_sub(1)]) {
        let copy = tempfile::tempdir().expect("a folder");
        std::fs::write(copy.path().join("windlass.db"), &database).expect("a copy");
        std::fs::write(copy.path().join("windlass.db-wal"), &wal[..cut]).expect("a copy");
        let opened = Store::open(copy.path()).await.expect("it opens");
        match opened.events(&run_id("r1")).await {
            Ok(events) => {
                assert_eq!(events.len() % 2, 1, "an append is there whole or not at all");
                seen.insert(events.len());
            }
            Err(StoreError::UnknownRun { .. }) => drop(seen.insert(0)),
            Err(error) => panic!("cut at {cut} of {}: {error}", wal.len()),
        }
        opened.close().await;
    }
    assert!(seen.contains(&21), "with the whole log, all that was acknowledged is there: {seen:?}");
    assert!(seen.len() > 3, "the cuts fall between appends: {seen:?}");
}
