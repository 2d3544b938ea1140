//! Whether a request is from who holds the trigger's secret.
//!
//! - The comparison takes the same time wherever the signatures differ.
//! - An id that is not known is treated as one whose secret nobody holds: the same work, the same answer.
//! - What is signed identifies the request (its *seal*): a header that is not signed, such as an id, cannot make an old request a new one.

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};
use windlass_contract::SecretValue;

/// How far the time in a signature may be from ours, in seconds: 5 minutes, for clocks that differ and networks that are slow.
pub(super) const TOLERANCE_S: u64 = 300;
/// How many signatures one header may hold: a sender that changes its secret sends two.
const MAX_SIGNATURES: usize = 4;

/// What a request is signed with.
pub(super) struct Secrets {
    /// The present one.
    pub(super) present: SecretValue,
    /// The one before, and until when it is taken, in milliseconds since 1970.
    pub(super) before: Option<(SecretValue, u64)>,
}

/// How a kind of trigger is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    /// `X-Hub-Signature-256: sha256=HEX` over the body.
    Github,
    /// `X-Windlass-Signature: t=SECONDS,v1=HEX` over `SECONDS.BODY`.
    Ours,
}

/// Why a request is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not signed, or not with the secret.
    Unsigned,
    /// It is, and too long ago or ahead: so many seconds.
    Stale(u64),
}

/// Checks a request's signature header; gives the seal of what was signed. `secrets` is `None` for a trigger that is not known.
pub(super) fn verify(
    scheme: Scheme,
    header: Option<&str>,
    body: &[u8],
    secrets: Option<&Secrets>,
    now_ms: u64,
) -> Result<[u8; 32], Refusal> {
    let header = header.unwrap_or_default();
    let (time, signatures) = match scheme {
        Scheme::Github => (None, header.strip_prefix("sha256=").into_iter().filter_map(mac).collect::<Vec<_>>()),
        Scheme::Ours => {
            let fields = || header.split(',').filter_map(|field| field.trim().split_once('='));
            let time = fields().find(|(name, _)| *name == "t").map(|(_, time)| time);
            let given = fields().filter(|(name, _)| *name == "v1").filter_map(|(_, text)| mac(text));
            // Only digits: what is signed is the text, and two texts must not be one time.
            let time = time.filter(|time| !time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit()));
            (Some(time.unwrap_or_default()), given.take(MAX_SIGNATURES).collect())
        }
    };
    let unknown = SecretValue::new(vec![0; 32]);
    let present = secrets.map_or(&unknown, |secrets| &secrets.present);
    let before = secrets.and_then(|secrets| secrets.before.as_ref()).filter(|(_, until_ms)| now_ms < *until_ms);
    let mut genuine = false;
    for secret in std::iter::once(present).chain(before.map(|(secret, _)| secret)) {
        let mac = || {
            // A key of any length is taken: cannot fail.
            let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).ok()?;
            if let Some(time) = time {
                mac.update(time.as_bytes());
                mac.update(b".");
            }
            mac.update(body);
            Some(mac)
        };
        let Some(mac) = mac() else { return Err(Refusal::Unsigned) };
        for signature in &signatures {
            genuine |= mac.clone().verify_slice(signature).is_ok();
        }
    }
    if !genuine || secrets.is_none() {
        return Err(Refusal::Unsigned);
    }
    let mut seal = Sha256::new();
    if let Some(time) = time {
        let away = time.parse::<u64>().map_or(u64::MAX, |time| time.abs_diff(now_ms / 1_000));
        if away > TOLERANCE_S {
            return Err(Refusal::Stale(away));
        }
        seal.update(time);
        seal.update(b".");
    }
    seal.update(body);
    Ok(seal.finalize().into())
}

