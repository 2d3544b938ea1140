//! Runs that wait: at gates, for sub-runs, for their turn; and what others ask of them meanwhile.

mod support;

use serde_json::{Map, json};
use std::time::Duration;
use support::{ENDS, Home, RERUN, SPINS, is_recorded, name, new_run_of, plan, summary};
use tokio::sync::mpsc;
use windlass_contract::{CodedError, RunId};
use windlass_driver::{Asked, DriverError, Ending, NewRun, Notice, Request, Stop, Terms, Waits, Workspace, carry_out};
use windlass_engine::{Decision, Outcome, RerunFrom, Run, RunStatus, Vote};
use windlass_manifest::plan::{Concurrency, Gate, GateDefault, ManualGate, Plan, Retry, State, Step, SubRun, Work};

const DAY: u64 = 24 * 3_600_000;

fn manual() -> ManualGate {
    ManualGate {
        prompt: Some("go on?".to_owned()),
        approvers: Vec::new(),
        quorum: 1,
        self_approval: false,
        auto_approve: Vec::new(),
        on_timeout: GateDefault::Reject,
    }
}

fn of_work(step: &str, needs: &[&str], work: Work, timeout_ms: u64) -> Step {
    Step {
        name: name(step),
        work,
        needs: needs.iter().map(|need| name(need)).collect(),
        condition: None,
        timeout_ms,
        retry: Retry::default(),
        on_failure: Default::default(),
    }
}

fn gate(needs: &[&str], gate: ManualGate, timeout_ms: u64) -> Step {
    of_work("gate", needs, Work::Gate(Gate::Manual(gate)), timeout_ms)
}

fn sub_run(step: &str, workflow: &str, wait: bool) -> Step {
    let (inputs, workflow) = (Map::from_iter([("n".to_owned(), json!(7))]), workflow.to_owned());
    of_work(step, &[], Work::SubRun(SubRun { workflow, wait, inputs, input: None, result_key: None }), 60_000)
}

fn vote(by: &str, vote: Vote) -> Asked {
    Asked { request: Request::Vote { step: name("gate"), vote, comment: None, email: None }, by: by.to_owned() }
}

fn gated(after: Step) -> Plan {
    plan(vec![State::of("main", vec![gate(&[], manual(), DAY), Step { needs: vec![name("gate")], ..after }])])
}

async fn read(home: &Home, id: &RunId) -> Run {
    home.host.read(id).await.expect("a run")
}

/// Goes on with a run; gives how it was left, or why not.
async fn go_on(home: &Home, id: &RunId, asked: Vec<Asked>) -> Result<Ending, DriverError> {
    let claim = home.host.take_up(id).await?;
    home.carry_out(claim, asked, Stop::default()).await.0
}

#[tokio::test]
async fn a_gate_is_a_row_and_no_task() {
    let mut home = Home::new().await;
    let plan = gated(home.step("ship", ENDS, RERUN).await);
    let claim = home.host.create(new_run_of(plan)).await.expect("a run");
    let id = claim.run().id().clone();
    let Ending::Waiting(waits) = home.finish(claim).await else { panic!("it waits") };
    assert_eq!((waits.gates.as_slice(), waits.fates.len()), ([name("gate")].as_slice(), 0));
    assert!(waits.due_ms.is_some());
    assert!(!home.host.is_claimed(&id), "nobody holds it");
    assert_eq!(home.host.store().run(&id).await.expect("a row").status, RunStatus::Blocked);
    let rows = home.host.store().gates(None).await.expect("rows");
    assert_eq!((rows.len(), rows[0].prompt.as_deref(), rows[0].kind.as_str()), (1, Some("go on?"), "manual"));

    // Taken up without a vote, it waits as before, and nothing is recorded.
    let before = home.host.store().events(&id).await.expect("events").len();
    assert!(matches!(go_on(&home, &id, Vec::new()).await, Ok(Ending::Waiting(_))));
    let refused = go_on(&home, &id, vec![vote("starter", Vote::Approve)]).await.expect_err("one's own run");
    assert_eq!(refused.code().to_string(), "WL0213");
    let refused = go_on(
        &home,
        &id,
        vec![Asked {
            request: Request::Vote { step: name("ship"), vote: Vote::Approve, comment: None, email: None },
            by: "ada".to_owned(),
        }],
    )
    .await;
    assert!(matches!(refused, Err(DriverError::NothingToDecide { .. })), "{refused:?}");
    assert_eq!(home.host.store().events(&id).await.expect("events").len(), before);

    let home = home.again().await;
    let ending = go_on(&home, &id, vec![vote("ada", Vote::Approve)]).await.expect("it goes on");
    assert_eq!(ending, Ending::Finished(Outcome::Succeeded));
    assert_eq!(summary(&read(&home, &id).await), "gate succeeded x1, ship succeeded x1, = succeeded");
    assert_eq!(home.host.store().gates(None).await.expect("rows"), []);
}

