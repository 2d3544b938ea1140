//! The event log and the list of runs, on a real database.

mod common;

use common::{created, finished, run_id, soon, started, step};
use serde_json::json;
use sqlx::{Connection, SqliteConnection};
use std::{os::unix::fs::PermissionsExt, path::Path, time::Duration};
use windlass_contract::CodedError;
use windlass_engine::{Event, EventKind, Group, Origin, Outcome, RunStatus};
use windlass_store::{FIRST_SEQ, GateRow, Labels, RunFilter, RunQuery, Standing, Status, Store, StoreError};

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
        let next = store.create_run(&first, Standing::default()).await.expect("it is new");
        assert_eq!(next, FIRST_SEQ + 2);
        assert_eq!(store.append(&run_id("r1"), next, &more, Standing::default()).await.expect("it fits"), next + 2);
        store.close().await;
        assert!(matches!(
            store.append(&run_id("r1"), next + 2, &more, Standing::default()).await,
            Err(StoreError::Closed)
        ));
    }
    let store = Store::open(dir.path()).await.expect("it opens again");
    assert_eq!(store.events(&run_id("r1")).await.expect("they are there"), [&first[..], &more[..]].concat());
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let first = [created("r1", "demo", 1000)];
    store.create_run(&first, Standing::default()).await.expect("it is new");
    let refused = [
        store.append(&run_id("r1"), 1, &[started(1)], Standing::default()).await,
        store.append(&run_id("r1"), 3, &[started(1)], Standing::default()).await,
        store.append(&run_id("r2"), 1, &[started(1)], Standing::default()).await,
        store.append(&run_id("r1"), 2, &[created("r1", "demo", 1)], Standing::default()).await,
        store.create_run(&[created("r1", "other", 1)], Standing::default()).await,
        store.create_run(&[started(1)], Standing::default()).await,
        store.create_run(&[], Standing::default()).await,
        store.create_run(&[created("r3", "demo", 1), created("r4", "demo", 1)], Standing::default()).await,
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
    stores[0].create_run(&[created("r1", "demo", 1)], Standing::default()).await.expect("it is new");
    for next in 2..40 {
        let [one, other] = [0, 1].map(|i| {
            let store = stores[i].clone();
            tokio::spawn(async move {
                store.append(&run_id("r1"), next, &[started(i as u32 + 1)], Standing::default()).await
            })
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
            let mut next = store
                .create_run(&[created(id.as_str(), "demo", n.into())], Standing::default())
                .await
                .expect("it is new");
            for attempt in 1..=APPENDS {
                next = store
                    .append(&id, next, &[started(attempt), started(attempt)], Standing::default())
                    .await
                    .expect("it fits");
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
    store.create_run(&[created("r1", "demo", 1)], Standing::default()).await.expect("it is new");
    let id = run_id("r1");
    let append = [started(1)];
    let mut dropped = Box::pin(store.append(&id, 2, &append, Standing::default()));
    // Polled once, it is on its way.
    assert!(
        std::future::Future::poll(dropped.as_mut(), &mut std::task::Context::from_waker(std::task::Waker::noop()))
            .is_pending()
    );
    drop(dropped);
    store.append(&id, 3, &[started(2)], Standing::default()).await.expect("the one before it was written");
}

#[tokio::test]
async fn the_list_follows_the_events() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let runs: [(&str, &str, RunStatus, Vec<Event>); 7] = [
        ("ra", "one", RunStatus::Running, vec![]),
        ("rb", "one", RunStatus::Waiting, vec![started(1)]),
        ("rc", "one", RunStatus::Waiting, vec![started(1), started(2)]),
        ("rd", "one", RunStatus::Queued, vec![started(1)]),
        ("re", "one", RunStatus::Cancelling, vec![started(1)]),
        ("rf", "one", RunStatus::Finished, vec![finished(Outcome::Succeeded, 90)]),
        ("rg", "two", RunStatus::Finished, vec![started(1), finished(Outcome::Cancelled, 99)]),
    ];
    for ((id, name, status, events), at_ms) in runs.iter().zip(10..) {
        let next = store.create_run(&[created(id, name, at_ms)], Standing::default()).await.expect("it is new");
        if !events.is_empty() {
            let standing = Standing { status: Status(*status), ..Standing::default() };
            store.append(&run_id(id), next, events, standing).await.expect("it fits");
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
        "rg finished, rf finished, re cancelling, rd queued, rc waiting, rb waiting, ra running"
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
        store
            .create_run(&[created(id, name, 1), finished(outcome, at_ms)], Standing::default())
            .await
            .expect("it is new");
    }
    assert_eq!(store.last_succeeded("demo").await.expect("an answer"), Some(run_id("r2")));
    assert_eq!(store.last_succeeded("nobody").await.expect("an answer"), None);
}

#[tokio::test]
async fn damage_is_told_with_its_place() {
    let check = async |statement: &'static str, expect: &str| {
        let dir = tempfile::tempdir().expect("a folder");
        let store = Store::open(dir.path()).await.expect("it opens");
        store
            .create_run(&[created("r1", "demo", 1), started(1), started(2)], Standing::default())
            .await
            .expect("it is new");
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
        "UPDATE events SET body = replace(body, '\"v\":2', '\"v\":9') WHERE seq = 3",
        "WL1010 event 3 of the run r1: the event has version 9; this host reads up to version 2",
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
    alone.create_run(&[created("r1", "demo", 1)], Standing::default()).await.expect("it is new");
    assert_eq!(reader.runs(RunFilter::default()).await.expect("a list").len(), 1);
    assert!(matches!(
        reader.append(&run_id("r1"), 2, &[started(1)], Standing::default()).await,
        Err(StoreError::ReadOnly)
    ));
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
    store.create_run(&[created("r1", "demo", 1)], Standing::default()).await.expect("it is new");
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
    store.create_run(&[created("r1", "demo", 1)], Standing::default()).await.expect("it is new");
    let reader = Store::open_read(dir.path()).await.expect("it opens");
    let mut commits = reader.commits().expect("a watch");
    for attempt in 1..20 {
        store
            .append(&run_id("r1"), u64::from(attempt) + 1, &[started(attempt)], Standing::default())
            .await
            .expect("it fits");
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
    let mut next = store.create_run(&[created("r1", "demo", 1)], Standing::default()).await.expect("it is new");
    for attempt in 1..=10 {
        next = store
            .append(&run_id("r1"), next, &[started(attempt), started(attempt)], Standing::default())
            .await
            .expect("it fits");
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

#[tokio::test]
async fn open_gates_are_rows() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let row = |run: &str, opened_ms: u64| GateRow {
        run: run_id(run),
        step: step(),
        attempt: 1,
        kind: "manual".to_owned(),
        prompt: Some("ship?".to_owned()),
        approvers: vec!["ada".to_owned()],
        quorum: 1,
        opened_ms,
        expires_ms: opened_ms + 10,
        due_ms: opened_ms + 10,
        votes: json!([]),
        self_approval: true,
        otherwise: Some("it counts as rejected".to_owned()),
    };
    let with = |gates: Vec<GateRow>| Standing { gates: Some(gates), ..Standing::default() };
    store.create_run(&[created("r1", "demo", 1)], with(vec![row("r1", 7)])).await.expect("it is new");
    store.create_run(&[created("r2", "demo", 1)], with(vec![row("r2", 5)])).await.expect("it is new");
    assert_eq!(store.gates(None).await.expect("a list"), [row("r2", 5), row("r1", 7)]);
    assert_eq!(store.gates(Some(&run_id("r1"))).await.expect("a list"), [row("r1", 7)]);
    // An append that says nothing of gates leaves them; one that does puts others in their place.
    store.append(&run_id("r1"), 2, &[started(1)], Standing::default()).await.expect("it fits");
    assert_eq!(store.gates(None).await.expect("a list").len(), 2);
    store.append(&run_id("r1"), 3, &[started(2)], with(Vec::new())).await.expect("it fits");
    assert_eq!(store.gates(None).await.expect("a list"), [row("r2", 5)]);
    // A refused append changes them no more than the events.
    store.append(&run_id("r2"), 9, &[started(2)], with(Vec::new())).await.expect_err("it does not fit");
    assert_eq!(store.gates(None).await.expect("a list"), [row("r2", 5)]);
}

#[tokio::test]
async fn what_is_asked_is_answered_with_the_events() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open_shared(dir.path()).await.expect("it opens");
    let other = Store::open_shared(dir.path()).await.expect("it opens twice");
    store.create_run(&[created("r1", "demo", 1)], Standing::default()).await.expect("it is new");
    let mut asked = store.asked().expect("a watch");
    let first = other.ask(&run_id("r1"), 5, "ada", "approve".to_owned()).await.expect("kept");
    soon(asked.changed()).await;
    let second = other.ask(&run_id("r1"), 6, "bob", "cancel".to_owned()).await.expect("kept");
    let open = store.requests(&run_id("r1")).await.expect("a list");
    let told: Vec<_> = open.iter().map(|request| (request.id, request.by.as_str(), request.body.as_str())).collect();
    assert_eq!(told, [(first, "ada", "approve"), (second, "bob", "cancel")]);
    assert_eq!(other.answer(first).await.expect("an answer"), None);
    let answers = vec![(first, None), (second, Some("no".to_owned()))];
    let standing = Standing { answers, ..Standing::default() };
    store.append(&run_id("r1"), 2, &[started(1)], standing).await.expect("it fits");
    assert_eq!(other.answer(first).await.expect("an answer"), Some(None));
    assert_eq!(other.answer(second).await.expect("an answer"), Some(Some("no".to_owned())));
    assert_eq!(store.requests(&run_id("r1")).await.expect("a list"), []);
    assert!(matches!(other.ask(&run_id("r9"), 1, "ada", String::new()).await, Err(StoreError::UnknownRun { .. })));
}

#[tokio::test]
async fn runs_of_a_group_take_turns() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let grouped = |id: &str, limit: u32| {
        // A later run may have an earlier clock.
        let mut event = created(id, "demo", 1000 - u64::from(id.as_bytes()[1]));
        let EventKind::RunCreated { origin, .. } = &mut event.kind else { unreachable!() };
        *origin = Origin { group: Some(Group { name: "deploy".to_owned(), limit }), ..Origin::default() };
        event
    };
    let entered = [Event { at_ms: 5, kind: EventKind::GroupEntered {} }];
    let enter = async |id: &str| {
        let standing = Standing { turn: true, ..Standing::default() };
        match store.append(&run_id(id), 2, &entered, standing).await {
            Ok(_) => "its turn".to_owned(),
            Err(StoreError::NotItsTurn { behind, .. }) => format!("behind {}", behind.join(", ")),
            Err(error) => panic!("{error}"),
        }
    };
    for id in ["r1", "r2", "r3", "r4"] {
        store.create_run(&[grouped(id, 2)], Standing::default()).await.expect("it is new");
    }
    // One of another group, and one of none, are in nobody's way.
    store.create_run(&[created("r5", "demo", 1)], Standing::default()).await.expect("it is new");
    assert_eq!(enter("r3").await, "behind r1, r2");
    assert_eq!(enter("r2").await, "its turn", "the one before it has not begun, and there is room for two");
    assert_eq!(enter("r1").await, "its turn");
    assert_eq!(enter("r3").await, "behind r1, r2");
    store.append(&run_id("r2"), 3, &[finished(Outcome::Failed, 9)], Standing::default()).await.expect("it fits");
    assert_eq!(enter("r4").await, "behind r1, r3");
    assert_eq!(enter("r3").await, "its turn");
    // What is refused wakes nobody: those who wait for their turn ask again at each ring, and would ring by asking.
    let mut commits = store.commits().expect("a watch");
    assert_eq!(enter("r4").await, "behind r1, r3");
    let rung = tokio::time::timeout(Duration::from_millis(300), commits.changed()).await;
    assert!(rung.is_err(), "a refused append rings");
    let mut ends = store.ended().expect("a watch");
    assert_eq!(enter("r5").await, "its turn");
    soon(commits.changed()).await;
    let rung = tokio::time::timeout(Duration::from_millis(300), ends.changed()).await;
    assert!(rung.is_err(), "nothing has ended");
    store.append(&run_id("r1"), 3, &[finished(Outcome::Failed, 9)], Standing::default()).await.expect("it fits");
    soon(ends.changed()).await;
    assert_eq!(enter("r4").await, "its turn");
}

#[tokio::test]
async fn labels_stand_beside_the_run() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let (title, rerun_of) = (Some("main: mend it".to_owned()), Some(run_id("r1")));
    let labels = Labels { trigger: "webhook".to_owned(), title: title.clone(), version: Some(3), rerun_of };
    store.create_run(&[created("r1", "demo", 1)], Standing::default()).await.expect("it is new");
    store.create_run(&[created("r2", "demo", 2)], Standing { labels, ..Standing::default() }).await.expect("it is new");
    let first = store.run(&run_id("r1")).await.expect("it is there");
    assert_eq!((first.trigger.as_str(), first.title, first.version), ("cli", None, None));
    let second = store.run(&run_id("r2")).await.expect("it is there");
    assert_eq!((second.trigger.as_str(), second.title, second.version), ("webhook", title, Some(3)));
    assert_eq!(store.reruns(&run_id("r1")).await.expect("a list"), [run_id("r2")]);
    // Another event leaves them.
    store.append(&run_id("r2"), 2, &[started(1)], Standing::default()).await.expect("it fits");
    assert_eq!(store.run(&run_id("r2")).await.expect("it is there").trigger, "webhook");
}

/// Pages of a list in which several runs were created at one time, with figures of the last ones.
#[tokio::test]
async fn pages_of_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    for n in 0..30 {
        let (id, name) = (format!("r{n:02}"), if n % 3 == 0 { "a" } else { "b" });
        store.create_run(&[created(&id, name, n / 4)], Standing::default()).await.expect("it is new");
        if n % 2 == 0 {
            let outcome = if n % 4 == 0 { Outcome::Succeeded } else { Outcome::Failed };
            let end = [finished(outcome, n / 4 + n)];
            store.append(&run_id(&id), 2, &end, Standing::default()).await.expect("it fits");
        }
    }
    let pages = async |query: RunQuery| {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.page(&RunQuery { after, limit: 7, ..query.clone() }).await.expect("a page");
            let Some(last) = page.last() else { return found };
            after = Some((last.created_at_ms, last.id.clone()));
            found.extend(page.into_iter().map(|run| run.id.to_string()));
        }
    };
    let all = |keep: &dyn Fn(u64) -> bool| -> Vec<String> {
        (0..30).rev().filter(|n| keep(*n)).map(|n| format!("r{n:02}")).collect()
    };
    assert_eq!(pages(RunQuery::default()).await, all(&|_| true));
    let of = |name: &str| RunQuery { name: Some(name.to_owned()), ..RunQuery::default() };
    assert_eq!(pages(of("a")).await, all(&|n| n % 3 == 0));
    let failed = RunQuery { outcomes: vec![Outcome::Failed, Outcome::Lost], ..of("b") };
    assert_eq!(pages(failed).await, all(&|n| n % 4 == 2 && n % 3 != 0));
    let open = RunQuery { statuses: vec![RunStatus::Running, RunStatus::Queued], ..RunQuery::default() };
    assert_eq!(pages(open).await, all(&|n| n % 2 == 1));
    let between = RunQuery { since_ms: Some(2), until_ms: Some(5), ..RunQuery::default() };
    assert_eq!(pages(between).await, all(&|n| (8..20).contains(&n)));

    let names = ["a".to_owned(), "b".to_owned(), "none".to_owned()];
    let recent = store.recent_runs(&names, 2).await.expect("a list");
    assert_eq!(recent.iter().map(|run| run.id.as_str()).collect::<Vec<_>>(), ["r29", "r28", "r27", "r24"]);
    let mut ended = store.ended_runs(&names, 2).await.expect("a list");
    ended.sort_by_key(|run| (run.name.clone(), run.took_ms));
    let ended: Vec<_> = ended.iter().map(|run| (run.name.as_str(), run.outcome, run.took_ms)).collect();
    let (good, bad) = (Outcome::Succeeded, Outcome::Failed);
    assert_eq!(ended, [("a", bad, 18), ("a", good, 24), ("b", bad, 26), ("b", good, 28)]);
}
