//! What a provider says of itself, what it is asked, and what it answers: the documents of `provider` in `wit/`.
//!
//! Each verb takes one JSON document and gives one, so one call path serves all of them: a verb is data. The host writes
//! the environment and its configuration into each request, so that a plugin needs no memory of them.

use crate::{EnvironmentName, PluginRef, ProviderName};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{collections::BTreeSet, fmt};

/// A provider, as its plugin's `describe` gives it. A plugin is one provider: its verbs do not say which is meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderDescriptor {
    /// What an environment names as its provider, such as `local`.
    pub name: ProviderName,
    /// What people call it, such as `This machine`. One line.
    pub title: String,
    /// Markdown, for people who set an environment up.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub docs: String,
    /// JSON Schema (2020-12) of an environment's `config`. `"x-windlass-secret": true` says that a `secret:engine/path`
    /// reference may stand at a place, and `"x-windlass-image": true` that a container image is named there, as in the
    /// schema of a step.
    pub config_schema: Value,
    /// What it can be asked beyond `validate`; the other verbs answer `unsupported`.
    pub verbs: BTreeSet<Verb>,
    /// The regions that it knows; none where that is no question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// What a provider can be asked; see `provider` in `wit/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Whether the configuration leads anywhere. Answers with a [`Connection`].
    TestConnection,
    /// Deploys as one move. Answers with a [`Deployed`].
    Deploy,
    /// What became of a deployment. Answers with a [`Deployment`].
    Status,
    /// Goes back to what was there before a deployment. Answers with a [`Deployed`].
    Rollback,
    /// Measures of a deployment.
    Metrics,
    /// Gives an image to the provider's registry.
    PushImage,
    /// Takes an image from it.
    PullImage,
    /// The tags of a repository.
    ListImages,
    /// Makes a revision that gets no traffic yet.
    CreateRevision,
    /// Sets a revision's capacity.
    SetCapacity,
    /// Sets a revision's share of the traffic.
    SetTraffic,
    /// Reads a revision's health.
    Health,
    /// Retires a revision, or all that the environment has.
    Retire,
}

impl Verb {
    /// Every verb, in the order of `wit/`.
    pub const ALL: [Verb; 13] = [
        Verb::TestConnection,
        Verb::Deploy,
        Verb::Status,
        Verb::Rollback,
        Verb::Metrics,
        Verb::PushImage,
        Verb::PullImage,
        Verb::ListImages,
        Verb::CreateRevision,
        Verb::SetCapacity,
        Verb::SetTraffic,
        Verb::Health,
        Verb::Retire,
    ];

    /// The name of its function in `wit/`.
    pub fn name(self) -> &'static str {
        match self {
            Verb::TestConnection => "test-connection",
            Verb::Deploy => "deploy",
            Verb::Status => "status",
            Verb::Rollback => "rollback",
            Verb::Metrics => "metrics",
            Verb::PushImage => "push-image",
            Verb::PullImage => "pull-image",
            Verb::ListImages => "list-images",
            Verb::CreateRevision => "create-revision",
            Verb::SetCapacity => "set-capacity",
            Verb::SetTraffic => "set-traffic",
            Verb::Health => "health",
            Verb::Retire => "retire",
        }
    }

    /// Whether it changes what an environment has. The host makes one change of an environment at a time.
    pub fn changes(self) -> bool {
        match self {
            Verb::Deploy
            | Verb::Rollback
            | Verb::CreateRevision
            | Verb::SetCapacity
            | Verb::SetTraffic
            | Verb::Retire => true,
            Verb::TestConnection
            | Verb::Status
            | Verb::Metrics
            | Verb::PushImage
            | Verb::PullImage
            | Verb::ListImages
            | Verb::Health => false,
        }
    }

    /// Reads what this verb answered with. Keys that nobody knows here are kept.
    ///
    /// # Errors
    /// In words, when it is not what this verb answers with.
    pub fn answer(self, text: &str) -> Result<Map<String, Value>, String> {
        let answer = serde_json::from_str::<Map<String, Value>>(text).map_err(|error| error.to_string())?;
        let whole = Value::Object(answer.clone());
        let checked = match self {
            Verb::TestConnection => Connection::deserialize(whole).map(drop),
            Verb::Deploy | Verb::Rollback => Deployed::deserialize(whole).map(drop),
            Verb::Status => Deployment::deserialize(whole).map(drop),
            _ => Ok(()),
        };
        checked.map(|()| answer).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One call of a provider.
#[derive(Debug, Clone, PartialEq)]
pub struct ProviderCall {
    /// Who is called.
    pub plugin: PluginRef,
    /// What it is asked.
    pub verb: Verb,
    /// For which environment. The name must tell the environments of a home apart: it is part of the names of what is deployed.
    pub environment: EnvironmentName,
    /// The environment's configuration. Secrets stand in it as references.
    pub config: Value,
    /// What the verb takes beside that, such as `image` and `deploy_id`; `wit/provider.wit` says which.
    pub arguments: Map<String, Value>,
}

impl ProviderCall {
    /// The document that the plugin gets: the arguments, `environment` and `config`.
    pub fn request(&self) -> Value {
        let mut request = self.arguments.clone();
        request.insert("environment".to_owned(), Value::String(self.environment.to_string()));
        request.insert("config".to_owned(), self.config.clone());
        Value::Object(request)
    }
}

/// What `test-connection` answers. That nobody answers there is `success: false`, not an error of the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Whether it leads somewhere, and the credentials are taken.
    pub success: bool,
    /// In words, either way.
    pub message: String,
    /// What else there is to say, for people.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub details: Map<String, Value>,
}

