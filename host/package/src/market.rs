//! The market's answers: search, a plugin's page, downloads, and the native entries of an imported index.
//!
//! These are what `/api/v1` of a registry speaks, read by `windlass plugin search` and by the web pages. Answers grow: a
//! reader ignores keys that it does not know. Questions do not: a parameter that is not known is refused, so that a typing
//! mistake is not taken for "no filter".
//!
//! Not here: the index ([`crate::release`]), which alone decides what is installed. Nothing in this module is signed, and
//! nothing of it is trusted for more than being shown.

use crate::{
    release::{Release, Status},
    signature::PublisherKey,
};
use jiff::Timestamp;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};
use windlass_contract::{Digest, EffectClass, Interface, PluginKind, PluginName, ProviderName, Verb};

/// Hits of one page unless asked otherwise: what a screen shows.
pub const DEFAULT_LIMIT: u32 = 20;
/// Most hits of one page.
pub const MAX_LIMIT: u32 = 100;
/// Most hits that are ranked, over all pages: nobody reads on, and a crawler reads the index.
pub const MAX_RANKED: usize = 1_000;
/// Step types that a card names: those of most plugins; some native entries have hundreds.
pub const MAX_CARD_STEPS: usize = 20;
/// Most versions of one list, the newest; the index has them all.
pub const MAX_VERSIONS: usize = 1_000;
/// Most conflicts of one list.
pub const MAX_CONFLICTS: usize = 1_000;
/// Longest query, in characters.
pub const MAX_QUERY: usize = 200;

/// What is searched for: the query string of `GET /api/v1/search`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[cfg_attr(feature = "openapi", derive(utoipa::IntoParams), into_params(parameter_in = Query))]
pub struct SearchQuery {
    /// Words. All must occur; the last one may be the beginning of a word. Empty: everything.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub q: String,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, example = "step"))]
    pub kind: Option<PluginKind>,
    /// What it imports.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", param(value_type = Option<String>, example = "http"))]
    pub capability: Option<Interface>,
    /// Whether the registry's operator has verified who owns the namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<bool>,
    /// Its licence, as its author wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The category of a native entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Category>,
    /// Whether it is a native entry, which cannot be installed here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native: Option<bool>,
    /// The order.
    pub sort: Sort,
    /// Where the page begins: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// Hits of one page: 1 to [`MAX_LIMIT`].
    pub limit: u32,
}

impl Default for SearchQuery {
    fn default() -> Self {
        SearchQuery {
            q: String::new(),
            kind: None,
            capability: None,
            verified: None,
            licence: None,
            category: None,
            native: None,
            sort: Sort::default(),
            cursor: None,
            limit: DEFAULT_LIMIT,
        }
    }
}

/// The order of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Sort {
    /// The best first.
    #[default]
    Relevance,
    /// The most downloaded first.
    Downloads,
    /// The latest publication first.
    New,
    /// By name.
    Name,
}

/// `GET /api/v1/search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SearchAnswer {
    /// One page.
    pub hits: Vec<Hit>,
    /// How many there are on all pages.
    pub total: u64,
    /// Whether there are more than `total`, of which the pages show the best.
    #[serde(default)]
    pub more: bool,
    /// How many of them each filter would leave.
    pub facets: Facets,
    /// The cursor of the next page; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// A word that there is, when nothing matches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub did_you_mean: Option<String>,
}

/// Counts for each filter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Facets {
    /// By kind.
    pub kind: Vec<Count>,
    /// By what it imports.
    pub capability: Vec<Count>,
    /// By licence: the most frequent.
    pub licence: Vec<Count>,
    /// By category of native entries.
    pub category: Vec<Count>,
    /// By whether the namespace is verified.
    pub verified: Vec<Count>,
    /// By whether it is native.
    pub native: Vec<Count>,
}

/// One value of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Count {
    /// As the filter takes it.
    pub value: String,
    /// How many hits have it.
    pub count: u64,
}

/// One hit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Hit {
    /// A plugin of this registry.
    Plugin(PluginCard),
    /// An entry of an imported index; it cannot be installed here.
    Native(NativeCard),
}

