//! Runs of small guests: what a person decides, what a crash leaves, what a stop ends.

mod support;

use serde_json::Map;
use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};
use support::{ENDS, FAILED, Home, RERUN, SPINS, SUCCEEDED, UNKNOWN, decide, name, new_run, summary};
use windlass_contract::{CodedError, EffectClass};
use windlass_driver::{DriverError, Ending, NewRun, Stop, Terms, Waits, Workspace};
use windlass_engine::{Decision, Event, EventKind, Outcome, RunStatus};
use windlass_manifest::plan::OnFailure;
use windlass_store::{FIRST_SEQ, Standing};

/// What becomes of an attempt that was in flight when the host died is asked of the plugin, and then of a person.
#[tokio::test]
async fn a_step_that_may_run_once() {
    struct Case {
        recover: u32,
        effect: EffectClass,
        decision: Option<Decision>,
        expect: &'static str,
    }
    use EffectClass::{AtMostOnce, Idempotent, Pure};
    let case = |recover, effect, decision, expect| Case { recover, effect, decision, expect };
    for Case { recover, effect, decision, expect } in [
        case(RERUN, AtMostOnce, None, "deploy succeeded x1, after succeeded x1, = succeeded"),
        case(SUCCEEDED, AtMostOnce, None, "deploy succeeded x1, after succeeded x1, = succeeded"),
        case(FAILED, AtMostOnce, None, "deploy failed x1, after skipped x0, = failed"),
        // Who may be repeated is not asked.
        case(UNKNOWN, Pure, None, "deploy succeeded x1, after succeeded x1, = succeeded"),
        case(UNKNOWN, Idempotent, None, "deploy succeeded x1, after succeeded x1, = succeeded"),
        case(UNKNOWN, AtMostOnce, Some(Decision::Rerun), "deploy succeeded x2, after succeeded x1, = succeeded"),
        case(UNKNOWN, AtMostOnce, Some(Decision::Succeeded), "deploy succeeded x1, after succeeded x1, = succeeded"),
        case(UNKNOWN, AtMostOnce, Some(Decision::Failed), "deploy failed x1, after skipped x0, = failed"),
    ] {
        let mut home = Home::new().await;
        let mut deploy = home.step("deploy", ENDS, recover).await;
        support::set_effect(&mut deploy, effect);
        let mut after = home.step("after", ENDS, RERUN).await;
        after.needs = vec![name("deploy")];
        // The intent is durable, and the host dies.
        let id = home.create(vec![deploy, after]).await.run().id().clone();
        let home = home.again().await;
        let ending = home.finish(home.host.take_up(&id).await.expect("a claim")).await;
        if let Some(decision) = decision {
            assert_eq!(ending, Ending::Waiting(Waits { fates: vec![name("deploy")], ..Waits::default() }));
            assert_eq!(home.host.store().run(&id).await.expect("a row").status, RunStatus::Blocked);
            assert!(!home.host.is_claimed(&id), "nobody holds it while it waits");
            let claim = home.host.take_up(&id).await.expect("a claim");
            let asked = vec![decide("deploy", decision)];
            home.carry_out(claim, asked, Stop::default()).await.0.expect("an ending");
        }
        let run = home.host.read(&id).await.expect("a run");
        assert_eq!(summary(&run), expect, "{recover} {effect:?} {decision:?}");
    }
}

#[tokio::test]
async fn a_decision_that_nobody_waits_for_changes_nothing() {
    let mut home = Home::new().await;
    let deploy = home.step("deploy", ENDS, UNKNOWN).await;
    let id = home.create(vec![deploy]).await.run().id().clone();
    let home = home.again().await;
    let decide = |step: &str| decide(step, Decision::Succeeded);
    for (parked, asked) in [
        // It is in flight, and the plugin has not been asked yet.
        (false, vec![decide("deploy")]),
        (true, vec![decide("nobody")]),
        (true, vec![decide("deploy"), decide("deploy")]),
    ] {
        if parked {
            assert!(matches!(home.finish(home.host.take_up(&id).await.expect("a claim")).await, Ending::Waiting(_)));
        }
        let before = home.host.store().events(&id).await.expect("events");
        let claim = home.host.take_up(&id).await.expect("a claim");
        let (ending, notices) = home.carry_out(claim, asked, Stop::default()).await;
        assert!(matches!(ending, Err(DriverError::NothingToDecide { .. })), "{ending:?}");
        assert!(notices.is_empty(), "nothing has begun: {notices:?}");
        assert_eq!(home.host.store().events(&id).await.expect("events"), before);
    }
}

