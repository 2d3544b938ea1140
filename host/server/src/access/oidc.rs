//! Signing in at an identity provider: OpenID Connect, authorization code with PKCE.
//!
//! **Invariants.**
//! - What comes back belongs to what this browser began: `state`, `nonce` and the verifier are in a cookie that only this process can make,
//!   for [`PENDING_MS`].
//! - A person is their subject at their issuer, for ever. Nobody is ever found by name or e-mail address.
//! - Their role is what the provider's claim says at each sign-in. Who has none is not admitted.
//! - After it, the browser goes to a path of this server, and nowhere else.
//! - An ID token is believed when the provider's published key has signed it, in an algorithm with two keys, for this client, in its time.
//!
//! The flow is `oauth2`'s and the token's verification `jsonwebtoken`'s, over our one HTTP client: no redirects, bounded in time and size.

use super::{
    Access, Role, people,
    session::{self, Begun},
};
use crate::{App, Problem, clock::now_ms, problem::Kind};
use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use chacha20poly1305::{
    KeyInit as _, XChaCha20Poly1305, XNonce,
    aead::{Aead as _, Payload},
};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, Scope,
    StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
    basic::{BasicErrorResponse, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse, BasicTokenType},
};
use rand::RngCore as _;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use url::{Host, Url};
use windlass_store::records::accounts::{Account, Admitted, Provided};

/// How long somebody may take at the provider, in milliseconds: ten minutes.
pub(crate) const PENDING_MS: u64 = 600_000;
/// How long a provider may take for each request, in seconds.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer of a provider, in bytes: 1 MiB, a few hundred keys.
pub(crate) const MAX_ANSWER: usize = 1024 * 1024;
/// How far the provider's clock and ours may be apart, in seconds.
const LEEWAY_S: u64 = 60;
/// The longest address to come back to, in bytes.
pub(crate) const MAX_RETURN: usize = 2048;
/// Algorithms whose keys can be published. A list, and not what a token says.
const ALGORITHMS: [Algorithm; 7] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];
/// How much of a provider's name for somebody is taken, in characters: so that a number fits behind it.
const NAME_CHARS: usize = people::MAX_NAME - 8;
const PLAIN: &str = "windlass_oidc";
const BOUND: &str = "__Host-windlass_oidc";

/// A provider's name in addresses: 1 to 32 lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct ProviderId(String);

impl TryFrom<String> for ProviderId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let fits = (1..=32).contains(&text.len())
            && text.bytes().all(|each| each.is_ascii_lowercase() || each.is_ascii_digit() || each == b'-');
        if fits { Ok(ProviderId(text)) } else { Err(format!("{text:?} is not 1 to 32 of a-z, 0-9 and -")) }
    }
}

/// `[oidc.ID]` in `server.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderConfig {
    /// What the button says.
    label: String,
    /// As its tokens name it.
    issuer: Issuer,
    /// This server's name there.
    client_id: String,
    /// The file with this server's secret there, in the home where it is relative; none for a public client.
    client_secret_file: Option<PathBuf>,
    #[serde(default = "scopes")]
    scopes: Vec<String>,
    /// The claim that says what somebody may: a text or a list; a dotted path where it lies deeper.
    role_claim: Option<String>,
    /// What its values mean here. Of several, the highest.
    #[serde(default)]
    roles: BTreeMap<String, Role>,
    /// For whom the claim says nothing; without it, they are not admitted.
    default_role: Option<Role>,
    /// If any: only who has a verified e-mail address in one of these.
    #[serde(default)]
    allowed_domains: Vec<String>,
}

fn scopes() -> Vec<String> {
    ["openid", "profile", "email"].map(str::to_owned).to_vec()
}

/// An issuer: https, or this machine's own.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "String")]
struct Issuer(String);

impl TryFrom<String> for Issuer {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match Url::parse(&text) {
            Ok(url) if is_safe(&url) && url.query().is_none() && url.fragment().is_none() => Ok(Issuer(text)),
            _ => Err(format!("{text:?} is not the https address of an issuer")),
        }
    }
}

/// Whether what is fetched from there is what its owner wrote.
fn is_safe(url: &Url) -> bool {
    let is_local = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    };
    url.username().is_empty()
        && url.password().is_none()
        && (url.scheme() == "https" || url.scheme() == "http" && is_local)
}

