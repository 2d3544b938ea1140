//! `http`.

use super::{bounded, chunk};
use crate::{
    bindings::windlass::plugin::http::{Host, HostRequest, HostResponse, HttpError as Error},
    guest::{Guest, Held, ResponseHandle, SecretHandle},
};
use wasmtime::{Result, component::Resource};
use windlass_contract::capability::{self, HttpRequest};

type Request = Resource<Held<HttpRequest>>;
type Answer<T> = Result<std::result::Result<T, Error>>;

impl From<capability::HttpError> for Error {
    fn from(error: capability::HttpError) -> Self {
        use capability::HttpError as E;
        match error {
            E::NotGranted(words) => Error::NotGranted(words),
            E::Denied(words) => Error::Denied(words),
            E::Invalid(words) => Error::Invalid(words),
            E::Unreachable(words) => Error::Unreachable(words),
            E::TimedOut(words) => Error::TimedOut(words),
            E::TooLarge(words) => Error::TooLarge(words),
            E::Other(words) => Error::Other(words),
        }
    }
}

impl Host for Guest {
    async fn send(&mut self, request: Request) -> Answer<Resource<ResponseHandle>> {
        let http = self.http()?;
        let request = self.release(request)?;
        match http.send(request).await {
            Ok(response) => Ok(Ok(self.table.push(ResponseHandle(response))?)),
            Err(error) => Ok(Err(error.into())),
        }
    }
}

impl HostRequest for Guest {
    async fn new(&mut self, method: String, url: String) -> Result<Request> {
        let handle = self.hold(HttpRequest::default())?;
        self.fill(&handle, method.len() + url.len(), |request| (request.method, request.url) = (method, url))?;
        Ok(handle)
    }
    async fn header(&mut self, request: Request, name: String, value: String) -> Result<()> {
        self.fill(&request, name.len() + value.len(), |request| request.headers.push((name, value)))
    }
    async fn secret_header(
        &mut self,
        request: Request,
        name: String,
        prefix: String,
        value: Resource<SecretHandle>,
    ) -> Result<()> {
        let secret = self.table.get(&value)?.0.clone();
        self.fill(&request, name.len() + prefix.len(), |request| request.secret_headers.push((name, prefix, secret)))
    }
    async fn body(&mut self, request: Request, bytes: Vec<u8>) -> Result<()> {
        self.fill(&request, bytes.len(), |request| request.body.extend_from_slice(&bytes))
    }
    async fn timeout_ms(&mut self, request: Request, ms: u32) -> Result<()> {
        self.fill(&request, 0, |request| request.timeout_ms = Some(ms))
    }
    async fn drop(&mut self, request: Request) -> Result<()> {
        self.release(request).map(drop)
    }
}

impl HostResponse for Guest {
    async fn status(&mut self, response: Resource<ResponseHandle>) -> Result<u16> {
        Ok(self.table.get(&response)?.0.status())
    }
    async fn headers(&mut self, response: Resource<ResponseHandle>) -> Result<Vec<(String, String)>> {
        Ok(self.table.get(&response)?.0.headers())
    }
    async fn read(&mut self, response: Resource<ResponseHandle>, max: u32) -> Answer<Vec<u8>> {
        let max = chunk(max);
        let answer = self.table.get_mut(&response)?.0.read(max).await;
        Ok(answer.map(|bytes| bounded(bytes, max)).map_err(Error::from))
    }
    async fn drop(&mut self, response: Resource<ResponseHandle>) -> Result<()> {
        self.table.delete(response)?;
        Ok(())
    }
}