#[tokio::test]
async fn a_gate_whose_time_is_over_goes_on_by_itself() {
    let mut home = Home::new().await;
    let ship = home.step("ship", ENDS, RERUN).await;
    let quick = ManualGate { on_timeout: GateDefault::Approve, ..manual() };
    let ship = Step { needs: vec![name("gate")], ..ship };
    let plan = plan(vec![State::of("main", vec![gate(&[], quick, 400), ship])]);
    // Where somebody stays, the timer wakes it.
    let claim = home.host.create(new_run_of(plan.clone())).await.expect("a run");
    let (tell, _told) = mpsc::unbounded_channel();
    let terms = Terms { wait: true, ..home.terms(tell) };
    let ending =
        tokio::time::timeout(Duration::from_secs(20), carry_out(&home.host, claim, terms)).await.expect("it ends");
    assert_eq!(ending.expect("an ending"), Ending::Finished(Outcome::Succeeded));
    // Where nobody does, whoever takes it up later.
    let claim = home.host.create(new_run_of(plan)).await.expect("a run");
    let id = claim.run().id().clone();
    assert!(matches!(home.finish(claim).await, Ending::Waiting(_)));
    tokio::time::sleep(Duration::from_millis(450)).await;
    let late = go_on(&home, &id, vec![vote("ada", Vote::Reject)]).await.expect_err("too late");
    assert_eq!(late.to_string(), "ada cannot decide about gate: the time to decide is over");
    assert_eq!(go_on(&home, &id, Vec::new()).await.expect("it goes on"), Ending::Finished(Outcome::Succeeded));
}

/// Whoever carries a run out hears what others ask by a row, and answers it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_others_ask_is_heard_and_answered() {
    let mut home = Home::new().await;
    let plan = gated(home.step("ship", ENDS, RERUN).await);
    let claim = home.host.create(new_run_of(plan)).await.expect("a run");
    let id = claim.run().id().clone();
    let (tell, mut told) = mpsc::unbounded_channel();
    let terms = Terms { wait: true, ..home.terms(tell) };
    let host = home.host.clone();
    let carried = tokio::spawn(async move { carry_out(&host, claim, terms).await });
    while !matches!(told.recv().await, Some(notice) if is_recorded(&notice, "gate-opened")) {}

    let other = home.again().await;
    let answered = async |asked: Asked| {
        let mut commits = other.host.store().commits().expect("a watch");
        let request = other.host.ask(&id, &asked).await.expect("kept");
        loop {
            if let Some(answer) = other.host.store().answer(request).await.expect("an answer") {
                return answer.unwrap_or_else(|| "done".to_owned());
            }
            tokio::time::timeout(Duration::from_secs(20), commits.changed()).await.expect("it is heard");
        }
    };
    let refused = answered(vote("starter", Vote::Approve)).await;
    assert!(refused.starts_with("starter cannot decide about gate: who began a run may not approve it"), "{refused}");
    let refused = answered(Asked {
        request: Request::Decide { step: name("ship"), decision: Decision::Failed },
        by: "ada".to_owned(),
    })
    .await;
    assert!(refused.contains("does not wait for a decision"), "{refused}");
    assert_eq!(answered(vote("ada", Vote::Approve)).await, "done");
    let ending = tokio::time::timeout(Duration::from_secs(20), carried).await.expect("it ends").expect("no panic");
    assert_eq!(ending.expect("an ending"), Ending::Finished(Outcome::Succeeded));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_run_is_cancelled_from_elsewhere() {
    let mut home = Home::new().await;
    let spins = home.step("spins", SPINS, RERUN).await;
    let claim = home.create(vec![spins]).await;
    let id = claim.run().id().clone();
    let (tell, mut told) = mpsc::unbounded_channel();
    let (host, terms) = (home.host.clone(), home.terms(tell));
    let carried = tokio::spawn(async move { carry_out(&host, claim, terms).await });
    while !matches!(told.recv().await, Some(Notice::Began { .. })) {}
    let asked = Asked { request: Request::Cancel { reason: "enough".to_owned() }, by: "ada".to_owned() };
    home.again().await.host.ask(&id, &asked).await.expect("kept");
    let ending = tokio::time::timeout(Duration::from_secs(30), carried).await.expect("it ends").expect("no panic");
    assert_eq!(ending.expect("an ending"), Ending::Finished(Outcome::Cancelled));
}