struct Provider {
    config: ProviderConfig,
    secret: Option<ClientSecret>,
}

/// The identity providers.
pub(crate) struct Providers {
    all: BTreeMap<String, Provider>,
    http: Option<reqwest::Client>,
    /// Seals what a sign-in that is under way has to remember. A new one for each process.
    cipher: XChaCha20Poly1305,
}

/// What a sign-in that is under way has to remember.
#[derive(Serialize, Deserialize)]
struct Pending {
    provider: String,
    state: String,
    nonce: String,
    verifier: String,
    return_to: String,
    until_ms: u64,
}

impl Pending {
    /// Whether it is what comes back from this provider with this state, in time.
    fn is_of(&self, provider: &str, state: Option<&str>, now_ms: u64) -> bool {
        self.provider == provider && now_ms < self.until_ms && state == Some(&self.state)
    }
}

/// What a provider says of itself.
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    authorization_endpoint: Url,
    token_endpoint: Url,
    jwks_uri: Url,
    userinfo_endpoint: Option<Url>,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct WithIdToken {
    id_token: String,
}

impl ExtraTokenFields for WithIdToken {}

type OidcClient = Client<
    BasicErrorResponse,
    StandardTokenResponse<WithIdToken, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

impl Providers {
    /// Reads what is not in the file itself.
    pub(crate) fn new(config: BTreeMap<ProviderId, ProviderConfig>, home: &Path) -> Result<Providers, Problem> {
        let http = match config.is_empty() {
            true => None,
            false => Some(
                reqwest::Client::builder()
                    .timeout(TIMEOUT)
                    // What an issuer's name leads to is the issuer; where it would send us is not.
                    .redirect(reqwest::redirect::Policy::none())
                    .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
                    .build()
                    .map_err(Problem::internal)?,
            ),
        };
        let mut all = BTreeMap::new();
        for (ProviderId(id), config) in config {
            let wrong = |words: String| Problem::new(Kind::Invalid, format!("server.toml, oidc.{id}: {words}"));
            if !config.scopes.iter().any(|scope| scope == "openid") {
                return Err(wrong("scopes must have openid".to_owned()));
            }
            if config.default_role.is_none() && (config.role_claim.is_none() || config.roles.is_empty()) {
                return Err(wrong(
                    "nobody would be admitted: it needs role_claim and roles, or default_role".to_owned(),
                ));
            }
            let secret = match &config.client_secret_file {
                Some(file) => {
                    let file = home.join(file);
                    let text = std::fs::read_to_string(&file)
                        .map_err(|error| wrong(format!("cannot read {}: {error}", file.display())))?;
                    Some(ClientSecret::new(text.trim().to_owned()))
                }
                None => None,
            };
            all.insert(id, Provider { config, secret });
        }
        let mut key = [0; 32];
        rand::thread_rng().fill_bytes(&mut key);
        Ok(Providers { all, http, cipher: XChaCha20Poly1305::new(&key.into()) })
    }

    /// The names and labels.
    pub(crate) fn list(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all.iter().map(|(id, provider)| (id.as_str(), provider.config.label.as_str()))
    }

    fn get(&self, id: &str) -> Result<(&Provider, &reqwest::Client), Problem> {
        let found = self.all.get(id).zip(self.http.as_ref());
        found.ok_or_else(|| Problem::not_found("such identity provider"))
    }

    fn seal(&self, pending: &Pending) -> String {
        let mut sealed = vec![0; 24];
        rand::thread_rng().fill_bytes(&mut sealed);
        // Texts and a number: cannot fail.
        let text = serde_json::to_vec(pending).unwrap_or_default();
        let payload = Payload { msg: &text, aad: PLAIN.as_bytes() };
        let closed = self.cipher.encrypt(XNonce::from_slice(&sealed), payload).unwrap_or_default();
        sealed.extend(closed);
        BASE64_URL_SAFE_NO_PAD.encode(sealed)
    }