/// In a run that was asked to stop nobody is asked any more: the run ends, at the first try.
#[tokio::test]
async fn an_unknown_fate_in_a_cancelled_run_is_lost() {
    let mut home = Home::new().await;
    let deploy = home.step("deploy", ENDS, UNKNOWN).await;
    let id = home.create(vec![deploy]).await.run().id().clone();
    let next = FIRST_SEQ + home.host.store().events(&id).await.expect("events").len() as u64;
    let kind = EventKind::CancelRequested { reason: "interrupted".to_owned() };
    home.host.store().append(&id, next, &[Event { at_ms: 1, kind }], Standing::default()).await.expect("it fits");
    let home = home.again().await;
    let ending = home.finish(home.host.take_up(&id).await.expect("a claim")).await;
    assert_eq!(ending, Ending::Finished(Outcome::Cancelled));
    let run = home.host.read(&id).await.expect("a run");
    assert_eq!(summary(&run), "deploy lost x1, = cancelled");
}

#[tokio::test]
async fn a_stop_ends_a_guest_that_never_does() {
    let mut home = Home::new().await;
    let spins = home.step("spins", SPINS, RERUN).await;
    let mut later = home.step("later", ENDS, RERUN).await;
    later.needs = vec![name("spins")];
    let mut cleanup = home.step("cleanup", ENDS, RERUN).await;
    (cleanup.needs, cleanup.condition) = (vec![name("later")], Some("always()".to_owned()));
    let claim = home.create(vec![spins, later, cleanup]).await;
    let id = claim.run().id().clone();
    let stop = Stop::default();
    stop.request();
    let (ending, notices) = home.carry_out(claim, Vec::new(), stop).await;
    assert_eq!(ending.expect("an ending"), Ending::Finished(Outcome::Cancelled));
    assert!(notices.iter().any(|notice| support::is_recorded(notice, "cancel-requested")));
    let run = home.host.read(&id).await.expect("a run");
    assert_eq!(summary(&run), "spins cancelled x1, later skipped x0, cleanup succeeded x1, = cancelled");
}

/// An attempt's time begins when the sandbox has a place for it, not while it stands in the queue.
#[tokio::test]
async fn waiting_for_a_place_is_not_the_steps_time() {
    let mut home = Home::with_places(1).await;
    let mut first = home.step("first", SPINS, RERUN).await;
    (first.timeout_ms, first.on_failure) = (1500, OnFailure::Continue);
    let mut second = home.step("second", ENDS, RERUN).await;
    second.timeout_ms = 1000;
    let claim = home.create(vec![first, second]).await;
    let id = claim.run().id().clone();
    home.finish(claim).await;
    let run = home.host.read(&id).await.expect("a run");
    assert_eq!(summary(&run), "first timed-out x1, second succeeded x1, = succeeded");
}

/// Where the event log cannot be written any more, the run is left as it was recorded, and can be taken up again.
#[tokio::test]
async fn a_log_that_cannot_be_written_ends_the_carrying_out_and_not_the_run() {
    let mut home = Home::new().await;
    let step = home.step("only", ENDS, RERUN).await;
    let claim = home.create(vec![step]).await;
    let id = claim.run().id().clone();
    home.host.store().close().await;
    let (ending, _) = home.carry_out(claim, Vec::new(), Stop::default()).await;
    assert!(matches!(ending, Err(DriverError::Store(_))), "{ending:?}");
    let home = home.again().await;
    assert!(!home.host.is_claimed(&id));
    assert_eq!(home.finish(home.host.take_up(&id).await.expect("a claim")).await, Ending::Finished(Outcome::Succeeded));
    let again = home.host.take_up(&id).await.map(|_| ()).expect_err("it has ended");
    assert!(matches!(again, DriverError::Finished { outcome: Outcome::Succeeded, .. }), "{again}");
}

