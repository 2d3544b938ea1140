//! HTTP as a client of registries needs it: bounded in every direction, tried again where that can help.
//!
//! **Tried again** are requests that change nothing, when no connection came about or the answer was 429, 502, 503 or 504:
//! [`ATTEMPTS`] times in all, later each time and with jitter, or when `Retry-After` says. Content that is not what it
//! should be is never asked for twice.
//!
//! **Where a request may end.** A redirect never goes from https to http, nor by http to another machine; credentials are
//! dropped at the first step to another origin (the HTTP library does that; a test of ours holds it to it). A proxy is
//! used as `HTTPS_PROXY` and `NO_PROXY` say, never for this machine.
//!
//! **Whom it believes.** The system's certificates, and those of `[http] ca-file`, `WINDLASS_CA_FILE` or `SSL_CERT_FILE`.

use crate::{
    Home, PackageError,
    failpoints::{AFTER_ANSWER, crash_point},
    home::{RegistryUrl, is_loopback},
    release::Refusals,
};
use backon::{ExponentialBuilder, Retryable};
use jiff::Timestamp;
use reqwest::{Client, RequestBuilder, Response, StatusCode, header};
use std::{
    fmt, fs,
    time::{Duration, Instant},
};

/// How often a request that changes nothing is made in all, when the registry is not to be had: over some two seconds,
/// which outlasts a restart behind a load balancer.
pub(crate) const ATTEMPTS: usize = 4;
/// How long to wait before the second attempt, in milliseconds; then twice as long each time, plus jitter.
const FIRST_WAIT: Duration = Duration::from_millis(200);
/// Longest `Retry-After` that is waited for, in seconds. Who is told to come back later than that is told so.
pub(crate) const MAX_RETRY_AFTER: Duration = Duration::from_secs(20);
/// How many redirects are followed: a registry and its content network need two.
pub(crate) const MAX_REDIRECTS: usize = 5;
/// Largest document other than an index, in bytes.
pub(crate) const MAX_DOCUMENT: u64 = 1024 * 1024;

/// How long the other side may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// For a connection: one that is there answers in less.
    pub(crate) connect: Duration,
    /// For a sign of life.
    pub(crate) silence: Duration,
    /// In all.
    pub(crate) total: Duration,
    /// When the speed of a body is first looked at, and …
    pub(crate) grace: Duration,
    /// … how many bytes a second must have come by then, and from then on.
    pub(crate) speed: u64,
}

impl Patience {
    /// Ten seconds for a connection, 30 for a sign of life, 260 in all (the largest component at 256 KiB a second); after
    /// 15 seconds a body that came at less than 4 KiB a second, which is no line but an attack on patience, is given up.
    pub(crate) const USUAL: Patience = Patience {
        connect: Duration::from_secs(10),
        silence: Duration::from_secs(30),
        total: Duration::from_secs(260),
        grace: Duration::from_secs(15),
        speed: 4 * 1024,
    };
    /// A registry thinks about a publication in silence: its gate compiles the component, which may take 300 seconds, and
    /// two wait for each other.
    pub(crate) const GATE: Patience =
        Patience { silence: Duration::from_secs(660), total: Duration::from_secs(660), ..Patience::USUAL };
}

/// Hears how far a download is.
pub trait Progress: Send + Sync {
    /// `done` of `total` bytes of `what` are here.
    fn fetched(&self, what: &str, done: u64, total: u64);
}

/// Nobody hears.
pub struct Silent;

impl Progress for Silent {
    fn fetched(&self, _what: &str, _done: u64, _total: u64) {}
}

/// A client for one registry, whose name stands in its errors.
pub(crate) struct Http {
    client: Client,
    registry: String,
    is_local: bool,
    patience: Patience,
}

/// Why a request is made again.
enum Again {
    Unreachable(reqwest::Error),
    Busy(Response),
}