fn mac(text: &str) -> Option<[u8; 32]> {
    let mut mac = [0; 32];
    hex::decode_to_slice(text.trim(), &mut mac).ok().map(|()| mac)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_700_000_000_000;

    fn secrets() -> Secrets {
        let secret = |text: &str| SecretValue::new(text.as_bytes().to_vec());
        Secrets { present: secret("present"), before: Some((secret("before"), NOW_MS + 1)) }
    }

    fn sign(secret: &str, signed: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(signed);
        hex::encode(mac.finalize().into_bytes())
    }

    /// The example of GitHub's own documentation.
    #[test]
    fn the_documented_vector() {
        let known = Secrets { present: SecretValue::new(b"It's a Secret to Everybody".to_vec()), before: None };
        let header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(verify(Scheme::Github, Some(header), b"Hello, World!", Some(&known), NOW_MS).is_ok());
        assert!(verify(Scheme::Github, Some(header), b"Hello, World?", Some(&known), NOW_MS).is_err());
    }

    #[test]
    fn githubs() {
        let check = |header: Option<String>, expect: bool| {
            let found = verify(Scheme::Github, header.as_deref(), b"body", Some(&secrets()), NOW_MS);
            assert_eq!(found.is_ok(), expect, "{header:?}");
        };
        check(Some(format!("sha256={}", sign("present", b"body"))), true);
        check(Some(format!("sha256={}", sign("before", b"body"))), true);
        check(Some(format!("sha256={}", sign("other", b"body"))), false);
        check(Some(format!("sha1={}", sign("present", b"body"))), false);
        check(Some(sign("present", b"body")), false);
        check(Some("sha256=".to_owned()), false);
        check(Some(format!("sha256={}", &sign("present", b"body")[..62])), false);
        check(None, false);
        let later = NOW_MS + 2;
        let header = format!("sha256={}", sign("before", b"body"));
        assert_eq!(verify(Scheme::Github, Some(&header), b"body", Some(&secrets()), later), Err(Refusal::Unsigned));
        let zero = format!("sha256={}", {
            let mut mac = Hmac::<Sha256>::new_from_slice(&[0; 32]).unwrap();
            mac.update(b"body");
            hex::encode(mac.finalize().into_bytes())
        });
        let unknown = verify(Scheme::Github, Some(&zero), b"body", None, NOW_MS);
        assert_eq!(
            unknown,
            Err(Refusal::Unsigned),
            "an unknown trigger has no secret, not even the one it is measured by"
        );
    }

    #[test]
    fn ours() {
        let now = NOW_MS / 1_000;
        let check = |header: String, expect: Result<(), Refusal>| {
            let found = verify(Scheme::Ours, Some(&header), b"body", Some(&secrets()), NOW_MS);
            assert_eq!(found.map(|_| ()), expect, "{header}");
        };
        let signed = |time: u64, secret: &str| sign(secret, format!("{time}.body").as_bytes());
        check(format!("t={now},v1={}", signed(now, "present")), Ok(()));
        check(format!("t={now},v1={},v1={}", signed(now, "other"), signed(now, "before")), Ok(()));
        check(format!("v1={},t={now}", signed(now, "present")), Ok(()));
        check(format!("t={now},v1={}", signed(now - 1, "present")), Err(Refusal::Unsigned));
        check(format!("t={now},v1={}", sign("present", b"body")), Err(Refusal::Unsigned));
        check(format!("v1={}", signed(now, "present")), Err(Refusal::Unsigned));
        check(format!("t=+{now},v1={}", signed(now, "present")), Err(Refusal::Unsigned));
        let wrong = |count: usize| format!(",v1={}", signed(now, "other")).repeat(count);
        check(format!("t={now}{},v1={}", wrong(MAX_SIGNATURES - 1), signed(now, "present")), Ok(()));
        let one_more = format!("t={now}{},v1={}", wrong(MAX_SIGNATURES), signed(now, "present"));
        check(one_more, Err(Refusal::Unsigned));
        let edge = now - TOLERANCE_S;
        check(format!("t={edge},v1={}", signed(edge, "present")), Ok(()));
        check(format!("t={},v1={}", edge - 1, signed(edge - 1, "present")), Err(Refusal::Stale(TOLERANCE_S + 1)));
        let ahead = now + TOLERANCE_S + 1;
        check(format!("t={ahead},v1={}", signed(ahead, "present")), Err(Refusal::Stale(TOLERANCE_S + 1)));
        check(format!("t={ahead},v1={}", signed(ahead, "other")), Err(Refusal::Unsigned));
    }

    #[test]
    fn what_was_signed_is_the_seal() {
        let seal = |time: u64, body: &[u8]| {
            let header = format!("t={time},v1={}", sign("present", &[format!("{time}.").as_bytes(), body].concat()));
            verify(Scheme::Ours, Some(&header), body, Some(&secrets()), NOW_MS).unwrap()
        };
        let now = NOW_MS / 1_000;
        assert_eq!(seal(now, b"a"), seal(now, b"a"));
        assert_ne!(seal(now, b"a"), seal(now, b"b"));
        assert_ne!(seal(now, b"a"), seal(now - 1, b"a"));
    }
}