/// A plugin in a list: its newest release.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PluginCard {
    /// `namespace:name`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PluginName,
    /// The newest version that may be used.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// One line.
    pub summary: String,
    /// What it is for.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub kinds: BTreeSet<PluginKind>,
    /// Its step types: the first [`MAX_CARD_STEPS`].
    pub steps: Vec<String>,
    /// How many more it has.
    #[serde(default)]
    pub more_steps: usize,
    /// What it imports and must be granted.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub capabilities: BTreeSet<Interface>,
    /// SPDX expression.
    pub licence: String,
    /// Words that it may be found by.
    #[serde(default)]
    pub keywords: BTreeSet<String>,
    /// When that version was published.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub published: Timestamp,
    /// Whether the registry's operator has verified who owns the namespace.
    pub verified: bool,
    /// Downloads of all versions.
    pub downloads: u64,
}

/// A native entry in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NativeCard {
    /// Its name in the index that it comes from.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: NativeName,
    /// Its version, as that index says.
    pub version: String,
    /// One line.
    pub summary: String,
    /// Its step types: the first [`MAX_CARD_STEPS`].
    pub steps: Vec<String>,
    /// How many more it has.
    #[serde(default)]
    pub more_steps: usize,
    /// Its licence, as that index says.
    pub licence: String,
    /// Its category.
    pub category: Category,
    /// Who keeps it.
    pub tier: Tier,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Maturity>,
}

/// What every page says of a native entry.
pub const NATIVE_NOTE: &str = "native, not installable here: it ships native executables, not a WebAssembly component";

/// The name of a native entry: 1 to 64 lower-case letters, digits, hyphens, underscores and dots, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct NativeName(String);

impl NativeName {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for NativeName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        // It becomes a part of a path: no dot at the beginning.
        let sound = (1..=64).contains(&text.len())
            && text.as_bytes()[0].is_ascii_alphanumeric()
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.'));
        if sound {
            return Ok(NativeName(text.to_owned()));
        }
        let text: String = text.chars().take(80).collect();
        Err(format!("{text:?} is not a name: write 1 to 64 lower-case letters, digits, hyphens, underscores and dots"))
    }
}

impl fmt::Display for NativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for NativeName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Declares an enum of texts of the imported index.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$each:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "lowercase")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum $name { $($(#[$each])* $variant,)+ }

        impl $name {
            /// The word.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }
    };
}

words! {
    /// How a native entry comes to a user.
    NativeKind {
        /// It is part of the engine.
        Builtin = "builtin",
        /// A program of its own.
        External = "external",
        /// A part of the web pages.
        Ui = "ui",
    }
}
words! {
    /// Who keeps a native entry.
    Tier {
        /// The engine's makers.
        Core = "core",
        /// Somebody else.
        Community = "community",
        /// Somebody who is paid for it.
        Premium = "premium",
    }
}
words! {
    /// How far a native entry is, as its index says. It says nothing of who made it.
    Maturity {
        /// In use.
        Verified = "verified",
        /// Not proven in use.
        Experimental = "experimental",
        /// To be removed.
        Deprecated = "deprecated",
    }
}
words! {
    /// What a native entry is about.
    Category {
        /// The engine itself.
        Core = "core",
        /// Models and agents.
        Ai = "ai",
        /// Money.
        Payments = "payments",
        /// Identity, secrets, scanning.
        Security = "security",
        /// Machines, clusters, networks.
        Infrastructure = "infrastructure",
        /// Editors.
        Ide = "ide",
        /// Mail, chat, queues.
        Messaging = "messaging",
        /// Databases and files.
        Data = "data",
        /// Other services.
        Integrations = "integrations",
        /// Metrics, logs, traces.
        Observability = "observability",
        /// The rest.
        Other = "other",
    }
}

/// `GET /api/v1/native/{name}`: all that is kept of a native entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NativePage {
    /// Its name in the index: the folder it lies in.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: NativeName,
    /// What its own manifest calls it; sometimes something else.
    pub manifest_name: String,
    /// Its version.
    pub version: String,
    /// Who made it.
    pub author: String,
    /// What it does.
    pub summary: String,
    /// How it comes.
    pub kind: NativeKind,
    /// Who keeps it.
    pub tier: Tier,
    /// How far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Maturity>,
    /// What it is about.
    pub category: Category,
    /// Its licence.
    pub licence: String,
    /// Words that it may be found by.
    #[serde(default)]
    pub keywords: Vec<String>,
    /// Its page: http or https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Its source: http or https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The engine that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_engine: Option<String>,
    /// Its step types.
    #[serde(default)]
    pub steps: Vec<String>,
    /// Its module types.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Its trigger types.
    #[serde(default)]
    pub triggers: Vec<String>,
    /// Other entries that it needs.
    #[serde(default)]
    pub dependencies: Vec<String>,
    /// The secrets that it needs.
    #[serde(default)]
    pub secrets: Vec<NativeSecret>,
    /// Its step types that something else provides too. Filled in when it is shown.
    #[serde(default)]
    pub conflicts: Vec<StepConflict>,
    /// [`NATIVE_NOTE`], when it is shown.
    #[serde(default)]
    pub note: String,
}

/// A secret that a native entry needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NativeSecret {
    /// The environment variable that it is read from.
    pub name: String,
    /// Whether it must not be shown.
    pub sensitive: bool,
    /// What it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A step type that more than one entry provides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepConflict {
    /// The step type.
    pub step: String,
    /// All who provide it.
    pub providers: Vec<Provider>,
}

