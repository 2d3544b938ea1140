//! Trusted publishing: a workload of a CI system publishes without a secret that somebody keeps.
//!
//! The system signs a token that says what the workload is (OpenID Connect). The operator lists the issuers that are
//! believed; a namespace's owners say which of an issuer's workloads may publish to it. Who brings such a token gets one of
//! the registry's for that namespace, for a quarter of an hour.
//!
//! **Invariants.** A token is exchanged once (`jti`), for us (`aud`), from an issuer on the list (`iss`, compared as it is
//! written), and signed by a public key that the issuer publishes, in an algorithm with two keys. What runs with the rights of a
//! repository for the changes of a stranger (`pull_request_target`, `workflow_run`) is refused.
//!
//! **Not here.** Which claims an issuer has: they are compared as text, and the owner names them.

use crate::database::TrustedPublisher;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    dangerous::insecure_decode,
    decode, decode_header,
    jwk::{Jwk, JwkSet},
};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Duration, Instant},
};
use tokio::sync::Mutex;
use url::Url;
use windlass_contract::{Code, CodedError};

/// How long the registry's token lives, in minutes: a build that is done publishes in one.
pub const TOKEN_LIFE: jiff::SignedDuration = jiff::SignedDuration::from_mins(15);
/// How far the clocks of an issuer and of the registry may be apart, in seconds.
pub const CLOCK_LEEWAY: u64 = 60;
/// Longest life of an issuer's token that is left, in seconds: a day. For so long it must be remembered that it was used.
pub const MAX_TOKEN_AGE: u64 = 24 * 3600;
/// Longest token of an issuer, in bytes.
pub const MAX_TOKEN: usize = 16 * 1024;
/// Largest document of an issuer, in bytes: a few hundred keys.
pub const MAX_JWKS: usize = 1024 * 1024;
/// How long an issuer may take, in seconds.
const ISSUER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an issuer's keys are used before they are asked for again, in seconds: an hour.
const KEYS_LIFE: Duration = Duration::from_secs(3600);
/// How often they are asked for at most, in seconds, whoever brings a key that nobody knows.
const KEYS_REST: Duration = Duration::from_secs(60);
/// Algorithms whose keys can be published. A list, and not what a token says.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
/// Events in which a stranger's change runs with a repository's own rights.
const STRANGERS_EVENTS: [&str; 2] = ["pull_request_target", "workflow_run"];

/// Most claims that a trusted publisher is known by.
pub const MAX_CLAIMS: usize = 16;
/// Longest name or value of such a claim, in bytes.
pub const MAX_CLAIM: usize = 500;

/// An address of an issuer: https, or this machine's own, without a query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerUrl(String);

impl IssuerUrl {
    /// As it is written, which is what tokens say.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for IssuerUrl {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match Url::parse(&text) {
            Ok(url) if is_safe(&url) && url.query().is_none() && url.fragment().is_none() => Ok(IssuerUrl(text)),
            _ => Err(serde::de::Error::custom(format!("{text:?} is not the https address of an issuer"))),
        }
    }
}

/// Whether what is fetched from there is what its owner wrote.
fn is_safe(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    };
    url.username().is_empty()
        && url.password().is_none()
        && (url.scheme() == "https" || url.scheme() == "http" && is_local)
}

/// Somebody who can vouch for publishers.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Issuer {
    /// As its tokens name it.
    pub url: IssuerUrl,
    /// What its tokens must be made for: this registry.
    #[serde(deserialize_with = "audience")]
    pub audience: String,
    /// Its keys in a file, where they cannot be fetched.
    #[serde(default)]
    pub jwks: Option<PathBuf>,
}

fn audience<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text.trim().is_empty() { Err(serde::de::Error::custom("an audience is not empty")) } else { Ok(text) }
}