/// Looking whether a run is carried out keeps nobody from taking it up, makes nothing, and is right.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn looking_at_a_claim_does_not_take_it() {
    let mut home = Home::new().await;
    let step = home.step("only", ENDS, RERUN).await;
    let claim = home.create(vec![step]).await;
    let id = claim.run().id().clone();
    assert!(home.host.is_claimed(&id));
    let refused = home.host.take_up(&id).await.map(|_| ()).expect_err("it is carried out");
    assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
    drop(claim);
    assert!(!home.host.is_claimed(&id));

    let unknown = "r0".parse().expect("a run id");
    assert!(!home.host.is_claimed(&unknown));
    assert!(!home.path().join("runs/r0").exists());

    let over = std::sync::Arc::new(AtomicBool::new(false));
    let lookers: Vec<_> = (0..2)
        .map(|_| {
            let (host, id, over) = (home.host.clone(), id.clone(), over.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    host.is_claimed(&id);
                }
            })
        })
        .collect();
    for round in 0..300 {
        let claim = home.host.take_up(&id).await;
        assert!(claim.is_ok(), "round {round}: {}", claim.map(|_| ()).expect_err("an error"));
    }
    over.store(true, Ordering::Relaxed);
    lookers.into_iter().for_each(|looker| looker.join().expect("no panic"));
}

/// What dead processes leave behind goes, and nothing that is still wanted.
#[tokio::test]
async fn sweeping() {
    let mut home = Home::new().await;
    let step = home.step("only", ENDS, RERUN).await;
    let files = home.path().join("files");
    std::fs::create_dir(&files).expect("a folder");
    std::fs::write(files.join("file"), "text").expect("a file");
    let new = NewRun { workspace: Workspace::Folder(files), ..new_run(vec![step.clone()]) };
    let dead = home.host.create(new).await.expect("a run").run().id().clone();
    let held = home.create(vec![step.clone()]).await;
    let ended = home.create(vec![step.clone()]).await;
    let (held_id, ended_id) = (held.run().id().clone(), ended.run().id().clone());
    home.finish(ended).await;
    let open = home.path().join("open");
    // As if the host had died after the run's end, and another before its run was recorded.
    std::fs::write(open.join(ended_id.as_str()), "").expect("a file");
    std::fs::write(open.join("r00"), "").expect("a file");
    std::fs::create_dir_all(home.path().join("runs/r00")).expect("a folder");
    std::fs::write(home.path().join("runs/r00/workspace.partial"), "").expect("a file");

    let home = home.again().await;
    home.host.sweep().await;
    let mut left: Vec<String> =
        open.read_dir().expect("a folder").map(|e| e.expect("one").file_name().into_string().expect("text")).collect();
    left.sort();
    assert_eq!(left, [dead.as_str(), held_id.as_str()], "one to be taken up again, and one at work");
    assert!(!home.path().join("runs/r00").exists());
    assert!(home.path().join("runs").join(dead.as_str()).join("workspace.tar").exists());
    drop(held);

    // It ends without its files: its step has no use for a workspace, and needs no container engine.
    assert_eq!(
        home.finish(home.host.take_up(&dead).await.expect("a claim")).await,
        Ending::Finished(Outcome::Succeeded)
    );
    assert!(!home.path().join("runs").join(dead.as_str()).join("workspace.tar").exists());
}

#[tokio::test]
async fn a_run_that_cannot_be_created_leaves_nothing() {
    let mut home = Home::new().await;
    let step = home.step("only", ENDS, RERUN).await;
    let absent = Workspace::Folder(home.path().join("absent"));
    let error =
        home.host.create(NewRun { workspace: absent, ..new_run(vec![step]) }).await.map(|_| ()).expect_err("no folder");
    assert_eq!(error.code().to_string(), "WL1105");
    for folder in ["open", "runs"] {
        assert_eq!(home.path().join(folder).read_dir().expect("a folder").count(), 0, "{folder}");
    }
}

/// A plugin whose grant is gone when the run is taken up again: the step ends in words, and the run with it.
#[tokio::test]
async fn a_plugin_that_is_gone() {
    let mut home = Home::new().await;
    let step = home.step("only", ENDS, RERUN).await;
    let id = home.create(vec![step]).await.run().id().clone();
    let (tell, _told) = tokio::sync::mpsc::unbounded_channel();
    let claim = home.host.take_up(&id).await.expect("a claim");
    let terms = Terms { grants: windlass_driver::Grants::default(), ..home.terms(tell) };
    let carried = windlass_driver::carry_out(&home.host, claim, terms);
    let ending = tokio::time::timeout(Duration::from_secs(60), carried).await.expect("it ends").expect("an ending");
    assert_eq!(ending, Ending::Finished(Outcome::Error));
    let run = home.host.read(&id).await.expect("a run");
    let reason = run.step(&name("only")).expect("a step").reason.expect("a reason").message.clone();
    assert!(reason.contains("is not installed in this project any more"), "{reason}");
    assert_eq!(run.step(&name("only")).expect("a step").outputs, Some(&Map::new()));
}