fn with_child(step: Step, child: Plan) -> Plan {
    let mut parent = plan(vec![State::of("main", vec![step])]);
    parent.workflows.insert("child".to_owned(), Plan { name: "child".to_owned(), open_inputs: true, ..child });
    parent
}

/// The only sub-run of a run.
async fn child_of(home: &Home, id: &RunId) -> RunId {
    let mut children = home.host.store().sub_runs(id).await.expect("a list");
    assert_eq!(children.len(), 1, "{children:?}");
    children.pop().expect("one")
}

#[tokio::test]
async fn a_sub_run_is_a_run_of_its_own() {
    let mut home = Home::new().await;
    let deep = with_child(
        sub_run("inner", "child", true),
        plan(vec![State::of("main", vec![home.step("only", ENDS, RERUN).await])]),
    );
    for wait in [true, false] {
        let claim = home
            .host
            .create(new_run_of(with_child(sub_run("outer", "child", wait), deep.clone())))
            .await
            .expect("a run");
        let id = claim.run().id().clone();
        assert_eq!(home.finish(claim).await, Ending::Finished(Outcome::Succeeded));
        let child = child_of(&home, &id).await;
        let run = read(&home, &child).await;
        assert_eq!(
            (summary(&run).as_str(), run.inputs()),
            ("inner succeeded x1, = succeeded", &Map::from_iter([("n".to_owned(), json!(7))]))
        );
        let grandchild = child_of(&home, &child).await;
        assert_eq!(summary(&read(&home, &grandchild).await), "only succeeded x1, = succeeded");
        let parent = read(&home, &id).await;
        let outputs = parent.step(&name("outer")).expect("a step").outputs.expect("outputs").clone();
        assert_eq!(outputs["run"], child.as_str());
        assert_eq!(outputs.contains_key("output"), wait, "{outputs:?}");
    }
}

#[tokio::test]
async fn a_sub_run_that_waits_lets_its_parent_wait() {
    let mut home = Home::new().await;
    let child = gated(home.step("ship", ENDS, RERUN).await);
    let parent = with_child(sub_run("sub", "child", true), child);
    let claim = home.host.create(new_run_of(parent.clone())).await.expect("a run");
    let id = claim.run().id().clone();
    let Ending::Waiting(waits) = home.finish(claim).await else { panic!("it waits") };
    let child = child_of(&home, &id).await;
    assert_eq!(waits, Waits { sub_runs: vec![child.clone()], ..Waits::default() });
    assert!(!home.host.is_claimed(&id) && !home.host.is_claimed(&child));
    // The child's gate is decided; its end is what its parent waits for.
    assert_eq!(home.host.parent_to_wake(&child).await.expect("an answer"), None, "it has not ended");
    let ending = go_on(&home, &child, vec![vote("ada", Vote::Reject)]).await.expect("it goes on");
    assert_eq!(ending, Ending::Finished(Outcome::Rejected));
    assert_eq!(home.host.parent_to_wake(&child).await.expect("an answer"), Some(id.clone()));
    let home = home.again().await;
    assert_eq!(go_on(&home, &id, Vec::new()).await.expect("it goes on"), Ending::Finished(Outcome::Rejected));
    let run = read(&home, &id).await;
    let reason = run.step(&name("sub")).expect("a step").reason.expect("a reason").message.clone();
    assert_eq!(reason, format!("the sub-run {child} ended rejected: ada rejected it"));

    // A cancel of a parent that waits reaches the sub-run.
    let claim = home.host.create(new_run_of(parent)).await.expect("a run");
    let id = claim.run().id().clone();
    assert!(matches!(home.finish(claim).await, Ending::Waiting(_)));
    let asked = Asked { request: Request::Cancel { reason: "enough".to_owned() }, by: "ada".to_owned() };
    assert_eq!(go_on(&home, &id, vec![asked]).await.expect("it ends"), Ending::Finished(Outcome::Cancelled));
    let child = child_of(&home, &id).await;
    assert_eq!(read(&home, &child).await.outcome(), Some(Outcome::Cancelled));
}

