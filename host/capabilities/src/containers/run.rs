//! The life of one container: create or find, start, log, wait, end.

use super::{
    LABEL_INDEX, LABEL_SPEC, StepWork, TIMEOUT_GRACE, engine,
    output::Outputs,
    registry::Credentials,
    spec::{self, Plan},
};
use crate::log::system_line;
use bollard::{
    errors::Error,
    exec::StartExecResults,
    models::{ContainerCreateBody, ContainerInspectResponse, ContainerStateStatusEnum, ExecConfig},
    query_parameters::{
        AttachContainerOptions, CreateContainerOptions, CreateImageOptions, EventsOptions, InspectContainerOptions,
        KillContainerOptions, LogsOptions, StartContainerOptions, WaitContainerOptions,
    },
};
use futures::{Stream, StreamExt as _, future::Either};
use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tokio::{sync::watch, time::Instant};
use windlass_contract::capability::{ContainerError, Exit, PullPolicy};

type Result<T> = std::result::Result<T, ContainerError>;
type Frames = Pin<Box<dyn Stream<Item = std::result::Result<bollard::container::LogOutput, Error>> + Send>>;

/// How often a connection to a container that still runs is made anew before the engine counts as gone.
const RECONNECTS: usize = 3;

/// What the engine says of a mount that it cannot make: of the volume itself, and, the last three, of its place, such as one
/// that is a file of the image.
const MOUNT_FAILURES: [&str; 6] =
    ["error while mounting volume", "failed to mount", "error mounting", "to rootfs at", "Cannot mkdir", "/merged/"];

/// How long the end of the output may take to arrive after the end of the process, before it is read from the log file.
const OUTPUT_GRACE: Duration = Duration::from_secs(10);

/// A container that was started: what its handle knows.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) name: String,
    /// Where volumes are mounted.
    pub(super) mounted: Vec<String>,
    pub(super) outputs: Arc<Outputs>,
    end: watch::Receiver<Option<Result<Exit>>>,
    stop: Arc<watch::Sender<Option<Duration>>>,
}

impl Running {
    /// How it ended; waits until it has.
    pub(super) async fn ended(&self) -> Result<Exit> {
        let mut end = self.end.clone();
        match end.wait_for(Option::is_some).await {
            Ok(exit) => exit.clone().unwrap_or(Err(ContainerError::Cancelled)),
            Err(_) => Err(ContainerError::Other("waiting for the container was interrupted".to_owned())),
        }
    }

    pub(super) fn ask_to_stop(&self, grace: Duration) {
        self.stop.send_if_modified(|asked| asked.is_none().then(|| *asked = Some(grace)).is_some());
    }
}

/// What there was when a container of this name was to be created.
enum Found {
    /// Nothing: it is new.
    New,
    /// One that was not started.
    Created,
    /// One that was started.
    Started,
}

