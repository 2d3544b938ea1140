//! Deployed pipelines: from a text in the records to a plan, and from that to a run.
//!
//! **Invariants.**
//! - A version never changes, and the same text again makes no new one.
//! - A pipeline that runs others means the newest versions of those that are deployed here; a run holds them from its beginning on.
//! - What is loaded is loaded against what is installed and deployed at that moment; what is kept of it ([`Workflows`]) is dropped as
//!   soon as either changes.
//!
//! **Not here.** What the texts mean (`manifest`), carrying runs out (`runs`).

use crate::{
    App, Problem,
    access::Caller,
    api::{
        lint::{DiagnosticRow, rows},
        runs::RunRow,
    },
    clock::now_ms,
    problem::Kind,
    triggers::own,
};
use serde_json::{Map, Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};
use tokio::sync::Semaphore;
use windlass_contract::{Digest, RunId};
use windlass_driver::{Labels, NewRun, Workspace, new_run_id};
use windlass_engine::Origin;
use windlass_manifest::{
    Diagnostic, Given, MAX_NAME_CHARS, MAX_WORKFLOWS, Severity, Source, bind_given,
    plan::{InputType, Plan},
};
use windlass_package::Installed;
use windlass_store::{
    StoreError,
    records::workflows::{Deployment, NewVersion},
};

/// How many texts are loaded at once. Each takes a processor for as long as it lasts, milliseconds to seconds, and other requests
/// want one too.
const MAX_LOADING: usize = 2;
/// How many plans are kept, so that a pipeline that is begun again and again is not loaded each time. Some kilobytes to a megabyte each.
pub(crate) const MAX_KEPT: usize = 256;
/// How long the message of a version may be, in characters: a line or two in a list.
const MAX_MESSAGE_CHARS: usize = 500;
/// How many deployed pipelines are read at once, where all are asked for.
const PIPELINES_AT_ONCE: u32 = 200;
/// What is said of a text that cannot be deployed.
const CANNOT_RUN: &str = "this pipeline cannot run";
/// How a text is called that has no name yet.
const UNNAMED: &str = "pipeline.yaml";

/// What is kept of loaded pipelines. See the module.
pub(crate) struct Workflows {
    loading: Semaphore,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// What was installed when they were loaded.
    installed: Option<Arc<Vec<Installed>>>,
    /// Changes with each deployment.
    generation: u64,
    plans: HashMap<(String, u32), Arc<Plan>>,
}

impl Workflows {
    pub(crate) fn new() -> Workflows {
        Workflows { loading: Semaphore::new(MAX_LOADING), kept: Mutex::default() }
    }

    /// Forgets everything: what is deployed has changed.
    fn changed(&self) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.generation += 1;
        kept.plans.clear();
    }

    fn get(&self, installed: &Arc<Vec<Installed>>, name: &str, version: u32) -> (Option<Arc<Plan>>, u64) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if !kept.installed.as_ref().is_some_and(|then| Arc::ptr_eq(then, installed)) {
            kept.installed = Some(Arc::clone(installed));
            kept.plans.clear();
        }
        (kept.plans.get(&(name.to_owned(), version)).cloned(), kept.generation)
    }

    fn keep(&self, installed: &Arc<Vec<Installed>>, name: &str, version: u32, generation: u64, plan: &Arc<Plan>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let same = kept.installed.as_ref().is_some_and(|then| Arc::ptr_eq(then, installed));
        // What was loaded while something changed may be of neither time.
        if same && kept.generation == generation {
            if kept.plans.len() >= MAX_KEPT {
                kept.plans.clear();
            }
            kept.plans.insert((name.to_owned(), version), Arc::clone(plan));
        }
    }
}

/// What came of loading a text.
pub(crate) struct Checked {
    /// What would run; `None` if and only if one of the diagnostics is an error.
    pub(crate) plan: Option<Plan>,
    pub(crate) found: Vec<Diagnostic>,
}

impl Checked {
    fn has_errors(&self) -> bool {
        self.found.iter().any(|each| each.severity == Severity::Error)
    }
}

/// Where a run comes from.
pub(crate) struct Begun {
    /// Who begins it: a user's name, or `trigger:ID`.
    pub(crate) by: String,
    /// What begins it; see `RunRow::trigger`.
    pub(crate) trigger: &'static str,
    /// What for, in a few words.
    pub(crate) title: Option<String>,
    /// The id under which whoever begins it has recorded it. A run that is there already is given back: after a crash, asking again is
    /// right.
    pub(crate) run_id: Option<RunId>,
}

