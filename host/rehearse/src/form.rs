//! How each call is written down: the same for who records it and for who compares it.

use serde_json::{Map, Value, json};
use windlass_contract::capability::{Artifact, ContainerSpec, Exit, HttpRequest, Output, PullPolicy};

/// Arguments by name; those that are null, false or empty are left out, as what was not asked for.
pub(crate) fn arguments(value: Value) -> Map<String, Value> {
    let unset = |value: &Value| match value {
        Value::Null | Value::Bool(false) => true,
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    match value {
        Value::Object(fields) => fields.into_iter().filter(|(_, value)| !unset(value)).collect(),
        _ => Map::new(),
    }
}

pub(crate) fn start(spec: &ContainerSpec) -> Map<String, Value> {
    let pull = match spec.pull {
        PullPolicy::IfNotPresent => None,
        PullPolicy::Always => Some("always"),
        PullPolicy::Never => Some("never"),
    };
    let volumes = spec.volumes.as_ref().map(|volumes| {
        let each = volumes.iter();
        each.map(|volume| json!({ "name": volume.name, "path": volume.path, "read-only": volume.read_only }))
            .collect::<Vec<_>>()
    });
    let mut arguments = arguments(json!({
        "image": spec.image,
        "command": spec.command,
        "entrypoint": spec.entrypoint,
        "env": spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>(),
        "env-secret":
            spec.env_secret.iter().map(|(name, secret)| format!("{name}={}", secret.placeholder())).collect::<Vec<_>>(),
        "workdir": spec.workdir,
        "workspace": spec.workspace.as_ref().map(|(path, read_only)| json!({ "path": path, "read-only": read_only })),
        "registry-auth": spec.registry_auth.as_ref().map(|secret| secret.placeholder()),
        "pull": pull,
        "memory-mib": spec.memory_mib,
        "cpu-millis": spec.cpu_millis,
        "pids": spec.pids,
        "user": spec.user,
        "network": spec.network,
        "read-only-root": spec.read_only_root,
        "timeout-ms": spec.timeout_ms,
    }));
    // No volume at all is something that was asked for.
    if let Some(volumes) = volumes {
        arguments.insert("volumes".to_owned(), volumes.into());
    }
    arguments
}

/// A request; its body is written by `body`.
pub(crate) fn send(request: &HttpRequest, body: impl FnOnce(&[u8]) -> Value) -> Map<String, Value> {
    let secret_headers = request.secret_headers.iter();
    arguments(json!({
        "method": request.method,
        "url": request.url,
        "headers": request.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>(),
        "secret-headers": secret_headers
            .map(|(name, prefix, secret)| format!("{name}: {prefix}{}", secret.placeholder()))
            .collect::<Vec<_>>(),
        "body": (!request.body.is_empty()).then(|| body(&request.body)),
        "timeout-ms": request.timeout_ms,
    }))
}

pub(crate) fn exit(exit: Exit) -> Value {
    json!({ "code": exit.code, "out-of-memory": exit.out_of_memory, "timed-out": exit.timed_out })
}

pub(crate) fn output(output: Output) -> &'static str {
    match output {
        Output::Stdout => "stdout",
        Output::Stderr => "stderr",
    }
}

/// An artifact, by what it is: what is equal in both is the same artifact.
pub(crate) fn artifact(artifact: &dyn Artifact) -> Value {
    json!({
        "key": artifact.key(),
        "digest": artifact.digest(),
        "size": artifact.size(),
        "media-type": artifact.media_type(),
    })
}