/// Why a token was not exchanged. Codes WL094x.
#[derive(Debug, thiserror::Error)]
pub enum Distrusted {
    /// The issuer is not on the list.
    #[error("the token's issuer {0:?} is not one that this registry believes")]
    Issuer(String),
    /// The token is not sound.
    #[error("the token cannot be believed: {0}")]
    Token(String),
    /// It is sound, and its workload may not publish there.
    #[error("the token is sound, and no trusted publisher of {0} is known by its claims")]
    NotTrusted(String),
    /// It was exchanged before.
    #[error("the token was exchanged already")]
    Replayed,
    /// The issuer does not say its keys.
    #[error("the keys of {issuer} cannot be had: {why}")]
    Keys {
        /// Which issuer.
        issuer: String,
        /// Why not.
        why: String,
    },
}

impl CodedError for Distrusted {
    fn code(&self) -> Code {
        Code(match self {
            Distrusted::Issuer(_) => 940,
            Distrusted::Token(_) => 941,
            Distrusted::NotTrusted(_) => 942,
            Distrusted::Replayed => 943,
            Distrusted::Keys { .. } => 944,
        })
    }
    fn help(&self) -> Option<String> {
        Some(
            match self {
                Distrusted::Issuer(_) => "ask the registry's operator to list it under `issuers`",
                Distrusted::Token(_) => "ask the CI system for a new token, made for this registry's audience",
                Distrusted::NotTrusted(_) => "an owner adds it: POST /api/v1/namespaces/<namespace>/trusted-publishers",
                Distrusted::Replayed => "ask the CI system for a new token: each is exchanged once",
                Distrusted::Keys { .. } => "try again later; the registry's log says more",
            }
            .to_owned(),
        )
    }
}

/// A token that is believed.
#[derive(Debug)]
pub(crate) struct Vouched {
    pub(crate) issuer: String,
    pub(crate) subject: String,
    pub(crate) jti: String,
    /// Until when it must be remembered, in seconds since 1970.
    pub(crate) until: i64,
    claims: Map<String, Value>,
}