#[tokio::test]
async fn a_sub_run_is_cancelled_and_timed_out_with_its_step() {
    let mut home = Home::new().await;
    let child = || async { plan(vec![State::of("main", vec![])]) };
    let spins = Plan { states: vec![State::of("main", vec![home.step("spins", SPINS, RERUN).await])], ..child().await };
    let mut step = sub_run("sub", "child", true);
    step.timeout_ms = 300;
    let claim = home.host.create(new_run_of(with_child(step, spins.clone()))).await.expect("a run");
    let id = claim.run().id().clone();
    assert_eq!(home.finish(claim).await, Ending::Finished(Outcome::TimedOut));
    assert_eq!(read(&home, &child_of(&home, &id).await).await.outcome(), Some(Outcome::Cancelled));

    let claim = home.host.create(new_run_of(with_child(sub_run("sub", "child", true), spins))).await.expect("a run");
    let id = claim.run().id().clone();
    let stop = Stop::default();
    stop.request();
    let (ending, _) = home.carry_out(claim, Vec::new(), stop).await;
    assert_eq!(ending.expect("an ending"), Ending::Finished(Outcome::Cancelled));
    assert_eq!(read(&home, &child_of(&home, &id).await).await.outcome(), Some(Outcome::Cancelled));
}

/// The id is recorded first: whatever is there of the sub-run when the host dies, the next one ends up with one.
#[tokio::test]
async fn a_host_that_dies_around_a_sub_run() {
    let mut home = Home::new().await;
    let child = plan(vec![State::of("main", vec![home.step("only", ENDS, RERUN).await])]);
    // Dead before the sub-run is created.
    let id = home
        .host
        .create(new_run_of(with_child(sub_run("sub", "child", true), child.clone())))
        .await
        .expect("a run")
        .run()
        .id()
        .clone();
    assert_eq!(home.host.store().sub_runs(&id).await.expect("a list").len(), 0);
    let home = home.again().await;
    assert_eq!(go_on(&home, &id, Vec::new()).await.expect("it goes on"), Ending::Finished(Outcome::Succeeded));
    child_of(&home, &id).await;
    // Dead after the sub-run has ended, before its step has.
    let claim = home
        .host
        .create(new_run_of(with_child(sub_run("sub", "child", true), gated_then(&child))))
        .await
        .expect("a run");
    let id = claim.run().id().clone();
    assert!(matches!(home.finish(claim).await, Ending::Waiting(_)));
    let sub = child_of(&home, &id).await;
    assert_eq!(
        go_on(&home, &sub, vec![vote("ada", Vote::Approve)]).await.expect("it ends"),
        Ending::Finished(Outcome::Succeeded)
    );
    let home = home.again().await;
    assert_eq!(go_on(&home, &id, Vec::new()).await.expect("it goes on"), Ending::Finished(Outcome::Succeeded));
    child_of(&home, &id).await;
}

