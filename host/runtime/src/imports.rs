//! What the name of an import or export of a component means.

use windlass_contract::{CONTRACT_PACKAGE, CONTRACT_VERSION, Interface, PluginKind};

/// The WASI packages that toolchains import by habit, and that are linked closed.
///
/// `wasi:http` is not among them: requests go through our own `http`, which has a policy.
const CLOSED_WASI: [&str; 6] = ["cli", "clocks", "filesystem", "io", "random", "sockets"];

/// An import, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Import {
    /// An interface of the contract.
    Capability(Interface),
    /// Types that interfaces of the contract share; it has no function, so it grants nothing.
    Types,
    /// A WASI interface that is linked closed.
    Wasi,
    /// Anything else, with why it is refused.
    Unknown(String),
}

/// `package/interface@version`, split.
fn split(name: &str) -> Option<(&str, &str, &str)> {
    let (package, rest) = name.split_once('/')?;
    let (interface, version) = rest.split_once('@')?;
    Some((package, interface, version))
}

/// Whether a component built for `version` of the contract can run here: the same `0.minor`.
pub(crate) fn speaks(version: &str) -> bool {
    let minor = |text: &str| semver::Version::parse(text).ok().map(|v| (v.major, v.minor));
    minor(version).is_some_and(|theirs| Some(theirs) == minor(CONTRACT_VERSION))
}

/// What an import of this name is.
pub(crate) fn import(name: &str) -> Import {
    let Some((package, interface, version)) = split(name) else {
        return Import::Unknown(format!("`{name}`: a plugin imports interfaces of the contract and of WASI only"));
    };
    if package == CONTRACT_PACKAGE {
        if !speaks(version) {
            return Import::Unknown(format!("`{name}`: this host offers {CONTRACT_PACKAGE}@{CONTRACT_VERSION}"));
        }
        return match interface.parse() {
            Ok(interface) => Import::Capability(interface),
            Err(_) if interface == "types" => Import::Types,
            Err(_) => Import::Unknown(format!("`{name}`: the contract {CONTRACT_VERSION} has no such interface")),
        };
    }
    match package.strip_prefix("wasi:") {
        Some("http") => Import::Unknown(format!(
            "`{name}`: WASI's own HTTP is not offered; use the capability `http` of {CONTRACT_PACKAGE}, or build without \
             it (for JavaScript, `--disable http fetch-event`)"
        )),
        Some(wasi) if CLOSED_WASI.contains(&wasi) && version.starts_with("0.2.") => Import::Wasi,
        Some(_) => Import::Unknown(format!("`{name}`: of WASI, this host offers the closed basics of 0.2")),
        None => Import::Unknown(format!("`{name}`: a plugin imports interfaces of the contract and of WASI only")),
    }
}

/// The kind of plugin that an export of this name makes a component, and for which version of the contract.
pub(crate) fn export(name: &str) -> Option<(PluginKind, &str)> {
    let (package, interface, version) = split(name)?;
    let kind = match interface {
        "step" => PluginKind::Step,
        "provider" => PluginKind::Provider,
        "scanner" => PluginKind::Scanner,
        _ => return None,
    };
    (package == CONTRACT_PACKAGE).then_some((kind, version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let check = |name: &str, expect: Import| assert_eq!(import(name), expect, "{name}");
        check("windlass:plugin/http@0.1.0", Import::Capability(Interface::Http));
        check("windlass:plugin/secrets-reveal@0.1.7", Import::Capability(Interface::SecretsReveal));
        check("windlass:plugin/types@0.1.0", Import::Types);
        check("wasi:cli/environment@0.2.6", Import::Wasi);
        check("wasi:sockets/tcp@0.2.0", Import::Wasi);
        for unknown in [
            "windlass:plugin/http@0.2.0",
            "windlass:plugin/http@1.1.0",
            "windlass:plugin/http",
            "windlass:plugin/root@0.1.0",
            "windlass:plugins/http@0.1.0",
            "wasi:http/outgoing-handler@0.2.6",
            "wasi:nn/graph@0.2.0",
            "wasi:cli/environment@0.3.0",
            "env",
            "",
        ] {
            assert!(matches!(import(unknown), Import::Unknown(_)), "{unknown} should be unknown");
        }
    }
}
