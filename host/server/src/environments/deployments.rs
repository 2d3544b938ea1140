//! What is deployed to environments, and gone back to.
//!
//! **Invariants.**
//! - What is about to be deployed is a row before the provider is asked, and its outcome is another commit. What a crash interrupts stays
//!   `in_progress`, and the next look at the environment asks the provider what has become of it.
//! - A change goes on when nobody waits for it any more.

use super::{
    find,
    provider::{LOOK_DEADLINE, Provider, provider},
    secrets::ready,
};
use crate::{
    App, Page, Paging, Problem,
    access::Caller,
    api::environments::{DeployRequest, Deployment, EnvironmentStatus, InstanceRow},
    aside::detached,
    clock::now_ms,
    problem::Kind,
    secrets::reserved_in,
};
use serde_json::{Map, Value, json};
use std::time::Duration;
use windlass_contract::{
    Verb,
    provider::{DeployStatus, Deployed, Deployment as Told},
};
use windlass_runtime::ProviderErrorKind;
use windlass_store::records::environments::{self as records, Became, Begun};

/// How long a deployment may take: an image is pulled, and becomes healthy.
const DEPLOY_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// How long an answer waits for a deployment. What takes longer is told as in progress.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Characters of an image's reference: as the OCI distribution has it, a name of 255 with tag and digest.
const MAX_IMAGE: usize = 512;

/// How many earlier deployments are looked through for one to go back to.
const LOOK_BACK: u32 = 100;

impl From<records::Deployment> for Deployment {
    fn from(row: records::Deployment) -> Deployment {
        Deployment {
            id: row.id,
            kind: row.kind,
            deploy_id: row.deploy_id.unwrap_or_default(),
            image: row.image,
            status: row.status,
            message: row.message,
            endpoint: row.endpoint,
            by: row.actor,
            run: row.run,
            at_ms: row.at_ms,
            ended_at_ms: row.ended_at_ms,
        }
    }
}

pub(super) async fn in_place(app: &App, id: &str) -> Result<Option<records::Deployment>, Problem> {
    Ok(app.records().deployments(id, Some("succeeded"), None, 1).await?.pop())
}

/// What was deployed to an environment, the newest first.
pub(crate) async fn deployments(app: &App, id: &str, paging: &Paging) -> Result<Page<Deployment>, Problem> {
    find(app, id).await?;
    let limit = paging.limit()?;
    let rows = app.records().deployments(id, None, paging.after()?, limit + 1).await?;
    Ok(Page::of(rows.into_iter().map(Deployment::from).collect(), limit, |row: &Deployment| row.id))
}

/// Deploys. What takes long is told as in progress, and goes on.
pub(crate) async fn deploy(
    app: &App,
    caller: &Caller,
    id: &str,
    request: DeployRequest,
) -> Result<Deployment, Problem> {
    let DeployRequest { image, config: mut arguments } = request;
    let is_odd = |c: char| c.is_whitespace() || c.is_control();
    if image.is_empty() || image.chars().count() > MAX_IMAGE || image.chars().any(is_odd) {
        return Err(Problem::field("/image", format!("write an image's reference, at most {MAX_IMAGE} characters")));
    }
    for own in ["image", "environment", "config", "previous", "deploy_id"] {
        if arguments.contains_key(own) {
            return Err(Problem::field(&format!("/config/{own}"), "the server itself says this to the provider"));
        }
    }
    if let Some(name) = reserved_in(&Value::Object(arguments.clone())) {
        return Err(Problem::field("/config", format!("secret:{name} is the server's own")));
    }
    arguments.insert("image".to_owned(), json!(image));
    begin(app, caller, id, Verb::Deploy, image, arguments).await
}

/// Goes back to what was there before.
pub(crate) async fn roll_back(app: &App, caller: &Caller, id: &str) -> Result<Deployment, Problem> {
    begin(app, caller, id, Verb::Rollback, String::new(), Map::new()).await
}

