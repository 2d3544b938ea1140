//! HTTP for plugins: named hosts, checked addresses, secrets put in at the edge.
//!
//! The order of a request: parse the URL once and judge the parsed thing (scheme, no user, host and port against the
//! grant), judge method and headers, put secrets in where the host is one that they are bound to, resolve, check the
//! addresses, connect to exactly those. Redirects are handed back, never followed: a plugin that follows one asks anew, and
//! is judged anew. Proxies of the host's environment are not used. Bodies are passed on as they are sent, without
//! decompression, so that a small answer cannot become a large one.
//!
//! The answer is masked with the run's secrets, because a server may echo what it was sent; with `secrets-reveal` it is not.

mod egress;

pub use egress::EgressPolicy;

use crate::{
    log::{LogSink, system_line},
    secrets::{Book, Held, MaskStream, Masker, PLACEHOLDER_LEN, PLACEHOLDER_PREFIX},
};
use async_trait::async_trait;
use bytes::Bytes;
use egress::{CheckedResolver, Lookup, Refused, system_lookup};
use percent_encoding::percent_decode_str;
use reqwest::{
    Method,
    header::{HeaderMap, HeaderName, HeaderValue},
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use url::{Host, Url};
use windlass_contract::{
    capability::{Http, HttpError, HttpRequest, HttpResponse},
    permissions::HttpScope,
};

/// A body, asked or answered, has at most this many bytes (64 MiB): larger things are artifacts.
pub const MAX_BODY: usize = 64 << 20;

/// One step has at most this many requests open; more wait for their turn within their timeout.
pub const MAX_OPEN: usize = 16;

/// How long a request may take unless it says otherwise: longer than any API should, shorter than a person's patience.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a request may ask for at most; a step's own timeout is often shorter.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(600);

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A URL has at most this many bytes, as in most servers.
const MAX_URL: usize = 8 << 10;

/// A request has at most this many headers …
const MAX_HEADERS: usize = 100;

/// … of at most this many bytes together.
const MAX_HEADER_BYTES: usize = 64 << 10;

/// Headers that are the connection's business, or that would let a request be read in two ways.
const OWN_HEADERS: [&str; 13] = [
    "host",
    "connection",
    "keep-alive",
    "content-length",
    "transfer-encoding",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "http2-settings",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
];

/// The HTTP client of a host: one pool of connections, one policy.
#[derive(Clone)]
pub(crate) struct Client {
    inner: reqwest::Client,
    policy: Arc<EgressPolicy>,
}

impl Client {
    pub(crate) fn new(policy: EgressPolicy) -> Result<Self, reqwest::Error> {
        Client::with_lookup(policy, system_lookup())
    }

    fn with_lookup(policy: EgressPolicy, lookup: Lookup) -> Result<Self, reqwest::Error> {
        // The provider of the whole process; whoever came first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let policy = Arc::new(policy);
        let resolver = CheckedResolver { policy: policy.clone(), lookup };
        let inner = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .dns_resolver(Arc::new(resolver))
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Client { inner, policy })
    }
}

/// [`Http`] for one attempt of one step.
pub(crate) struct StepHttp {
    client: Client,
    scope: HttpScope,
    /// The hosts that the step's configuration names, as URL or bare.
    named: BTreeSet<String>,
    book: Arc<Book>,
    masker: Masker,
    reveal: bool,
    sink: Arc<dyn LogSink>,
    cancelled: CancellationToken,
    open: Arc<Semaphore>,
}

impl StepHttp {
    #[allow(clippy::too_many_arguments, reason = "called in one place, by names of the same type")]
    pub(crate) fn new(
        client: Client,
        scope: HttpScope,
        config: &BTreeSet<String>,
        book: Arc<Book>,
        masker: Masker,
        reveal: bool,
        sink: Arc<dyn LogSink>,
        cancelled: CancellationToken,
    ) -> Self {
        let named = config.iter().filter_map(|text| named_host(text)).collect();
        let open = Arc::new(Semaphore::new(MAX_OPEN));
        StepHttp { client, scope, named, book, masker, reveal, sink, cancelled, open }
    }

    fn denied(&self, words: String) -> HttpError {
        system_line(&*self.sink, &self.masker, &format!("http: refused: {words}"));
        HttpError::Denied(words)
    }

