//! `windlass plugin install`: resolve → fetch → verify → show and ask → compile and describe → grant and lock.
//!
//! Nothing of the project changes until every plugin asked for has passed every step; the grants are written before the
//! lock, so that a crash between them leaves permissions for something that is not locked, never the reverse.

use crate::{
    Components, Home, PackageError,
    client::Registry,
    grants::Grants,
    lock::{Lock, Locked},
    release::{Release, newest},
    signature::{PublisherKey, Signature},
    store::{Entry, Store},
};
use semver::VersionReq;
use std::{fmt::Write as _, path::Path, str::FromStr};
use windlass_contract::{Digest, Interface, NameError, Permissions, PluginKind, PluginName, PluginRef};
use windlass_runtime::Inspection;

/// A plugin that is wanted: `windlass:shell`, or `windlass:shell@^0.1`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which.
    pub name: PluginName,
    /// In which versions; `*` when not said.
    pub requirement: VersionReq,
}

impl FromStr for Request {
    type Err = PackageError;
    fn from_str(text: &str) -> Result<Self, PackageError> {
        let (name, requirement) = text.split_once('@').unwrap_or((text, "*"));
        let requirement = requirement.parse().map_err(|_| NameError {
            what: "version requirement",
            value: requirement.chars().take(80).collect(),
            rule: "write a version such as 1.2.3, or a range such as ^1.2",
        })?;
        Ok(Request { name: name.parse()?, requirement })
    }
}

/// What is known of who made a release. Never a boolean: unsigned and bad are different things.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verification {
    /// Signed by the publisher's key.
    Verified {
        /// Which.
        key: PublisherKey,
        /// The namespace's key was not known before: it is remembered from now on.
        first_seen: bool,
    },
    /// Not signed.
    Unsigned,
    /// Must not be used.
    Bad {
        /// In words.
        why: String,
    },
}

/// Judges a release's signature; `known` is the key that its namespace is known by.
pub fn verify(release: &Release, known: Option<PublisherKey>) -> Verification {
    judge(release.signature.as_ref(), &release.name, release, known)
}

fn judge(
    signature: Option<&Signature>,
    name: &PluginName,
    release: &Release,
    known: Option<PublisherKey>,
) -> Verification {
    match (signature, known) {
        (None, None) => Verification::Unsigned,
        (None, Some(key)) => Verification::Bad {
            why: format!("it is not signed, and the releases of {} are signed by {key}", name.namespace()),
        },
        (Some(signature), Some(key)) if signature.key != key => Verification::Bad {
            why: format!("it is signed by {}, and {} is known by {key}", signature.key, name.namespace()),
        },
        (Some(signature), known) => {
            if signature.holds(release.statement()) {
                Verification::Verified { key: signature.key, first_seen: known.is_none() }
            } else {
                Verification::Bad {
                    why: format!(
                        "the signature by {} is not over this name, version, content and these permissions",
                        signature.key
                    ),
                }
            }
        }
    }
}

/// How permissions are given.
pub enum Consent<'a> {
    /// A person is asked; `true` grants.
    Ask(&'a mut (dyn FnMut(&ConsentRequest) -> bool + Send)),
    /// Granted beforehand, by `--grant`.
    Given,
    /// Nobody is there: what is not granted yet is an error that names the command to grant it.
    Nobody,
}

/// What a person is asked.
#[derive(Debug, Clone)]
pub struct ConsentRequest {
    /// The plugin.
    pub plugin: PluginRef,
    /// What it is for.
    pub summary: String,
    /// Who signed it.
    pub verification: Verification,
    /// What it asks for.
    pub asked: Permissions,
    /// What was consented to before; none on the first install.
    pub before: Option<Permissions>,
}

impl ConsentRequest {
    /// The permissions line by line, each with whether it is new.
    pub fn lines(&self) -> Vec<(Interface, String, Change)> {
        let before = self.before.as_ref().map(Permissions::in_words);
        let change = |interface, words: &str| match &before {
            None => Change::First,
            Some(before) => match before.iter().find(|(other, _)| *other == interface) {
                None => Change::New,
                Some((_, old)) if old == words => Change::Same,
                Some((_, old)) => Change::Widened(old.clone()),
            },
        };
        self.asked
            .in_words()
            .into_iter()
            .map(|(interface, words)| {
                let change = change(interface, &words);
                (interface, words, change)
            })
            .collect()
    }