/// Begins a change, and waits for its outcome for a while.
async fn begin(
    app: &App,
    caller: &Caller,
    id: &str,
    verb: Verb,
    image: String,
    arguments: Map<String, Value>,
) -> Result<Deployment, Problem> {
    let row = find(app, id).await?;
    if row.status == "decommissioned" {
        let words = format!("environment {} is decommissioned", row.name);
        return Err(Problem::new(Kind::Conflict, words).help("make it active again first"));
    }
    let provider = provider(app, &row.provider)?;
    let turn = app.environments().turn(&row)?;
    let (at, caller, id) = (app.clone(), caller.clone(), row.id.clone());
    let work = async move {
        let _turn = turn;
        carry_out(&at, &caller, &row, &provider, verb, image, arguments).await
    };
    let mut work = detached(work);
    match tokio::time::timeout(ANSWER_WITHIN, &mut work).await {
        Ok(done) => done.map_err(Problem::internal)?,
        Err(_) => {
            let row = app.records().deployments(&id, None, None, 1).await?.pop();
            row.map(Deployment::from).ok_or_else(|| Problem::internal("a deployment that began has no row"))
        }
    }
}

/// One change, from its row to its outcome. The caller holds the environment's turn.
async fn carry_out(
    app: &App,
    caller: &Caller,
    row: &records::Environment,
    provider: &Provider,
    verb: Verb,
    image: String,
    mut arguments: Map<String, Value>,
) -> Result<Deployment, Problem> {
    let config = ready(app, row, provider).await?;
    repair(app, row, provider, &config).await?;
    let current = in_place(app, &row.id).await?;
    let current_id = current.as_ref().and_then(|current| current.deploy_id.clone());
    let (kind, image) = match verb {
        Verb::Rollback => {
            let nothing = || Problem::new(Kind::Conflict, "there is nothing that was deployed before to go back to");
            let current = current.as_ref().ok_or_else(nothing)?;
            let earlier = app.records().deployments(&row.id, Some("succeeded"), Some(current.id), LOOK_BACK).await?;
            let before = earlier.into_iter().find(|each| each.deploy_id != current.deploy_id).ok_or_else(nothing)?;
            arguments.extend(current_id.map(|id| ("deploy_id".to_owned(), json!(id))));
            ("rollback", before.image)
        }
        _ => {
            arguments.extend(current_id.map(|id| ("previous".to_owned(), json!(id))));
            ("deploy", image)
        }
    };
    let begun = Begun { environment: &row.id, kind, image: &image, actor: &caller.name, run: None, at_ms: now_ms() };
    let mut change = app.records().change().await?;
    let number = change.begin_deployment(begun).await?;
    let detail = json!({ "deployment": number, "image": image });
    change.commit(&caller.did(&format!("environment.{kind}"), &row.id, detail)).await?;
    let report = provider.ask(app, &row.id, config, verb, arguments, DEPLOY_DEADLINE).await;
    let outcome = match report.map(|report| report.result) {
        Ok(Ok(answer)) => serde_json::from_value::<Deployed>(Value::Object(answer)).map_err(|error| error.to_string()),
        Ok(Err(failure)) => Err(failure.message),
        // The call could not begin.
        Err(problem) => Err(problem.detail),
    };
    let rolls_back = current.filter(|_| verb == Verb::Rollback).map(|current| current.id);
    match outcome {
        Ok(deployed) => {
            let message = &deployed.message;
            let told =
                (Some(deployed.deploy_id.as_str()), deployed.status, message.as_str(), deployed.endpoint.as_deref());
            settle(app, &row.id, number, told, rolls_back).await?;
        }
        Err(message) => settle(app, &row.id, number, (None, DeployStatus::Failed, &message, None), None).await?,
    }
    let done = app.records().deployments(&row.id, None, Some(number + 1), 1).await?.pop();
    done.map(Deployment::from).ok_or_else(|| Problem::new(Kind::Gone, "the environment was deleted meanwhile"))
}

/// Writes down what was told of a deployment.
async fn settle(
    app: &App,
    environment: &str,
    number: i64,
    (deploy_id, status, message, endpoint): (Option<&str>, DeployStatus, &str, Option<&str>),
    rolls_back: Option<i64>,
) -> Result<(), Problem> {
    let (status, has_ended) = match status {
        DeployStatus::Pending | DeployStatus::InProgress => ("in_progress", false),
        DeployStatus::Succeeded => ("succeeded", true),
        DeployStatus::Failed => ("failed", true),
    };
    // What was gone back to has the image that it was deployed with.
    let image = match deploy_id.filter(|_| rolls_back.is_some()) {
        Some(id) => {
            let all = app.records().deployments(environment, None, Some(number), LOOK_BACK).await?;
            all.into_iter().find(|each| each.deploy_id.as_deref() == Some(id)).map(|each| each.image)
        }
        None => None,
    };
    let became = Became {
        deploy_id,
        image: image.as_deref().filter(|_| status == "succeeded"),
        status,
        message,
        endpoint,
        ended_at_ms: has_ended.then(now_ms),
        rolls_back: rolls_back.filter(|_| status == "succeeded"),
    };
    Ok(app.records().settle_deployment(number, became).await?)
}

