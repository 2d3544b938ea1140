//! `secrets` and `secrets-reveal`.

use crate::{
    bindings::windlass::plugin::{
        secrets::{Host, HostSecret, SecretError as Error},
        secrets_reveal,
    },
    guest::{Guest, SecretHandle},
};
use wasmtime::{Result, component::Resource};
use windlass_contract::capability;

type Answer<T> = Result<std::result::Result<T, Error>>;

impl From<capability::SecretError> for Error {
    fn from(error: capability::SecretError) -> Self {
        use capability::SecretError as E;
        match error {
            E::NotGranted(words) => Error::NotGranted(words),
            E::NotFound(words) => Error::NotFound(words),
            E::Unavailable(words) => Error::Unavailable(words),
            E::Invalid(words) => Error::Invalid(words),
            E::Other(words) => Error::Other(words),
        }
    }
}

impl Host for Guest {
    async fn get(&mut self, reference: String) -> Answer<Resource<SecretHandle>> {
        match self.secrets()?.get(reference).await {
            Ok(secret) => Ok(Ok(self.table.push(SecretHandle(secret))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl HostSecret for Guest {
    async fn placeholder(&mut self, secret: Resource<SecretHandle>) -> Result<String> {
        Ok(self.table.get(&secret)?.0.placeholder())
    }
    async fn hmac_sha256(&mut self, secret: Resource<SecretHandle>, data: Vec<u8>) -> Answer<Vec<u8>> {
        Ok(self.table.get(&secret)?.0.hmac_sha256(&data).map_err(Error::from))
    }
    async fn sign_rs256(&mut self, secret: Resource<SecretHandle>, data: Vec<u8>) -> Answer<Vec<u8>> {
        Ok(self.table.get(&secret)?.0.sign_rs256(&data).map_err(Error::from))
    }
    async fn drop(&mut self, secret: Resource<SecretHandle>) -> Result<()> {
        self.table.delete(secret)?;
        Ok(())
    }
}

impl secrets_reveal::Host for Guest {
    async fn reveal(&mut self, secret: Resource<SecretHandle>) -> Answer<Vec<u8>> {
        self.may_reveal()?;
        Ok(Ok(self.table.get(&secret)?.0.value().expose().to_vec()))
    }
}