    /// The question in plain text.
    pub fn words(&self) -> String {
        let mut text = format!("{} {}", self.plugin.name, self.plugin.version);
        let _ = match &self.verification {
            Verification::Verified { key, first_seen: true } => {
                writeln!(text, ", signed by {key} (a publisher not seen before), wants to:")
            }
            Verification::Verified { key, first_seen: false } => {
                writeln!(text, ", signed by {key} (known), wants to:")
            }
            _ => writeln!(text, ", NOT SIGNED, wants to:"),
        };
        for (_, words, change) in self.lines() {
            let _ = match change {
                Change::First => writeln!(text, "  - {words}"),
                Change::Same => writeln!(text, "    {words} (as before)"),
                Change::New => writeln!(text, "  + {words} (new)"),
                Change::Widened(old) => writeln!(text, "  + {words}\n    (until now: {old})"),
            };
        }
        text
    }
}

/// How a permission differs from what was granted before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The plugin is installed for the first time.
    First,
    /// Granted before in the same words.
    Same,
    /// Not asked for before.
    New,
    /// Asked for before, in these words.
    Widened(String),
}

/// Switches of an install.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Refuse to change `windlass.lock`.
    pub locked: bool,
    /// Accept releases without a signature, from registries on this machine only.
    pub allow_unsigned: bool,
}

/// What was done for one plugin.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The plugin.
    pub plugin: PluginRef,
    /// Who made it; none when it was there and nothing had to be looked at.
    pub verification: Option<Verification>,
    /// The component was fetched now.
    pub fetched: bool,
    /// The version that was locked before, if it was another.
    pub replaced: Option<semver::Version>,
}

/// Installs plugins into the project in the folder `project`.
///
/// What is locked, granted and in the store already costs no request. Its bytes are hashed and it is compiled where that is
/// missing, so that an install mends what was damaged, and what another version of the host had compiled.
///
/// # Errors
/// See [`PackageError`]. When any plugin fails, the project's lock and grants are as they were.
pub async fn install(
    home: &Home,
    project: &Path,
    components: &dyn Components,
    requests: &[Request],
    options: Options,
    mut consent: Consent<'_>,
) -> Result<Vec<Outcome>, PackageError> {
    let before = (Lock::load(project)?, Grants::load(project)?);
    let (mut lock, mut grants) = before.clone();
    let mut outcomes = Vec::new();
    let mut held = None;
    for request in requests {
        let locked = lock.get(&request.name, &request.requirement).ok().cloned();
        if let Some(locked) = &locked
            && whole(&home.store(), &locked.digest)?.is_some()
            && (matches!(consent, Consent::Given) || consented(&lock, &grants, &locked.name, &locked.permissions))
            && (locked.signature.is_some() || options.allow_unsigned)
        {
            let path = home.store().wasm(&locked.digest);
            let compiled = components.compile(locked.digest, &path).await;
            compiled.map_err(|why| bad_component(&locked.plugin(), why))?;
            if matches!(consent, Consent::Given) && !locked.permissions.within(&grants.of(&locked.name)) {
                grants.plugins.insert(locked.name.clone(), locked.permissions.clone());
            }
            outcomes.push(Outcome { plugin: locked.plugin(), verification: None, fetched: false, replaced: None });
            continue;
        }
        if held.is_none() {
            let store = home.store();
            let lock = tokio::task::spawn_blocking(move || store.lock());
            // Only a panic ends that task without an answer.
            held =
                Some(lock.await.map_err(|error| {
                    PackageError::io("lock", home.root(), std::io::Error::other(error.to_string()))
                })??);
        }
        outcomes
            .push(install_one(home, components, request, locked, options, &mut consent, &mut lock, &mut grants).await?);
    }
    if options.locked && lock != before.0 {
        return Err(PackageError::LockWouldChange { why: "an entry differs".to_owned() });
    }
    grants.save(project)?;
    lock.save(project)?;
    for outcome in &outcomes {
        if let Some(Verification::Verified { key, first_seen: true }) = outcome.verification {
            home.remember_publisher(outcome.plugin.name.namespace(), key)?;
        }
    }
    Ok(outcomes)
}

/// A component that is here, its bytes as they should be. A damaged one is fetched again.
fn whole(store: &Store, digest: &Digest) -> Result<Option<Entry>, PackageError> {
    Ok(if store.verify(digest)? == Some(*digest) { store.get(digest)? } else { None })
}

/// Whether what a plugin asks was agreed to: it is granted as a whole, or it is no more than what was locked when the
/// grant was given (which a person may have narrowed since).
fn consented(lock: &Lock, grants: &Grants, name: &PluginName, asked: &Permissions) -> bool {
    asked.within(&grants.of(name))
        || (grants.plugins.contains_key(name)
            && lock.plugins.get(name).is_some_and(|locked| asked.within(&locked.permissions)))
}