impl Http {
    /// A client for what is at `url`.
    pub(crate) fn new(home: &Home, url: &RegistryUrl, patience: Patience) -> Result<Self, PackageError> {
        // Fails when a provider is there already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let registry = url.to_string();
        let mut builder = Client::builder()
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.connect)
            .read_timeout(patience.silence)
            .timeout(patience.total)
            .redirect(reqwest::redirect::Policy::custom(follow));
        if url.is_local() {
            // A proxy cannot reach this machine's loopback.
            builder = builder.no_proxy();
        }
        if let Some(path) = home.ca_file()? {
            let pem = fs::read(&path).map_err(|error| PackageError::io("read", &path, error))?;
            let unusable = |why: String| PackageError::io("use", &path, std::io::Error::other(why));
            let certificates =
                reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| unusable(error.to_string()))?;
            if certificates.is_empty() {
                return Err(unusable("it holds no certificate".to_owned()));
            }
            builder = builder.tls_certs_merge(certificates);
        }
        match builder.build() {
            Ok(client) => Ok(Http { client, registry, is_local: url.is_local(), patience }),
            Err(error) => Err(PackageError::Unreachable { registry, why: root_cause(&error) }),
        }
    }

    /// The name of the registry.
    pub(crate) fn registry(&self) -> &str {
        &self.registry
    }

    /// Sends a request that changes nothing; again where that can help.
    pub(crate) async fn ask(&self, make: impl Fn(&Client) -> RequestBuilder) -> Result<Response, PackageError> {
        let once = || async {
            match make(&self.client).send().await {
                Ok(response) if is_busy(response.status()) => Err(Again::Busy(response)),
                Ok(response) => {
                    crash_point(AFTER_ANSWER);
                    Ok(response)
                }
                Err(error) => Err(Again::Unreachable(error)),
            }
        };
        let waits = ExponentialBuilder::default().with_jitter().with_min_delay(FIRST_WAIT).with_max_times(ATTEMPTS - 1);
        let done = once
            .retry(waits)
            // A redirect that was refused, or a host that is none, stays so.
            .when(|again| match again {
                // Where nothing listens on this machine, nothing will in two seconds.
                Again::Unreachable(error) if self.is_local && error.is_connect() => false,
                Again::Unreachable(error) => error.is_connect() || error.is_timeout() || is_cut(error),
                Again::Busy(response) => retry_after(response).is_none_or(|wait| wait <= MAX_RETRY_AFTER),
            })
            .adjust(|again, wait| match again {
                Again::Busy(response) => wait.map(|wait| retry_after(response).unwrap_or(wait)),
                Again::Unreachable(_) => wait,
            })
            .await;
        match done {
            Ok(response) | Err(Again::Busy(response)) => Ok(response),
            Err(Again::Unreachable(error)) => Err(self.unreachable(&error)),
        }
    }

    /// Sends a request once.
    pub(crate) async fn tell(&self, make: impl FnOnce(&Client) -> RequestBuilder) -> Result<Response, PackageError> {
        let response = make(&self.client).send().await.map_err(|error| self.unreachable(&error))?;
        crash_point(AFTER_ANSWER);
        Ok(response)
    }

    pub(crate) fn unreachable(&self, error: &reqwest::Error) -> PackageError {
        PackageError::Unreachable { registry: self.registry.clone(), why: root_cause(error) }
    }

    pub(crate) fn bad(&self, what: &str, why: impl Into<String>) -> PackageError {
        PackageError::BadAnswer { registry: self.registry.clone(), what: what.to_owned(), why: why.into() }
    }

    /// The body of an answer, at most `limit` bytes of it whatever its headers say.
    pub(crate) async fn body(&self, response: Response, what: &str, limit: u64) -> Result<Vec<u8>, PackageError> {
        let mut body = Vec::new();
        self.body_into(&mut body, response, what, limit, &Silent).await?;
        Ok(body)
    }

    /// The same, after what is in `body` already; what came stays there when the connection breaks.
    pub(crate) async fn body_into(
        &self,
        body: &mut Vec<u8>,
        mut response: Response,
        what: &str,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<(), PackageError> {
        let (began, before) = (Instant::now(), body.len());
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if (body.len() + chunk.len()) as u64 > limit {
                return Err(self.bad(what, format!("it is longer than {limit} bytes")));
            }
            body.extend_from_slice(&chunk);
            progress.fetched(what, body.len() as u64, limit);
            let (took, came) = (began.elapsed(), (body.len() - before) as u64);
            if took > self.patience.grace && (came as f64) < self.patience.speed as f64 * took.as_secs_f64() {
                let speed = self.patience.speed;
                return Err(self.bad(what, format!("it came at less than {speed} bytes a second and was given up")));
            }
        }
        Ok(())
    }

    /// The error that an answer of an unexpected status is.
    pub(crate) async fn refused(&self, response: Response, request: String) -> PackageError {
        let status = response.status().as_u16();
        let wait = retry_after(&response).filter(|_| is_busy(response.status()));
        let body = self.body(response, &request, MAX_DOCUMENT).await.unwrap_or_default();
        let mut message = match serde_json::from_slice::<Refusals>(&body) {
            Ok(refusals) => refusals.errors.into_iter().map(|e| e.message).collect::<Vec<_>>().join("; "),
            Err(_) => String::from_utf8_lossy(&body).into_owned(),
        };
        if message.trim().is_empty() {
            message =
                StatusCode::from_u16(status).ok().and_then(|it| it.canonical_reason()).unwrap_or("no words").to_owned();
        }
        if let Some(wait) = wait {
            message = format!("{message} (it says to come back in {} s)", wait.as_secs());
        }
        PackageError::Answer { registry: self.registry.clone(), status, request, message: presentable(&message) }
    }
}