    fn open(&self, sealed: &str) -> Option<Pending> {
        let sealed = BASE64_URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, closed) = sealed.split_at_checked(24)?;
        let payload = Payload { msg: closed, aad: PLAIN.as_bytes() };
        let text = self.cipher.decrypt(XNonce::from_slice(nonce), payload).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// Whether this is a path of this server: what a browser cannot take for an address elsewhere.
pub(crate) fn is_local(path: &str) -> bool {
    let plain = path.len() <= MAX_RETURN && path.bytes().all(|each| each.is_ascii_graphic() && each != b'\\');
    // Asked of a parser that reads as browsers do, too.
    let here = Url::parse("http://here.invalid").ok();
    let stays = here.is_some_and(|here| here.join(path).is_ok_and(|url| url.origin() == here.origin()));
    plain && stays && path.starts_with('/') && !path.starts_with("//")
}

fn cookie_name(app: &App) -> &'static str {
    if session::is_secure(app) { BOUND } else { PLAIN }
}

fn cookie(app: &App, value: &str, seconds: u64) -> HeaderValue {
    session::set_cookie(cookie_name(app), value, "/", seconds, session::is_secure(app), true)
}

fn callback(app: &App, id: &str) -> String {
    format!("{}/api/v1/session/oidc/{id}/callback", app.public_url())
}

fn upstream(id: &str, why: impl std::fmt::Display) -> Problem {
    tracing::warn!(provider = id, "the identity provider did not do its part: {why}");
    Problem::new(Kind::Upstream, format!("the identity provider {id} did not do its part; the server's log says more"))
}

/// Where the browser is sent to sign in, and the cookie that it takes along.
pub(crate) async fn start(app: &App, id: &str, return_to: Option<&str>) -> Result<(String, HeaderValue), Problem> {
    let Access { oidc, rates, .. } = app.access();
    let (provider, http) = oidc.get(id)?;
    let return_to = return_to.unwrap_or("/");
    if !is_local(return_to) {
        return Err(Problem::field("?return_to", "this is not a path of this server"));
    }
    // Each start is a request of ours to the provider.
    rates.failed(super::address())?;
    let discovery = discover(http, &provider.config).await.map_err(|why| upstream(id, why))?;
    let client = client(app, id, provider, &discovery)?;
    let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
    let nonce = CsrfToken::new_random();
    let scopes = provider.config.scopes.iter().cloned().map(Scope::new);
    let (url, state) = client
        .authorize_url(CsrfToken::new_random)
        .add_scopes(scopes)
        .add_extra_param("nonce", nonce.secret())
        .set_pkce_challenge(challenge)
        .url();
    let pending = Pending {
        provider: id.to_owned(),
        state: state.into_secret(),
        nonce: nonce.into_secret(),
        verifier: verifier.into_secret(),
        return_to: return_to.to_owned(),
        until_ms: now_ms() + PENDING_MS,
    };
    Ok((url.into(), cookie(app, &oidc.seal(&pending), PENDING_MS / 1000)))
}

/// What comes back from a provider.
#[derive(Debug, Default)]
pub(crate) struct Returned {
    pub(crate) code: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) iss: Option<String>,
}

/// The session of who has signed in, and where the browser goes.
pub(crate) async fn finish(
    app: &App,
    headers: &HeaderMap,
    id: &str,
    returned: Returned,
) -> Result<(Begun, String), Problem> {
    let Access { oidc, rates, .. } = app.access();
    let (provider, http) = oidc.get(id)?;
    let pending = session::cookie(headers, cookie_name(app)).and_then(|sealed| oidc.open(sealed));
    let pending = pending.filter(|pending| pending.is_of(id, returned.state.as_deref(), now_ms()));
    let Some(pending) = pending else {
        rates.failed(super::address())?;
        return Err(Problem::new(
            Kind::StrangeSignIn,
            "this sign-in was not begun in this browser, or more than ten minutes ago",
        )
        .help("sign in again"));
    };
    // RFC 9207: the answer of another provider is not taken for this one's.
    if returned.iss.as_ref().is_some_and(|iss| *iss != provider.config.issuer.0) {
        return Err(Problem::new(Kind::StrangeSignIn, "the answer is another provider's").help("sign in again"));
    }
    let code = match (returned.error, returned.code) {
        (None, Some(code)) => code,
        (error, _) => {
            tracing::info!(provider = id, ?error, "a sign-in was refused by the identity provider");
            let words = "the identity provider did not let this person in, or they changed their mind";
            return Err(Problem::new(Kind::NotAdmitted, words).help("sign in again"));
        }
    };
    let claims = claims(app, id, provider, http, &pending, code).await?;
    let account = admit(app, id, provider, &claims).await?;
    let mut begun = session::begin(app, headers, &account, &format!("oidc:{id}")).await?;
    begun.cookies.push(cookie(app, "", 0));
    Ok((begun, pending.return_to))
}