/// Who provides a step type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "entry", content = "name", rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Provider {
    /// A plugin of this registry.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    Plugin(PluginName),
    /// A native entry.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    Native(NativeName),
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Provider::Plugin(name) => write!(f, "{name}"),
            Provider::Native(name) => write!(f, "{name} (native)"),
        }
    }
}

/// `GET /api/v1/step-types/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepProviders {
    /// The step type.
    pub step: String,
    /// Who provides it.
    pub providers: Vec<Provider>,
}

/// `GET /api/v1/conflicts`: step types that more than one entry provides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Conflicts {
    /// By step type: at most [`MAX_CONFLICTS`].
    pub conflicts: Vec<StepConflict>,
}

/// `GET /api/v1/plugins/{namespace}/{name}`: all that a plugin's page shows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PluginPage {
    /// `namespace:name`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: PluginName,
    /// The release that the rest is about: the newest that may be used, or the newest at all.
    pub release: VersionPage,
    /// The versions, the newest first: at most [`MAX_LIMIT`].
    pub versions: Vec<VersionRow>,
    /// The README as sanitised HTML: no script, no style, no element but those of a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readme: Option<String>,
    /// Who owns the namespace.
    pub owners: Vec<String>,
    /// Whether the registry's operator has verified who that is.
    pub verified: bool,
    /// Downloads.
    pub downloads: Downloads,
    /// How many plugins need this one, and the first of them by name.
    pub dependents: Dependents,
    /// The commands that install it.
    pub install: Vec<String>,
    /// Its step types that something else provides too.
    pub conflicts: Vec<StepConflict>,
}

/// `GET /api/v1/plugins/{namespace}/{name}/versions/{version}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionPage {
    /// The version.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// One line.
    pub summary: String,
    /// SPDX expression.
    pub licence: String,
    /// Where its source is: http or https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Words that it may be found by.
    #[serde(default)]
    pub keywords: BTreeSet<String>,
    /// Digest of the component.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size: u64,
    /// When it was published.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub published: Timestamp,
    /// Whether it may be used.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub status: Status,
    /// What it is for.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub kinds: BTreeSet<PluginKind>,
    /// The version of the contract that it was built against.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub contract: Version,
    /// The versions of Windlass that it runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub engine: Option<VersionReq>,
    /// What the component imports.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub imports: BTreeSet<Interface>,
    /// What it asks for, in words.
    pub permissions: Vec<PermissionLine>,
    /// The plugins that it calls, and in which versions.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, String>))]
    pub dependencies: BTreeMap<PluginName, VersionReq>,
    /// Whose signature it carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub signed_by: Option<PublisherKey>,
    /// Its step types.
    pub steps: Vec<StepPage>,
    /// Its provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderPage>,
}

/// A step type on a plugin's page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct StepPage {
    /// Such as `step.shell_exec`.
    pub name: String,
    /// One line.
    pub summary: String,
    /// Its documentation as sanitised HTML.
    pub docs: String,
    /// What may be done with it after a crash.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub effect: EffectClass,
    /// JSON Schema of its configuration.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub config_schema: Value,
    /// JSON Schema of its results.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub output_schema: Value,
}