#[allow(clippy::too_many_arguments, reason = "the state of one install; a struct would only be taken apart again")]
async fn install_one(
    home: &Home,
    components: &dyn Components,
    request: &Request,
    locked: Option<Locked>,
    options: Options,
    consent: &mut Consent<'_>,
    lock: &mut Lock,
    grants: &mut Grants,
) -> Result<Outcome, PackageError> {
    let name = &request.name;
    if options.locked && locked.is_none() {
        return Err(PackageError::LockWouldChange { why: format!("{name} {} is not in it", request.requirement) });
    }
    let registry = Registry::of(home, name)?;
    if let Some(locked) = &locked
        && locked.registry != registry.url().to_string()
    {
        return Err(PackageError::LockWouldChange {
            why: format!(
                "{name} was locked from {}, and its namespace is now mapped to {}",
                locked.registry,
                registry.url()
            ),
        });
    }
    let release = resolve(&registry, request, locked.as_ref()).await?;
    let verification = check_signature(home, &release, locked.as_ref(), &registry, options)?;

    let plugin = PluginRef { name: name.clone(), version: release.version.clone(), digest: release.digest };
    let store = home.store();
    let present = whole(&store, &release.digest)?;
    let fetched = present.is_none();
    let (wasm, facts) = match present {
        Some(entry) => (None, FactsOf::Entry(entry)),
        None => {
            let wasm = registry.component(&release).await?;
            let facts = components.inspect(&wasm).map_err(|why| bad_component(&plugin, why))?;
            (Some(wasm), FactsOf::Component(facts))
        }
    };
    facts.check(&plugin, &release)?;

    // Whoever says --grant means all that is asked, also where the grant was narrowed before.
    let is_given = matches!(consent, Consent::Given) && !release.permissions.within(&grants.of(name));
    if is_given || !consented(lock, grants, name, &release.permissions) {
        let before = lock.plugins.get(name).map(|locked| locked.permissions.clone());
        let question = ConsentRequest {
            plugin: plugin.clone(),
            summary: release.summary.clone(),
            verification: verification.clone(),
            asked: release.permissions.clone(),
            before,
        };
        let granted = match consent {
            Consent::Ask(ask) => ask(&question),
            Consent::Given => true,
            Consent::Nobody => false,
        };
        if !granted {
            return Err(PackageError::NotGranted {
                plugin: Box::new(plugin),
                words: question.words(),
                command: format!("windlass plugin install {name}@={} --grant", release.version),
            });
        }
        grants.plugins.insert(name.clone(), release.permissions.clone());
    }

    if let (Some(wasm), FactsOf::Component(facts)) = (wasm, facts) {
        let path = store.put(&release.digest, &wasm)?;
        let descriptor = components.describe(&plugin, &path).await.map_err(|why| bad_component(&plugin, why))?;
        store.finish(&Entry {
            digest: release.digest,
            size: wasm.len() as u64,
            kinds: facts.kinds,
            imports: facts.imports,
            contract: facts.contract,
            descriptor,
        })?;
    }
    let replaced = lock.plugins.get(name).map(|old| old.version.clone()).filter(|old| *old != release.version);
    lock.plugins.insert(
        name.clone(),
        Locked {
            name: name.clone(),
            version: release.version,
            digest: release.digest,
            registry: registry.url().to_string(),
            contract: release.contract,
            signature: release.signature,
            dependencies: release.dependencies,
            permissions: release.permissions,
        },
    );
    Ok(Outcome { plugin, verification: Some(verification), fetched, replaced })
}

/// The release to install: the locked one where there is one, else the newest that fits.
async fn resolve(registry: &Registry, request: &Request, locked: Option<&Locked>) -> Result<Release, PackageError> {
    let name = &request.name;
    let mut releases = registry.releases(name).await?;
    if let Some(locked) = locked {
        let Some(at) = releases.iter().position(|release| release.version == locked.version) else {
            return Err(PackageError::Rollback {
                registry: registry.url().to_string(),
                name: name.clone(),
                why: format!("the locked version {} is gone", locked.version),
            });
        };
        let release = releases.swap_remove(at);
        if release.digest != locked.digest {
            return Err(PackageError::LockDisagrees {
                plugin: Box::new(locked.plugin()),
                registry: registry.url().to_string(),
                offered: release.digest,
            });
        }
        return Ok(release);
    }
    newest(&releases, &request.requirement).cloned().ok_or_else(|| PackageError::NoVersion {
        name: name.clone(),
        requirement: request.requirement.to_string(),
        available: match releases.is_empty() {
            true => "none".to_owned(),
            false => releases
                .iter()
                .rev()
                .take(10)
                .map(|r| {
                    format!(
                        "{}{}",
                        r.version,
                        r.status.notice().map(|(state, _)| format!(" ({state})")).unwrap_or_default()
                    )
                })
                .collect::<Vec<_>>()
                .join(", "),
        },
    })
}