impl StepWork {
    pub(super) async fn start(self: Arc<Self>, index: u32, plan: Plan) -> Result<Running> {
        let recorded = self.created_before.get(&index).cloned();
        let name = recorded.clone().unwrap_or_else(|| format!("{}-{index}", self.name_prefix()));
        if plan.credentials.is_some() {
            self.remember_loan(&name);
        }
        let found = tokio::select! {
            found = self.find_or_create(index, &plan, &name, recorded.is_some()) => found?,
            () = self.cancelled.cancelled() => return Err(ContainerError::Cancelled),
        };
        if recorded.is_none() {
            // The container is there, and never started without being known.
            let written = self.journal.container_created(index, &name).await;
            written.map_err(|why| ContainerError::Other(format!("the container could not be recorded: {why}")))?;
        }
        if matches!(found, Found::New | Found::Created) {
            if plan.open_volumes {
                self.open_volumes(&plan.mounted).await?;
            }
            self.lend_credentials(&name, &plan).await?;
        }
        if self.cancelled.is_cancelled() {
            return Err(ContainerError::Cancelled);
        }
        let outputs = Arc::new(Outputs::new(self.sink.clone(), &self.shelf.masker));
        let docker = &self.engine.connect().await?.docker;
        let frames = match found {
            Found::Started => {
                system_line(&*self.sink, &self.shelf.masker, &format!("container {name}: still there, adopted"));
                self.log_from_start(&name).await?
            }
            Found::New | Found::Created => {
                let options = AttachContainerOptions { stream: true, stdout: true, stderr: true, ..Default::default() };
                let attached = docker.attach_container(&name, Some(options)).await;
                let attached = attached.map_err(|error| self.engine.failed("attach to the container", &error))?;
                let started = docker.start_container(&name, None::<StartContainerOptions>).await;
                started.map_err(|error| self.start_failed(&error))?;
                attached.output
            }
        };
        let timeout = plan.timeout.map_or(self.deadline, |timeout| self.deadline.min(Instant::now() + timeout));
        let (end, ended) = watch::channel(None);
        let (stop, stopped) = watch::channel(None);
        let running = Running {
            name: name.clone(),
            mounted: plan.mounted.into_iter().map(|mount| mount.path).collect(),
            outputs: outputs.clone(),
            end: ended,
            stop: Arc::new(stop),
        };
        self.tasks.spawn(self.clone().supervise(name, outputs, frames, timeout, end, stopped));
        Ok(running)
    }

    async fn find_or_create(&self, index: u32, plan: &Plan, name: &str, recorded: bool) -> Result<Found> {
        if recorded {
            let lost = || {
                ContainerError::Lost(format!(
                    "container {name} was started before the host restarted, and is gone; what it did is not known, and it \
                     is not started a second time"
                ))
            };
            return self.find(index, plan, name).await?.ok_or_else(lost);
        }
        self.remember(name);
        let body = plan.body(&self.call, index, name, self.engine.owner(), &self.volumes);
        match self.create(plan, name, body).await? {
            Some(_) => Ok(Found::New),
            None => {
                let gone =
                    || ContainerError::Other(format!("container {name} was there, and went away; run the step again"));
                self.find(index, plan, name).await?.ok_or_else(gone)
            }
        }
    }

    /// Creates a container, and pulls its image where that is to be done; answers its id, or nothing where one of this name is there.
    pub(super) async fn create(&self, plan: &Plan, name: &str, body: ContainerCreateBody) -> Result<Option<String>> {
        if plan.pull == PullPolicy::Always {
            self.pull(plan).await?;
        }
        let docker = &self.engine.connect().await?.docker;
        let create = || {
            let options = CreateContainerOptions { name: Some(name.to_owned()), ..CreateContainerOptions::default() };
            docker.create_container(Some(options), body.clone())
        };
        let mut created = create().await;
        if is_missing_image(&created) {
            if plan.pull == PullPolicy::Never {
                let words = format!("{} is not on the engine, and the pull policy is never", plan.image);
                return Err(ContainerError::ImagePullFailed(words));
            }
            if plan.pull == PullPolicy::IfNotPresent {
                self.pull(plan).await?;
            }
            created = create().await;
        }
        match created {
            Ok(made) => Ok(Some(made.id)),
            Err(Error::DockerResponseServerError { status_code: 409, .. }) => Ok(None),
            Err(error @ Error::DockerResponseServerError { status_code: 404, .. }) => {
                Err(ContainerError::ImagePullFailed(engine::words(&error)))
            }
            Err(error) => Err(self.start_failed(&error)),
        }
    }