/// What `deploy` and `rollback` answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployed {
    /// Names the deployment in later calls: 1 to 255 characters. After a rollback, the one that is in place again.
    pub deploy_id: DeployId,
    /// How it stands.
    pub status: DeployStatus,
    /// In words.
    pub message: String,
    /// When it began, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<String>,
    /// When it was done, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<String>,
    /// Where what was deployed can be reached, as a URL or `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
}

/// How a deployment stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeployStatus {
    /// Not begun.
    Pending,
    /// Under way.
    InProgress,
    /// In place.
    Succeeded,
    /// Not in place. What was there before still is, unless the message says otherwise.
    Failed,
}

/// What `status` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Deployment {
    /// Which deployment.
    pub deploy_id: DeployId,
    /// How it stands.
    pub status: DeployStatus,
    /// How far it is, 0 to 100.
    pub progress: u8,
    /// In words.
    pub message: String,
    /// What runs of it.
    #[serde(default)]
    pub instances: Vec<Instance>,
}

/// One instance of what was deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instance {
    /// The provider's own name of it.
    pub id: String,
    /// Whether it runs.
    pub status: InstanceStatus,
    /// Whether it does what it should.
    pub health: Health,
    /// Where it can be reached, where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// Whether an instance runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstanceStatus {
    /// It runs.
    Running,
    /// It is about to.
    Pending,
    /// It ended, or was stopped.
    Stopped,
    /// It ended with a failure.
    Failed,
}

/// Whether an instance does what it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// It does.
    Healthy,
    /// It does not.
    Unhealthy,
    /// Nobody asked it.
    Unknown,
}

/// What a provider calls a deployment: 1 to 255 characters, none of them a control character. It ends up in a database and a URL.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeployId(String);

impl DeployId {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for DeployId {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let sound = (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control);
        if sound {
            Ok(DeployId(text))
        } else {
            Err("a deploy_id is 1 to 255 characters, none of them a control character")
        }
    }
}

impl From<DeployId> for String {
    fn from(id: DeployId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn verbs_are_named_as_in_wit() {
        let wit = include_str!("../../../wit/provider.wit");
        for verb in Verb::ALL {
            assert!(
                wit.contains(&format!("    {verb}: func(request: string) -> result<string, provider-error>;")),
                "{verb}"
            );
            assert_eq!(json!(verb), json!(verb.name()));
        }
        let functions = wit.matches("func(request: string)").count();
        assert_eq!(functions, Verb::ALL.len());
    }

    #[test]
    fn what_the_host_says_is_not_overwritten() {
        let call = ProviderCall {
            plugin: PluginRef {
                name: "acme:cloud".parse().unwrap(),
                version: "0.1.0".parse().unwrap(),
                digest: crate::Digest::of(b""),
            },
            verb: Verb::Deploy,
            environment: "staging".parse().unwrap(),
            config: json!({"token": "secret:cloud/token"}),
            arguments: json!({"image": "app:2", "environment": "production", "config": {}})
                .as_object()
                .unwrap()
                .clone(),
        };
        let expect = json!({"environment": "staging", "config": {"token": "secret:cloud/token"}, "image": "app:2"});
        assert_eq!(call.request(), expect);
    }

    #[test]
    fn answers() {
        let check = |verb: Verb, answer: Value, expect: &str| {
            let found = verb.answer(&answer.to_string()).err().unwrap_or_else(|| "fine".to_owned());
            assert!(found.contains(expect), "{verb} {answer}: {found}");
        };
        check(Verb::TestConnection, json!({"success": true, "message": "x"}), "fine");
        check(Verb::TestConnection, json!({"success": "yes", "message": "x"}), "boolean");
        check(Verb::Deploy, json!({"deploy_id": "d1", "status": "succeeded", "message": "x", "more": 1}), "fine");
        check(Verb::Deploy, json!({"deploy_id": "d1", "status": "done", "message": "x"}), "unknown variant `done`");
        check(Verb::Deploy, json!({"deploy_id": "", "status": "failed", "message": "x"}), "1 to 255 characters");
        check(Verb::Rollback, json!({"deploy_id": "a\nb", "status": "failed", "message": "x"}), "control");
        check(Verb::Status, json!({"deploy_id": "d", "status": "pending", "progress": 300, "message": ""}), "300");
        check(Verb::Status, json!({"deploy_id": "d", "status": "pending", "progress": 3, "message": ""}), "fine");
        check(Verb::Retire, json!({}), "fine");
        check(Verb::Metrics, json!([]), "map");
        check(Verb::Deploy, json!(["d1", "succeeded", "x"]), "map");
    }
}