/// A pipeline to be deployed.
pub(crate) struct New<'a> {
    pub(crate) yaml: &'a str,
    pub(crate) pipeline: Option<&'a str>,
    pub(crate) base: Option<u32>,
    pub(crate) message: Option<&'a str>,
}

/// What was deployed.
pub(crate) struct DeployedAs {
    pub(crate) name: String,
    pub(crate) version: u32,
    pub(crate) changed: bool,
    pub(crate) warnings: Vec<DiagnosticRow>,
}

impl App {
    /// Loads a text against what is installed and deployed. `name` is what it is known by here, if it is.
    pub(crate) async fn check(
        &self,
        name: Option<&str>,
        yaml: &str,
        pipeline: Option<&str>,
    ) -> Result<Checked, Problem> {
        let _turn = self.workflows().loading.acquire().await.map_err(Problem::internal)?;
        let source = Source { name: name.unwrap_or(UNNAMED).to_owned(), text: yaml.to_owned() };
        let others = self.deployed_beside(&source, name.map(|name| (name, &source))).await?;
        let installed = self.plugins().installed()?;
        let (runtime, chosen) = (self.host().runtime().clone(), pipeline.map(str::to_owned));
        let pipeline = chosen.clone();
        let loaded = tokio::task::spawn_blocking(move || {
            let loading = windlass_project::load(&runtime, &installed, &source, &others, pipeline.as_deref());
            tokio::runtime::Handle::current().block_on(loading)
        });
        let loaded = loaded.await.map_err(Problem::internal)?.map_err(|error| Problem::told(Kind::Upstream, &error))?;
        let mut checked = Checked { plan: loaded.plan, found: loaded.diagnostics };
        // This is the server that acts on it.
        checked.found.retain(|each| each.code != windlass_manifest::codes::SERVER_ONLY);
        if let Err(wrong) = own::schedule(yaml, chosen.as_deref()) {
            checked.found.extend(wrong);
            checked.found.sort_by_key(|each| (each.line, each.col));
            checked.plan = None;
        }
        Ok(checked)
    }

    /// Every deployed pipeline, with what it runs: for whoever asks what another set of plugins would mean for them.
    pub(crate) async fn pipelines(&self) -> Result<Vec<windlass_project::Pipeline>, Problem> {
        let (mut all, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self.records().workflows(None, after.as_deref(), PIPELINES_AT_ONCE).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = Some(last.name.clone());
            for workflow in page {
                let Some(found) = self.records().workflow_text(&workflow.name, None).await? else { continue };
                let source = Source { name: workflow.name, text: found.yaml };
                let workflows = self.deployed_beside(&source, None).await?;
                all.push(windlass_project::Pipeline { source, workflows });
            }
        }
    }

    /// The deployed pipelines that a text runs, and those that they run in turn; `own` stands for what is deployed under its name.
    async fn deployed_beside(
        &self,
        source: &Source,
        own: Option<(&str, &Source)>,
    ) -> Result<windlass_manifest::Workflows, Problem> {
        let mut known = windlass_manifest::Workflows::default();
        let mut open = windlass_manifest::references(source);
        let mut looked = 0;
        while let Some(id) = open.pop() {
            if known.knows(&id) {
                continue;
            }
            looked += 1;
            let text = match own {
                Some((name, source)) if name == id => Some(source.clone()),
                // More than a plan may hold: the loader refuses it, whatever the others are.
                _ if looked > MAX_WORKFLOWS => None,
                _ => {
                    let found = self.records().workflow_text(&id, None).await?;
                    found.map(|found| Source { name: id.clone(), text: found.yaml })
                }
            };
            match text {
                Some(text) => {
                    open.extend(windlass_manifest::references(&text));
                    known.insert(id, text);
                }
                None => known.missing(id, "a pipeline that is deployed here"),
            }
        }
        Ok(known)
    }