    /// The container of this name, if it is there and the one that is meant.
    async fn find(&self, index: u32, plan: &Plan, name: &str) -> Result<Option<Found>> {
        let Some(found) = self.inspect(name).await? else { return Ok(None) };
        let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
        let own = spec::labels(&self.call, self.engine.owner());
        let same = own.iter().all(|(label, value)| labels.get(label) == Some(value))
            && labels.get(LABEL_INDEX) == Some(&index.to_string());
        if !same {
            self.forget(name);
            let words =
                format!("a container called {name} is there that is not of this step; remove it, and run again");
            return Err(ContainerError::Other(words));
        }
        if labels.get(LABEL_SPEC) != Some(&plan.digest) {
            return Err(ContainerError::Other(format!(
                "container {name} was made for another request; a plugin must ask for the same containers in each execution \
                 of an attempt"
            )));
        }
        let status = found.state.and_then(|state| state.status);
        let created = matches!(status, Some(ContainerStateStatusEnum::CREATED));
        Ok(Some(if created { Found::Created } else { Found::Started }))
    }

    pub(super) async fn inspect(&self, name: &str) -> Result<Option<ContainerInspectResponse>> {
        let docker = &self.engine.connect().await?.docker;
        match docker.inspect_container(name, None::<InspectContainerOptions>).await {
            Ok(found) => Ok(Some(found)),
            Err(Error::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.engine.failed(&format!("look at container {name}"), &error).into()),
        }
    }

    async fn pull(&self, plan: &Plan) -> Result<()> {
        let image = &plan.image;
        system_line(&*self.sink, &self.shelf.masker, &format!("pulling image {image}"));
        let name = &image[image.rfind('/').map_or(0, |at| at + 1)..];
        // Without a tag the engine would pull every one there is.
        let tag = (!name.contains([':', '@'])).then(|| "latest".to_owned());
        let options = CreateImageOptions { from_image: Some(image.to_owned()), tag, ..CreateImageOptions::default() };
        let patient = &self.engine.connect().await?.patient;
        let credentials = plan.credentials.as_ref().and_then(Credentials::for_pull);
        let mut progress = std::pin::pin!(patient.create_image(Some(options), None, credentials));
        while let Some(step) = progress.next().await {
            let failed = |words: String| ContainerError::ImagePullFailed(format!("{image}: {words}"));
            match step {
                Ok(step) => {
                    if let Some(detail) = step.error_detail {
                        return Err(failed(detail.message.unwrap_or_else(|| "the engine gives no reason".to_owned())));
                    }
                }
                Err(error) => {
                    return match self.engine.failed("pull", &error) {
                        engine::EngineError::Refused { why, .. } => Err(failed(why)),
                        error => Err(error.into()),
                    };
                }
            }
        }
        Ok(())
    }

    /// What the engine's refusal to create or start a container means for the plugin.
    pub(super) fn start_failed(&self, error: &Error) -> ContainerError {
        let words = engine::words(error);
        let any = |parts: &[&str]| parts.iter().any(|part| words.contains(part));
        match error {
            _ if any(&[
                "no space left",
                "OOM-killed",
                "cannot allocate memory",
                "resource temporarily unavailable",
            ]) =>
            {
                ContainerError::ResourceExhausted(words)
            }
            _ if any(&MOUNT_FAILURES) => ContainerError::VolumeMountFailed(words),
            Error::DockerResponseServerError { status_code: 400, .. } => {
                ContainerError::Invalid(format!("the container does not start: {words}"))
            }
            error => self.engine.failed("start the container", error).into(),
        }
    }

    pub(super) async fn log_from_start(&self, name: &str) -> Result<Frames> {
        let options = LogsOptions { follow: true, stdout: true, stderr: true, ..LogsOptions::default() };
        Ok(Box::pin(self.engine.connect().await?.patient.logs(name, Some(options))))
    }