    /// Judges everything about a request but the address, and puts the secrets in.
    fn prepare(&self, request: HttpRequest) -> Result<reqwest::Request, HttpError> {
        let url = parse_url(&request.url)?;
        let host = host_with_port(&url);
        let method = parse_method(&request.method)?;
        if !self.scope.hosts.iter().any(|pattern| pattern.matches(&host, &['.'], &self.named)) {
            let words = format!("requests to {host} are not granted; grant `http: {{ hosts: [{host}] }}`");
            return Err(HttpError::NotGranted(words));
        }
        if !self.scope.methods.contains(method.as_str()) {
            let words = format!("{method} requests are not granted; grant `http: {{ methods: [{method}] }}`");
            return Err(HttpError::NotGranted(words));
        }
        self.check_literal(&url)?;
        self.check_url_for_secrets(&url)?;
        if request.body.len() > MAX_BODY {
            return Err(HttpError::TooLarge(format!("the request's body has more than {MAX_BODY} bytes")));
        }
        let mut headers = HeaderMap::new();
        let mut size = 0;
        let secret_headers = request.secret_headers.iter().map(|(name, prefix, secret)| {
            let held = self.book.by_placeholder(&secret.placeholder());
            held.map(|held| (name.clone(), [prefix.as_bytes(), held.bytes()].concat(), Some(held)))
                .ok_or_else(|| HttpError::Invalid(format!("the secret of header {name:?} is not of this step")))
        });
        let plain = request.headers.iter().map(|(name, value)| Ok((name.clone(), value.clone().into_bytes(), None)));
        for header in plain.chain(secret_headers) {
            let (name, value, secret): (String, Vec<u8>, Option<Arc<Held>>) = header?;
            let header = own_header_name(&name)?;
            let value = match secret {
                Some(held) => self.may_carry(&held, &url, &host).map(|()| value)?,
                None => self.fill(value, &url, &host)?,
            };
            size += name.len() + value.len();
            let mut value = HeaderValue::from_bytes(&value).map_err(|_| {
                HttpError::Invalid(format!(
                    "the value of header {name:?} holds a line break or another control character"
                ))
            })?;
            value.set_sensitive(true);
            headers.append(header, value);
        }
        if headers.len() > MAX_HEADERS || size > MAX_HEADER_BYTES {
            let words = format!("the request has more than {MAX_HEADERS} headers or {MAX_HEADER_BYTES} bytes of them");
            return Err(HttpError::TooLarge(words));
        }
        let body = self.fill(request.body, &url, &host)?;
        let mut built = reqwest::Request::new(method, url);
        *built.headers_mut() = headers;
        if !body.is_empty() {
            *built.body_mut() = Some(body.into());
        }
        Ok(built)
    }

    /// An address that stands in the URL itself is not resolved, so it is checked here.
    fn check_literal(&self, url: &Url) -> Result<(), HttpError> {
        let checked = match url.host() {
            Some(Host::Ipv4(address)) => self.client.policy.check(address.into()),
            Some(Host::Ipv6(address)) => self.client.policy.check(address.into()),
            _ => Ok(()),
        };
        checked.map_err(|refused| self.denied(refused.to_string()))
    }

    /// A URL ends up in the logs of every proxy and server on its way: no secret belongs there, whatever the host.
    fn check_url_for_secrets(&self, url: &Url) -> Result<(), HttpError> {
        let text = url.as_str();
        let decoded: Vec<u8> = percent_decode_str(text).collect();
        let has_placeholder = |bytes: &[u8]| placeholders(bytes).next().is_some();
        if has_placeholder(text.as_bytes()) || has_placeholder(&decoded) {
            return Err(
                self.denied("a secret's placeholder stands in the URL; send it in a header or the body".to_owned())
            );
        }
        if self.masker.finds(text.as_bytes()) || self.masker.finds(&decoded) {
            return Err(self.denied("a secret's value stands in the URL; send it in a header or the body".to_owned()));
        }
        Ok(())
    }

