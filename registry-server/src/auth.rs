//! Who a request is from, and whether it may do what it asks for.

use crate::{
    Registry,
    accounts::{Action, Namespace, Presented, Token},
    database::By,
    error::OciError,
    limits::{Limited, Who},
};
use axum::{
    extract::{ConnectInfo, FromRequestParts},
    http::{HeaderMap, StatusCode, header, request::Parts},
};
use base64::Engine as _;
use jiff::{SignedDuration, Timestamp};
use std::{
    convert::Infallible,
    net::{IpAddr, SocketAddr},
};
use windlass_contract::PluginName;

/// The bearer token of somebody without credentials; it may do what needs none.
pub(crate) const ANONYMOUS: &str = "anonymous";
/// How precisely it is kept when a token was last used: each use would else be a write.
const TOUCH: SignedDuration = SignedDuration::from_mins(1);

/// What a request says of who sent it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Client {
    /// A bearer token, or the password of basic credentials.
    pub(crate) credentials: Option<String>,
    /// Where it came from.
    pub(crate) ip: Option<IpAddr>,
}

impl FromRequestParts<Registry> for Client {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, registry: &Registry) -> Result<Self, Infallible> {
        Ok(Client { credentials: credentials(&parts.headers), ip: address(parts, registry.0.behind_proxy) })
    }
}

/// Where a request came from: the peer of the connection, or, behind a proxy, whom the proxy names last.
pub(crate) fn address(parts: &Parts, behind_proxy: bool) -> Option<IpAddr> {
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip().to_canonical());
    if !behind_proxy {
        return peer;
    }
    // What stands before was written by whoever sent it to the proxy.
    let named = parts.headers.get_all("x-forwarded-for").iter().next_back();
    let named = named.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse::<IpAddr>().ok());
    named.map(|ip| ip.to_canonical()).or(peer)
}

fn credentials(headers: &HeaderMap) -> Option<String> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(value.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = base64::engine::general_purpose::STANDARD.decode(value.trim()).ok()?;
    String::from_utf8(decoded).ok()?.split_once(':').map(|(_, password)| password.to_owned())
}

/// Whoever sent a request with a token that works.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) token: Token,
    pub(crate) by: By,
}

impl Caller {
    /// Whom limits count: the user, or the namespace of a trusted publisher.
    pub(crate) fn who(&self) -> Who {
        match &self.token.user {
            Some(user) => Who::User(user.name.to_string()),
            // No user's name has a colon.
            None => Who::User(format!(
                ":{}",
                self.token.scope.namespaces.iter().flatten().map(Namespace::as_str).collect::<String>()
            )),
        }
    }
}

impl Registry {
    /// The answer to who has no token that works.
    pub(crate) fn challenge(&self, scope: Option<String>) -> OciError {
        let realm = self.0.public.join("/token").map(String::from).unwrap_or_default();
        let scope = scope.map(|scope| format!(",scope=\"{scope}\"")).unwrap_or_default();
        let mut error = OciError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "this needs a token of the registry");
        error.challenge = Some(format!("Bearer realm=\"{realm}\",service=\"{}\"{scope}", self.host()));
        error
    }

    /// Whoever sent a request; `None` without a token that works.
    ///
    /// # Errors
    /// When the database cannot be asked, and 429 to who sent too many tokens that do not work.
    pub(crate) async fn caller(&self, client: &Client) -> Result<Option<Caller>, OciError> {
        let Some(text) = client.credentials.as_deref().filter(|text| *text != ANONYMOUS) else { return Ok(None) };
        let now = Timestamp::now();
        let token = match Presented::parse(text) {
            Some(presented) => self.0.database.token(&presented.id).await?.filter(|token| presented.is(token, now)),
            None => None,
        };
        let Some(token) = token else {
            self.0.limits.check(Limited::FailedToken, Who::of(client.ip))?;
            return Ok(None);
        };
        if token.last_used.is_none_or(|last| now.duration_since(last) > TOUCH) {
            self.0.database.touch_token(&token.id, now).await?;
        }
        let actor = token.user.as_ref().map_or_else(|| token.name.clone(), |user| user.name.to_string());
        let by = By { actor, token: Some(token.id.clone()), ip: client.ip };
        Ok(Some(Caller { token, by }))
    }

    /// Counts something that a caller publishes. An administrator's hand is free: whoever sets a registry up fills it.
    ///
    /// # Errors
    /// 429 when it is too much.
    pub(crate) fn count(&self, what: Limited, caller: &Caller) -> Result<(), OciError> {
        let is_admin = caller.token.user.as_ref().is_some_and(|user| user.admin);
        self.0.limits.check(what, (!is_admin).then(|| caller.who()))
    }

    /// An administrator.
    ///
    /// # Errors
    /// 401 without a token that works, 403 when it is not an administrator's for that.
    pub(crate) async fn administrator(&self, client: &Client) -> Result<Caller, OciError> {
        let caller = self.caller(client).await?.ok_or_else(|| self.challenge(None))?;
        let is_admin = caller.token.user.as_ref().is_some_and(|user| user.admin);
        if !is_admin || !caller.token.scope.covers(Action::Admin, None) {
            let message = "this needs an administrator's token for the action admin";
            return Err(OciError::new(StatusCode::FORBIDDEN, "DENIED", message));
        }
        Ok(caller)
    }

    /// Whoever sent a request that wants to do something in a namespace.
    ///
    /// # Errors
    /// 401 with a challenge when there is no token that works, 403 when it is not for that.
    pub(crate) async fn permit(
        &self,
        client: &Client,
        action: Action,
        namespace: &Namespace,
        scope: Option<String>,
    ) -> Result<Caller, OciError> {
        let caller = self.caller(client).await?.ok_or_else(|| self.challenge(scope))?;
        let denied = |message: String| OciError::new(StatusCode::FORBIDDEN, "DENIED", message);
        let owns = match &caller.token.user {
            Some(user) => self.0.database.owns(user, namespace).await?,
            // A trusted publisher's: it names its namespace.
            None => true,
        };
        if !owns || caller.token.scope.namespaces.as_ref().is_some_and(|few| !few.contains(namespace)) {
            return Err(denied(format!("this token does not own the namespace {namespace}")));
        }
        if !caller.token.scope.covers(action, Some(namespace)) {
            return Err(denied(format!("this token is not for the action {}", action.name())));
        }
        Ok(caller)
    }

    /// Whoever sent a request that wants to write to a repository.
    ///
    /// # Errors
    /// As [`Registry::permit`].
    pub(crate) async fn writer(&self, client: &Client, name: &PluginName) -> Result<Caller, OciError> {
        let scope = format!("repository:{}:pull,push", name.repository());
        self.permit(client, Action::Publish, &Namespace::of(name), Some(scope)).await
    }
}
