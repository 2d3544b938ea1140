//! How much one may do in a time.
//!
//! Requests of somebody who is known are counted by user; what is not known is counted by address (of IPv6 the first half, which is one
//! customer). Whoever is on this machine itself is not counted by address: a proxy that names nobody, and tests of speed.
//! Wrong passwords are counted by the name that was tried, too, wherever they come from, and make the next try wait: for so long that guessing
//! leads nowhere, and not for so long that somebody could lock another one out for a day.

use crate::{Problem, problem::Kind};
use governor::{
    DefaultKeyedRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// So many a second, in the long run, and so many at once.
struct Rate {
    per_second: NonZeroU32,
    burst: NonZeroU32,
}

const fn rate(per_second: u32, burst: u32) -> Rate {
    match (NonZeroU32::new(per_second), NonZeroU32::new(burst)) {
        (Some(per_second), Some(burst)) => Rate { per_second, burst },
        _ => panic!("a rate is more than nothing"),
    }
}

/// Reads of a user a second: 200, with [`READ_BURST`] at once. A page of the UI makes five.
pub(crate) const READS_PER_S: u32 = 200;
/// Reads of a user at once: 5,000, as many as the browsers of a large team that all come back at once behind one account.
pub(crate) const READ_BURST: u32 = 5_000;
/// Changes of a user a second: 50, with [`WRITE_BURST`] at once.
pub(crate) const WRITES_PER_S: u32 = 50;
/// Changes of a user at once: 2,000, a script that sets up everything.
pub(crate) const WRITE_BURST: u32 = 2_000;
/// Requests of an address that prove no identity, a second: 1, with [`FAILED_BURST`] at once.
pub(crate) const FAILED_PER_S: u32 = 1;
/// Requests of an address that prove no identity, at once: 60, a page that is open in some tabs when its session ends.
pub(crate) const FAILED_BURST: u32 = 60;
/// How many addresses are counted before those are forgotten that have not been there for so long that it makes no difference.
const MAX_ADDRESSES: usize = 100_000;

/// Wrong passwords of one name before the next try has to wait: 5.
pub(crate) const FREE_BY_NAME: u32 = 5;
/// Wrong passwords from one address before the next try has to wait: 20, people of an office behind one address.
pub(crate) const FREE_BY_ADDRESS: u32 = 20;
/// The first wait, in milliseconds: a second. It doubles with each further wrong one.
const FIRST_WAIT_MS: u64 = 1_000;
/// The longest wait of a name, in milliseconds: a minute. So 1,440 passwords a day can be tried, and the person loses a minute.
pub(crate) const LONGEST_BY_NAME_MS: u64 = 60_000;
/// The longest wait of an address, in milliseconds: a quarter of an hour.
pub(crate) const LONGEST_BY_ADDRESS_MS: u64 = 900_000;
/// After how long without a wrong one they are forgotten, in milliseconds: an hour.
const FORGET_MS: u64 = 3_600_000;
/// How many names and addresses are counted at most. When they are full, those with the fewest wrong ones go.
pub(crate) const MAX_COUNTED: usize = 10_000;

/// An address as it is counted; none where it is this machine's own.
fn counted(address: Option<IpAddr>) -> Option<IpAddr> {
    let address = address?.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64))),
        address => address,
    })
}

fn too_many(words: &str, wait: Duration) -> Problem {
    // Rounded up: who comes back then is not refused again.
    let seconds = wait.as_secs() + 1;
    let words = format!("{words}; try again in {seconds} s");
    Problem { retry_after_s: Some(seconds), ..Problem::new(Kind::TooMany, words) }
}

/// The counters of requests.
pub(crate) struct Rates {
    clock: DefaultClock,
    reads: DefaultKeyedRateLimiter<i64>,
    writes: DefaultKeyedRateLimiter<i64>,
    failed: DefaultKeyedRateLimiter<IpAddr>,
}

impl Rates {
    pub(crate) fn new() -> Rates {
        fn limiter<K: Hash + Eq + Clone>(rate: &Rate) -> DefaultKeyedRateLimiter<K> {
            RateLimiter::keyed(Quota::per_second(rate.per_second).allow_burst(rate.burst))
        }
        const READS: Rate = rate(READS_PER_S, READ_BURST);
        const WRITES: Rate = rate(WRITES_PER_S, WRITE_BURST);
        const FAILED: Rate = rate(FAILED_PER_S, FAILED_BURST);
        Rates {
            clock: DefaultClock::default(),
            reads: limiter(&READS),
            writes: limiter(&WRITES),
            failed: limiter(&FAILED),
        }
    }

    /// Counts a request of a user.
    pub(crate) fn count(&self, user: i64, changes: bool) -> Result<(), Problem> {
        let counter = if changes { &self.writes } else { &self.reads };
        counter
            .check_key(&user)
            .map_err(|until| too_many("these are too many requests", until.wait_time_from(self.clock.now())))
    }