    /// Whether a secret may travel with a request to this host.
    fn may_carry(&self, held: &Held, url: &Url, host: &str) -> Result<(), HttpError> {
        let name = held.reference();
        if !held.bound_to(host) {
            return Err(self.denied(format!(
                "secret {name} is not bound to {host}; bind it with `windlass secret set {name} --host {host}`"
            )));
        }
        let opened = match url.host() {
            Some(Host::Ipv4(address)) => self.client.policy.is_opened(address.into()),
            Some(Host::Ipv6(address)) => self.client.policy.is_opened(address.into()),
            _ => false,
        };
        if url.scheme() != "https" && !opened {
            return Err(self.denied(format!("secret {name} would be sent to {host} without encryption; use https")));
        }
        Ok(())
    }

    /// Replaces the placeholders in a header or body by the values.
    fn fill(&self, bytes: Vec<u8>, url: &Url, host: &str) -> Result<Vec<u8>, HttpError> {
        let found: Vec<usize> = placeholders(&bytes).collect();
        if found.is_empty() {
            return Ok(bytes);
        }
        let mut filled = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for at in found {
            let placeholder = String::from_utf8_lossy(&bytes[at..at + PLACEHOLDER_LEN]);
            let Some(held) = self.book.by_placeholder(&placeholder) else {
                return Err(self.denied("a secret's placeholder of another call is in the request".to_owned()));
            };
            self.may_carry(&held, url, host)?;
            filled.extend_from_slice(&bytes[done..at]);
            filled.extend_from_slice(held.bytes());
            done = at + PLACEHOLDER_LEN;
        }
        filled.extend_from_slice(&bytes[done..]);
        Ok(filled)
    }

    fn failed(&self, error: &reqwest::Error, host: &str) -> HttpError {
        let mut source: Option<&dyn std::error::Error> = Some(error);
        let mut innermost = error.to_string();
        while let Some(cause) = source {
            if let Some(refused) = cause.downcast_ref::<Refused>() {
                return self.denied(format!("{host} leads to an address that is refused: {refused}"));
            }
            innermost = cause.to_string();
            source = cause.source();
        }
        let innermost = self.masker.mask(&innermost);
        match error {
            error if error.is_timeout() => HttpError::TimedOut(format!("{host} did not answer in time: {innermost}")),
            error if error.is_connect() => HttpError::Unreachable(format!("{host} cannot be reached: {innermost}")),
            error if error.is_builder() => HttpError::Invalid(innermost),
            _ => HttpError::Unreachable(format!("the connection to {host} failed: {innermost}")),
        }
    }
}

#[async_trait]
impl Http for StepHttp {
    async fn send(&self, request: HttpRequest) -> Result<Box<dyn HttpResponse>, HttpError> {
        let timeout =
            request.timeout_ms.map_or(DEFAULT_TIMEOUT, |ms| Duration::from_millis(ms.into())).min(MAX_TIMEOUT);
        let until = tokio::time::Instant::now() + timeout;
        let mut built = self.prepare(request)?;
        let host = host_with_port(built.url());
        let work = async {
            let Ok(Ok(permit)) = tokio::time::timeout_at(until, self.open.clone().acquire_owned()).await else {
                let words = format!("{MAX_OPEN} requests of this step are open; read or drop an answer first");
                return Err(HttpError::TimedOut(words));
            };
            *built.timeout_mut() = Some(until.saturating_duration_since(tokio::time::Instant::now()));
            let answer = self.client.inner.execute(built).await.map_err(|error| self.failed(&error, &host))?;
            let mask = (!self.reveal).then(|| self.masker.stream());
            Ok(Box::new(Answer::new(answer, mask, self.masker.clone(), host, permit)) as Box<dyn HttpResponse>)
        };
        tokio::select! {
            answer = work => answer,
            () = self.cancelled.cancelled() => Err(HttpError::Other("the step was asked to stop".to_owned())),
        }
    }
}

struct Answer {
    answer: reqwest::Response,
    host: String,
    mask: Option<MaskStream>,
    masker: Masker,
    /// Bytes that were received and not yet read.
    ready: Bytes,
    received: usize,
    ended: bool,
    _permit: OwnedSemaphorePermit,
}

impl Answer {
    fn new(
        answer: reqwest::Response,
        mask: Option<MaskStream>,
        masker: Masker,
        host: String,
        permit: OwnedSemaphorePermit,
    ) -> Self {
        Answer { answer, host, mask, masker, ready: Bytes::new(), received: 0, ended: false, _permit: permit }
    }
}