    /// From its start to its end: passes the output on, keeps the time, stops it when it must.
    async fn supervise(
        self: Arc<Self>,
        name: String,
        outputs: Arc<Outputs>,
        frames: Frames,
        timeout: Instant,
        end: watch::Sender<Option<Result<Exit>>>,
        mut stopped: watch::Receiver<Option<Duration>>,
    ) {
        let output = tokio::spawn(self.clone().pass_on(name.clone(), outputs.clone(), frames));
        let mut ending = std::pin::pin!(self.wait_for_end(&name));
        let mut timed_out = false;
        let asked = async {
            // The sender lives as long as a handle; without one, nobody asks.
            let grace = stopped.wait_for(Option::is_some).await.ok().and_then(|grace| *grace);
            match grace {
                Some(grace) => grace,
                None => std::future::pending().await,
            }
        };
        let ended = tokio::select! {
            biased;
            ended = &mut ending => Either::Left(ended),
            () = self.cancelled.cancelled() => Either::Right(self.grace.get().copied().unwrap_or_default()),
            grace = asked => Either::Right(grace),
            () = tokio::time::sleep_until(timeout) => {
                timed_out = true;
                Either::Right(TIMEOUT_GRACE)
            }
        };
        let ended = match ended {
            Either::Left(ended) => ended,
            Either::Right(grace) => {
                self.signal(&name, "SIGTERM").await;
                let patient = async {
                    tokio::select! {
                        () = tokio::time::sleep(grace) => {}
                        () = self.at_once.cancelled() => {}
                    }
                };
                tokio::select! {
                    biased;
                    ended = &mut ending => ended,
                    () = patient => {
                        self.signal(&name, "SIGKILL").await;
                        ending.await
                    }
                }
            }
        };
        let exit = match ended {
            Err(error) => {
                output.abort();
                Err(error)
            }
            Ok((code, connected)) => {
                let mut output = output;
                let complete = tokio::time::timeout(OUTPUT_GRACE, &mut output).await;
                let complete = connected && matches!(complete, Ok(Ok(true)));
                if !complete {
                    output.abort();
                    let _ = (&mut output).await;
                    outputs.rewind();
                    if let Ok(frames) = self.log_from_start(&name).await {
                        outputs.drain(frames).await;
                    }
                }
                let state = self.inspect(&name).await.ok().flatten().and_then(|found| found.state);
                let out_of_memory = state.and_then(|state| state.oom_killed).unwrap_or(false);
                Ok(Exit { code, out_of_memory, timed_out })
            }
        };
        outputs.finish();
        end.send_replace(Some(exit));
    }

    /// Passes output on until it ends; where the connection breaks, goes on from the log file. False: it is not complete.
    async fn pass_on(self: Arc<Self>, name: String, outputs: Arc<Outputs>, mut frames: Frames) -> bool {
        for _ in 0..RECONNECTS {
            if outputs.drain(frames).await {
                return true;
            }
            outputs.rewind();
            match self.log_from_start(&name).await {
                Ok(again) => frames = again,
                Err(_) => return false,
            }
        }
        false
    }

    /// The exit code, and whether the connection held all the time.
    pub(super) async fn wait_for_end(&self, name: &str) -> Result<(i32, bool)> {
        let mut connected = true;
        let mut last = None;
        for _ in 0..=RECONNECTS {
            let patient = &self.engine.connect().await?.patient;
            let mut waiting = std::pin::pin!(patient.wait_container(name, None::<WaitContainerOptions>));
            match waiting.next().await {
                Some(Ok(end)) => return Ok((exit_code(end.status_code), connected)),
                Some(Err(Error::DockerContainerWaitError { code, .. })) => return Ok((exit_code(code), connected)),
                Some(Err(Error::DockerResponseServerError { status_code: 404, .. })) => {
                    return Err(ContainerError::Lost(format!("container {name} was removed while it was waited for")));
                }
                Some(Err(error)) => last = Some(error),
                None => {}
            }
            // The connection broke. Is it the engine, or only the connection?
            connected = false;
            let Some(found) = self.inspect(name).await? else {
                return Err(ContainerError::Lost(format!("container {name} was removed while it was waited for")));
            };
            let state = found.state.unwrap_or_default();
            if state.running == Some(false) {
                return Ok((exit_code(state.exit_code.unwrap_or(-1)), connected));
            }
        }
        let why = last.map_or_else(|| "it closes the connection".to_owned(), |error| engine::words(&error));
        Err(ContainerError::EngineUnavailable(format!("waiting for container {name} failed {RECONNECTS} times: {why}")))
    }

