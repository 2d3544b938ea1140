//! How much one may do in a time: each rate is so many a minute, after a burst.
//!
//! What is published is counted by user, what is read and what is guessed by address (of IPv6 the first half, which is one
//! customer). Whoever is on this machine itself is not counted by address: a proxy that names nobody, and tests of speed.

use crate::error::OciError;
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use serde::Deserialize;
use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    time::Duration,
};

/// New packages of a user: one in ten minutes after five at once. Names are what a squatter wants many of.
pub const NEW_PACKAGES: Rate = Rate { per_minute: 0.1, burst: 5 };
/// New versions of a user: one a minute after thirty at once, which is a release of everything that a team has.
pub const NEW_VERSIONS: Rate = Rate { per_minute: 1.0, burst: 30 };
/// Changes of a release's status by a user: one a minute after a hundred at once. Who took an account over yanks what is good.
pub const YANKS: Rate = Rate { per_minute: 1.0, burst: 100 };
/// Changes of namespaces, owners, keys and tokens by a user: two a minute after thirty at once.
pub const ACCOUNT_CHANGES: Rate = Rate { per_minute: 2.0, burst: 30 };
/// Exchanges of an issuer's token from an address: ten a minute after sixty at once: the jobs of one build machine.
pub const EXCHANGES: Rate = Rate { per_minute: 10.0, burst: 60 };
/// Tokens that do not work, from an address: five a minute after twenty at once: a wrong secret in a pipeline that tries again.
pub const FAILED_TOKENS: Rate = Rate { per_minute: 5.0, burst: 20 };
/// Reads without a token from an address: a hundred a second after five thousand at once: an office behind one address.
pub const READS: Rate = Rate { per_minute: 6000.0, burst: 5000 };

/// So many a minute, after a burst.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Rate {
    /// How many a minute, in the long run; more than none.
    pub per_minute: f64,
    /// How many at once.
    pub burst: u32,
}

impl Rate {
    fn quota(self) -> Result<Quota, String> {
        let why = || {
            format!("a rate has more than nothing per-minute and as burst, not {} and {}", self.per_minute, self.burst)
        };
        if !(self.per_minute.is_finite() && self.per_minute > 0.0) {
            return Err(why());
        }
        // Faster than a thousand million a minute is not told apart.
        let period =
            Duration::try_from_secs_f64(60.0 / self.per_minute).map_err(|_| why())?.max(Duration::from_nanos(60));
        let burst = NonZeroU32::new(self.burst).ok_or_else(why)?;
        Ok(Quota::with_period(period).ok_or_else(why)?.allow_burst(burst))
    }
}

/// The rates of a registry; what is not said is as above.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Rates {
    /// See [`NEW_PACKAGES`].
    pub new_packages: Rate,
    /// See [`NEW_VERSIONS`].
    pub new_versions: Rate,
    /// See [`YANKS`].
    pub yanks: Rate,
    /// See [`ACCOUNT_CHANGES`].
    pub account_changes: Rate,
    /// See [`EXCHANGES`].
    pub exchanges: Rate,
    /// See [`FAILED_TOKENS`].
    pub failed_tokens: Rate,
    /// See [`READS`].
    pub reads: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Rates {
            new_packages: NEW_PACKAGES,
            new_versions: NEW_VERSIONS,
            yanks: YANKS,
            account_changes: ACCOUNT_CHANGES,
            exchanges: EXCHANGES,
            failed_tokens: FAILED_TOKENS,
            reads: READS,
        }
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limited {
    NewPackage,
    NewVersion,
    Yank,
    AccountChange,
    Exchange,
    FailedToken,
    Read,
}

/// Who is counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    User(String),
    Address(IpAddr),
}

impl Who {
    /// Whoever is at an address; nobody where it is not known, or this machine's own.
    pub(crate) fn of(ip: Option<IpAddr>) -> Option<Who> {
        let ip = ip?.to_canonical();
        if ip.is_loopback() {
            return None;
        }
        Some(Who::Address(match ip {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64))),
            ip => ip,
        }))
    }
}

/// The counters.
pub(crate) struct Limits {
    clock: DefaultClock,
    new_packages: DefaultKeyedRateLimiter<Who>,
    new_versions: DefaultKeyedRateLimiter<Who>,
    yanks: DefaultKeyedRateLimiter<Who>,
    account_changes: DefaultKeyedRateLimiter<Who>,
    exchanges: DefaultKeyedRateLimiter<Who>,
    failed_tokens: DefaultKeyedRateLimiter<Who>,
    reads: DefaultKeyedRateLimiter<Who>,
}

