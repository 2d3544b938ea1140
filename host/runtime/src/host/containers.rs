//! `containers`.

use crate::{
    bindings::windlass::plugin::containers::{
        ContainerError as Error, Exit, Host, HostContainer, HostContainerSpec, Output, PullPolicy,
    },
    guest::{ArtifactHandle, ContainerHandle, Guest, Held, SecretHandle},
};
use wasmtime::{Result, component::Resource};
use windlass_contract::capability::{self, ContainerSpec, VolumeMount};

type Spec = Resource<Held<ContainerSpec>>;
type Answer<T> = Result<std::result::Result<T, Error>>;

impl From<capability::ContainerError> for Error {
    fn from(error: capability::ContainerError) -> Self {
        use capability::ContainerError as E;
        match error {
            E::NotGranted(words) => Error::NotGranted(words),
            E::Invalid(words) => Error::Invalid(words),
            E::ImagePullFailed(words) => Error::ImagePullFailed(words),
            E::VolumeMountFailed(words) => Error::VolumeMountFailed(words),
            E::ResourceExhausted(words) => Error::ResourceExhausted(words),
            E::EngineUnavailable(words) => Error::EngineUnavailable(words),
            E::Lost(words) => Error::Lost(words),
            E::Cancelled => Error::Cancelled,
            E::NotFound(words) => Error::NotFound(words),
            E::TooLarge(words) => Error::TooLarge(words),
            E::Other(words) => Error::Other(words),
        }
    }
}

impl From<capability::Exit> for Exit {
    fn from(exit: capability::Exit) -> Self {
        Exit { code: exit.code, out_of_memory: exit.out_of_memory, timed_out: exit.timed_out }
    }
}

/// The bytes that a list of texts holds.
fn bytes(texts: &[String]) -> usize {
    texts.iter().map(|text| text.len() + size_of::<String>()).sum()
}

