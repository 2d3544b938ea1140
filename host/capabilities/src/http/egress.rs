//! Which addresses a plugin's requests may reach.
//!
//! A name in a grant says what the plugin may talk to; where the name leads is for the address to say. Everything that is
//! not plainly the public internet is refused: a metadata service, a neighbour on the network and the host's own ports
//! all look like any other URL. Only the operator opens a range; a plugin or a pipeline cannot.

use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

/// What the operator opened beyond the public internet. Default: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Ranges such as `127.0.0.1/32` or `10.1.0.0/16`.
    pub opened: Vec<IpNet>,
}

impl EgressPolicy {
    /// Whether the operator opened this address by name.
    pub(crate) fn is_opened(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.opened.iter().any(|net| net.contains(&address))
    }

    /// Refuses an address that is not public and not opened; the error says what it is.
    pub(crate) fn check(&self, address: IpAddr) -> Result<(), Refused> {
        match kind(address) {
            Some(kind) if !self.is_opened(address) => Err(Refused { address, kind }),
            _ => Ok(()),
        }
    }
}

/// An address that may not be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    address: IpAddr,
    kind: &'static str,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}; only the operator can open it, by WINDLASS_EGRESS_OPEN", self.address, self.kind)
    }
}

impl std::error::Error for Refused {}

/// What an address is, where it is not the public internet.
fn kind(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => kind_v4(address),
        IpAddr::V6(address) => kind_v6(address),
    }
}

fn kind_v4(address: Ipv4Addr) -> Option<&'static str> {
    let [a, b, c, _] = address.octets();
    match (a, b, c) {
        _ if address == Ipv4Addr::new(169, 254, 169, 254) || address == Ipv4Addr::new(100, 100, 100, 200) => {
            Some("a cloud metadata service")
        }
        (0, ..) => Some("not an address of a host"),
        (127, ..) => Some("the host itself"),
        (10, ..) | (172, 16..=31, _) | (192, 168, _) => Some("a private address"),
        (169, 254, _) => Some("a link-local address"),
        (100, 64..=127, _) => Some("a provider's shared address"),
        (192, 0, 0) | (192, 88, 99) | (198, 18..=19, _) => Some("a reserved address"),
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => Some("an address for documentation"),
        (224..=239, ..) => Some("a multicast address"),
        (240.., ..) => Some("a reserved address"),
        _ => None,
    }
}

fn kind_v6(address: Ipv6Addr) -> Option<&'static str> {
    let segments = address.segments();
    let embedded = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match segments {
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Some("a cloud metadata service"),
        [0, 0, 0, 0, 0, 0, 0, 0] => Some("not an address of a host"),
        [0, 0, 0, 0, 0, 0, 0, 1] => Some("the host itself"),
        // An IPv4 address in other clothes is what it is underneath.
        [0, 0, 0, 0, 0, 0xffff, high, low] => kind_v4(embedded(high, low)),
        [0, 0, 0, 0, 0xffff, 0, ..] | [0, 0, 0, 0, 0, 0, ..] => Some("an obsolete form of an IPv4 address"),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => kind_v4(embedded(high, low)),
        [0x64, 0xff9b, ..] => Some("an address of a local translator"),
        [0x2002, ..] | [0x2001, 0, ..] => Some("a tunnelled address"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Some("an address for documentation"),
        [0xfc00..=0xfdff, ..] => Some("a private address"),
        [0xfe80..=0xfebf, ..] => Some("a link-local address"),
        [0xfec0..=0xfeff, ..] => Some("a site-local address"),
        [0xff00..=0xffff, ..] => Some("a multicast address"),
        [0x2000..=0x3fff, ..] => None,
        _ => Some("a reserved address"),
    }
}

/// Turns a name into addresses; exchangeable so that a test can be the attacker's name server.
pub(crate) type Lookup =
    Arc<dyn Fn(String) -> futures::future::BoxFuture<'static, std::io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The system's own resolver.
pub(crate) fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(
            async move { Ok(tokio::net::lookup_host((name.as_str(), 0)).await?.map(|found| found.ip()).collect()) },
        )
    })
}

/// Resolves a name, refuses it when any of its addresses is refused, and hands over exactly those that were checked:
/// there is no second look-up in which a name could change its mind.
pub(crate) struct CheckedResolver {
    pub(crate) policy: Arc<EgressPolicy>,
    pub(crate) lookup: Lookup,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (policy, looking) = (self.policy.clone(), (self.lookup)(name.as_str().to_owned()));
        Box::pin(async move {
            let found = looking.await?;
            found.iter().try_for_each(|address| policy.check(*address))?;
            Ok(Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0))) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_public_internet() {
        let check = |address: &str, expect: Option<&str>| {
            let address: IpAddr = address.parse().unwrap();
            assert_eq!(kind(address), expect, "{address}");
        };
        for public in ["8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
        {
            check(public, None);
        }
        let metadata = Some("a cloud metadata service");
        for disguise in
            ["169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fd00:ec2::254", "100.100.100.200"]
        {
            check(disguise, metadata);
        }
        for refused in [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "127.255.255.254",
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.0.1",
            "100.64.0.1",
            "192.0.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "::ffff:0:127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2002:a9fe:a9fe::1",
            "2001:0:1::1",
            "fc00::1",
            "fd12::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "4000::1",
            "2001:db8::1",
        ] {
            assert!(kind(refused.parse().unwrap()).is_some(), "{refused} should be refused");
        }
    }

    #[test]
    fn the_operator_opens_ranges() {
        let policy = EgressPolicy { opened: vec!["127.0.0.1/32".parse().unwrap(), "fd12::/16".parse().unwrap()] };
        let check = |address: &str, expect: bool| {
            assert_eq!(policy.check(address.parse().unwrap()).is_ok(), expect, "{address}");
        };
        check("127.0.0.1", true);
        check("::ffff:127.0.0.1", true);
        check("127.0.0.2", false);
        check("fd12::1", true);
        check("fd13::1", false);
        check("169.254.169.254", false);
    }

    proptest! {
        /// Nothing that the standard library calls special passes, in IPv4 or dressed as IPv6.
        #[test]
        fn special_addresses_never_pass(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from(bits);
            let special = v4.is_loopback() || v4.is_private() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_unspecified() || v4.is_documentation();
            prop_assert!(!special || kind(v4.into()).is_some());
            prop_assert_eq!(kind(v4.to_ipv6_mapped().into()), kind(v4.into()));
        }
    }
}
