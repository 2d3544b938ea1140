//! From what a plugin asks for to what the engine is told.
//!
//! Every string is checked before anything is asked of the engine. The dangerous half of the engine's API (privileges,
//! host paths, host networks, devices, the socket) is not refused here: it has no field to be asked with.

use super::{
    LABEL_ATTEMPT, LABEL_INDEX, LABEL_OWNER, LABEL_RUN, LABEL_SPEC, LABEL_STEP, Place,
    registry::{self, CONFIG_DIR, CONFIG_VARIABLE, Credentials},
    volumes::{Volumes, WORKSPACE_VOLUME},
};
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, PortBinding};
use std::{
    collections::{BTreeSet, HashMap},
    path::{Component, Path},
    time::Duration,
};
use windlass_contract::{
    DetachedName, Digest, NameError, StepCall,
    capability::{ContainerError, ContainerSpec, ONLY_DETACHED, PullPolicy},
    permissions::ContainersScope,
};

/// Where the workspace is, unless the plugin says otherwise; also the default working directory.
pub(crate) const WORKSPACE: &str = "/workspace";

/// A container may have this many processes, and gets this many unless it asks for fewer: enough for a parallel build,
/// too few for a fork bomb to matter to the host.
const MAX_PIDS: u32 = 4096;

/// The engine starts nothing with less memory (MiB).
const MIN_MEMORY_MIB: u32 = 6;

/// The kernel's smallest quota (thousandths of a processor).
const MIN_CPU_MILLIS: u32 = 10;

/// Of this many microseconds a container gets its share: the kernel's own default.
const CPU_PERIOD_US: i64 = 100_000;

/// An argument or variable has at most this many bytes: the kernel's `MAX_ARG_STRLEN`.
const MAX_ARG: usize = 128 << 10;

/// All arguments and variables have at most this many bytes together: well within the kernel's 2 MiB.
const MAX_ARGS: usize = 1 << 20;

/// Paths have at most this many bytes: the kernel's `PATH_MAX`.
const MAX_PATH: usize = 4096;

/// The capabilities of processes that are root in a container: those of the engine's default that package managers and
/// build tools need to own files and switch users. Left out of the default: raw sockets, device nodes, audit writes,
/// chroot, and passing capabilities on. Dropping all of them would break `apt-get` and `chown`.
const KERNEL_CAPABILITIES: [&str; 8] =
    ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID"];

/// Paths at and below which nothing is mounted: they are the kernel's, and the host's own.
const TAKEN: [&str; 4] = ["/proc", "/sys", "/dev", "/run/windlass"];

/// A container has at most this many mounts: more than a pipeline has volumes, too few to slow the engine down.
const MAX_MOUNTS: usize = 64;

/// A container has at most this many ports on the engine's machine: more than one service has, too few to use them up.
const MAX_PORTS: usize = 16;

/// Where ports are published: nobody but this machine reaches them. What is to be seen from elsewhere is put behind a proxy by a person.
const LOOPBACK: &str = "127.0.0.1";

/// The log of a detached container is rotated at this size: a few days of a chatty service.
const DETACHED_LOG_SIZE: &str = "10m";

/// And so many files of it are kept: 30 MB a container.
const DETACHED_LOG_FILES: &str = "3";

/// A volume that the plan declares, in a container.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    pub(super) name: String,
    /// Absolute, without a `/` at its end or twice in a row.
    pub(super) path: String,
    pub(super) read_only: bool,
}

/// A specification that was checked against the grant.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) image: String,
    pub(super) pull: PullPolicy,
    pub(super) timeout: Option<Duration>,
    /// Where volumes are to be made writable for a user who is not root.
    pub(super) open_volumes: bool,
    /// The volumes, each at a path of its own.
    pub(super) mounted: Vec<Mounted>,
    /// The login at a registry.
    pub(super) credentials: Option<Credentials>,
    /// What it is called, if it is to outlive the call.
    pub(super) detached: Option<DetachedName>,
    /// The digest of all that was asked for, but the values of secrets and this call's placeholders.
    pub(super) digest: String,
    body: ContainerCreateBody,
}