/// Fails closed: bad is refused, unsigned is refused but for local work that asked for it.
fn check_signature(
    home: &Home,
    release: &Release,
    locked: Option<&Locked>,
    registry: &Registry,
    options: Options,
) -> Result<Verification, PackageError> {
    let from_lock = locked.and_then(|locked| locked.signature.as_ref()).map(|signature| signature.key);
    let known = home.publisher(release.name.namespace())?.or(from_lock);
    let verification = verify(release, known);
    match &verification {
        Verification::Verified { .. } => Ok(verification),
        Verification::Unsigned if options.allow_unsigned && registry.url().is_local() => Ok(verification),
        Verification::Unsigned => {
            Err(PackageError::Unsigned { name: release.name.clone(), version: release.version.clone() })
        }
        Verification::Bad { why } => Err(PackageError::BadSignature {
            name: release.name.clone(),
            version: release.version.clone(),
            why: why.clone(),
        }),
    }
}

/// What a component says of itself: read now, or when it was put into the store.
enum FactsOf {
    Component(Inspection),
    Entry(Entry),
}

impl FactsOf {
    /// Whether the component is what its release says. The publish gate checks the same; it is not trusted with it.
    fn check(&self, plugin: &PluginRef, release: &Release) -> Result<(), PackageError> {
        let (kinds, imports) = match self {
            FactsOf::Component(facts) => {
                check_facts(&plugin.to_string(), facts, &release.permissions)?;
                (&facts.kinds, &facts.imports)
            }
            FactsOf::Entry(entry) => {
                check_imports(&plugin.to_string(), &entry.imports, &release.permissions)?;
                (&entry.kinds, &entry.imports)
            }
        };
        if *kinds != release.kinds || *imports != release.imports {
            return Err(bad_component(plugin, "the index describes other kinds or imports than it has".to_owned()));
        }
        Ok(())
    }
}

fn bad_component(plugin: &PluginRef, why: String) -> PackageError {
    PackageError::BadComponent { name: plugin.to_string(), why }
}

/// What must be true of a component whatever is to be done with it.
///
/// # Errors
/// [`PackageError::BadComponent`], or [`PackageError::UndeclaredImports`] which names them.
pub fn check_facts(name: &str, facts: &Inspection, permissions: &Permissions) -> Result<(), PackageError> {
    if !facts.unknown_imports.is_empty() {
        return Err(PackageError::BadComponent {
            name: name.to_owned(),
            why: format!("it imports {}", facts.unknown_imports.join("; ")),
        });
    }
    if !facts.kinds.contains(&PluginKind::Step) {
        return Err(PackageError::BadComponent {
            name: name.to_owned(),
            why: "it does not export windlass:plugin/step, the only kind of plugin so far".to_owned(),
        });
    }
    check_imports(name, &facts.imports, permissions)
}

fn check_imports(
    name: &str,
    imports: &std::collections::BTreeSet<Interface>,
    permissions: &Permissions,
) -> Result<(), PackageError> {
    let undeclared = undeclared(imports, permissions);
    if undeclared.is_empty() {
        return Ok(());
    }
    let imports = undeclared.iter().map(|interface| interface.name()).collect::<Vec<_>>().join(", ");
    Err(PackageError::UndeclaredImports { name: name.to_owned(), imports })
}

