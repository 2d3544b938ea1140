//! Crashes at every commit, in processes of their own; and what one commit takes along.

mod common;

use common::{created, run_id, soon, started};
use std::{
    path::Path,
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
};
use windlass_store::{AFTER_COMMIT, BEFORE_COMMIT, Standing, Store};

const DIR: &str = "WINDLASS_TEST_DIR";
const APPENDS: u32 = 30;

/// Not a test: what the crashing process does. It says how many events it was told are durable.
#[tokio::test]
#[ignore = "started by crash_at_every_commit in a process of its own"]
async fn writes_until_it_dies() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let _scenario = fail::FailScenario::setup();
    let store = Store::open(Path::new(&dir)).await.expect("it opens");
    let mut next = store.create_run(&[created("r1", "demo", 1)], Standing::default()).await.expect("it is new");
    println!("durable {}", next - 1);
    for attempt in 1..=APPENDS {
        next = store
            .append(&run_id("r1"), next, &[started(attempt), started(attempt)], Standing::default())
            .await
            .expect("it fits");
        println!("durable {}", next - 1);
    }
    store.close().await;
}

#[tokio::test]
async fn crash_at_every_commit() {
    for point in [BEFORE_COMMIT, AFTER_COMMIT] {
        for survived in 0..=APPENDS {
            let dir = tempfile::tempdir().expect("a folder");
            let child = Command::new(std::env::current_exe().expect("this binary"))
                .args(["--exact", "writes_until_it_dies", "--ignored", "--nocapture"])
                .env(DIR, dir.path())
                .env("FAILPOINTS", format!("{point}={survived}*off->return"))
                .output()
                .expect("it starts");
            assert!(!child.status.success(), "{point} {survived}: it was to die");
            let said = String::from_utf8_lossy(&child.stdout);
            let told = said.lines().filter_map(|line| line.rsplit_once("durable ")).map(|(_, n)| n.trim()).next_back();
            let told: usize = told.map_or(0, |n| n.parse().expect("a number"));
            // Each commit has the creation, or two events.
            assert_eq!(told, if survived == 0 { 0 } else { 2 * survived as usize - 1 }, "{point}: {said}");

            let store = Store::open(dir.path()).await.expect("the dead process's lock is gone");
            let kept = store.events(&run_id("r1")).await.map_or(0, |events| events.len());
            let expect = match (point, survived) {
                (BEFORE_COMMIT, _) => told,
                (_, 0) => 1,
                _ => told + 2,
            };
            assert_eq!(kept, expect, "{point} {survived}");
            // And the run goes on where it stands.
            if kept > 0 {
                store
                    .append(&run_id("r1"), kept as u64 + 1, &[started(1)], Standing::default())
                    .await
                    .expect("it fits");
            }
            store.close().await;
        }
    }
}

/// What comes while a commit is under way shares the next one, and a lone append has one for itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_share_a_commit() {
    const RUNS: usize = 100;
    let _scenario = fail::FailScenario::setup();
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::open(dir.path()).await.expect("it opens");
    let commits = Arc::new(AtomicUsize::new(0));
    let (go_on, wait) = mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let (reached, first) = tokio::sync::oneshot::channel();
    let reached = Mutex::new(Some(reached));
    let counted = Arc::clone(&commits);
    fail::cfg_callback(BEFORE_COMMIT, move || {
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = reached.lock().expect("unpoisoned").take().map(|reached| reached.send(()));
            // Held until the others are in the queue.
            let _ = wait.lock().expect("unpoisoned").recv();
        }
    })
    .expect("a sound name");

    let create = |n: usize| {
        let store = store.clone();
        tokio::spawn(
            async move { store.create_run(&[created(&format!("r{n}"), "demo", 1)], Standing::default()).await },
        )
    };
    let lone = create(0);
    soon(first).await.expect("the first commit is reached");
    // The requests are put in the queue here, one after the other, before anything is let go.
    let events: Vec<_> = (1..=RUNS).map(|n| [created(&format!("r{n}"), "demo", 1)]).collect();
    let mut queued: Vec<_> =
        events.iter().map(|events| Box::pin(store.create_run(events, Standing::default()))).collect();
    for append in &mut queued {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(std::future::Future::poll(append.as_mut(), &mut context).is_pending());
    }
    go_on.send(()).expect("the writer waits");
    soon(lone).await.expect("no panic").expect("it is new");
    for append in queued {
        soon(append).await.expect("it is new");
    }
    assert_eq!(commits.load(Ordering::SeqCst), 2, "one for the first, one for all others");
    fail::remove(BEFORE_COMMIT);
}