impl Vouched {
    /// Whether these are the claims of a trusted publisher: each is there, as that text.
    pub(crate) fn is(&self, publisher: &TrustedPublisher) -> bool {
        let said = |claim: &str| match self.claims.get(claim)? {
            Value::String(text) => Some(text.clone()),
            Value::Bool(value) => Some(value.to_string()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        publisher.issuer == self.issuer
            && !publisher.claims.is_empty()
            && publisher.claims.iter().all(|(claim, value)| said(claim).as_ref() == Some(value))
    }
}

/// What owners may say of a trusted publisher.
///
/// # Errors
/// In words: which claims there must be and how long they may be.
pub(crate) fn check_claims(claims: &BTreeMap<String, String>) -> Result<(), String> {
    // Time and place of the token itself say nothing of the workload.
    const OF_THE_TOKEN: [&str; 7] = ["iss", "aud", "exp", "nbf", "iat", "jti", "event_name"];
    let telling = claims.keys().filter(|claim| !OF_THE_TOKEN.contains(&claim.as_str())).count();
    if telling == 0 || claims.len() > MAX_CLAIMS {
        return Err(format!("name 1 to {MAX_CLAIMS} claims that tell a workload from others, such as repository"));
    }
    match claims.iter().find(|(claim, value)| claim.is_empty() || claim.len().max(value.len()) > MAX_CLAIM) {
        Some(_) => Err(format!("a claim's name and value have at most {MAX_CLAIM} bytes")),
        None => Ok(()),
    }
}

/// What the library found, in words for whoever sent the token.
fn unsound(error: &jsonwebtoken::errors::Error) -> Distrusted {
    use jsonwebtoken::errors::ErrorKind;
    Distrusted::Token(match error.kind() {
        ErrorKind::InvalidToken | ErrorKind::Json(_) | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => {
            "it is not a signed JSON Web Token".to_owned()
        }
        ErrorKind::InvalidAudience => "it was made for another audience".to_owned(),
        ErrorKind::ExpiredSignature => "its time is over".to_owned(),
        ErrorKind::ImmatureSignature => "its time has not come".to_owned(),
        ErrorKind::InvalidSignature => "its signature does not hold".to_owned(),
        ErrorKind::MissingRequiredClaim(claim) => format!("it has no claim {claim}"),
        other => format!("{other:?}"),
    })
}

struct Keys {
    set: JwkSet,
    fetched: Instant,
}

/// What is known of an issuer's keys, and when it was last asked.
#[derive(Default)]
struct Asked {
    keys: Option<Keys>,
    at: Option<Instant>,
}

struct Listed {
    issuer: Issuer,
    /// One asks at a time: the others wait, and find what it brought.
    asked: Mutex<Asked>,
}

/// The issuers that are believed, with their keys.
pub(crate) struct Issuers {
    all: Vec<Listed>,
    http: reqwest::Client,
}

impl Issuers {
    pub(crate) fn new(issuers: Vec<Issuer>) -> Result<Self, reqwest::Error> {
        // Fails when a provider is there already, which is what is wanted.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .timeout(ISSUER_TIMEOUT)
            // What an issuer's name leads to is the issuer; where it would send us is not.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("registry-server/", env!("CARGO_PKG_VERSION")))
            .build()?;
        let all = issuers.into_iter().map(|issuer| Listed { issuer, asked: Mutex::default() }).collect();
        Ok(Issuers { all, http })
    }

    /// Whether an issuer is on the list.
    pub(crate) fn knows(&self, url: &str) -> bool {
        self.all.iter().any(|listed| listed.issuer.url.as_str() == url)
    }

    /// Verifies a token.
    pub(crate) async fn verify(&self, token: &str) -> Result<Vouched, Distrusted> {
        let bad = |why: &str| Distrusted::Token(why.to_owned());
        if token.len() > MAX_TOKEN {
            return Err(Distrusted::Token(format!("it has more than {MAX_TOKEN} bytes")));
        }
        let header = decode_header(token).map_err(|error| unsound(&error))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(Distrusted::Token(format!("its algorithm {:?} is not RS256, ES256 or EdDSA", header.alg)));
        }
        let kid = header.kid.ok_or_else(|| bad("it does not name its key"))?;
        // Looked at before it is verified, only to know by whose keys.
        let claims: Map<String, Value> = insecure_decode(token).map_err(|error| unsound(&error))?.claims;
        let said = claims.get("iss").and_then(Value::as_str).unwrap_or_default();
        let known = self.all.iter().find(|listed| listed.issuer.url.as_str() == said);
        let listed = known.ok_or_else(|| Distrusted::Issuer(said.chars().take(200).collect()))?;
        let issuer = &listed.issuer;
        let key = self.key(listed, &kid).await?;
        if key.common.key_algorithm.is_some_and(|algorithm| algorithm.to_string() != format!("{:?}", header.alg)) {
            return Err(bad("its key is for another algorithm"));
        }
        let key = DecodingKey::from_jwk(&key).map_err(|error| unsound(&error))?;
        let mut rules = Validation::new(header.alg);
        rules.leeway = CLOCK_LEEWAY;
        rules.validate_nbf = true;
        rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
        rules.set_audience(&[&issuer.audience]);
        rules.set_issuer(&[issuer.url.as_str()]);
        let claims: Map<String, Value> = decode(token, &key, &rules).map_err(|error| unsound(&error))?.claims;
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str).filter(|text| !text.is_empty());
        if let Some(event) = text("event_name").filter(|event| STRANGERS_EVENTS.contains(event)) {
            return Err(Distrusted::Token(format!("it is of the event {event}, in which strangers' changes run")));
        }
        let jti = text("jti").filter(|jti| jti.len() <= MAX_CLAIM).ok_or_else(|| bad("it has no jti of its own"))?;
        let expires = claims.get("exp").and_then(Value::as_u64).unwrap_or_default();
        if expires > jsonwebtoken::get_current_timestamp() + MAX_TOKEN_AGE {
            return Err(Distrusted::Token(format!("it lives for more than {MAX_TOKEN_AGE} seconds")));
        }
        Ok(Vouched {
            issuer: issuer.url.as_str().to_owned(),
            subject: text("sub").unwrap_or_default().chars().take(MAX_CLAIM).collect(),
            jti: jti.to_owned(),
            until: i64::try_from(expires + CLOCK_LEEWAY).unwrap_or(i64::MAX),
            claims,
        })
    }