impl Limits {
    /// Counters for these rates.
    ///
    /// # Errors
    /// In words, when one is none.
    pub(crate) fn new(rates: &Rates) -> Result<Self, String> {
        let limiter = |rate: Rate| rate.quota().map(RateLimiter::keyed);
        Ok(Limits {
            clock: DefaultClock::default(),
            new_packages: limiter(rates.new_packages)?,
            new_versions: limiter(rates.new_versions)?,
            yanks: limiter(rates.yanks)?,
            account_changes: limiter(rates.account_changes)?,
            exchanges: limiter(rates.exchanges)?,
            failed_tokens: limiter(rates.failed_tokens)?,
            reads: limiter(rates.reads)?,
        })
    }

    fn counter(&self, what: Limited) -> (&DefaultKeyedRateLimiter<Who>, &'static str) {
        match what {
            Limited::NewPackage => (&self.new_packages, "new packages"),
            Limited::NewVersion => (&self.new_versions, "new versions"),
            Limited::Yank => (&self.yanks, "changes of releases"),
            Limited::AccountChange => (&self.account_changes, "changes of accounts"),
            Limited::Exchange => (&self.exchanges, "exchanges of tokens"),
            Limited::FailedToken => (&self.failed_tokens, "tokens that do not work"),
            Limited::Read => (&self.reads, "requests without a token"),
        }
    }

    /// Counts something.
    ///
    /// # Errors
    /// 429 when it is too much.
    pub(crate) fn check(&self, what: Limited, who: Option<Who>) -> Result<(), OciError> {
        let Some(who) = who else { return Ok(()) };
        let (counter, words) = self.counter(what);
        counter.check_key(&who).map_err(|until| OciError::too_many(words, until.wait_time_from(self.clock.now())))
    }

    /// Forgets who has not been there for so long that it makes no difference: their memory is bounded by the rates.
    pub(crate) fn forget_idle(&self) {
        for what in [
            Limited::NewPackage,
            Limited::NewVersion,
            Limited::Yank,
            Limited::AccountChange,
            Limited::Exchange,
            Limited::FailedToken,
            Limited::Read,
        ] {
            let (counter, _) = self.counter(what);
            counter.retain_recent();
            counter.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_hit_by_the_next_after_its_burst() {
        let limits = Limits::new(&Rates::default()).unwrap();
        for (what, burst) in [
            (Limited::NewPackage, NEW_PACKAGES.burst),
            (Limited::NewVersion, NEW_VERSIONS.burst),
            (Limited::Yank, YANKS.burst),
            (Limited::AccountChange, ACCOUNT_CHANGES.burst),
            (Limited::Exchange, EXCHANGES.burst),
            (Limited::FailedToken, FAILED_TOKENS.burst),
        ] {
            let who = || Some(Who::User("ada".to_owned()));
            for _ in 0..burst {
                assert!(limits.check(what, who()).is_ok(), "{what:?}");
            }
            let error = limits.check(what, who()).unwrap_err();
            assert!(error.retry_after.is_some_and(|time| time > Duration::ZERO), "{what:?}");
            assert!(limits.check(what, Some(Who::User("bob".to_owned()))).is_ok(), "{what:?} of another");
            assert!(limits.check(what, None).is_ok());
        }
        // Reads come back so fast that a slow machine gets more than the burst.
        let who = || Who::of(Some("192.0.2.1".parse().unwrap()));
        let refused = (0..READS.burst * 4).filter(|_| limits.check(Limited::Read, who()).is_err()).count();
        assert!(refused > 0);
    }

    #[test]
    fn who_is_one() {
        let who = |text: &str| Who::of(Some(text.parse().unwrap()));
        assert_eq!(who("127.0.0.1"), None);
        assert_eq!(who("::ffff:127.0.0.1"), None);
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:2"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        assert_ne!(who("192.0.2.1"), who("192.0.2.2"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
    }

    #[test]
    fn rates_that_are_none() {
        for (per_minute, burst) in [(0.0, 1), (-1.0, 1), (f64::NAN, 1), (f64::INFINITY, 1), (1.0, 0), (1e-300, 1)] {
            let rates = Rates { yanks: Rate { per_minute, burst }, ..Rates::default() };
            assert!(Limits::new(&rates).is_err(), "{per_minute} {burst}");
        }
    }
}