    /// Counts a request that proved no identity.
    pub(crate) fn failed(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let Some(address) = counted(address) else { return Ok(()) };
        if self.failed.len() > MAX_ADDRESSES {
            self.failed.retain_recent();
        }
        self.failed.check_key(&address).map_err(|until| {
            too_many("these are too many requests of nobody who is known", until.wait_time_from(self.clock.now()))
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Name(String),
    Address(IpAddr),
}

impl Who {
    fn free(&self) -> u32 {
        match self {
            Who::Name(_) => FREE_BY_NAME,
            Who::Address(_) => FREE_BY_ADDRESS,
        }
    }

    fn longest_ms(&self) -> u64 {
        match self {
            Who::Name(_) => LONGEST_BY_NAME_MS,
            Who::Address(_) => LONGEST_BY_ADDRESS_MS,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Wrong {
    count: u32,
    last_ms: u64,
}

impl Wrong {
    /// When the next try may be, for this one.
    fn next_ms(self, who: &Who) -> u64 {
        match self.count.checked_sub(who.free()) {
            None => 0,
            Some(over) => {
                let wait = FIRST_WAIT_MS.saturating_mul(1_u64.checked_shl(over.min(32)).unwrap_or(u64::MAX));
                self.last_ms + wait.min(who.longest_ms())
            }
        }
    }
}

/// Tries to sign in with a password.
#[derive(Default)]
pub(crate) struct SignIns(Mutex<HashMap<Who, Wrong>>);

impl SignIns {
    /// Counts a try as a wrong one until [`SignIns::succeeded`] takes it back, so that many at once get no further than one after the other.
    ///
    /// # Errors
    /// 429 when the wait after the wrong ones before is not over. Then the try is not counted: who waits gets in.
    pub(crate) fn begin(&self, name: &str, address: Option<IpAddr>, now_ms: u64) -> Result<(), Problem> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whos = whos(name, address);
        for who in &whos {
            if let Some(wrong) = table.get(who)
                && let next = wrong.next_ms(who)
                && next > now_ms
            {
                return Err(too_many("these are too many wrong passwords", Duration::from_millis(next - now_ms)));
            }
        }
        for who in whos {
            if table.len() >= MAX_COUNTED && !table.contains_key(&who) {
                make_room(&mut table, now_ms);
            }
            let wrong = table.entry(who).or_insert(Wrong { count: 0, last_ms: now_ms });
            let count = if now_ms.saturating_sub(wrong.last_ms) > FORGET_MS { 0 } else { wrong.count };
            *wrong = Wrong { count: count + 1, last_ms: now_ms };
        }
        Ok(())
    }

    /// The password was wrong. The wait begins when that is told, not when it was tried.
    pub(crate) fn failed(&self, name: &str, address: Option<IpAddr>, now_ms: u64) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for who in whos(name, address) {
            if let Some(wrong) = table.get_mut(&who) {
                wrong.last_ms = wrong.last_ms.max(now_ms);
            }
        }
    }

    /// The password was right. The name begins anew; the address has one wrong one less, so that one's own account does not help to guess
    /// at others'.
    pub(crate) fn succeeded(&self, name: &str, address: Option<IpAddr>) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for who in whos(name, address) {
            match (&who, table.get_mut(&who)) {
                (Who::Address(_), Some(wrong)) if wrong.count > 1 => wrong.count -= 1,
                _ => drop(table.remove(&who)),
            }
        }
    }
}

fn whos(name: &str, address: Option<IpAddr>) -> Vec<Who> {
    // What is longer than any name is no name.
    let name: String = name.chars().take(100).flat_map(char::to_lowercase).collect();
    let by_address = counted(address).map(Who::Address);
    std::iter::once(Who::Name(name)).chain(by_address).collect()
}

fn make_room(table: &mut HashMap<Who, Wrong>, now_ms: u64) {
    table.retain(|_, wrong| now_ms.saturating_sub(wrong.last_ms) <= FORGET_MS);
    if table.len() >= MAX_COUNTED {
        let fewest = table.iter().min_by_key(|(_, wrong)| (wrong.count, wrong.last_ms)).map(|(who, _)| who.clone());
        if let Some(who) = fewest {
            table.remove(&who);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1)));

    #[test]
    fn each_rate_is_hit_after_its_burst() {
        let rates = Rates::new();
        let refused = |times: u32, one: &dyn Fn() -> Result<(), Problem>| (0..times).filter(|_| one().is_err()).count();
        // They come back so fast that a slow machine gets more than the burst, but never twice as much.
        assert!(refused(READ_BURST * 4, &|| rates.count(1, false)) > 0);
        assert!(refused(WRITE_BURST * 4, &|| rates.count(1, true)) > 0);
        assert!(refused(FAILED_BURST * 4, &|| rates.failed(THERE)) > 0);
        assert_eq!(refused(WRITE_BURST, &|| rates.count(2, true)), 0, "another user");
        assert_eq!(refused(FAILED_BURST * 4, &|| rates.failed(Some("127.0.0.1".parse().unwrap()))), 0, "this machine");
        assert_eq!(refused(FAILED_BURST * 4, &|| rates.failed(None)), 0);
        let error = (0..1_000).find_map(|_| rates.failed(THERE).err()).unwrap();
        assert_eq!((error.status, error.code.as_str()), (429, "WL1508"));
        assert!(error.retry_after_s.is_some());
    }

    #[test]
    fn wrong_passwords_make_the_next_wait() {
        let sign_ins = SignIns::default();
        let mut now = 1_000_000;
        for _ in 0..FREE_BY_NAME {
            sign_ins.begin("Ada", None, now).unwrap();
        }
        let mut waits = Vec::new();
        for _ in 0..10 {
            let refused = sign_ins.begin("ada", None, now).unwrap_err();
            let wait = refused.retry_after_s.unwrap() - 1;
            waits.push(wait);
            assert!(sign_ins.begin("bob", None, now).is_ok() || waits.len() > 1, "another name is free");
            now += wait * 1000;
            sign_ins.begin("ADA", None, now).unwrap();
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        // Checking took a while: the wait is from then on.
        sign_ins.failed("ada", None, now + 5_000);
        assert!(sign_ins.begin("ada", None, now + 60_000).is_err());
        sign_ins.succeeded("ada", None);
        for _ in 0..FREE_BY_NAME {
            sign_ins.begin("ada", None, now).unwrap();
        }
    }

    #[test]
    fn an_address_is_counted_over_names_and_is_not_cleared_by_one_account() {
        let sign_ins = SignIns::default();
        for n in 0..FREE_BY_ADDRESS {
            sign_ins.begin(&format!("user{n}"), THERE, 0).unwrap();
        }
        assert_eq!(sign_ins.begin("mallory", THERE, 0).unwrap_err().status, 429);
        sign_ins.begin("mallory", THERE, 1_000).unwrap();
        sign_ins.succeeded("mallory", THERE);
        assert_eq!(sign_ins.begin("somebody", THERE, 1_000).unwrap_err().status, 429);
        assert!(sign_ins.begin("somebody", Some("198.51.100.1".parse().unwrap()), 1_000).is_ok());
        assert!(sign_ins.begin("somebody", Some("127.0.0.1".parse().unwrap()), 1_000).is_ok());
    }

    #[test]
    fn an_address_waits_a_quarter_of_an_hour_at_most() {
        let sign_ins = SignIns::default();
        let (mut now, mut waits) = (0, Vec::new());
        for n in 0..FREE_BY_ADDRESS + 14 {
            // Another name each time: the wait is the address's.
            match sign_ins.begin(&format!("user{n}"), THERE, now) {
                Ok(()) => continue,
                Err(refused) => waits.push(refused.retry_after_s.unwrap() - 1),
            }
            now += waits[waits.len() - 1] * 1_000;
            sign_ins.begin(&format!("user{n}"), THERE, now).unwrap();
        }
        let doubled = (0..10).map(|n| (FIRST_WAIT_MS / 1_000) << n);
        let longest = LONGEST_BY_ADDRESS_MS / 1_000;
        assert_eq!(waits, doubled.chain([longest; 4]).collect::<Vec<_>>());
    }

    #[test]
    fn addresses_that_are_long_gone_are_not_counted_on() {
        let rates = Rates::new();
        let address = |n: u32| Some(IpAddr::V4(std::net::Ipv4Addr::from_bits(0xC000_0000 + n)));
        for n in 0..=u32::try_from(MAX_ADDRESSES).unwrap() {
            rates.failed(address(n)).unwrap();
        }
        assert!(rates.failed.len() > MAX_ADDRESSES);
        // Twice as long as one of each takes to make no difference any more.
        std::thread::sleep(Duration::from_millis(2_100));
        rates.failed(THERE).unwrap();
        assert!(rates.failed.len() < 10, "{}", rates.failed.len());
    }

    #[test]
    fn after_an_hour_they_are_forgotten() {
        let sign_ins = SignIns::default();
        for n in 0..20 {
            sign_ins.begin("ada", None, n * 100_000).unwrap();
        }
        let later = 20 * 100_000 + FORGET_MS + 1;
        for _ in 0..FREE_BY_NAME {
            sign_ins.begin("ada", None, later).unwrap();
        }
        assert!(sign_ins.begin("ada", None, later).is_err());
    }

    #[test]
    fn a_flood_of_names_neither_grows_nor_forgets_who_is_guessed_at() {
        let sign_ins = SignIns::default();
        for _ in 0..FREE_BY_NAME {
            sign_ins.begin("ada", None, 0).unwrap();
        }
        for n in 0..MAX_COUNTED + 50 {
            sign_ins.begin(&format!("nobody-{n}"), None, 0).unwrap();
        }
        assert_eq!(sign_ins.0.lock().unwrap().len(), MAX_COUNTED);
        assert!(sign_ins.begin("ada", None, 0).is_err());
    }

    #[test]
    fn who_is_one() {
        let who = |text: &str| counted(Some(text.parse().unwrap()));
        assert_eq!(who("127.0.0.1"), None);
        assert_eq!(who("::ffff:127.0.0.1"), None);
        assert_eq!(who("2001:db8::1"), who("2001:db8::ffff:2"));
        assert_ne!(who("2001:db8::1"), who("2001:db8:0:1::1"));
        assert_eq!(who("::ffff:192.0.2.1"), who("192.0.2.1"));
    }
}