impl Plan {
    pub(super) fn check(
        spec: &ContainerSpec,
        granted: &ContainersScope,
        named: &BTreeSet<String>,
        volumes: &Volumes,
        place: Option<&Place>,
    ) -> Result<Plan, ContainerError> {
        check_image(&spec.image)?;
        if !granted.images.iter().any(|pattern| pattern.matches(&spec.image, &['/'], named)) {
            return Err(ContainerError::NotGranted(format!(
                "image {0} is not granted; name it in the step's configuration, or grant `containers: {{ images: [{0}] }}`",
                spec.image
            )));
        }
        if spec.network && !granted.network {
            let words = "a network is not granted; grant `containers: { network: true }`";
            return Err(ContainerError::NotGranted(words.to_owned()));
        }
        let detached = detachment(spec, granted, place)?;
        let ports = ports(spec, granted)?;
        let memory = ceiling("memory-mib", spec.memory_mib, MIN_MEMORY_MIB, granted.memory_mib)?;
        let cpu = ceiling("cpu-millis", spec.cpu_millis, MIN_CPU_MILLIS, granted.cpu_millis)?;
        let pids = ceiling("pids", spec.pids, 1, MAX_PIDS)?;
        if spec.timeout_ms == Some(0) {
            return Err(invalid("the timeout is 0; leave it out for the step's own".to_owned()));
        }
        let mounted = mounts(spec, volumes)?;
        let workspace = mounted.iter().find(|mount| mount.name == WORKSPACE_VOLUME);
        let workdir = spec.workdir.clone().or_else(|| workspace.map(|mount| mount.path.clone()));
        workdir.iter().try_for_each(|path| check_path("working directory", path))?;
        if let Some(user) = &spec.user {
            check_user(user)?;
        }
        let mut total = 0;
        check_argv("command", spec.command.as_deref(), &mut total)?;
        check_argv("entrypoint", spec.entrypoint.as_deref(), &mut total)?;
        let env = environment(spec, &mut total)?;
        let credentials = spec.registry_auth.as_ref();
        let credentials = credentials.map(|secret| Credentials::parse(&secret.value(), &spec.image)).transpose()?;
        let memory_bytes = i64::from(memory) << 20;
        let tmp = format!("rw,exec,nosuid,nodev,mode=1777,size={memory_bytes}");
        let log = detached.as_ref().map(|_| {
            let limits = [("max-size", DETACHED_LOG_SIZE), ("max-file", DETACHED_LOG_FILES)];
            HashMap::from(limits.map(|(name, limit)| (name.to_owned(), limit.to_owned())))
        });
        let binding = || PortBinding { host_ip: Some(LOOPBACK.to_owned()), host_port: None };
        let bindings = ports.iter().map(|port| (port.clone(), Some(vec![binding()]))).collect();
        let host_config = HostConfig {
            port_bindings: (!ports.is_empty()).then_some(bindings),
            memory: Some(memory_bytes),
            memory_swap: Some(memory_bytes),
            // Quota and period, not `NanoCpus`: the engine refuses those above what the machine has.
            cpu_period: Some(CPU_PERIOD_US),
            cpu_quota: Some(CPU_PERIOD_US * i64::from(cpu) / 1000),
            pids_limit: Some(pids.into()),
            // A small init as process 1: a shell as process 1 ignores SIGTERM, and nobody would collect zombies.
            init: Some(true),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(KERNEL_CAPABILITIES.map(str::to_owned).to_vec()),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            network_mode: Some(if spec.network { "bridge" } else { "none" }.to_owned()),
            readonly_rootfs: Some(spec.read_only_root),
            tmpfs: spec.read_only_root.then(|| HashMap::from([("/tmp".to_owned(), tmp)])),
            // The engine's file keeps the whole log of a step's container, without a size at which it rotates: adoption reads it from
            // its start. One that is detached may print for years.
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: log }),
            ..HostConfig::default()
        };
        let body = ContainerCreateBody {
            image: Some(spec.image.clone()),
            cmd: spec.command.clone(),
            entrypoint: spec.entrypoint.clone(),
            env: Some(env),
            working_dir: workdir,
            user: spec.user.clone(),
            host_config: Some(host_config),
            exposed_ports: (!ports.is_empty()).then_some(ports),
            ..ContainerCreateBody::default()
        };
        let open_volumes =
            mounted.iter().any(|mount| !mount.read_only) && spec.user.as_deref().is_some_and(|user| !is_root(user));
        let timeout = spec.timeout_ms.map(|ms| Duration::from_millis(ms.into()));
        let (image, pull) = (spec.image.clone(), spec.pull);
        let digest = digest(spec, &mounted, memory, cpu, pids);
        Ok(Plan { image, pull, timeout, open_volumes, mounted, credentials, detached, digest, body })
    }

    /// The body of the request that creates the container `name`.
    pub(super) fn body(
        &self,
        call: &StepCall,
        index: u32,
        name: &str,
        owner: &str,
        volumes: &Volumes,
    ) -> ContainerCreateBody {
        let mut body = self.body.clone();
        let labels = labels(call, owner).into_iter();
        let own = [(LABEL_INDEX, index.to_string()), (LABEL_SPEC, self.digest.clone())];
        body.labels = Some(labels.chain(own.map(|(name, value)| (name.to_owned(), value))).collect());
        if let Some(host_config) = &mut body.host_config {
            let mount = |mount: &Mounted| Some(volumes.get(&mount.name)?.mount(&mount.path, mount.read_only));
            let lent = self.credentials.iter().map(|_| registry::mount(name, CONFIG_DIR, true, volumes.run_labels()));
            host_config.mounts = Some(self.mounted.iter().filter_map(mount).chain(lent).collect());
        }
        body
    }

    /// The body of the request that creates a detached container. It is lent no credentials: those are for the pull.
    pub(super) fn detached_body(&self, labels: HashMap<String, String>) -> ContainerCreateBody {
        let spec = (LABEL_SPEC.to_owned(), self.digest.clone());
        ContainerCreateBody { labels: Some(labels.into_iter().chain([spec]).collect()), ..self.body.clone() }
    }
}