/// Whether a redirect is followed.
fn follow(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error(Refusal("it redirects too often"));
    }
    let was_secure = attempt.previous().last().is_some_and(|before| before.scheme() == "https");
    match attempt.url().scheme() {
        "https" => attempt.follow(),
        "http" if was_secure => attempt.error(Refusal("it redirects from https to http")),
        "http" if is_loopback(attempt.url()) => attempt.follow(),
        _ => attempt.error(Refusal("it redirects to an address that is neither https nor on this machine")),
    }
}

#[derive(Debug)]
struct Refusal(&'static str);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Refusal {}

fn is_busy(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 502 | 503 | 504)
}

/// Whether the connection came about and was closed before there was an answer: a server that restarts does that to the
/// connections that it had.
fn is_cut(error: &reqwest::Error) -> bool {
    error.is_request() && !error.is_redirect() && !error.is_builder()
}

/// What `Retry-After` says: seconds, or a date.
fn retry_after(response: &Response) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(Duration::try_from(date.duration_since(Timestamp::now())).unwrap_or_default())
}

/// The innermost cause, which is the one that says what happened.
fn root_cause(error: &reqwest::Error) -> String {
    let mut why = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(inner) = source {
        why = inner.to_string();
        source = inner.source();
    }
    why
}

/// Text from a registry as it may be shown: without control characters, at most 500 characters.
pub(crate) fn presentable(text: &str) -> String {
    let text: String = text.chars().map(|c| if crate::manifest::is_deceptive(c) { ' ' } else { c }).take(500).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    #[test]
    fn what_a_registry_says_is_shown_without_escapes() {
        assert_eq!(presentable("\u{1b}[31mred\u{202e}\n"), "[31mred");
        assert_eq!(presentable(&"x".repeat(1000)).len(), 500);
    }

    /// A server that answers everybody with this head, and then a byte at a time.
    async fn drip(head: &'static str, byte_every: Duration) -> RegistryUrl {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let _ = socket.read(&mut [0; 1024]).await;
                    let _ = socket.write_all(head.as_bytes()).await;
                    while socket.write_all(b"x").await.is_ok() {
                        tokio::time::sleep(byte_every).await;
                    }
                });
            }
        });
        url
    }

    async fn fetch(url: &RegistryUrl, patience: Patience, limit: u64) -> String {
        let folder = tempfile::tempdir().unwrap();
        let http = Http::new(&Home::new(folder.path().to_owned()), url, patience).unwrap();
        let answer = async {
            let response = http.ask(|client| client.get(url.join("/x"))).await?;
            http.body(response, "a thing", limit).await
        };
        match answer.await {
            Ok(body) => format!("{} bytes", body.len()),
            Err(error) => error.to_string().replace(&url.to_string(), "REGISTRY"),
        }
    }

    /// The limits are the usual ones but for how long they take to be reached.
    #[tokio::test]
    async fn a_line_that_drips_is_given_up() {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
        let url = drip(head, Duration::from_millis(5)).await;
        let impatient = Patience { grace: Duration::from_millis(200), ..Patience::USUAL };
        let words = fetch(&url, impatient, MAX_DOCUMENT).await;
        insta::assert_snapshot!(words, @"the registry REGISTRY sent something unusable for a thing: it came at less than 4096 bytes a second and was given up");
    }

    #[tokio::test]
    async fn a_body_that_is_longer_than_it_may_be_is_not_read() {
        let url = drip("HTTP/1.1 200 OK\r\n\r\n", Duration::ZERO).await;
        let words = fetch(&url, Patience::USUAL, 100).await;
        insta::assert_snapshot!(words, @"the registry REGISTRY sent something unusable for a thing: it is longer than 100 bytes");
    }

    #[test]
    fn certificates_that_are_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        std::fs::write(folder.path().join("config.toml"), "[http]\nca-file = \"ca.pem\"\n").unwrap();
        let home = Home::new(folder.path().to_owned());
        let url = "https://plugins.example".parse().unwrap();
        let check = |expect: &str| {
            let error = Http::new(&home, &url, Patience::USUAL).err().unwrap().to_string();
            assert!(error.starts_with(expect), "{error}");
        };
        check("cannot read");
        std::fs::write(&path, "not a certificate").unwrap();
        check("cannot use");
    }
}