    /// Deploys a pipeline.
    pub(crate) async fn deploy(&self, caller: &Caller, new: New<'_>) -> Result<DeployedAs, Problem> {
        if new.message.is_some_and(|message| message.chars().count() > MAX_MESSAGE_CHARS) {
            return Err(Problem::field("/message", format!("a message has at most {MAX_MESSAGE_CHARS} characters")));
        }
        // Under its own name it may run itself, through others that are deployed already.
        let name = windlass_manifest::written_name(new.yaml, new.pipeline);
        let checked = self.check(name.as_deref(), new.yaml, new.pipeline).await?;
        let plan = match &checked.plan {
            Some(plan) if !checked.has_errors() => plan,
            _ => return Err(unsound(CANNOT_RUN, &checked.found, new.yaml)),
        };
        let fits = plan.name.chars().count() <= MAX_NAME_CHARS && !plan.name.chars().any(char::is_control);
        if !fits || plan.name.trim().is_empty() || matches!(plan.name.as_str(), "." | "..") {
            let words = format!(
                "a deployed pipeline's name has 1 to {MAX_NAME_CHARS} printable characters, and is not . or .."
            );
            return Err(Problem::field("/yaml", words));
        }
        let digest = Digest::of(new.yaml.as_bytes()).to_string();
        let version = NewVersion {
            name: &plan.name,
            dialect: windlass_manifest::dialect_name(new.yaml),
            digest: &digest,
            yaml: new.yaml,
            pipeline: new.pipeline,
            base: new.base,
            message: new.message.filter(|message| !message.trim().is_empty()),
            by: &caller.name,
            at_ms: now_ms(),
        };
        let wanted = own::schedule(new.yaml, new.pipeline).map_err(|wrong| unsound(CANNOT_RUN, &wrong, new.yaml))?;
        let _alone = self.triggers().alone().await;
        let mut change = self.records().change().await?;
        let (version, changed) = match change.deploy(&version).await? {
            Deployment::New(version) => {
                let step = own::keep_in_step(self, caller, &mut change, &plan.name, wanted).await?;
                let detail = json!({ "version": version, "schedule": step.word() });
                change.commit(&caller.did("workflow.deploy", &plan.name, detail)).await?;
                self.workflows().changed();
                own::take(self, step)?;
                (version, true)
            }
            Deployment::Same(version) => (version, false),
            Deployment::Stale(0) => {
                let words = format!("{} is not deployed here any more", plan.name);
                return Err(Problem::new(Kind::Conflict, words).at("/base_version", "there is no version at all"));
            }
            Deployment::Stale(newest) => {
                let words = format!("somebody has deployed version {newest} of {} meanwhile", plan.name);
                return Err(Problem::new(Kind::Conflict, words)
                    .at("/base_version", format!("the newest version is {newest}"))
                    .help("look at what has changed, and deploy over that version"));
            }
        };
        Ok(DeployedAs { name: plan.name.clone(), version, changed, warnings: rows(&checked.found, new.yaml) })
    }

    /// Deletes a pipeline with its versions and its triggers.
    pub(crate) async fn delete_workflow(&self, caller: &Caller, name: &str) -> Result<(), Problem> {
        let _alone = self.triggers().alone().await;
        let triggers = self.triggers().of(name);
        let mut change = self.records().change().await?;
        for live in &triggers {
            change.delete_trigger(&live.row.id).await?;
        }
        if !change.delete_workflow(name).await? {
            return Err(no_workflow(name));
        }
        change.commit(&caller.did("workflow.delete", name, json!({ "triggers": triggers.len() }))).await?;
        self.workflows().changed();
        self.forget_triggers(&triggers).await
    }

    /// The plan of a deployed pipeline with the version that it is; the newest where none is named.
    pub(crate) async fn plan_of(&self, name: &str, version: Option<u32>) -> Result<(Arc<Plan>, u32), Problem> {
        let text = self.records().workflow_text(name, version).await?.ok_or_else(|| match version {
            Some(version) => Problem::not_found(format!("version {version} of a pipeline {name:?}")),
            None => no_workflow(name),
        })?;
        let installed = self.plugins().installed()?;
        let (kept, generation) = self.workflows().get(&installed, name, text.version);
        if let Some(plan) = kept {
            return Ok((plan, text.version));
        }
        let checked = self.check(Some(name), &text.yaml, text.pipeline.as_deref()).await?;
        let Some(plan) = checked.plan else {
            let words = format!("{name} cannot run any more with what is installed and deployed now");
            let problem = unsound(&words, &checked.found, &text.yaml);
            return Err(Problem { errors: problem.errors, help: problem.help, ..Problem::new(Kind::Conflict, words) });
        };
        let plan = Arc::new(plan);
        self.workflows().keep(&installed, name, text.version, generation, &plan);
        Ok((plan, text.version))
    }

    /// Begins a run of a deployed pipeline. It is durable when this returns. An input that is given as text is read as its type, as
    /// on the command line.
    pub(crate) async fn begin_run(
        &self,
        workflow: &str,
        version: Option<u32>,
        inputs: Map<String, Value>,
        blackboard: Map<String, Value>,
        origin: Begun,
    ) -> Result<RunRow, Problem> {
        if let Some(there) = self.begun_already(origin.run_id.as_ref()).await? {
            return Ok(there);
        }
        let (plan, version) = self.plan_of(workflow, version).await?;
        self.begin(Plan::clone(&plan), Some(version), inputs, blackboard, origin).await
    }