impl Host for Guest {
    async fn start(&mut self, spec: Spec) -> Answer<Resource<ContainerHandle>> {
        let containers = self.containers()?;
        let spec = self.release(spec)?;
        match containers.start(spec).await {
            Ok(container) => Ok(Ok(self.table.push(ContainerHandle(container))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
    async fn find(&mut self, name: String) -> Answer<Option<Resource<ContainerHandle>>> {
        let containers = self.containers()?;
        match containers.find(name).await {
            Ok(None) => Ok(Ok(None)),
            Ok(Some(container)) => Ok(Ok(Some(self.table.push(ContainerHandle(container))?))),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl HostContainerSpec for Guest {
    async fn new(&mut self, image: String) -> Result<Spec> {
        let spec = self.hold(ContainerSpec::default())?;
        self.fill(&spec, image.len(), |spec| spec.image = image)?;
        Ok(spec)
    }
    async fn command(&mut self, spec: Spec, argv: Vec<String>) -> Result<()> {
        self.fill(&spec, bytes(&argv), |spec| spec.command = Some(argv))
    }
    async fn entrypoint(&mut self, spec: Spec, argv: Vec<String>) -> Result<()> {
        self.fill(&spec, bytes(&argv), |spec| spec.entrypoint = Some(argv))
    }
    async fn env(&mut self, spec: Spec, name: String, value: String) -> Result<()> {
        self.fill(&spec, name.len() + value.len(), |spec| spec.env.push((name, value)))
    }
    async fn env_secret(&mut self, spec: Spec, name: String, value: Resource<SecretHandle>) -> Result<()> {
        let secret = self.table.get(&value)?.0.clone();
        self.fill(&spec, name.len(), |spec| spec.env_secret.push((name, secret)))
    }
    async fn workdir(&mut self, spec: Spec, path: String) -> Result<()> {
        self.fill(&spec, path.len(), |spec| spec.workdir = Some(path))
    }
    async fn workspace(&mut self, spec: Spec, path: String, read_only: bool) -> Result<()> {
        self.fill(&spec, path.len(), |spec| spec.workspace = Some((path, read_only)))
    }
    async fn volume(&mut self, spec: Spec, name: String, path: String, read_only: bool) -> Result<()> {
        let bytes = name.len() + path.len() + size_of::<VolumeMount>();
        let mount = VolumeMount { name, path, read_only };
        self.fill(&spec, bytes, |spec| spec.volumes.get_or_insert_default().push(mount))
    }
    async fn no_workspace(&mut self, spec: Spec) -> Result<()> {
        self.fill(&spec, 0, |spec| {
            spec.volumes.get_or_insert_default();
        })
    }
    async fn registry_auth(&mut self, spec: Spec, credentials: Resource<SecretHandle>) -> Result<()> {
        let secret = self.table.get(&credentials)?.0.clone();
        self.fill(&spec, 0, |spec| spec.registry_auth = Some(secret))
    }
    async fn pull(&mut self, spec: Spec, policy: PullPolicy) -> Result<()> {
        let policy = match policy {
            PullPolicy::IfNotPresent => capability::PullPolicy::IfNotPresent,
            PullPolicy::Always => capability::PullPolicy::Always,
            PullPolicy::Never => capability::PullPolicy::Never,
        };
        self.fill(&spec, 0, |spec| spec.pull = policy)
    }
    async fn memory_mib(&mut self, spec: Spec, mib: u32) -> Result<()> {
        self.fill(&spec, 0, |spec| spec.memory_mib = Some(mib))
    }
    async fn cpu_millis(&mut self, spec: Spec, millis: u32) -> Result<()> {
        self.fill(&spec, 0, |spec| spec.cpu_millis = Some(millis))
    }
    async fn pids(&mut self, spec: Spec, limit: u32) -> Result<()> {
        self.fill(&spec, 0, |spec| spec.pids = Some(limit))
    }
    async fn user(&mut self, spec: Spec, user: String) -> Result<()> {
        self.fill(&spec, user.len(), |spec| spec.user = Some(user))
    }
    async fn network(&mut self, spec: Spec, enabled: bool) -> Result<()> {
        self.fill(&spec, 0, |spec| spec.network = enabled)
    }
    async fn read_only_root(&mut self, spec: Spec, enabled: bool) -> Result<()> {
        self.fill(&spec, 0, |spec| spec.read_only_root = enabled)
    }
    async fn timeout_ms(&mut self, spec: Spec, ms: u32) -> Result<()> {
        self.fill(&spec, 0, |spec| spec.timeout_ms = Some(ms))
    }
    async fn detach(&mut self, spec: Spec, name: String) -> Result<()> {
        self.fill(&spec, name.len(), |spec| spec.detach = Some(name))
    }
    async fn publish(&mut self, spec: Spec, container_port: u16) -> Result<()> {
        self.fill(&spec, 0, |spec| spec.publish.push(container_port))
    }
    async fn drop(&mut self, spec: Spec) -> Result<()> {
        self.release(spec).map(drop)
    }
}

impl HostContainer for Guest {
    async fn wait(&mut self, container: Resource<ContainerHandle>) -> Answer<Exit> {
        let container = self.table.get(&container)?.0.clone();
        Ok(container.wait().await.map(Exit::from).map_err(Error::from))
    }
    async fn captured(&mut self, container: Resource<ContainerHandle>, output: Output) -> Result<String> {
        let container = self.table.get(&container)?.0.clone();
        let output = match output {
            Output::Stdout => capability::Output::Stdout,
            Output::Stderr => capability::Output::Stderr,
        };
        Ok(container.captured(output).await)
    }
    async fn exec(&mut self, container: Resource<ContainerHandle>, argv: Vec<String>) -> Answer<Exit> {
        let container = self.table.get(&container)?.0.clone();
        Ok(container.exec(argv).await.map(Exit::from).map_err(Error::from))
    }
    async fn save(
        &mut self,
        container: Resource<ContainerHandle>,
        path: String,
        key: String,
    ) -> Answer<Resource<ArtifactHandle>> {
        let container = self.table.get(&container)?.0.clone();
        match container.save(path, key).await {
            Ok(artifact) => Ok(Ok(self.table.push(ArtifactHandle(artifact))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
    async fn load(
        &mut self,
        container: Resource<ContainerHandle>,
        artifact: Resource<ArtifactHandle>,
        path: String,
    ) -> Answer<()> {
        let container = self.table.get(&container)?.0.clone();
        let artifact = self.table.get(&artifact)?.0.clone();
        Ok(container.load(artifact, path).await.map_err(Error::from))
    }
    async fn stop(&mut self, container: Resource<ContainerHandle>, grace_ms: u32) -> Answer<()> {
        let container = self.table.get(&container)?.0.clone();
        Ok(container.stop(grace_ms).await.map_err(Error::from))
    }
    async fn wait_for(&mut self, container: Resource<ContainerHandle>, ms: u32) -> Answer<Option<Exit>> {
        let container = self.table.get(&container)?.0.clone();
        Ok(container.wait_for(ms).await.map(|exit| exit.map(Exit::from)).map_err(Error::from))
    }
    async fn state(&mut self, container: Resource<ContainerHandle>) -> Answer<String> {
        let container = self.table.get(&container)?.0.clone();
        Ok(container.state().await.map_err(Error::from))
    }
    async fn start_again(&mut self, container: Resource<ContainerHandle>) -> Answer<()> {
        let container = self.table.get(&container)?.0.clone();
        Ok(container.start_again().await.map_err(Error::from))
    }
    async fn remove(&mut self, container: Resource<ContainerHandle>) -> Answer<()> {
        let container = self.table.get(&container)?.0.clone();
        Ok(container.remove().await.map_err(Error::from))
    }
    async fn drop(&mut self, container: Resource<ContainerHandle>) -> Result<()> {
        self.table.delete(container)?;
        Ok(())
    }
}
