//! Workflow templates, pipelines of them, and their runs, as the documented interface has them.
//!
//! **Invariants.**
//! - A run's number and the id of the run that carries it out are recorded before that is begun. What was begun under no row, or a row whose
//!   run was not begun, was told to nobody, and is forgotten at the next start.
//! - A run has the steps that its pipeline had when it was started.
//! - Where a run stands is told by its events alone; only its end is recorded, when it is first seen, so that lists can count.
//!
//! **Not here.** What a template and a sequence mean (`manifest::sequence`), and how a run of one moves on (`engine::sequence`).

use crate::{App, Problem, access::Caller, clock::now_ms, problem::Kind, workflows::Begun};
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};
use std::{collections::BTreeMap, time::Duration};
use windlass_contract::{CodedError as _, RunId};
use windlass_driver::{Asked, Request, new_run_id};
use windlass_engine::{Run, sequence};
use windlass_manifest::{
    codes,
    plan::OnFailure,
    sequence::{Sequence, SequenceError, SequenceStep, Template, check_sequence, check_template, to_plan},
};
use windlass_store::{
    StoreError,
    records::sequences::{NewSequence, SequenceRow, SequenceRunRow, StepRow},
};

/// How many templates, and how many pipelines of them, a server keeps: 1,000. Lists of them are given as a whole.
const MAX_KEPT: u32 = 1_000;
/// How long a cancelled run is waited for before it is shown as it stands: 5 s. Its containers may take longer.
const CANCEL_WAIT: Duration = Duration::from_secs(5);
/// How long what is said about a step that failed may be, in characters.
const MAX_ERROR_CHARS: usize = 2_000;

/// A number as the database has it. What is over its range is no number of anything.
pub(crate) fn number(id: u64) -> i64 {
    i64::try_from(id).unwrap_or(-1)
}

/// A step as it was when a run was started.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Snapshot {
    template: u64,
    name: String,
    manual: bool,
}

/// A run of a pipeline, as it stands.
pub(crate) struct RunView {
    pub(crate) row: SequenceRunRow,
    pub(crate) status: &'static str,
    pub(crate) current_step: u32,
    pub(crate) failed_steps: u32,
    pub(crate) steps: Vec<StepView>,
    pub(crate) started_ms: Option<u64>,
    pub(crate) finished_ms: Option<u64>,
}

/// A step of it.
pub(crate) struct StepView {
    pub(crate) template: u64,
    pub(crate) template_name: String,
    pub(crate) manual: bool,
    /// Its name in the run.
    pub(crate) name: String,
    pub(crate) on_failure: String,
    pub(crate) status: &'static str,
    pub(crate) started_ms: Option<u64>,
    pub(crate) finished_ms: Option<u64>,
    pub(crate) error: Option<String>,
}

/// What is wrong with a template or a sequence, as a problem.
fn wrong(kind: Kind, errors: &[SequenceError]) -> Result<(), Problem> {
    let Some(first) = errors.first() else { return Ok(()) };
    let problem = Problem { help: first.help(), ..Problem::new(kind, first.to_string()) };
    Err(errors.iter().fold(problem, |problem, error| problem.at(error.place.clone(), error.message.clone())))
}

fn on_failure_name(on_failure: OnFailure) -> String {
    match on_failure {
        OnFailure::Stop => "stop".to_owned(),
        OnFailure::Continue => "continue".to_owned(),
    }
}

fn shown(row: SequenceRunRow, run: Option<&Run>) -> Result<RunView, Problem> {
    let snapshot: Vec<Snapshot> = serde_json::from_str(&row.steps).map_err(Problem::internal)?;
    let Some(run) = run else {
        // It is about to be begun.
        let step = |step: Snapshot| StepView {
            template: step.template,
            template_name: step.name,
            manual: step.manual,
            name: String::new(),
            on_failure: "stop".to_owned(),
            status: "pending",
            started_ms: None,
            finished_ms: None,
            error: None,
        };
        let steps = snapshot.into_iter().map(step).collect();
        let (status, started_ms, finished_ms) = ("pending", None, None);
        return Ok(RunView { row, status, current_step: 0, failed_steps: 0, steps, started_ms, finished_ms });
    };
    let view = sequence::view(run);
    let steps = snapshot.into_iter().zip(&view.steps_snapshot).map(|(template, step)| StepView {
        template: template.template,
        template_name: template.name,
        manual: template.manual,
        name: step.name.to_string(),
        on_failure: on_failure_name(step.on_failure),
        status: step.status.name(),
        started_ms: step.started_at,
        finished_ms: step.completed_at,
        error: step.error.map(str::to_owned),
    });
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    Ok(RunView {
        status: view.status.name(),
        current_step: count(view.current_step),
        failed_steps: count(view.failed_steps),
        steps: steps.collect(),
        started_ms: view.steps_snapshot.iter().find_map(|step| step.started_at),
        finished_ms: run.finished_ms(),
        row,
    })
}

