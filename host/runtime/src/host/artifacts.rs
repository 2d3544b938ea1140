//! `artifacts`.

use super::{bounded, chunk};
use crate::{
    bindings::windlass::plugin::artifacts::{ArtifactError as Error, Host, HostArtifact, HostReader, HostWriter},
    guest::{ArtifactHandle, Guest, ReaderHandle, WriterHandle},
    limits,
};
use std::sync::Arc;
use wasmtime::{Result, component::Resource};
use windlass_contract::capability;

type Answer<T> = Result<std::result::Result<T, Error>>;

impl From<capability::ArtifactError> for Error {
    fn from(error: capability::ArtifactError) -> Self {
        use capability::ArtifactError as E;
        match error {
            E::NotGranted(words) => Error::NotGranted(words),
            E::NotFound(words) => Error::NotFound(words),
            E::Invalid(words) => Error::Invalid(words),
            E::TooLarge(words) => Error::TooLarge(words),
            E::Unavailable(words) => Error::Unavailable(words),
            E::Other(words) => Error::Other(words),
        }
    }
}

impl Guest {
    fn artifact(
        &mut self,
        answer: std::result::Result<Arc<dyn capability::Artifact>, capability::ArtifactError>,
    ) -> Answer<Resource<ArtifactHandle>> {
        match answer {
            Ok(artifact) => Ok(Ok(self.table.push(ArtifactHandle(artifact))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl Host for Guest {
    async fn get(&mut self, key: String) -> Answer<Resource<ArtifactHandle>> {
        let answer = self.artifacts()?.get(key).await;
        self.artifact(answer)
    }
    async fn get_from(&mut self, run: String, key: String) -> Answer<Resource<ArtifactHandle>> {
        let answer = self.artifacts()?.get_from(run, key).await;
        self.artifact(answer)
    }
    async fn keys(&mut self) -> Answer<Vec<String>> {
        Ok(self.artifacts()?.keys().await.map_err(Error::from))
    }
    async fn create(&mut self, key: String) -> Answer<Resource<WriterHandle>> {
        match self.artifacts()?.create(key).await {
            Ok(writer) => Ok(Ok(self.table.push(WriterHandle(Some(writer)))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
    async fn from_workspace(&mut self, path: String, key: String) -> Answer<Resource<ArtifactHandle>> {
        let answer = self.artifacts()?.from_workspace(path, key).await;
        self.artifact(answer)
    }
    async fn to_workspace(&mut self, artifact: Resource<ArtifactHandle>, path: String) -> Answer<()> {
        let artifact = self.table.get(&artifact)?.0.clone();
        Ok(self.artifacts()?.to_workspace(artifact, path).await.map_err(Error::from))
    }
}

impl HostArtifact for Guest {
    async fn key(&mut self, artifact: Resource<ArtifactHandle>) -> Result<String> {
        Ok(self.table.get(&artifact)?.0.key().to_string())
    }
    async fn digest(&mut self, artifact: Resource<ArtifactHandle>) -> Result<String> {
        Ok(self.table.get(&artifact)?.0.digest().to_string())
    }
    async fn size(&mut self, artifact: Resource<ArtifactHandle>) -> Result<u64> {
        Ok(self.table.get(&artifact)?.0.size())
    }
    async fn media_type(&mut self, artifact: Resource<ArtifactHandle>) -> Result<String> {
        Ok(self.table.get(&artifact)?.0.media_type().to_owned())
    }
    async fn open(&mut self, artifact: Resource<ArtifactHandle>) -> Answer<Resource<ReaderHandle>> {
        let artifact = self.table.get(&artifact)?.0.clone();
        match artifact.open().await {
            Ok(reader) => Ok(Ok(self.table.push(ReaderHandle(reader))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
    async fn drop(&mut self, artifact: Resource<ArtifactHandle>) -> Result<()> {
        self.table.delete(artifact)?;
        Ok(())
    }
}

impl HostReader for Guest {
    async fn read(&mut self, reader: Resource<ReaderHandle>, max: u32) -> Answer<Vec<u8>> {
        let max = chunk(max);
        let answer = self.table.get_mut(&reader)?.0.read(max).await;
        Ok(answer.map(|bytes| bounded(bytes, max)).map_err(Error::from))
    }
    async fn drop(&mut self, reader: Resource<ReaderHandle>) -> Result<()> {
        self.table.delete(reader)?;
        Ok(())
    }
}

impl HostWriter for Guest {
    async fn write(&mut self, writer: Resource<WriterHandle>, bytes: Vec<u8>) -> Answer<()> {
        if bytes.len() > limits::CHUNK_BYTES {
            return Ok(Err(Error::TooLarge(format!(
                "at most {} by one call of `write`",
                limits::size(limits::CHUNK_BYTES as u64)
            ))));
        }
        match &mut self.table.get_mut(&writer)?.0 {
            Some(writer) => Ok(writer.write(bytes.into()).await.map_err(Error::from)),
            None => Ok(Err(Error::Invalid("the artifact is finished; nothing can be added".into()))),
        }
    }
    async fn finish(&mut self, writer: Resource<WriterHandle>) -> Answer<Resource<ArtifactHandle>> {
        match self.table.get_mut(&writer)?.0.take() {
            Some(writer) => {
                let answer = writer.finish().await;
                self.artifact(answer)
            }
            None => Ok(Err(Error::Invalid("the artifact is finished already".into()))),
        }
    }
    async fn drop(&mut self, writer: Resource<WriterHandle>) -> Result<()> {
        self.table.delete(writer)?;
        Ok(())
    }
}