/// Where containers may be detached, if they may at all.
pub(super) fn place_of_detached<'a>(
    granted: &ContainersScope,
    place: Option<&'a Place>,
) -> Result<&'a Place, ContainerError> {
    let place = place.ok_or_else(|| invalid(format!("{ONLY_DETACHED}; a step's end with it")))?;
    if !granted.detached {
        let words = "containers that outlive the call are not granted; grant `containers: { detached: true }`";
        return Err(ContainerError::NotGranted(words.to_owned()));
    }
    Ok(place)
}

/// A name for a detached container.
pub(super) fn detached_name(name: &str) -> Result<DetachedName, ContainerError> {
    name.parse().map_err(|error: NameError| invalid(error.to_string()))
}

/// What a container is called that is to outlive the call.
fn detachment(
    spec: &ContainerSpec,
    granted: &ContainersScope,
    place: Option<&Place>,
) -> Result<Option<DetachedName>, ContainerError> {
    let Some(name) = &spec.detach else { return Ok(None) };
    place_of_detached(granted, place)?;
    if spec.timeout_ms.is_some() {
        return Err(invalid("a detached container has no timeout; leave one of the two out".to_owned()));
    }
    detached_name(name).map(Some)
}

/// The ports of a container that are published, as the engine writes them.
fn ports(spec: &ContainerSpec, granted: &ContainersScope) -> Result<Vec<String>, ContainerError> {
    if spec.publish.is_empty() {
        return Ok(Vec::new());
    }
    if !granted.ports {
        let words = "ports on the engine's machine are not granted; grant `containers: { ports: true }`";
        return Err(ContainerError::NotGranted(words.to_owned()));
    }
    if spec.detach.is_none() || !spec.network {
        return Err(invalid(
            "only a detached container with a network has ports; detach it, with a network".to_owned(),
        ));
    }
    let ports: BTreeSet<u16> = spec.publish.iter().copied().collect();
    if ports.contains(&0) || ports.len() > MAX_PORTS {
        return Err(invalid(format!("a container has 1 to {MAX_PORTS} ports, from 1 to 65535")));
    }
    Ok(ports.iter().map(|port| format!("{port}/tcp")).collect())
}