impl App {
    /// Keeps a template, a new one or another form of that one; its number.
    pub(crate) async fn put_template(
        &self,
        caller: &Caller,
        id: Option<u64>,
        template: Template,
    ) -> Result<u64, Problem> {
        wrong(Kind::Invalid, &check_template(&template))?;
        let body = serde_json::to_string(&template).map_err(Problem::internal)?;
        let mut change = self.records().change().await?;
        let put = change.put_template(id.map(number), &template.name, &body, now_ms(), MAX_KEPT).await?;
        let put = put.map(i64::unsigned_abs).ok_or_else(|| match id {
            Some(id) => Problem::not_found(format!("template {id}")),
            None => full("templates"),
        })?;
        let action = if id.is_some() { "template.change" } else { "template.create" };
        change.commit(&caller.did(action, &put.to_string(), json!({ "name": template.name }))).await?;
        Ok(put)
    }

    /// Deletes a template that no pipeline uses.
    pub(crate) async fn delete_template(&self, caller: &Caller, id: u64) -> Result<(), Problem> {
        let mut change = self.records().change().await?;
        match change.delete_template(number(id)).await? {
            None => Err(Problem::not_found(format!("template {id}"))),
            Some(users) if users.is_empty() => {
                Ok(change.commit(&caller.did("template.delete", &id.to_string(), json!({}))).await?)
            }
            Some(users) => {
                let words = format!("{} pipelines use the template {id}", users.len());
                let problem =
                    Problem::new(Kind::Conflict, words).help("take it out of them, or delete them, and try again");
                Err(Problem { blockers: users, ..problem })
            }
        }
    }

    async fn templates(&self) -> Result<BTreeMap<u64, Template>, Problem> {
        let rows = self.records().sequence_templates(None).await?;
        let template = |row: windlass_store::records::sequences::TemplateRow| {
            let id = row.id.unsigned_abs();
            let template: Template = serde_json::from_str(&row.body).map_err(Problem::internal)?;
            Ok((id, Template { id, ..template }))
        };
        rows.into_iter().map(template).collect()
    }

    /// Keeps a pipeline, a new one or another form of that one; its number.
    pub(crate) async fn put_sequence(&self, caller: &Caller, id: Option<u64>, new: Sequence) -> Result<u64, Problem> {
        let templates = self.templates().await?;
        wrong(Kind::Invalid, &check_sequence(&new, &templates))?;
        let step = |step: &SequenceStep| StepRow {
            template: number(step.template_id),
            on_failure: on_failure_name(step.on_failure),
        };
        let steps: Vec<StepRow> = new.steps.iter().map(step).collect();
        let (name, description) = (new.name.as_str(), new.description.as_deref());
        let row = NewSequence { name, description, steps: &steps, by: &caller.name, at_ms: now_ms() };
        let mut change = self.records().change().await?;
        let put = change.put_sequence(id.map(number), row, MAX_KEPT).await?;
        let put = put.map(i64::unsigned_abs).ok_or_else(|| match id {
            Some(id) => Problem::not_found(format!("pipeline {id}, or one of its templates")),
            None => full("pipelines"),
        })?;
        let action = if id.is_some() { "pipeline.change" } else { "pipeline.create" };
        change.commit(&caller.did(action, &put.to_string(), json!({ "name": name }))).await?;
        Ok(put)
    }

    /// Starts a run. It is durable when this returns.
    pub(crate) async fn start_sequence(&self, id: u64, by: &str) -> Result<RunView, Problem> {
        let row = self.records().sequences(Some(number(id))).await?.into_iter().next();
        let row = row.ok_or_else(|| Problem::not_found(format!("pipeline {id}")))?;
        let templates = self.templates().await?;
        let sequence = sequence_of(&row)?;
        let installed = self.plugins().installed()?;
        let catalogue = windlass_project::catalogue(&installed);
        let plan = match to_plan(&sequence, &templates, &BTreeMap::new(), &catalogue) {
            Ok(plan) => plan,
            // It was sound when it was kept: what is installed has changed, or a template.
            Err(errors) => {
                let missing = errors.iter().any(|error| error.code == codes::NOT_INSTALLED);
                return wrong(if missing { Kind::Conflict } else { Kind::Invalid }, &errors)
                    .and_then(|()| Err(Problem::internal("a sequence without a plan and without an error")));
            }
        };
        let snapshot: Vec<Snapshot> = sequence
            .steps
            .iter()
            .filter_map(|step| templates.get(&step.template_id))
            .map(|template| Snapshot { template: template.id, name: template.name.clone(), manual: template.manual })
            .collect();
        let steps = serde_json::to_string(&snapshot).map_err(Problem::internal)?;
        let run = new_run_id();
        let started = self.records().start_sequence(row.id, run.as_str(), &steps, by, now_ms()).await?;
        let started = started.ok_or_else(|| Problem::not_found(format!("pipeline {id}")))?;
        let title = Some(row.name.clone());
        let origin = Begun { by: by.to_owned(), trigger: "sequence", title, run_id: Some(run) };
        if let Err(problem) = self.begin_plan(plan, Map::new(), Map::new(), origin).await {
            self.records().forget_sequence_run(started).await?;
            return Err(problem);
        }
        self.sequence_run(self.sequence_row(started.unsigned_abs()).await?).await
    }