/// The steps of a plan behind a gate.
fn gated_then(plan: &Plan) -> Plan {
    let steps = plan.states[0].steps.iter().map(|step| Step { needs: vec![name("gate")], ..step.clone() });
    let steps: Vec<Step> = [gate(&[], manual(), DAY)].into_iter().chain(steps).collect();
    Plan { states: vec![State::of("main", steps)], ..plan.clone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn runs_of_a_group_go_one_after_the_other() {
    let mut home = Home::new().await;
    let mut plan = gated(home.step("ship", ENDS, RERUN).await);
    plan.concurrency = Some(Concurrency { group: "deploy-{{ inputs.env }}".to_owned(), limit: 1 });
    plan.open_inputs = true;
    let create = async |env: &str| {
        let inputs = Map::from_iter([("env".to_owned(), json!(env))]);
        home.host.create(NewRun { inputs, ..new_run_of(plan.clone()) }).await.expect("a run")
    };
    let claims = [create("prod").await, create("prod").await, create("test").await];
    let ids = claims.each_ref().map(|claim| claim.run().id().clone());
    let [first, second, third] = claims;
    // Created later, and tried first: it waits for its turn, while one of another group does not.
    let (tell, mut told) = mpsc::unbounded_channel();
    let (host, terms) = (home.host.clone(), home.terms(tell));
    let waiting = tokio::spawn(async move { carry_out(&host, second, terms).await });
    let notice = loop {
        match told.recv().await.expect("a notice") {
            Notice::Queued { group, behind, .. } => break (group, behind),
            _ => continue,
        }
    };
    assert_eq!(notice, ("deploy-prod".to_owned(), vec![ids[0].to_string()]));
    assert!(matches!(home.finish(third).await, Ending::Waiting(_)));
    assert!(matches!(home.finish(first).await, Ending::Waiting(_)), "at its gate, it holds its place");
    assert_eq!(home.host.store().run(&ids[1]).await.expect("a row").status, RunStatus::Queued);
    go_on(&home, &ids[0], vec![vote("ada", Vote::Approve)]).await.expect("it ends");
    let ending = tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("its turn").expect("no panic");
    assert!(matches!(ending, Ok(Ending::Waiting(_))), "{ending:?}");
}

#[tokio::test]
async fn a_queued_run_can_be_cancelled() {
    let mut home = Home::new().await;
    let mut plan = gated(home.step("ship", ENDS, RERUN).await);
    plan.concurrency = Some(Concurrency { group: "deploy".to_owned(), limit: 1 });
    let first = home.host.create(new_run_of(plan.clone())).await.expect("a run");
    let second = home.host.create(new_run_of(plan)).await.expect("a run");
    let stop = Stop::default();
    stop.request();
    let (ending, _) = home.carry_out(second, Vec::new(), stop).await;
    assert_eq!(ending.expect("an ending"), Ending::Finished(Outcome::Cancelled));
    assert!(matches!(home.finish(first).await, Ending::Waiting(_)));
}

#[tokio::test]
async fn a_run_is_repeated_from_where_it_failed() {
    let mut home = Home::new().await;
    let (one, two) = (home.step("one", ENDS, RERUN).await, home.step("two", ENDS, RERUN).await);
    let two = Step { needs: vec![name("gate")], ..two };
    let plan = plan(vec![State::of("main", vec![one, gate(&["one"], manual(), DAY), two])]);
    let claim = home.host.create(new_run_of(plan)).await.expect("a run");
    let id = claim.run().id().clone();
    assert!(matches!(home.finish(claim).await, Ending::Waiting(_)));
    let early =
        home.host.rerun(&id, &RerunFrom::Failed, None, Workspace::Empty).await.map(drop).expect_err("it goes on");
    assert_eq!(early.code().to_string(), "WL0214");
    go_on(&home, &id, vec![vote("ada", Vote::Reject)]).await.expect("it ends");
    let claim =
        home.host.rerun(&id, &RerunFrom::Failed, Some("bob".to_owned()), Workspace::Empty).await.expect("a run");
    let again = claim.run().id().clone();
    assert!(matches!(home.finish(claim).await, Ending::Waiting(_)));
    go_on(&home, &again, vec![vote("starter", Vote::Approve)]).await.expect("it ends");
    let run = read(&home, &again).await;
    assert_eq!(summary(&run), "one succeeded x0, gate succeeded x1, two succeeded x1, = succeeded");
    assert_eq!(run.origin().by.as_deref(), Some("bob"));
}
