//! Counting downloads without touching the database on the way.
//!
//! A download is a component's bytes given to somebody who did not get the same ones in this hour: a whole blob, or a range from
//! its first byte on, by GET, answered with bytes. What is counted waits in memory for the job that writes it, once a minute and at the
//! end; a crash loses at most that minute, and numbers on a page are worth no more than that.
//!
//! Of an address nothing is kept but a keyed hash, in memory, for the hour. Memory is bounded: over [`MAX_SEEN`] the hour
//! begins anew, over [`MAX_PENDING`] releases at once nothing is added until the next flush.
//!
//! Not here: which bytes are a component's. Whoever writes the counts knows the releases, and drops the rest.

use jiff::{SignedDuration, Timestamp};
use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher as _, RandomState},
    net::IpAddr,
    sync::{Mutex, PoisonError},
};
use windlass_contract::{Digest, PluginName};

/// How often counts are written, in minutes: what a crash may lose.
pub const FLUSH_INTERVAL: SignedDuration = SignedDuration::from_mins(1);
/// Most pairs of address and release that are remembered within an hour.
pub const MAX_SEEN: usize = 100_000;
/// Most releases that counts wait for at a time.
pub const MAX_PENDING: usize = 20_000;

/// What waits to be written: of which bytes of which plugin, on which day (counted from 1970-01-01), how many.
pub type Pending = BTreeMap<(PluginName, Digest, i64), u64>;

/// The counter.
#[derive(Debug, Default)]
pub struct Counter {
    key: RandomState,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hour: i64,
    seen: HashSet<u64>,
    pending: Pending,
}

impl Counter {
    /// Counts a blob that is being given out, unless this address got it within the hour. Says whether it counted.
    pub fn count(&self, name: &PluginName, digest: Digest, address: Option<IpAddr>, now: Timestamp) -> bool {
        let hour = now.as_second().div_euclid(3_600);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.hour != hour || state.seen.len() >= MAX_SEEN {
            state.hour = hour;
            state.seen.clear();
        }
        // Requests without an address are one address.
        if !state.seen.insert(self.key.hash_one((name, digest, address))) {
            return false;
        }
        let key = (name.clone(), digest, hour.div_euclid(24));
        if state.pending.len() >= MAX_PENDING && !state.pending.contains_key(&key) {
            return false;
        }
        *state.pending.entry(key).or_default() += 1;
        true
    }

    /// Takes what waits.
    pub fn take(&self) -> Pending {
        std::mem::take(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner).pending)
    }

    /// Gives back what could not be written.
    pub fn give_back(&self, pending: Pending) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, count) in pending {
            *state.pending.entry(key).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn total(pending: &Pending) -> u64 {
        pending.values().sum()
    }

    #[test]
    fn one_address_counts_once_an_hour() {
        let counter = Counter::default();
        let (name, other): (PluginName, PluginName) = ("acme:a".parse().unwrap(), "acme:b".parse().unwrap());
        let (bytes, more) = (Digest::of(b"1"), Digest::of(b"2"));
        let check = |name: &PluginName, digest, address: &str, now: &str, expect: bool| {
            let address = address.parse().ok();
            assert_eq!(counter.count(name, digest, address, at(now)), expect, "{name} {address:?} {now}");
        };
        check(&name, bytes, "10.0.0.1", "2026-11-20T10:00:00Z", true);
        check(&name, bytes, "10.0.0.1", "2026-11-20T10:59:59Z", false);
        check(&name, bytes, "10.0.0.2", "2026-11-20T10:59:59Z", true);
        check(&name, bytes, "2001:db8::1", "2026-11-20T10:59:59Z", true);
        check(&name, more, "10.0.0.1", "2026-11-20T10:59:59Z", true);
        check(&other, bytes, "10.0.0.1", "2026-11-20T10:59:59Z", true);
        check(&name, bytes, "none", "2026-11-20T10:59:59Z", true);
        check(&name, bytes, "none", "2026-11-20T10:59:59Z", false);
        check(&name, bytes, "10.0.0.1", "2026-11-20T11:00:00Z", true);
        check(&name, bytes, "10.0.0.1", "2026-11-21T11:00:00Z", true);
        let pending = counter.take();
        let day = at("2026-11-20T00:00:00Z").as_second() / 86_400;
        assert_eq!(pending[&(name.clone(), bytes, day)], 5);
        assert_eq!(pending[&(name, bytes, day + 1)], 1);
        assert_eq!(total(&counter.take()), 0, "taken once");
    }

    #[test]
    fn what_could_not_be_written_is_not_lost() {
        let counter = Counter::default();
        let name: PluginName = "acme:a".parse().unwrap();
        let now = at("2026-11-20T10:00:00Z");
        counter.count(&name, Digest::of(b"1"), "10.0.0.1".parse().ok(), now);
        let pending = counter.take();
        counter.count(&name, Digest::of(b"1"), "10.0.0.2".parse().ok(), now);
        counter.give_back(pending);
        assert_eq!(total(&counter.take()), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let counter = Counter::default();
        let name: PluginName = "acme:a".parse().unwrap();
        let now = at("2026-11-20T10:00:00Z");
        let many = u32::try_from(MAX_SEEN).unwrap() + 10;
        for n in 0..many {
            counter.count(&name, Digest::of(&(n % 50).to_le_bytes()), Some(IpAddr::from(n.to_be_bytes())), now);
        }
        assert!(counter.state.lock().unwrap().seen.len() <= MAX_SEEN);
        assert_eq!(total(&counter.take()), u64::from(many));
        for n in 0..u32::try_from(MAX_PENDING).unwrap() + 10 {
            counter.count(&name, Digest::of(&n.to_le_bytes()), None, now);
        }
        assert_eq!(counter.take().len(), MAX_PENDING);
    }
}
