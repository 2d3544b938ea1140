//! `state`.

use crate::{
    bindings::windlass::plugin::state::{Host, StateError as Error},
    guest::Guest,
};
use wasmtime::Result;
use windlass_contract::capability;

type Answer<T> = Result<std::result::Result<T, Error>>;

impl From<capability::StateError> for Error {
    fn from(error: capability::StateError) -> Self {
        use capability::StateError as E;
        match error {
            E::TooLarge(words) => Error::TooLarge(words),
            E::Conflict => Error::Conflict,
            E::Unavailable(words) => Error::Unavailable(words),
            E::Other(words) => Error::Other(words),
        }
    }
}

impl Host for Guest {
    async fn get(&mut self, key: String) -> Answer<Option<Vec<u8>>> {
        Ok(Guest::state(self)?.get(key).await.map_err(Error::from))
    }
    async fn set(&mut self, key: String, value: Vec<u8>) -> Answer<()> {
        Ok(Guest::state(self)?.set(key, value).await.map_err(Error::from))
    }
    async fn compare_and_set(&mut self, key: String, expected: Option<Vec<u8>>, value: Vec<u8>) -> Answer<()> {
        Ok(Guest::state(self)?.compare_and_set(key, expected, value).await.map_err(Error::from))
    }
    async fn delete(&mut self, key: String) -> Answer<()> {
        Ok(Guest::state(self)?.delete(key).await.map_err(Error::from))
    }
    async fn keys(&mut self, prefix: String) -> Answer<Vec<String>> {
        Ok(Guest::state(self)?.keys(prefix).await.map_err(Error::from))
    }
}