#[async_trait]
impl HttpResponse for Answer {
    fn status(&self) -> u16 {
        self.answer.status().as_u16()
    }

    fn headers(&self) -> Vec<(String, String)> {
        let text = |value: &HeaderValue| {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            if self.mask.is_some() { self.masker.mask(&text) } else { text }
        };
        self.answer.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
    }

    async fn read(&mut self, max: usize) -> Result<Bytes, HttpError> {
        while self.ready.is_empty() && !self.ended {
            let chunk = self.answer.chunk().await.map_err(|error| {
                let words = self.masker.mask(&format!("the answer of {} broke off: {error}", self.host));
                if error.is_timeout() { HttpError::TimedOut(words) } else { HttpError::Unreachable(words) }
            })?;
            self.ended = chunk.is_none();
            let chunk = chunk.unwrap_or_default();
            self.received += chunk.len();
            if self.received > MAX_BODY {
                return Err(HttpError::TooLarge(format!("the answer of {} has more than {MAX_BODY} bytes", self.host)));
            }
            self.ready = match &mut self.mask {
                None => chunk,
                Some(mask) => {
                    let mut out = Vec::with_capacity(chunk.len());
                    mask.push(&chunk, &mut out);
                    if self.ended {
                        mask.finish(&mut out);
                    }
                    out.into()
                }
            };
        }
        Ok(self.ready.split_to(max.min(self.ready.len())))
    }
}

fn parse_url(text: &str) -> Result<Url, HttpError> {
    let invalid = |why: &str| HttpError::Invalid(format!("the URL is not valid: {why}"));
    if text.len() > MAX_URL {
        return Err(invalid(&format!("it has more than {MAX_URL} bytes")));
    }
    // The parser drops line breaks and tabs silently; what is sent should be what was written.
    if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(invalid("it holds white space or control characters"));
    }
    let url = Url::parse(text).map_err(|error| invalid(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("its scheme is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() || text.contains('@') && userinfo_in(text) {
        return Err(invalid("it holds a user or a password; send an authorization header"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid("it has no host"));
    }
    Ok(url)
}

/// Whether there is an `@` before the path, even with nothing in front of it.
fn userinfo_in(text: &str) -> bool {
    let after = text.split_once("//").map_or(text, |(_, rest)| rest);
    after.split(['/', '?', '#', '\\']).next().is_some_and(|authority| authority.contains('@'))
}

/// The host of a URL, without the dot that may end it, with its port where that is not the scheme's.
fn host_with_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default().trim_end_matches('.');
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The host that a string of the configuration names: a URL, or a bare host with or without a port.
fn named_host(text: &str) -> Option<String> {
    if let Ok(url) = parse_url(text) {
        return Some(host_with_port(&url));
    }
    if text.contains(['/', '@', '?', '#']) {
        return None;
    }
    parse_url(&format!("https://{text}")).ok().map(|url| host_with_port(&url))
}

fn parse_method(text: &str) -> Result<Method, HttpError> {
    let invalid = || HttpError::Invalid(format!("{text:?} is not a method of a request; write GET, POST …"));
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_uppercase()) || text == "CONNECT" || text == "TRACE" {
        return Err(invalid());
    }
    text.parse().map_err(|_| invalid())
}

fn own_header_name(name: &str) -> Result<HeaderName, HttpError> {
    let header: HeaderName =
        name.parse().map_err(|_| HttpError::Invalid(format!("{name:?} is not the name of a header")))?;
    if OWN_HEADERS.contains(&header.as_str()) || header.as_str().starts_with("proxy-") {
        return Err(HttpError::Invalid(format!("header {name:?} is set by the host and cannot be given")));
    }
    Ok(header)
}

/// Where placeholders begin.
fn placeholders(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let prefix = PLACEHOLDER_PREFIX.as_bytes();
    let is_one = move |at: &usize| {
        let rest = &bytes[*at..*at + PLACEHOLDER_LEN];
        rest.starts_with(prefix) && rest[prefix.len()..].iter().all(u8::is_ascii_hexdigit)
    };
    (0..(bytes.len() + 1).saturating_sub(PLACEHOLDER_LEN)).filter(move |at| bytes[*at] == prefix[0]).filter(is_one)
}

#[cfg(test)]
mod tests;