    async fn sequence_row(&self, id: u64) -> Result<SequenceRunRow, Problem> {
        let row = self.records().sequence_runs(Some(number(id)), None, 1).await?.into_iter().next();
        row.ok_or_else(|| Problem::not_found(format!("run {id}")))
    }

    async fn read_run(&self, row: &SequenceRunRow) -> Result<Run, Problem> {
        let run: RunId = row.run.parse().map_err(Problem::internal)?;
        Ok(self.host().read(&run).await?)
    }

    /// A run of a pipeline, as it stands.
    pub(crate) async fn sequence_run(&self, row: SequenceRunRow) -> Result<RunView, Problem> {
        let run: RunId = row.run.parse().map_err(Problem::internal)?;
        match self.host().read(&run).await {
            Ok(run) => shown(row, Some(&run)),
            Err(windlass_driver::DriverError::Store(StoreError::UnknownRun { .. })) => shown(row, None),
            Err(error) => Err(error.into()),
        }
    }

    /// Says of a step that waits for a person that it is done, or has failed.
    pub(crate) async fn advance_sequence(
        &self,
        id: u64,
        success: bool,
        error: Option<String>,
        by: &str,
    ) -> Result<RunView, Problem> {
        if error.as_ref().is_some_and(|error| error.chars().count() > MAX_ERROR_CHARS) {
            return Err(Problem::field("/error", format!("at most {MAX_ERROR_CHARS} characters are taken")));
        }
        let row = self.sequence_row(id).await?;
        let run = self.read_run(&row).await?;
        let asked = sequence::advance(&run, success, error);
        let (step, vote, comment) = asked.map_err(|error| Problem::told(Kind::Conflict, &error))?;
        // Bound to the step that was waiting: of two at the same time, the other finds it decided.
        let request = Request::Vote { step, vote, comment, email: None };
        self.runs().ask(run.id(), Asked { request, by: by.to_owned() }).await?;
        self.sequence_run(row).await
    }

    /// Stops a run.
    pub(crate) async fn cancel_sequence(&self, id: u64, by: &str) -> Result<RunView, Problem> {
        let row = self.sequence_row(id).await?;
        let run: RunId = row.run.parse().map_err(Problem::internal)?;
        let request = Request::Cancel { reason: "cancelled".to_owned() };
        self.runs().ask(&run, Asked { request, by: by.to_owned() }).await?;
        let mut commits = self.host().committed();
        let ended = async {
            loop {
                commits.mark_unchanged();
                match self.host().store().run(&run).await {
                    Ok(summary) if summary.outcome.is_none() => {}
                    _ => return,
                }
                if commits.changed().await.is_err() {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(CANCEL_WAIT, ended).await;
        self.sequence_run(row).await
    }

    /// Records the ends of runs that have ended since they were last looked at.
    pub(crate) async fn note_ended_sequences(&self) -> Result<(), Problem> {
        let mut ended = Vec::new();
        for (id, run) in self.records().open_sequence_runs().await? {
            let Ok(run) = run.parse::<RunId>() else { continue };
            match self.host().store().run(&run).await {
                Ok(summary) => {
                    let status = summary.outcome.map(|outcome| match outcome {
                        windlass_engine::Outcome::Succeeded => "completed",
                        windlass_engine::Outcome::Cancelled => "cancelled",
                        _ => "failed",
                    });
                    ended.extend(status.map(|status| (id, status)));
                }
                Err(StoreError::UnknownRun { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(self.records().end_sequence_runs(&ended).await?)
    }
}

fn sequence_of(row: &SequenceRow) -> Result<Sequence, Problem> {
    let step = |(step, _): &(StepRow, String)| {
        let on_failure = serde_json::from_value(step.on_failure.clone().into()).map_err(Problem::internal)?;
        Ok(SequenceStep { template_id: step.template.unsigned_abs(), template_name: None, on_failure })
    };
    let steps = row.steps.iter().map(step).collect::<Result<_, Problem>>()?;
    let (name, description) = (row.name.clone(), row.description.clone());
    Ok(Sequence { id: row.id.unsigned_abs(), name, description, steps })
}

fn full(what: &str) -> Problem {
    Problem::new(Kind::Conflict, format!("a server keeps at most {MAX_KEPT} {what}"))
        .help("delete some that are not used")
}

/// Forgets rows whose runs were not begun before an earlier server ended. Called at the start, before any request.
pub(crate) async fn forget_unbegun(app: &App) -> Result<(), Problem> {
    for (id, run) in app.records().open_sequence_runs().await? {
        let Ok(run) = run.parse::<RunId>() else { continue };
        if let Err(StoreError::UnknownRun { .. }) = app.host().store().run(&run).await {
            app.records().forget_sequence_run(id).await?;
        }
    }
    Ok(())
}