    /// Sends a signal. One that has ended meanwhile needs none.
    pub(super) async fn signal(&self, name: &str, signal: &str) {
        if let Ok(connection) = self.engine.connect().await {
            let options = KillContainerOptions { signal: signal.to_owned() };
            if let Err(error) = connection.docker.kill_container(name, Some(options)).await {
                tracing::debug!(name, signal, %error, "the signal was not delivered");
            }
        }
    }

    /// Runs another process in a container.
    pub(super) async fn exec(&self, name: &str, outputs: &Outputs, argv: Vec<String>) -> Result<Exit> {
        let failed = |error: Error| match error {
            Error::DockerResponseServerError { status_code: 409, .. } => {
                ContainerError::Invalid("the container has ended, so nothing can be run in it".to_owned())
            }
            Error::DockerResponseServerError { status_code: 404, .. } => {
                ContainerError::Lost(format!("container {name} is gone"))
            }
            error => self.start_failed(&error),
        };
        let connection = self.engine.connect().await?;
        let begun = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().saturating_sub(1));
        let config = ExecConfig {
            cmd: Some(argv),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let id = connection.docker.create_exec(name, config).await.map_err(failed)?.id;
        match connection.docker.start_exec(&id, None).await.map_err(failed)? {
            StartExecResults::Attached { output, .. } => {
                if !outputs.drain(output).await {
                    let words = format!("the connection to a process in container {name} broke");
                    return Err(ContainerError::EngineUnavailable(words));
                }
            }
            StartExecResults::Detached => {}
        }
        let code = match connection.docker.inspect_exec(&id).await.map_err(failed)? {
            ended if ended.running == Some(false) => ended.exit_code.unwrap_or(-1),
            // The output may end before the engine has noticed the end of the process.
            _ => self.exec_end(name, &id, begun).await?,
        };
        let state = self.inspect(name).await?.and_then(|found| found.state).unwrap_or_default();
        let out_of_memory = state.oom_killed.unwrap_or(false);
        Ok(Exit { code: exit_code(code), out_of_memory, timed_out: Instant::now() >= self.deadline })
    }

    /// The exit code of a process in a container, from the engine's event, which is repeated if it was sent already.
    async fn exec_end(&self, name: &str, id: &str, since: u64) -> Result<i64> {
        let filters = [("container", name), ("event", "exec_die")].map(|(of, is)| (of.to_owned(), vec![is.to_owned()]));
        let options =
            EventsOptions { since: Some(since.to_string()), until: None, filters: Some(HashMap::from(filters)) };
        let events = self.engine.connect().await?.patient.events(Some(options));
        let code = |event: std::result::Result<bollard::models::EventMessage, Error>| {
            let attributes = event.ok()?.actor?.attributes?;
            (attributes.get("execID")? == id).then(|| attributes.get("exitCode")?.parse().ok()).flatten()
        };
        let mut codes = std::pin::pin!(events.filter_map(|event| std::future::ready(code(event))));
        tokio::select! {
            code = codes.next() => code.ok_or_else(|| ContainerError::EngineUnavailable("it closes the connection".to_owned())),
            () = tokio::time::sleep_until(self.deadline + TIMEOUT_GRACE) => Ok(137),
        }
    }
}

fn exit_code(code: i64) -> i32 {
    i32::try_from(code).unwrap_or(-1)
}

fn is_missing_image<T>(created: &std::result::Result<T, Error>) -> bool {
    matches!(created, Err(Error::DockerResponseServerError { status_code: 404, .. }))
}
