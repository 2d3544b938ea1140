//! Passwords: argon2id, as OWASP recommends it (19 MiB, two passes, one lane).
//!
//! **Invariants.** A check costs the same whoever it is about. No check holds up what else the server does: checks have threads of their
//! own, few at once, and a queue with an end.

use crate::{Problem, problem::Kind};
use argon2::{
    Argon2,
    password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString},
};
use rand::rngs::OsRng;
use std::sync::{Arc, LazyLock};
use tokio::sync::Semaphore;

/// The shortest password, in characters: 12. Length is what guessing costs; there are no rules beside it.
pub(crate) const MIN_CHARS: usize = 12;
/// The longest password, in bytes: 1 KiB, a few sentences.
pub(crate) const MAX_BYTES: usize = 1024;
/// How many passwords are checked at once: 2. Each takes 19 MiB and a processor for some ten milliseconds.
const AT_ONCE: usize = 2;
/// How many more wait for their turn: 32, under a second. Over that the server says that it is busy.
const WAITING: usize = 32;

/// The places for checks.
pub(crate) struct Passwords {
    queue: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Passwords {
    pub(crate) fn new() -> Passwords {
        Passwords { queue: Arc::new(Semaphore::new(AT_ONCE + WAITING)), places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Does `work` on a thread of its own when its turn comes.
    async fn turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Problem> {
        let queued = Arc::clone(&self.queue).try_acquire_owned().map_err(|_| Problem {
            retry_after_s: Some(1),
            ..Problem::new(Kind::Busy, "many people sign in at this moment; try again in a second")
        })?;
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(Problem::internal)?;
        // Both are held by the work itself: whoever asked may go away meanwhile.
        tokio::task::spawn_blocking(move || {
            let _held = (queued, place);
            work()
        })
        .await
        .map_err(Problem::internal)
    }

    /// What is kept of a password.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, Problem> {
        let password = password.to_owned();
        self.turn(move || hash(&password)).await?.map_err(Problem::internal)
    }

    /// Whether this is the password of which `kept` is kept; with nothing kept it is not, after as much work.
    pub(crate) async fn verify(&self, password: &str, kept: Option<String>) -> Result<bool, Problem> {
        // Longer ones were never taken, and are not worth the work.
        let password: String = if password.len() > MAX_BYTES { String::new() } else { password.to_owned() };
        self.turn(move || {
            let nobodys = kept.is_none();
            let kept = kept.as_deref().unwrap_or(&NOBODYS);
            let is_right = PasswordHash::new(kept)
                .is_ok_and(|kept| Argon2::default().verify_password(password.as_bytes(), &kept).is_ok());
            is_right && !nobodys
        })
        .await
    }
}

/// What is checked where there is nothing to check.
static NOBODYS: LazyLock<String> = LazyLock::new(|| hash("nobody has this password").unwrap_or_default());

fn hash(password: &str) -> Result<String, argon2::password_hash::Error> {
    let salt = SaltString::generate(&mut OsRng);
    Ok(Argon2::default().hash_password(password.as_bytes(), &salt)?.to_string())
}

/// Whether somebody may have this password.
pub(crate) fn check(password: &str, name: &str) -> Result<(), Problem> {
    let refused = |words: String| Err(Problem::field("/password", words));
    if password.chars().count() < MIN_CHARS {
        return refused(format!("a password has at least {MIN_CHARS} characters"));
    }
    if password.len() > MAX_BYTES {
        return refused(format!("a password has at most {MAX_BYTES} bytes"));
    }
    if password.eq_ignore_ascii_case(name) {
        return refused("a password is not the user's name".to_owned());
    }
    let first = password.chars().next();
    if password.chars().all(|each| Some(each) == first) {
        return refused("a password is not one character again and again".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_one() {
        let passwords = Passwords::new();
        let kept = passwords.hash("correct horse battery").await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, passwords.hash("correct horse battery").await.unwrap(), "each has a salt of its own");
        for (password, kept, expected) in [
            ("correct horse battery", Some(kept.clone()), true),
            ("correct horse batterx", Some(kept.clone()), false),
            ("", Some(kept), false),
            ("nobody has this password", None, false),
            ("anything", Some("not a hash".to_owned()), false),
        ] {
            assert_eq!(passwords.verify(password, kept).await.unwrap(), expected, "{password}");
        }
    }

    #[tokio::test]
    async fn a_queue_with_an_end() {
        let passwords = Passwords::new();
        let places = Arc::clone(&passwords.places).acquire_many_owned(2).await.unwrap();
        let queue = Arc::clone(&passwords.queue).try_acquire_many_owned(34).unwrap();
        let refused = passwords.verify("x", None).await.unwrap_err();
        assert_eq!((refused.status, refused.retry_after_s), (503, Some(1)));
        drop((places, queue));
        assert!(!passwords.verify("x", None).await.unwrap());
    }

    #[test]
    fn what_a_password_is() {
        let long = "x1".repeat(513);
        for (password, fits) in [
            ("correct horse battery", true),
            ("zwölf Zeichen", true),
            ("elf Zeichen", false),
            ("", false),
            ("aaaaaaaaaaaaaaaa", false),
            ("Administrator1", false),
            (&long[..1024], true),
            (&long, false),
        ] {
            assert_eq!(check(password, "administrator1").is_ok(), fits, "{password}");
        }
    }
}
