//! That a change which a cookie carries was asked for by our own pages.
//!
//! Two checks, each of which would do: the browser says where the request comes from, and the request has a token that only who may read our
//! answers can know. The token is a MAC under the session's own secret: there is nothing to keep, and it ends with the session.

use super::session::Token;
use crate::{Problem, problem::Kind};
use axum::http::{HeaderMap, header};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use url::Url;

/// The header that has the token.
pub(crate) const HEADER: &str = "x-csrf-token";
/// The cookie in which our pages find the token. What counts is the header.
pub(crate) const COOKIE: &str = "windlass_csrf";

fn mac(token: &Token) -> Hmac<Sha256> {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(token.reveal().as_bytes()).expect("any length");
    mac.update(b"windlass csrf");
    mac
}

/// The token of a session.
pub(crate) fn token(session: &Token) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(mac(session).finalize().into_bytes())
}

/// Refuses a change that does not come from our own pages.
pub(crate) fn check(public_url: &str, headers: &HeaderMap, session: &Token) -> Result<(), Problem> {
    same_origin(public_url, headers)?;
    let sent = headers.get(HEADER).and_then(|sent| BASE64_URL_SAFE_NO_PAD.decode(sent.as_bytes()).ok());
    match sent {
        Some(sent) if mac(session).verify_slice(&sent).is_ok() => Ok(()),
        _ => Err(Problem::new(Kind::Csrf, format!("a change with a session's cookie needs its token as `{HEADER}`"))
            .help("take `csrf_token` of GET /api/v1/session, or use a key")),
    }
}

/// Refuses what the browser says another site has sent. Who is no browser says nothing.
pub(crate) fn same_origin(public_url: &str, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |what: &str| {
        Problem::new(Kind::Csrf, format!("this request was sent by another site: its {what} is not this server's"))
            .help("open this server's own address in the browser; behind a proxy, start it with --public-url")
    };
    if let Some(site) = headers.get("sec-fetch-site")
        && !matches!(site.as_bytes(), b"same-origin" | b"none")
    {
        return Err(refused("Sec-Fetch-Site"));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().ok().and_then(|origin| Url::parse(origin).ok()).map(|origin| origin.origin());
    let Some(origin) = origin.filter(url::Origin::is_tuple) else { return Err(refused("Origin")) };
    let ours = Url::parse(public_url).ok();
    let is_ours = ours.as_ref().is_some_and(|url| url.origin() == origin);
    // Without TLS, the same server under another name, such as localhost: the browser sends its cookies by that name. With TLS there is
    // one name, and a page without TLS that uses it may be anybody's.
    let is_plain = ours.is_some_and(|url| url.scheme() == "http");
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let by_this_name = ["http", "https"]
        .iter()
        .any(|scheme| Url::parse(&format!("{scheme}://{host}")).is_ok_and(|url| url.origin() == origin));
    if is_ours || is_plain && by_this_name { Ok(()) } else { Err(refused("Origin")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{HeaderName, HeaderValue};

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        let pairs =
            list.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        pairs.collect()
    }

    #[test]
    fn where_a_change_may_come_from() {
        let (tls, plain) = ("https://ci.example.com", "http://127.0.0.1:7780");
        type Sent = [(&'static str, &'static str)];
        let rows: &[(&str, &Sent, bool)] = &[
            (tls, &[], true),
            (tls, &[("origin", "https://ci.example.com")], true),
            (tls, &[("origin", "https://ci.example.com"), ("sec-fetch-site", "same-origin")], true),
            (tls, &[("sec-fetch-site", "none")], true),
            (tls, &[("sec-fetch-site", "cross-site")], false),
            (tls, &[("sec-fetch-site", "same-site")], false),
            (tls, &[("origin", "https://ci.example.com"), ("sec-fetch-site", "cross-site")], false),
            (tls, &[("origin", "https://evil.example")], false),
            (tls, &[("origin", "https://evil.example"), ("host", "ci.example.com")], false),
            (tls, &[("origin", "https://evil.example"), ("host", "evil.example")], false),
            (tls, &[("origin", "https://ci.example.com.evil.example")], false),
            (tls, &[("origin", "https://ci.example.com:444")], false),
            (tls, &[("origin", "http://ci.example.com")], false),
            (tls, &[("origin", "http://ci.example.com"), ("host", "ci.example.com")], false),
            (tls, &[("origin", "null")], false),
            (tls, &[("origin", "")], false),
            (tls, &[("origin", "file://")], false),
            (plain, &[("origin", "http://127.0.0.1:7780"), ("host", "127.0.0.1:7780")], true),
            (plain, &[("origin", "http://localhost:7780"), ("host", "localhost:7780")], true),
            (plain, &[("origin", "http://localhost:7780"), ("host", "localhost:7781")], false),
            (plain, &[("origin", "http://evil.example"), ("host", "localhost:7780")], false),
        ];
        for (ours, list, passes) in rows {
            assert_eq!(same_origin(ours, &headers(list)).is_ok(), *passes, "{ours} {list:?}");
        }
    }

    #[test]
    fn a_token_is_of_one_session() {
        let (mine, other) = (Token::new(), Token::new());
        let check = |sent: &str| check("http://127.0.0.1:1", &headers(&[(HEADER, sent)]), &mine).is_ok();
        assert!(check(&token(&mine)));
        assert!(!check(&token(&other)));
        assert!(!check(""));
        assert!(!check(mine.reveal()));
        assert!(!check(&token(&mine)[1..]));
        assert!(super::check("http://127.0.0.1:1", &HeaderMap::new(), &mine).is_err());
    }
}