/// The imports that permissions do not ask for.
pub fn undeclared(imports: &std::collections::BTreeSet<Interface>, permissions: &Permissions) -> Vec<Interface> {
    let declared = permissions.interfaces();
    imports.iter().copied().filter(|interface| !interface.always_granted() && !declared.contains(interface)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{manifest::read_yaml, release::tests::release};
    use ed25519_dalek::SigningKey;

    fn permissions(yaml: &str) -> Permissions {
        read_yaml("x", yaml).unwrap()
    }

    #[test]
    fn requests() {
        let check = |text: &str, expect: Option<(&str, &str)>| {
            let got = text.parse::<Request>().ok().map(|r| (r.name.to_string(), r.requirement.to_string()));
            assert_eq!(got, expect.map(|(name, req)| (name.to_owned(), req.to_owned())), "{text}");
        };
        check("windlass:shell", Some(("windlass:shell", "*")));
        check("windlass:shell@0.1", Some(("windlass:shell", "^0.1")));
        check("windlass:shell@=0.1.2", Some(("windlass:shell", "=0.1.2")));
        check("windlass:shell@", None);
        check("shell", None);
        check("../x:y@1", None);
    }

    #[test]
    fn three_results() {
        let [ours, other] = [1, 2].map(|seed| SigningKey::from_bytes(&[seed; 32]));
        let key = PublisherKey::of(&ours);
        let unsigned = release("1.0.0");
        let signed_by = |signer: &SigningKey, of: &Release| {
            let signature = of.statement().sign(signer);
            Release { signature: Some(signature), ..of.clone() }
        };
        let signed = signed_by(&ours, &unsigned);
        let check = |release: &Release, known, expect: &str| {
            let got = match verify(release, known) {
                Verification::Verified { first_seen: true, .. } => "verified, first seen".to_owned(),
                Verification::Verified { .. } => "verified".to_owned(),
                Verification::Unsigned => "unsigned".to_owned(),
                Verification::Bad { why } => why.replace(&key.to_string(), "OURS"),
            };
            assert!(got.contains(expect), "{got}, expected {expect}");
        };
        check(&signed, Some(key), "verified");
        check(&signed, None, "verified, first seen");
        check(&unsigned, None, "unsigned");
        check(&unsigned, Some(key), "it is not signed, and the releases of acme are signed by OURS");
        check(&signed_by(&other, &unsigned), Some(key), "acme is known by OURS");
        let replayed = Release { signature: signed.signature.clone(), ..release("2.0.0") };
        check(&replayed, Some(key), "not over this name, version");
        let widened = Release { permissions: permissions("state: true"), ..signed.clone() };
        check(&widened, Some(key), "these permissions");
        let other_plugin = Release { name: "acme:other".parse().unwrap(), ..signed };
        check(&other_plugin, None, "not over this name");
    }

    #[test]
    fn the_question() {
        let key = PublisherKey::of(&SigningKey::from_bytes(&[1; 32]));
        let mut question = ConsentRequest {
            plugin: PluginRef {
                name: "acme:slack".parse().unwrap(),
                version: semver::Version::new(1, 2, 0),
                digest: windlass_contract::Digest::of(b""),
            },
            summary: "Tell a channel".to_owned(),
            verification: Verification::Verified { key, first_seen: true },
            asked: permissions(
                "http: {hosts: [hooks.slack.com], methods: [POST]}\nsecrets: [from-config]\nsecrets-reveal: true",
            ),
            before: None,
        };
        insta::assert_snapshot!(question.words(), @"
        acme:slack 1.2.0, signed by ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c (a publisher not seen before), wants to:
          - use secrets without seeing them: the ones that your pipeline names
          - READ THE VALUES of those secrets
          - send POST requests to hooks.slack.com
        ");
        question.before = Some(permissions("http: {hosts: [hooks.slack.com], methods: [GET]}\nsecrets: [from-config]"));
        question.verification = Verification::Verified { key, first_seen: false };
        insta::assert_snapshot!(question.words(), @"
        acme:slack 1.2.0, signed by ed25519:8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c (known), wants to:
            use secrets without seeing them: the ones that your pipeline names (as before)
          + READ THE VALUES of those secrets (new)
          + send POST requests to hooks.slack.com
            (until now: send GET requests to hooks.slack.com)
        ");
    }

    #[test]
    fn asked_again_only_when_it_widens() {
        let name: PluginName = "acme:slack".parse().unwrap();
        let wide = permissions("secrets: [from-config]\nstate: true");
        let locked = Locked {
            name: name.clone(),
            version: semver::Version::new(1, 0, 0),
            digest: windlass_contract::Digest::of(b""),
            registry: "http://127.0.0.1:1".to_owned(),
            contract: semver::Version::new(0, 1, 0),
            signature: None,
            dependencies: Default::default(),
            permissions: wide.clone(),
        };
        let lock = Lock { plugins: [(name.clone(), locked)].into() };
        let check = |lock: &Lock, granted: Option<&str>, asked: &str, expect: bool| {
            let grants = Grants { plugins: granted.map(|g| (name.clone(), permissions(g))).into_iter().collect() };
            assert_eq!(consented(lock, &grants, &name, &permissions(asked)), expect, "{granted:?}, {asked}");
        };
        check(&Lock::default(), None, "state: true", false);
        check(&Lock::default(), None, "{}", true);
        check(&Lock::default(), Some("state: true"), "state: true", true);
        check(&lock, Some("state: true"), "secrets: [from-config]\nstate: true", true); // narrowed by hand, asked the same
        check(&lock, Some("state: true"), "secrets: [other/x]\nstate: true", false);
        check(&lock, None, "state: true", false); // the grant was taken away
    }
}