/// The labels of everything that belongs to one attempt of one step.
pub(super) fn labels(call: &StepCall, owner: &str) -> HashMap<String, String> {
    [
        (LABEL_RUN, call.run.to_string()),
        (LABEL_STEP, call.step.to_string()),
        (LABEL_ATTEMPT, call.attempt.to_string()),
        (LABEL_OWNER, owner.to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

/// What is mounted, and where: the workspace, unless the specification says otherwise.
fn mounts(spec: &ContainerSpec, volumes: &Volumes) -> Result<Vec<Mounted>, ContainerError> {
    let has_workspace = volumes.get(WORKSPACE_VOLUME).is_some();
    let workspace = match (&spec.workspace, &spec.volumes) {
        (Some((path, read_only)), _) => Some((path.as_str(), *read_only)),
        (None, None) => has_workspace.then_some((WORKSPACE, false)),
        (None, Some(_)) => None,
    };
    let workspace = workspace.map(|(path, read_only)| (WORKSPACE_VOLUME, path, read_only));
    let named = spec.volumes.iter().flatten();
    let named = named.map(|mount| (mount.name.as_str(), mount.path.as_str(), mount.read_only));
    let mut mounts: Vec<Mounted> = Vec::new();
    for (name, path, read_only) in workspace.into_iter().chain(named) {
        if volumes.get(name).is_none() {
            if !has_workspace {
                return Err(invalid(format!("there is no volume {name:?}: outside of a run there are none")));
            }
            let known = volumes.names().map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(invalid(format!(
                "volume {name:?} is not one of this pipeline ({known}); declare it in the pipeline's `volumes`"
            )));
        }
        check_path("volume's path", path)?;
        let parts = path.split('/').filter(|part| !part.is_empty());
        let path: String = parts.flat_map(|part| ["/", part]).collect();
        let taken = |at: &str| path.strip_prefix(at).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if path.is_empty() || path == "/tmp" || TAKEN.into_iter().any(taken) {
            let shown = if path.is_empty() { "/" } else { &path };
            return Err(invalid(format!("volume {name:?} cannot be mounted at {shown}; use a folder such as /{name}")));
        }
        if mounts.iter().any(|mount| mount.path == path) {
            return Err(invalid(format!("two volumes are to be mounted at {path}; give each a path of its own")));
        }
        if mounts.len() == MAX_MOUNTS {
            return Err(invalid(format!("a container has at most {MAX_MOUNTS} mounts; mount fewer volumes")));
        }
        mounts.push(Mounted { name: name.to_owned(), path, read_only });
    }
    Ok(mounts)
}

fn invalid(words: String) -> ContainerError {
    ContainerError::Invalid(words)
}

fn ceiling(what: &str, asked: Option<u32>, least: u32, most: u32) -> Result<u32, ContainerError> {
    match asked {
        None => Ok(most),
        Some(asked) if asked < least => Err(invalid(format!("{what} is {asked}; the least is {least}"))),
        Some(asked) if asked > most => Err(ContainerError::NotGranted(format!(
            "{what} is {asked}, and {most} is granted; ask for less, or grant `containers: {{ {what}: {asked} }}`"
        ))),
        Some(asked) => Ok(asked),
    }
}

/// Whether `image` is a reference such as `alpine:3.19`, `ghcr.io/acme/tool@sha256:…` or `localhost:5000/a/b`.
fn check_image(image: &str) -> Result<(), ContainerError> {
    let refuse = || {
        let shown: String = image.chars().take(120).collect();
        invalid(format!("{shown:?} is not an image reference; write name:tag or name@sha256:…"))
    };
    let (name, digest) = image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
    if digest.is_some_and(|digest| digest.parse::<Digest>().is_err()) {
        return Err(refuse());
    }
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let (name, tag) = match name[slash..].find(':') {
        Some(colon) => (&name[..slash + colon], Some(&name[slash + colon + 1..])),
        None => (name, None),
    };
    let sound_tag = |tag: &str| {
        (1..=128).contains(&tag.len())
            && tag.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
            && !tag.starts_with(['.', '-'])
    };
    let sound_part = |part: &str| {
        let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        part.bytes().all(|b| edge(&b) || matches!(b, b'.' | b'_' | b'-'))
            && part.as_bytes().first().is_some_and(edge)
            && part.as_bytes().last().is_some_and(edge)
            && !part.contains("..")
    };
    let sound_host = |host: &str| {
        let (name, port) = host.split_once(':').map_or((host, None), |(name, port)| (name, Some(port)));
        let sound_label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        name.split('.').all(sound_label) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
    };
    let path = match name.split_once('/') {
        Some((host, path)) if host.contains(['.', ':']) || host == "localhost" => {
            if !sound_host(host) {
                return Err(refuse());
            }
            path
        }
        _ => name,
    };
    let is_id = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    let sound = name.len() <= 255 && !is_id && path.split('/').all(sound_part) && tag.is_none_or(sound_tag);
    if sound { Ok(()) } else { Err(refuse()) }
}

/// An absolute path without `.`, `..` and control characters.
pub(super) fn check_path(what: &str, path: &str) -> Result<(), ContainerError> {
    let normal = |part: Component<'_>| matches!(part, Component::RootDir | Component::Normal(_));
    // `components` drops a `.` in the middle without a word.
    let dotted = path.split('/').any(|part| part == "." || part == "..");
    let sound = path.starts_with('/') && path.len() <= MAX_PATH && !path.chars().any(char::is_control) && !dotted;
    if sound && Path::new(path).components().all(normal) {
        return Ok(());
    }
    Err(invalid(format!("the {what} {path:?} is not an absolute path without `.` and `..`")))
}

fn check_user(user: &str) -> Result<(), ContainerError> {
    let sound = |name: &str| {
        (1..=32).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
            && !name.starts_with(['-', '.'])
    };
    let (name, group) = user.split_once(':').map_or((user, None), |(name, group)| (name, Some(group)));
    if sound(name) && group.is_none_or(sound) {
        return Ok(());
    }
    Err(invalid(format!("{user:?} is not a user; write uid, uid:gid, or a name from the image")))
}

fn is_root(user: &str) -> bool {
    let name = user.split(':').next().unwrap_or_default();
    name == "root" || name.bytes().all(|b| b == b'0')
}

/// Refuses what the kernel could not take as arguments.
pub(super) fn check_argv(what: &str, argv: Option<&[String]>, total: &mut usize) -> Result<(), ContainerError> {
    let Some(argv) = argv else { return Ok(()) };
    if argv.first().is_none_or(String::is_empty) {
        return Err(invalid(format!("the {what} is empty")));
    }
    argv.iter().try_for_each(|arg| check_text(what, arg, total))
}

fn check_text(what: &str, text: &str, total: &mut usize) -> Result<(), ContainerError> {
    *total += text.len() + 1;
    if text.contains('\0') {
        return Err(invalid(format!("the {what} holds a NUL character")));
    }
    if text.len() > MAX_ARG || *total > MAX_ARGS {
        let words = format!("the {what} is over {MAX_ARG} bytes, or over {MAX_ARGS} with the rest; pass it in a file");
        return Err(invalid(words));
    }
    Ok(())
}

/// `NAME=value` for each variable; the values of secrets are put in here, at the edge.
fn environment(spec: &ContainerSpec, total: &mut usize) -> Result<Vec<String>, ContainerError> {
    let mut env = Vec::with_capacity(spec.env.len() + spec.env_secret.len() + 1);
    let check_name = |name: &str| {
        let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
        if name.is_empty() || !name.chars().all(sound) || name.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return Err(invalid(format!("{name:?} is not the name of an environment variable")));
        }
        Ok(())
    };
    let lent = spec.registry_auth.is_some() && spec.detach.is_none();
    let set = spec.env.iter().map(|(name, _)| name).chain(spec.env_secret.iter().map(|(name, _)| name));
    if lent && set.into_iter().any(|name| name == CONFIG_VARIABLE) {
        return Err(invalid(format!(
            "{CONFIG_VARIABLE} is set, and registry credentials are given, which set it too; leave one of them out"
        )));
    }
    if lent {
        env.push(format!("{CONFIG_VARIABLE}={CONFIG_DIR}"));
    }
    for (name, value) in &spec.env {
        check_name(name)?;
        check_text(&format!("environment variable {name}"), value, total)?;
        env.push(format!("{name}={value}"));
    }
    for (name, secret) in &spec.env_secret {
        check_name(name)?;
        let value = secret.value();
        let text = std::str::from_utf8(value.expose()).map_err(|_| {
            invalid(format!("the secret for {name} is not text, so it cannot be an environment variable"))
        })?;
        check_text(&format!("environment variable {name}"), text, total)?;
        env.push(format!("{name}={text}"));
    }
    Ok(env)
}

/// Recognises the same request after a crash. The values of secrets are not in it (they may have been rotated, and a
/// digest of a short one could be guessed), nor are placeholders, which are new in each execution.
fn digest(spec: &ContainerSpec, mounted: &[Mounted], memory: u32, cpu: u32, pids: u32) -> String {
    let mounted: Vec<_> = mounted.iter().map(|mount| (&mount.name, &mount.path, mount.read_only)).collect();
    let secrets: Vec<&String> = spec.env_secret.iter().map(|(name, _)| name).collect();
    let mut described = serde_json::json!([
        1,
        spec.image,
        spec.command,
        spec.entrypoint,
        spec.env,
        secrets,
        spec.workdir,
        mounted,
        spec.registry_auth.is_some(),
        memory,
        cpu,
        pids,
        spec.user,
        spec.network,
        spec.read_only_root,
        spec.timeout_ms,
    ]);
    if spec.detach.is_some() {
        described = serde_json::json!([described, spec.publish]);
    }
    let mut text = described.to_string();
    let prefix = crate::secrets::PLACEHOLDER_PREFIX;
    let mut from = 0;
    while let Some(at) = text[from..].find(prefix).map(|at| from + at + prefix.len()) {
        let end = text[at..].find(|c: char| !c.is_ascii_hexdigit()).map_or(text.len(), |end| at + end);
        text.replace_range(at..end, "");
        from = at;
    }
    Digest::of(text.as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::containers::VolumePlace;
    use windlass_contract::capability::VolumeMount;

    fn granted() -> ContainersScope {
        ContainersScope {
            images: ["from-config", "acme/*"].map(|text| text.parse().unwrap()).into(),
            network: false,
            detached: false,
            ports: false,
            memory_mib: 512,
            cpu_millis: 1000,
        }
    }
    fn spec() -> ContainerSpec {
        ContainerSpec { image: "acme/tool:1".to_owned(), ..ContainerSpec::default() }
    }
    fn plan(spec: &ContainerSpec) -> Result<Plan, ContainerError> {
        Plan::check(spec, &granted(), &["busybox:1".to_owned()].into(), &volumes(), None)
    }
    fn volumes() -> Volumes {
        let declared = [("cache".to_owned(), VolumePlace::Pipeline("app".to_owned()))];
        Volumes::new("me".to_owned(), "r1".parse().unwrap(), declared.into())
    }
    fn volume(name: &str, path: &str) -> VolumeMount {
        VolumeMount { name: name.to_owned(), path: path.to_owned(), read_only: false }
    }
    fn refused(change: impl FnOnce(&mut ContainerSpec)) -> String {
        let mut spec = spec();
        change(&mut spec);
        let error = plan(&spec).unwrap_err();
        format!("{error:?}").split('(').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn image_references() {
        let id = "a".repeat(64);
        let digest = format!("alpine@sha256:{id}");
        for sound in ["alpine", "alpine:3.19", "library/alpine:3", "ghcr.io/a-b/c_d.e:v1", "localhost:5000/x", &digest]
        {
            assert!(check_image(sound).is_ok(), "{sound}");
        }
        let long = "a".repeat(256);
        for refused in [
            "",
            "-rm",
            "--privileged",
            "../../x",
            "a/../b",
            "/etc",
            "a//b",
            "a/",
            "A/b",
            "alpine:",
            "alpine:-x",
            "alpine:a b",
            "alpine\n",
            "alpine\0",
            "alpine@sha256:00",
            "a:b:c",
            "http://a/b",
            "a b",
            "a..b/c",
            "x.test:99999/a",
            "-a.test/b",
            "é",
            &id,
            &long,
        ] {
            assert!(check_image(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn nothing_beyond_the_grant() {
        assert!(plan(&spec()).is_ok());
        assert_eq!(refused(|spec| spec.image = "acme/deep/tool:1".to_owned()), "NotGranted");
        assert_eq!(refused(|spec| spec.image = "busybox:2".to_owned()), "NotGranted");
        assert!(plan(&ContainerSpec { image: "busybox:1".to_owned(), ..spec() }).is_ok());
        assert_eq!(refused(|spec| spec.network = true), "NotGranted");
        assert_eq!(refused(|spec| spec.memory_mib = Some(513)), "NotGranted");
        assert_eq!(refused(|spec| spec.cpu_millis = Some(1001)), "NotGranted");
        assert_eq!(refused(|spec| spec.pids = Some(4097)), "NotGranted");
    }

    #[test]
    fn strings_that_the_engine_or_the_kernel_could_misread() {
        let text = |text: &str| Some(vec![text.to_owned()]);
        assert_eq!(refused(|spec| spec.command = Some(vec![])), "Invalid");
        assert_eq!(refused(|spec| spec.command = text("")), "Invalid");
        assert_eq!(refused(|spec| spec.command = text("a\0b")), "Invalid");
        assert_eq!(refused(|spec| spec.command = text(&"x".repeat(MAX_ARG + 1))), "Invalid");
        assert_eq!(refused(|spec| spec.command = Some(vec!["x".repeat(MAX_ARG); 9])), "Invalid");
        assert_eq!(refused(|spec| spec.entrypoint = text("")), "Invalid");
        for name in ["", "A=B", "1A", "A B", "A\n", "é"] {
            assert_eq!(refused(|spec| spec.env = vec![(name.to_owned(), String::new())]), "Invalid", "{name:?}");
        }
        assert_eq!(refused(|spec| spec.env = vec![("A".to_owned(), "\0".to_owned())]), "Invalid");
        for path in ["", "x", "./x", "/a/../b", "/a/./b", "/a\0", "/a\nb", "..", &format!("/{}", "x".repeat(MAX_PATH))]
        {
            assert_eq!(refused(|spec| spec.workdir = Some(path.to_owned())), "Invalid", "{path:?}");
        }
        for path in ["/", "//", "/proc", "//proc/x", "/sys/", "/dev/shm", "/tmp", "/..", "w", "", CONFIG_DIR] {
            assert_eq!(refused(|spec| spec.workspace = Some((path.to_owned(), false))), "Invalid", "{path:?}");
            assert_eq!(refused(|spec| spec.volumes = Some(vec![volume("cache", path)])), "Invalid", "{path:?}");
        }
        for user in ["", "-u", "a b", "a:b:c", ":", "a:", "0\n", "../x"] {
            assert_eq!(refused(|spec| spec.user = Some(user.to_owned())), "Invalid", "{user:?}");
        }
        assert_eq!(refused(|spec| spec.timeout_ms = Some(0)), "Invalid");
        assert_eq!(refused(|spec| spec.memory_mib = Some(5)), "Invalid");
        assert_eq!(refused(|spec| spec.cpu_millis = Some(9)), "Invalid");
    }

    #[test]
    fn what_is_mounted() {
        let check = |workspace: Option<&str>, asked: Option<&[(&str, &str)]>, expect: Result<&[&str], &str>| {
            let spec = ContainerSpec {
                workspace: workspace.map(|path| (path.to_owned(), true)),
                volumes: asked.map(|asked| asked.iter().map(|(name, path)| volume(name, path)).collect()),
                ..spec()
            };
            let found = mounts(&spec, &volumes()).map_err(|error| error.to_string());
            let shown = |m: &Mounted| format!("{} {}{}", m.name, m.path, if m.read_only { " ro" } else { "" });
            let found = found.map(|mounts| mounts.iter().map(shown).collect::<Vec<_>>());
            match (&found, expect) {
                (Ok(found), Ok(expect)) => assert_eq!(found, expect),
                (Err(found), Err(expect)) => assert!(found.contains(expect), "{found}"),
                _ => panic!("{found:?}, not {expect:?}"),
            }
        };
        check(None, None, Ok(&["workspace /workspace"]));
        check(Some("/src"), None, Ok(&["workspace /src ro"]));
        check(None, Some(&[]), Ok(&[]));
        check(None, Some(&[("cache", "/c//d/")]), Ok(&["cache /c/d"]));
        check(Some("/src"), Some(&[("cache", "/src/cache")]), Ok(&["workspace /src ro", "cache /src/cache"]));
        check(None, Some(&[("workspace", "/a"), ("workspace", "/b")]), Ok(&["workspace /a", "workspace /b"]));
        check(None, Some(&[("cache", "/a"), ("workspace", "/a/")]), Err("two volumes are to be mounted at /a"));
        check(None, Some(&[("other", "/a")]), Err("\"other\" is not one of this pipeline (cache, workspace)"));
        check(None, Some(&[("../x", "/a")]), Err("is not one of this pipeline"));
        let many: Vec<_> = (0..=MAX_MOUNTS).map(|n| format!("/m/{n}")).collect();
        let many: Vec<_> = many.iter().map(|path| ("cache", path.as_str())).collect();
        check(None, Some(&many), Err("at most 64 mounts"));
        assert!(mounts(&spec(), &volumes()).is_ok());
    }

    /// There is no way to ask for more: whatever a specification says, these are what the engine is told.
    #[test]
    fn what_the_engine_is_told() {
        let everything = ContainerSpec {
            command: Some(vec!["true".to_owned()]),
            env: vec![("A".to_owned(), "b".to_owned())],
            user: Some("1000".to_owned()),
            read_only_root: true,
            memory_mib: Some(64),
            ..spec()
        };
        let call = crate::containers::tests_support::call("r1", "build", serde_json::json!({}));
        let body = plan(&everything).unwrap().body(&call, 1, "windlass-r1-build-1-1", "me", &volumes());
        let mut host_config = body.host_config.unwrap();
        let mounts = host_config.mounts.iter_mut().flatten();
        // A map without an order; the container's own labels are shown below.
        mounts.filter_map(|mount| mount.volume_options.as_mut()).for_each(|options| options.labels = None);
        insta::assert_json_snapshot!(host_config, @r#"
        {
          "Memory": 67108864,
          "CpuPeriod": 100000,
          "CpuQuota": 100000,
          "MemorySwap": 67108864,
          "Init": true,
          "PidsLimit": 4096,
          "LogConfig": {
            "Type": "json-file"
          },
          "NetworkMode": "none",
          "Mounts": [
            {
              "Target": "/workspace",
              "Source": "windlass-r1-workspace",
              "Type": "volume",
              "ReadOnly": false,
              "VolumeOptions": {
                "NoCopy": true
              }
            }
          ],
          "CapAdd": [
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "FSETID",
            "KILL",
            "NET_BIND_SERVICE",
            "SETGID",
            "SETUID"
          ],
          "CapDrop": [
            "ALL"
          ],
          "ReadonlyRootfs": true,
          "SecurityOpt": [
            "no-new-privileges"
          ],
          "Tmpfs": {
            "/tmp": "rw,exec,nosuid,nodev,mode=1777,size=67108864"
          }
        }
        "#);
        let labels: std::collections::BTreeMap<_, _> =
            body.labels.unwrap().into_iter().filter(|(name, _)| name != LABEL_SPEC).collect();
        insta::assert_json_snapshot!(labels, @r#"
        {
          "dev.windlass.attempt": "1",
          "dev.windlass.index": "1",
          "dev.windlass.owner": "me",
          "dev.windlass.run": "r1",
          "dev.windlass.step": "build"
        }
        "#);
    }

    /// A container that outlives the call gets what any other gets: what is different stands here.
    #[test]
    fn what_the_engine_is_told_of_a_detached_container() {
        let plain = plan(&spec()).unwrap().body;
        let granted = ContainersScope { network: true, detached: true, ports: true, ..granted() };
        let place = Place::new("me", &"acme:cloud".parse().unwrap(), "staging".parse().unwrap());
        let check = |spec: &ContainerSpec| {
            let none = Volumes::none("me".to_owned(), "r1".parse().unwrap());
            Plan::check(spec, &granted, &BTreeSet::new(), &none, Some(&place)).unwrap()
        };
        let asked =
            ContainerSpec { detach: Some("web".to_owned()), network: true, publish: vec![443, 80, 80], ..spec() };
        let plan = check(&asked);
        let mut body = plan.detached_body(HashMap::new());
        let told = body.host_config.take().unwrap();
        assert_eq!(told.mounts, None);
        assert_eq!(body.exposed_ports, Some(vec!["443/tcp".to_owned(), "80/tcp".to_owned()]));
        let config = HashMap::from([("max-size", "10m"), ("max-file", "3")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let bound = || Some(vec![PortBinding { host_ip: Some("127.0.0.1".to_owned()), host_port: None }]);
        let expect = HostConfig {
            network_mode: Some("bridge".to_owned()),
            log_config: Some(HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(config) }),
            port_bindings: Some(["443/tcp", "80/tcp"].map(|port| (port.to_owned(), bound())).into()),
            ..plain.host_config.unwrap()
        };
        assert_eq!(told, expect);
        let labels = body.labels.unwrap();
        assert_eq!(labels.keys().collect::<Vec<_>>(), [LABEL_SPEC], "a plugin sets no label");
        assert_ne!(labels[LABEL_SPEC], check(&ContainerSpec { publish: vec![443], ..asked }).digest);
    }

    #[test]
    fn the_digest_knows_the_request_and_no_secret() {
        let with = |value: &str| {
            let env = vec![("A".to_owned(), value.to_owned())];
            plan(&ContainerSpec { env, ..spec() }).unwrap().digest
        };
        assert_eq!(with("x wlph_00ff y"), with("x wlph_11aa y"));
        assert_ne!(with("x"), with("y"));
    }
}