    /// Begins a run of a plan that is no deployed pipeline's. It is durable when this returns.
    pub(crate) async fn begin_plan(
        &self,
        plan: Plan,
        inputs: Map<String, Value>,
        blackboard: Map<String, Value>,
        origin: Begun,
    ) -> Result<RunRow, Problem> {
        if let Some(there) = self.begun_already(origin.run_id.as_ref()).await? {
            return Ok(there);
        }
        self.begin(plan, None, inputs, blackboard, origin).await
    }

    async fn begun_already(&self, run: Option<&RunId>) -> Result<Option<RunRow>, Problem> {
        let Some(run) = run else { return Ok(None) };
        match self.host().store().run(run).await {
            Ok(there) => Ok(Some(there.into())),
            Err(StoreError::UnknownRun { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn begin(
        &self,
        plan: Plan,
        version: Option<u32>,
        inputs: Map<String, Value>,
        blackboard: Map<String, Value>,
        origin: Begun,
    ) -> Result<RunRow, Problem> {
        if let Some((step_type, step)) = plan.absent().into_iter().next() {
            let words = format!("no installed plugin provides {step_type}, which the step {step} needs");
            return Err(Problem::new(Kind::Conflict, words).help("install a plugin that does, and begin the run again"));
        }
        let inputs = bind(&plan, inputs)?;
        let Begun { by, trigger, title, run_id } = origin;
        let labels = Labels { trigger: trigger.to_owned(), title, version, rerun_of: None };
        let origin = Origin { by: Some(by), blackboard, ..Origin::default() };
        let new = NewRun { plan, inputs, file: None, workspace: Workspace::Empty, origin, labels };
        let run = run_id.unwrap_or_else(new_run_id);
        self.runs().begin(&run, new).await?;
        Ok(self.host().store().run(&run).await?.into())
    }
}

/// There is no such pipeline.
pub(crate) fn no_workflow(name: &str) -> Problem {
    Problem::not_found(format!("pipeline {name:?} deployed here"))
}

/// Why a pipeline cannot run, each error with its place.
fn unsound(words: &str, found: &[Diagnostic], yaml: &str) -> Problem {
    let mut problem = Problem::new(Kind::Invalid, words);
    for row in rows(found, yaml).into_iter().filter(|row| row.severity == "error") {
        let DiagnosticRow { line, column, code, message, help, .. } = row;
        let help = help.map(|help| format!(" ({help})")).unwrap_or_default();
        problem = problem.at("/yaml", format!("{line}:{column}: {code} {message}{help}"));
    }
    problem.help("mend what the errors name; `POST /api/v1/lint` tells their places too")
}

/// The inputs of a run.
fn bind(plan: &Plan, given: Map<String, Value>) -> Result<Map<String, Value>, Problem> {
    let given = given.into_iter().map(|(name, value)| match value {
        Value::String(text) => (name, Given::Text(text)),
        value => (name, Given::Json(value)),
    });
    bind_given(plan, &given.collect()).map_err(|errors| {
        let words = format!("{} of the inputs cannot be taken", errors.len());
        errors.into_iter().fold(Problem::new(Kind::Invalid, words), |problem, error| {
            let name = error.input().map(|name| name.replace('~', "~0").replace('/', "~1"));
            let pointer = name.map_or_else(|| "/inputs".to_owned(), |name| format!("/inputs/{name}"));
            problem.at(pointer, error.to_string())
        })
    })
}

/// JSON Schema of a plan's inputs, for forms.
pub(crate) fn input_schema(plan: &Plan) -> Value {
    let kind = |kind: InputType| match kind {
        InputType::String => "string",
        InputType::Number => "number",
        InputType::Boolean => "boolean",
    };
    let properties = plan.inputs.iter().map(|(name, input)| {
        let mut schema = Map::from_iter([("type".to_owned(), json!(kind(input.kind)))]);
        if !input.description.is_empty() {
            schema.insert("description".to_owned(), json!(input.description));
        }
        if let Some(default) = &input.default {
            schema.insert("default".to_owned(), default.clone());
        }
        (name.clone(), Value::Object(schema))
    });
    let properties: Map<String, Value> = properties.collect();
    let required: Vec<&String> = plan.inputs.iter().filter(|(_, input)| input.required).map(|(name, _)| name).collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": plan.open_inputs,
    })
}