/// A provider on a plugin's page.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ProviderPage {
    /// What an environment names, such as `local`.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub name: ProviderName,
    /// What people call it. One line.
    pub title: String,
    /// Its documentation as sanitised HTML.
    pub docs: String,
    /// JSON Schema of an environment's configuration.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub config_schema: Value,
    /// What it can be asked, such as `deploy` and `rollback`.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub verbs: BTreeSet<Verb>,
    /// The regions that it knows; none where that is no question.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub regions: Vec<String>,
}

/// One permission: what the consent dialog says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PermissionLine {
    /// The capability.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub capability: Interface,
    /// In words, with its scope.
    pub words: String,
}

/// A version in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VersionRow {
    /// The version.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub version: Version,
    /// When it was published.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub published: Timestamp,
    /// Digest of the component.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub digest: Digest,
    /// Size of the component in bytes.
    pub size: u64,
    /// Whether it may be used; with the reason why not.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub status: Status,
}

impl From<&Release> for VersionRow {
    fn from(release: &Release) -> Self {
        VersionRow {
            version: release.version.clone(),
            published: release.published,
            digest: release.digest,
            size: release.size,
            status: release.status.clone(),
        }
    }
}

/// `GET /api/v1/plugins/{namespace}/{name}/versions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Versions {
    /// The newest first: at most [`MAX_VERSIONS`].
    pub versions: Vec<VersionRow>,
}

/// `GET /api/v1/plugins/{namespace}/{name}/versions/{version}/permissions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PermissionLines {
    /// In a fixed order.
    pub permissions: Vec<PermissionLine>,
}

/// `GET /api/v1/plugins/{namespace}/{name}/dependents`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Dependents {
    /// How many plugins have a newest release that needs it.
    pub total: u64,
    /// The first of them, by name.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub plugins: Vec<PluginName>,
}

/// `GET /api/v1/plugins/{namespace}/{name}/downloads`: what people fetched, as far as one can count it.
///
/// One address counts once an hour for each release. What is counted is written every minute and at the end, so a crash
/// loses a minute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Downloads {
    /// Since the beginning.
    pub total: u64,
    /// In the last 90 days.
    pub last_90_days: u64,
    /// By version; empty on a plugin's page.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = BTreeMap<String, u64>))]
    pub versions: BTreeMap<Version, u64>,
    /// By day (`2026-11-20`), for the last 90 days, without those on which there were none; empty on a plugin's page.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub days: BTreeMap<String, u64>,
}

/// `GET /api/v1/namespaces/{namespace}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NamespacePage {
    /// Its name.
    pub namespace: String,
    /// Whether the registry's operator has verified who owns it.
    pub verified: bool,
    /// Who owns it.
    pub owners: Vec<String>,
    /// The keys that sign its releases.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub keys: Vec<PublisherKey>,
    /// Its plugins, by name: at most [`MAX_LIMIT`].
    pub plugins: Vec<PluginCard>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_names_are_no_paths() {
        for sound in ["http", "a", "workflow-plugin_x.y", "2fa"] {
            assert!(sound.parse::<NativeName>().is_ok(), "{sound}");
        }
        for bad in ["", ".", "..", "../x", "a/b", "A", "-x", ".x", "a b", "ä", "%2e", &"x".repeat(65)] {
            assert!(bad.parse::<NativeName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_hit_says_what_it_is() {
        let card = r#"{"entry":"native","name":"http","version":"1.0.0","summary":"s","steps":[],"more_steps":0,"licence":"MIT","category":"core","tier":"core"}"#;
        let hit: Hit = serde_json::from_str(card).unwrap();
        assert!(matches!(&hit, Hit::Native(card) if card.name.as_str() == "http"));
        assert_eq!(serde_json::to_string(&hit).unwrap(), card);
    }

    #[test]
    fn the_words_are_those_of_the_format() {
        fn check<T: Serialize>(value: T, word: &str) {
            assert_eq!(serde_json::to_string(&value).unwrap(), format!("{word:?}"));
        }
        check(Category::Infrastructure, Category::Infrastructure.word());
        check(Tier::Premium, Tier::Premium.word());
        check(Maturity::Deprecated, Maturity::Deprecated.word());
        check(NativeKind::Ui, NativeKind::Ui.word());
    }
}