/// Asks the provider what has become of a change whose outcome nobody has written down: the server died, or the provider was not done.
/// The caller holds the environment's turn, so none is under way here.
async fn repair(
    app: &App,
    row: &records::Environment,
    provider: &Provider,
    config: &Map<String, Value>,
) -> Result<(), Problem> {
    for open in app.records().deployments(&row.id, Some("in_progress"), None, LOOK_BACK).await?.into_iter().rev() {
        let before = in_place(app, &row.id).await?;
        let rolls_back = before.as_ref().filter(|_| open.kind == "rollback").map(|before| before.id);
        let arguments = open.deploy_id.iter().map(|id| ("deploy_id".to_owned(), json!(id))).collect();
        let report = provider.ask(app, &row.id, config.clone(), Verb::Status, arguments, LOOK_DEADLINE).await?;
        let told = match report.result {
            Ok(answer) => Some(serde_json::from_value::<Told>(Value::Object(answer)).map_err(Problem::internal)?),
            Err(failure) if failure.kind == Some(ProviderErrorKind::NotFound) => None,
            // It cannot be told now; the next look asks again.
            Err(failure) => return Err(Problem::told(Kind::Upstream, &failure)),
        };
        let before = before.and_then(|before| before.deploy_id);
        let is_it = |told: &Told| open.deploy_id.is_some() || before.as_deref() != Some(told.deploy_id.as_str());
        match told.filter(is_it) {
            Some(told) => {
                let said = (Some(told.deploy_id.as_str()), told.status, told.message.as_str(), None);
                settle(app, &row.id, open.id, said, rolls_back).await?;
            }
            None => {
                let words = "the server ended while this was under way; what was there before is still in place";
                settle(app, &row.id, open.id, (None, DeployStatus::Failed, words, None), None).await?;
            }
        }
    }
    Ok(())
}

/// How what is deployed stands at this moment, as the provider says.
pub(crate) async fn status(app: &App, id: &str) -> Result<EnvironmentStatus, Problem> {
    let row = find(app, id).await?;
    let provider = provider(app, &row.provider)?;
    let config = ready(app, &row, &provider).await?;
    // Whoever has the turn writes the outcome down.
    if let Ok(_turn) = app.environments().turn(&row) {
        repair(app, &row, &provider, &config).await?;
    }
    let Some(current) = in_place(app, id).await? else {
        let message = "nothing is deployed".to_owned();
        return Ok(EnvironmentStatus { deployment: None, progress: None, message, instances: Vec::new() });
    };
    let arguments = current.deploy_id.iter().map(|id| ("deploy_id".to_owned(), json!(id))).collect();
    let report = provider.ask(app, id, config, Verb::Status, arguments, LOOK_DEADLINE).await?;
    let deployment = Some(Deployment::from(current));
    match report.result {
        Ok(answer) => {
            let told: Told = serde_json::from_value(Value::Object(answer)).map_err(Problem::internal)?;
            let instance = |each: windlass_contract::provider::Instance| InstanceRow {
                id: each.id,
                status: word(&each.status),
                health: word(&each.health),
                address: each.address,
            };
            let instances = told.instances.into_iter().map(instance).collect();
            Ok(EnvironmentStatus { deployment, progress: Some(told.progress), message: told.message, instances })
        }
        Err(failure) if failure.kind == Some(ProviderErrorKind::NotFound) => {
            Ok(EnvironmentStatus { deployment, progress: None, message: failure.message, instances: Vec::new() })
        }
        Err(failure) => Err(Problem::told(Kind::Upstream, &failure)),
    }
}

/// A value of a closed list as the interface writes it.
fn word(value: &impl serde::Serialize) -> String {
    json!(value).as_str().unwrap_or_default().to_owned()
}