    /// A key of an issuer. Who asks for one that is not known makes us ask the issuer, but not often.
    async fn key(&self, listed: &Listed, kid: &str) -> Result<Jwk, Distrusted> {
        let issuer = &listed.issuer;
        let mut asked = listed.asked.lock().await;
        let is_old = asked.keys.as_ref().is_none_or(|keys| keys.fetched.elapsed() > KEYS_LIFE);
        let is_known = asked.keys.as_ref().is_some_and(|keys| keys.set.find(kid).is_some());
        if (is_old || !is_known) && asked.at.is_none_or(|at| at.elapsed() > KEYS_REST) {
            asked.at = Some(Instant::now());
            match self.fetch(issuer).await {
                Ok(set) => asked.keys = Some(Keys { set, fetched: Instant::now() }),
                // Those that are known hold until there are others.
                Err(why) if asked.keys.is_some() => {
                    tracing::warn!(issuer = issuer.url.as_str(), %why, "its keys cannot be renewed");
                }
                Err(why) => {
                    tracing::warn!(issuer = issuer.url.as_str(), %why, "its keys cannot be had");
                    return Err(Distrusted::Keys { issuer: issuer.url.as_str().to_owned(), why });
                }
            }
        }
        let Some(keys) = asked.keys.as_ref() else {
            let why = "it did not say them a moment ago".to_owned();
            return Err(Distrusted::Keys { issuer: issuer.url.as_str().to_owned(), why });
        };
        keys.set.find(kid).cloned().ok_or_else(|| Distrusted::Token("its issuer has no such key".to_owned()))
    }

    async fn fetch(&self, issuer: &Issuer) -> Result<JwkSet, String> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: Url,
        }
        let body = match &issuer.jwks {
            Some(path) => tokio::fs::read(path).await.map_err(|error| format!("{}: {error}", path.display()))?,
            None => {
                let place = format!("{}/.well-known/openid-configuration", issuer.url.as_str().trim_end_matches('/'));
                let place = Url::parse(&place).map_err(|error| error.to_string())?;
                let discovery: Discovery =
                    serde_json::from_slice(&self.get(place).await?).map_err(|error| error.to_string())?;
                if discovery.issuer != issuer.url.as_str() {
                    return Err("its configuration is of another issuer".to_owned());
                }
                self.get(discovery.jwks_uri).await?
            }
        };
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }

    async fn get(&self, url: Url) -> Result<Vec<u8>, String> {
        if !is_safe(&url) {
            return Err(format!("{url} is not an https address"));
        }
        let mut answer = self.http.get(url).send().await.map_err(|error| error.to_string())?;
        if answer.status() != reqwest::StatusCode::OK {
            return Err(format!("it answered {}", answer.status()));
        }
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + chunk.len() > MAX_JWKS {
                return Err(format!("it is longer than {MAX_JWKS} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_that_tell_nothing() {
        let check = |claims: &[(&str, &str)], expect: bool| {
            let claims = claims.iter().map(|(claim, value)| ((*claim).to_owned(), (*value).to_owned())).collect();
            assert_eq!(check_claims(&claims).is_ok(), expect, "{claims:?}");
        };
        let long = "x".repeat(MAX_CLAIM + 1);
        check(&[("repository", "acme/slack")], true);
        check(&[("repository", "acme/slack"), ("event_name", "push")], true);
        check(&[], false);
        check(&[("iss", "https://ci.example.com")], false);
        check(&[("event_name", "push")], false);
        check(&[("repository", &long)], false);
        let many: Vec<String> = (0..=MAX_CLAIMS).map(|n| format!("claim-{n}")).collect();
        check(&many.iter().map(|claim| (claim.as_str(), "x")).collect::<Vec<_>>(), false);
    }
}