fn client(app: &App, id: &str, provider: &Provider, discovery: &Discovery) -> Result<OidcClient, Problem> {
    let methods = discovery.token_endpoint_auth_methods_supported.as_deref();
    let basic = methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
    let client = Client::new(ClientId::new(provider.config.client_id.clone()))
        .set_auth_type(if basic { AuthType::BasicAuth } else { AuthType::RequestBody })
        .set_auth_uri(AuthUrl::from_url(discovery.authorization_endpoint.clone()))
        .set_token_uri(TokenUrl::from_url(discovery.token_endpoint.clone()))
        .set_redirect_uri(RedirectUrl::new(callback(app, id)).map_err(Problem::internal)?);
    Ok(match &provider.secret {
        Some(secret) => client.set_client_secret(secret.clone()),
        None => client,
    })
}

/// What the provider says of who has signed in: of the ID token, and where the role is not in it, of its other document about them.
async fn claims(
    app: &App,
    id: &str,
    provider: &Provider,
    http: &reqwest::Client,
    pending: &Pending,
    code: String,
) -> Result<Map<String, Value>, Problem> {
    let config = &provider.config;
    let discovery = discover(http, config).await.map_err(|why| upstream(id, why))?;
    let client = client(app, id, provider, &discovery)?;
    let tokens = client
        .exchange_code(AuthorizationCode::new(code))
        .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.clone()))
        .request_async(&|request| exchange(http.clone(), request))
        .await
        .map_err(|error| upstream(id, format!("{error:?}")))?;
    let keys = get(http, discovery.jwks_uri, None).await.map_err(|why| upstream(id, why))?;
    let keys: JwkSet = serde_json::from_slice(&keys).map_err(|error| upstream(id, error))?;
    let mut claims = verified(&tokens.extra_fields().id_token, &keys, config, &pending.nonce)
        .map_err(|why| upstream(id, format!("its ID token cannot be believed: {why}")))?;
    let role_is_there = config.role_claim.as_ref().is_none_or(|claim| find(&claims, claim).is_some());
    if let Some(userinfo) = discovery.userinfo_endpoint
        && (!role_is_there || !claims.contains_key("preferred_username"))
    {
        let token = tokens.access_token().secret();
        let more = get(http, userinfo, Some(token)).await.map_err(|why| upstream(id, why))?;
        let more: Map<String, Value> = serde_json::from_slice(&more).map_err(|error| upstream(id, error))?;
        if more.get("sub") != claims.get("sub") {
            return Err(upstream(id, "its userinfo is about somebody else"));
        }
        for (name, value) in more {
            claims.entry(name).or_insert(value);
        }
    }
    Ok(claims)
}

/// The claims of an ID token that is believed.
fn verified(token: &str, keys: &JwkSet, config: &ProviderConfig, nonce: &str) -> Result<Map<String, Value>, String> {
    let words = |error: jsonwebtoken::errors::Error| format!("{:?}", error.kind());
    let header = decode_header(token).map_err(words)?;
    if !ALGORITHMS.contains(&header.alg) {
        return Err(format!("its algorithm is {:?}", header.alg));
    }
    let key = match (&header.kid, keys.keys.as_slice()) {
        (Some(kid), _) => keys.find(kid),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let key = key.ok_or("its key is not among the provider's")?;
    if key.common.key_algorithm.is_some_and(|algorithm| algorithm.to_string() != format!("{:?}", header.alg)) {
        return Err("its key is for another algorithm".to_owned());
    }
    let key = DecodingKey::from_jwk(key).map_err(words)?;
    let mut rules = Validation::new(header.alg);
    rules.leeway = LEEWAY_S;
    rules.validate_nbf = true;
    rules.set_required_spec_claims(&["exp", "aud", "iss", "sub"]);
    rules.set_audience(&[&config.client_id]);
    rules.set_issuer(&[&config.issuer.0]);
    let claims: Map<String, Value> = decode(token, &key, &rules).map_err(words)?.claims;
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    if text("nonce") != Some(nonce) {
        return Err("it was made for another sign-in".to_owned());
    }
    let is_for_several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    match text("azp") {
        Some(party) if party != config.client_id => return Err("it was made for another client".to_owned()),
        None if is_for_several => return Err("it is for several, and does not say for whom".to_owned()),
        _ => {}
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err("it is about nobody".to_owned());
    }
    Ok(claims)
}

/// A claim by its name, or by a dotted path.
fn find<'c>(claims: &'c Map<String, Value>, name: &str) -> Option<&'c Value> {
    if let Some(value) = claims.get(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    find(claims.get(first)?.as_object()?, rest)
}

/// What somebody may here; none when they are not admitted.
fn role(config: &ProviderConfig, claims: &Map<String, Value>) -> Option<Role> {
    let said = config.role_claim.as_ref().and_then(|claim| find(claims, claim));
    let values: Vec<&str> = match said {
        Some(Value::String(value)) => vec![value],
        Some(Value::Array(values)) => values.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    values.iter().filter_map(|value| config.roles.get(*value).copied()).max().or(config.default_role)
}

/// Whether the claims have a verified address in one of the domains.
fn is_of(domains: &[String], claims: &Map<String, Value>) -> bool {
    let verified = claims.get("email_verified").and_then(Value::as_bool) == Some(true);
    let domain = claims.get("email").and_then(Value::as_str).and_then(|email| email.rsplit_once('@'));
    verified && domain.is_some_and(|(_, domain)| domains.iter().any(|each| each.eq_ignore_ascii_case(domain)))
}

/// A name for somebody who is new, of what the provider calls them.
fn name(claims: &Map<String, Value>) -> String {
    let called = ["preferred_username", "email", "sub"].iter().filter_map(|claim| claims.get(*claim)?.as_str());
    let names = called.map(|text| {
        let fits = text.chars().filter(|each| each.is_ascii_alphanumeric() || "._-@".contains(*each));
        fits.skip_while(|each| !each.is_ascii_alphanumeric()).take(NAME_CHARS).collect::<String>()
    });
    names.into_iter().find(|name| people::is_name(name)).unwrap_or_else(|| "user".to_owned())
}

/// Finds or makes who has signed in.
async fn admit(app: &App, id: &str, provider: &Provider, claims: &Map<String, Value>) -> Result<Account, Problem> {
    let config = &provider.config;
    let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
    let refused = |words: &str| {
        Problem::new(Kind::NotAdmitted, words.to_owned())
            .help("ask who manages the identity provider, or an administrator here")
    };
    if !config.allowed_domains.is_empty() && !is_of(&config.allowed_domains, claims) {
        return Err(refused("this needs a verified e-mail address in a domain that is admitted here"));
    }
    let role = role(config, claims).ok_or_else(|| refused("the identity provider gives this person no role here"))?;
    // What people could not say of themselves here, a provider does not say of them.
    let line = |claim: &str, most: usize| {
        text(claim).filter(|text| !text.is_empty() && text.len() <= most && !text.chars().any(char::is_control))
    };
    let provided = Provided {
        issuer: &config.issuer.0,
        subject: text("sub").unwrap_or_default(),
        name: &name(claims),
        display_name: line("name", people::MAX_DISPLAY_NAME),
        email: line("email", people::MAX_EMAIL),
        role: role.name(),
        at_ms: now_ms(),
    };
    let mut change = app.records().change().await?;
    let (user, action) = match change.provide_user(&provided).await? {
        Admitted::New(user) => (user, Some("user.create")),
        Admitted::Changed(user) => (user, Some("user.change")),
        Admitted::Same(user) => (user, None),
    };
    if let Some(action) = action {
        let system = super::Caller::system(format!("oidc:{id}"));
        let detail = json!({ "role": user.role, "issuer": config.issuer.0 });
        change.commit(&system.did(action, &user.name, detail)).await?;
    }
    if user.disabled {
        return Err(refused("this account is disabled"));
    }
    Ok(Account {
        id: user.id,
        name: user.name,
        key_role: user.role.clone(),
        role: user.role,
        key: None,
        key_prefix: None,
    })
}

async fn discover(http: &reqwest::Client, config: &ProviderConfig) -> Result<Discovery, String> {
    let issuer = &config.issuer.0;
    let place = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let place = Url::parse(&place).map_err(|error| error.to_string())?;
    let found: Discovery = serde_json::from_slice(&get(http, place, None).await?).map_err(|error| error.to_string())?;
    if found.issuer != *issuer {
        return Err(format!("its configuration is of the issuer {:?}", found.issuer));
    }
    for url in [&found.authorization_endpoint, &found.token_endpoint] {
        if !is_safe(url) {
            return Err(format!("{url} is not an https address"));
        }
    }
    Ok(found)
}

async fn get(http: &reqwest::Client, url: Url, token: Option<&str>) -> Result<Vec<u8>, String> {
    if !is_safe(&url) {
        return Err(format!("{url} is not an https address"));
    }
    let mut request = http.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(|error| error.to_string())?;
    if answer.status() != reqwest::StatusCode::OK {
        return Err(format!("it answered {}", answer.status()));
    }
    whole(answer).await
}

async fn whole(mut answer: reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
        if body.len() + chunk.len() > MAX_ANSWER {
            return Err(format!("it is longer than {MAX_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// Our client, as `oauth2` asks for one.
async fn exchange(http: reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Unreachable> {
    let request = reqwest::Request::try_from(request).map_err(|error| Unreachable(error.to_string()))?;
    let answer = http.execute(request).await.map_err(|error| Unreachable(error.to_string()))?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut response = HttpResponse::new(whole(answer).await.map_err(Unreachable)?);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Unreachable(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_is_read_so_far() {
        for (bytes, fits) in [(0, true), (MAX_ANSWER, true), (MAX_ANSWER + 1, false)] {
            let answer = reqwest::Response::from(axum::http::Response::new(vec![b' '; bytes]));
            assert_eq!(whole(answer).await.map(|read| read.len()).ok(), fits.then_some(bytes), "{bytes}");
        }
    }

    fn config(more: &str) -> ProviderConfig {
        let text = format!("label = \"Acme\"\nissuer = \"https://id.example.com\"\nclient_id = \"windlass\"\n{more}");
        toml::from_str(&text).unwrap()
    }

    fn claims(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn where_a_browser_may_be_sent() {
        for path in ["/", "/runs", "/runs/01J?step=build#L10", "/a//b", "/?next=https://evil.example"] {
            assert!(is_local(path), "{path}");
        }
        let long = format!("/{}", "x".repeat(MAX_RETURN));
        for path in [
            "",
            "runs",
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            "/%0a\r\nSet-Cookie: x=1",
            "https://evil.example",
            "https:evil.example",
            "HTTPS:/evil.example",
            "javascript:alert(1)",
            "/ü",
            "@evil.example",
            ".evil.example",
            &long,
        ] {
            assert!(!is_local(path), "{path}");
        }
    }

    #[test]
    fn roles_by_claims() {
        let mapped = "role_claim = \"groups\"\nroles = { ci-admins = \"admin\", ci = \"operator\" }";
        let deep = "role_claim = \"realm_access.roles\"\nroles = { boss = \"admin\" }";
        let named =
            "role_claim = \"https://example.com/roles\"\nroles = { boss = \"admin\" }\ndefault_role = \"viewer\"";
        for (settings, said, expected) in [
            (mapped, json!({ "groups": ["ci", "ci-admins", "other"] }), Some(Role::Admin)),
            (mapped, json!({ "groups": ["ci"] }), Some(Role::Operator)),
            (mapped, json!({ "groups": "ci" }), Some(Role::Operator)),
            (mapped, json!({ "groups": ["CI"] }), None),
            (mapped, json!({ "groups": [] }), None),
            (mapped, json!({ "groups": { "ci": true } }), None),
            (mapped, json!({ "roles": ["ci-admins"] }), None),
            (deep, json!({ "realm_access": { "roles": ["boss"] } }), Some(Role::Admin)),
            (deep, json!({ "realm_access": "boss" }), None),
            (named, json!({ "https://example.com/roles": ["boss"] }), Some(Role::Admin)),
            (named, json!({}), Some(Role::Viewer)),
        ] {
            assert_eq!(role(&config(settings), &claims(said.clone())), expected, "{settings}: {said}");
        }
    }

    #[test]
    fn domains_need_a_verified_address() {
        let domains = ["example.com".to_owned()];
        for (said, expected) in [
            (json!({ "email": "ada@example.com", "email_verified": true }), true),
            (json!({ "email": "ada@EXAMPLE.com", "email_verified": true }), true),
            (json!({ "email": "ada@example.com", "email_verified": false }), false),
            (json!({ "email": "ada@example.com" }), false),
            (json!({ "email": "ada@example.com@evil.example", "email_verified": true }), false),
            (json!({ "email": "ada@sub.example.com", "email_verified": true }), false),
            (json!({ "email_verified": true }), false),
        ] {
            assert_eq!(is_of(&domains, &claims(said.clone())), expected, "{said}");
        }
    }

    #[test]
    fn names_for_who_is_new() {
        for (said, expected) in [
            (json!({ "preferred_username": "ada", "email": "ada@example.com", "sub": "1" }), "ada"),
            (json!({ "email": "ada@example.com", "sub": "1" }), "ada@example.com"),
            (json!({ "preferred_username": "  Ada <b>", "sub": "1" }), "Adab"),
            (json!({ "preferred_username": "system", "sub": "x1" }), "x1"),
            (json!({ "preferred_username": "αβγ", "sub": "|||" }), "user"),
        ] {
            assert_eq!(name(&claims(said.clone())), expected, "{said}");
        }
        let long = json!({ "preferred_username": "x".repeat(200) });
        assert_eq!(name(&claims(long)).len(), NAME_CHARS);
    }

    #[test]
    fn what_is_no_provider() {
        let parse = |text: &str| toml::from_str::<BTreeMap<ProviderId, ProviderConfig>>(text);
        let base = "label = 'x'\nclient_id = 'x'\ndefault_role = 'viewer'\n";
        for issuer in
            ["http://id.example.com", "https://user@id.example.com", "https://id.example.com/?x", "ftp://x", "x"]
        {
            assert!(parse(&format!("[a]\nissuer = '{issuer}'\n{base}")).is_err(), "{issuer}");
        }
        for issuer in ["https://id.example.com/realms/acme", "http://127.0.0.1:9000", "http://localhost:9000"] {
            assert!(parse(&format!("[a]\nissuer = '{issuer}'\n{base}")).is_ok(), "{issuer}");
        }
        assert!(parse(&format!("[a]\nissuer = 'https://x.example'\nsecret = 'x'\n{base}")).is_err(), "an unknown key");
        assert!(parse(&format!("['../a']\nissuer = 'https://x.example'\n{base}")).is_err(), "a name");
    }

    #[test]
    fn a_sign_in_under_way_is_this_process_own() {
        let make = || Providers::new(BTreeMap::new(), Path::new("/nonexistent")).unwrap();
        let (ours, other) = (make(), make());
        let pending = Pending {
            provider: "a".to_owned(),
            state: "s".to_owned(),
            nonce: "n".to_owned(),
            verifier: "v".to_owned(),
            return_to: "/".to_owned(),
            until_ms: 1_000 + PENDING_MS,
        };
        for (provider, state, now, is_it) in [
            ("a", Some("s"), 1_000, true),
            ("a", Some("s"), 1_000 + PENDING_MS - 1, true),
            ("a", Some("s"), 1_000 + PENDING_MS, false),
            ("b", Some("s"), 1_000, false),
            ("a", Some("t"), 1_000, false),
            ("a", None, 1_000, false),
        ] {
            assert_eq!(pending.is_of(provider, state, now), is_it, "{provider} {state:?} {now}");
        }
        let sealed = ours.seal(&pending);
        assert_eq!(ours.open(&sealed).unwrap().state, "s");
        assert!(other.open(&sealed).is_none());
        let mut bytes = BASE64_URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            bytes[at] ^= 1;
            assert!(ours.open(&BASE64_URL_SAFE_NO_PAD.encode(&bytes)).is_none(), "byte {at}");
            bytes[at] ^= 1;
        }
        for sealed in ["", "AAAA", "!"] {
            assert!(ours.open(sealed).is_none());
        }
    }
}
