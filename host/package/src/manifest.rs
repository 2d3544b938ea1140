//! `plugin.yaml`: what an author says of a plugin. The rest is read from the component.
//!
//! Parsed, not sanitised: each value is of its type or the file is refused, with line and column. Keys that are not known
//! are refused, so that a typing mistake in a permission is not lost.

use crate::{PackageError, signature::Statement};
use semver::{Version, VersionReq};
use serde::{Deserialize, Deserializer, de::Error as _};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Component as Segment, Path, PathBuf},
};
use windlass_contract::{Digest, Permissions, PluginName};

/// The file's name.
pub const FILE: &str = "plugin.yaml";
/// Longest manifest, in bytes: a thousand times a usual one.
pub const MAX_MANIFEST: u64 = 64 * 1024;
/// Longest summary, in characters: what a search result can show.
pub const MAX_SUMMARY: usize = 200;
/// Longest README, in bytes: a page, not a book; images stay where they are.
pub const MAX_README: u64 = 512 * 1024;
/// Most plugins that one plugin calls: what a person can oversee.
pub const MAX_DEPENDENCIES: usize = 32;
/// Most keywords: what a card can show.
pub const MAX_KEYWORDS: usize = 10;
/// Longest keyword, in characters.
pub const MAX_KEYWORD: usize = 30;
/// Most example pipelines: what a page can show.
pub const MAX_EXAMPLES: usize = 10;
/// Largest example pipeline, in bytes: a screen or two, a hundred times over.
pub const MAX_EXAMPLE: u64 = 64 * 1024;
/// Most commands of `build`, and most arguments of each: a build that needs more is a script of its own.
pub const MAX_BUILD: usize = 100;
/// Largest component, in bytes: three times a Python one.
pub const MAX_COMPONENT: u64 = 64 * 1024 * 1024;

/// A plugin's manifest.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// `namespace:name`.
    pub name: PluginName,
    /// Its semantic version; without build metadata, which has no order and no place in a tag.
    #[serde(deserialize_with = "version")]
    pub version: Version,
    /// One line, at most [`MAX_SUMMARY`] characters.
    #[serde(deserialize_with = "summary")]
    pub summary: String,
    /// An SPDX expression.
    #[serde(deserialize_with = "licence")]
    pub licence: String,
    /// Where its source is: http or https.
    #[serde(default, deserialize_with = "source")]
    pub source: Option<String>,
    /// Path of the README in the manifest's folder.
    #[serde(default, deserialize_with = "inside")]
    pub readme: Option<PathBuf>,
    /// Path of the built component, relative to the manifest's folder.
    pub component: PathBuf,
    /// How the component is built, for its author: argument vectors, carried out one after the other in the manifest's folder,
    /// without a shell. One vector may be written without a list around it.
    #[serde(default, deserialize_with = "build")]
    pub build: Vec<Vec<String>>,
    /// Words that it may be found by: at most [`MAX_KEYWORDS`], each of lower-case letters, digits and hyphens.
    #[serde(default, deserialize_with = "keywords")]
    pub keywords: BTreeSet<String>,
    /// The versions of Windlass that it runs on, such as `>=0.1, <0.3`.
    #[serde(default, deserialize_with = "engine")]
    pub engine: Option<VersionReq>,
    /// The plugins that it calls, and in which versions.
    #[serde(default, deserialize_with = "dependencies")]
    pub dependencies: BTreeMap<PluginName, VersionReq>,
    /// Pipelines that show what it is for: paths in the manifest's folder, at most [`MAX_EXAMPLES`]. Each must load with the
    /// step types of this plugin and of those that it calls.
    #[serde(default, deserialize_with = "examples")]
    pub examples: Vec<PathBuf>,
    /// What it asks for.
    #[serde(default, deserialize_with = "permissions")]
    pub permissions: Permissions,
}

fn build<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "build is a list of a program and its arguments, or a list of such lists")]
    enum Written {
        One(Vec<String>),
        Several(Vec<Vec<String>>),
    }
    let commands = match Written::deserialize(deserializer)? {
        Written::One(command) => vec![command],
        Written::Several(commands) => commands,
    };
    let sound = |command: &Vec<String>| {
        (1..=MAX_BUILD).contains(&command.len())
            && command.first().is_some_and(|program| !program.trim().is_empty())
            && command.iter().all(|argument| !argument.contains('\0'))
    };
    if (1..=MAX_BUILD).contains(&commands.len()) && commands.iter().all(sound) {
        return Ok(commands);
    }
    Err(D::Error::custom(format!(
        "build has 1 to {MAX_BUILD} commands, each a program and at most {} arguments; there is no shell",
        MAX_BUILD - 1
    )))
}

fn keywords<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeSet<String>, D::Error> {
    let words = BTreeSet::<String>::deserialize(deserializer)?;
    if words.len() > MAX_KEYWORDS {
        return Err(D::Error::custom(format!("there are {} keywords, at most {MAX_KEYWORDS} are kept", words.len())));
    }
    let sound = |word: &String| {
        (1..=MAX_KEYWORD).contains(&word.len())
            && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match words.iter().find(|word| !sound(word)) {
        None => Ok(words),
        Some(word) => {
            let word: String = word.chars().take(80).collect();
            Err(D::Error::custom(format!(
                "{word:?} is not a keyword: write 1 to {MAX_KEYWORD} lower-case letters, digits and hyphens"
            )))
        }
    }
}

fn dependencies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<PluginName, VersionReq>, D::Error> {
    let dependencies = BTreeMap::<PluginName, String>::deserialize(deserializer)?;
    if dependencies.len() > MAX_DEPENDENCIES {
        let count = dependencies.len();
        return Err(D::Error::custom(format!("it calls {count} plugins, at most {MAX_DEPENDENCIES} are allowed")));
    }
    dependencies.into_iter().map(|(name, text)| Ok((name, requirement(&text)?))).collect()
}

fn engine<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<VersionReq>, D::Error> {
    requirement(&String::deserialize(deserializer)?).map(Some)
}

fn requirement<E: serde::de::Error>(text: &str) -> Result<VersionReq, E> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(80).collect();
        E::custom(format!("{text:?} is not a range of versions such as ^1.2 or >=0.1, <0.3"))
    })
}

fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Version, D::Error> {
    let text = String::deserialize(deserializer)?;
    let version: Version = text
        .parse()
        .map_err(|error| D::Error::custom(format!("{text:?} is not a semantic version such as 1.2.3: {error}")))?;
    if !version.build.is_empty() {
        return Err(D::Error::custom(format!("the version {text} holds build metadata; leave out what follows the +")));
    }
    Ok(version)
}

fn summary<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let length = text.chars().count();
    if text.trim().is_empty() || length > MAX_SUMMARY {
        return Err(D::Error::custom(format!("a summary has 1 to {MAX_SUMMARY} characters, this one has {length}")));
    }
    if text.chars().any(is_deceptive) {
        return Err(D::Error::custom("a summary holds no control characters and none that turn the text around"));
    }
    Ok(text)
}

/// Control characters (terminal escapes, newlines), and those that reorder or hide text.
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn licence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    // The shape of an SPDX expression; the list of identifiers grows faster than we do.
    let sound = (1..=120).contains(&text.len())
        && text.split(' ').all(|word| {
            !word.is_empty()
                && word.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+' | b'(' | b')'))
        });
    if sound {
        Ok(text)
    } else {
        Err(D::Error::custom(format!("{text:?} is not an SPDX expression such as Apache-2.0 or MIT OR Apache-2.0")))
    }
}

fn source<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match url::Url::parse(&text) {
        Ok(url)
            if matches!(url.scheme(), "http" | "https")
                && url.username().is_empty()
                && url.password().is_none()
                && text.len() <= 500
                && !text.chars().any(is_deceptive) =>
        {
            Ok(Some(url.into()))
        }
        _ => Err(D::Error::custom("source is an http or https address, without a user")),
    }
}

fn inside<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
    let path = PathBuf::deserialize(deserializer)?;
    match is_inside(&path) {
        true => Ok(Some(path)),
        false => Err(D::Error::custom("readme is a file in the folder of plugin.yaml")),
    }
}

/// It is published: a manifest that somebody else wrote must not pick a file from elsewhere.
fn is_inside(path: &Path) -> bool {
    path.components().all(|segment| matches!(segment, Segment::Normal(_))) && path.file_name().is_some()
}

fn examples<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let paths = Vec::<PathBuf>::deserialize(deserializer)?;
    if paths.len() > MAX_EXAMPLES {
        return Err(D::Error::custom(format!("there are {} examples, at most {MAX_EXAMPLES} are kept", paths.len())));
    }
    match paths.iter().all(|path| is_inside(path)) {
        true => Ok(paths),
        false => Err(D::Error::custom("examples are files in the folder of plugin.yaml")),
    }
}

fn permissions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Permissions, D::Error> {
    let permissions = Permissions::deserialize(deserializer)?;
    check_permissions(&permissions).map_err(D::Error::custom)?;
    Ok(permissions)
}

/// What the types of [`Permissions`] cannot say: a scope that gives nothing is a mistake, not a permission.
///
/// # Errors
/// In words, for the first such scope.
pub fn check_permissions(permissions: &Permissions) -> Result<(), String> {
    if permissions.containers.as_ref().is_some_and(|scope| scope.images.is_empty()) {
        return Err("containers names no image; write images: [from-config], or patterns".to_owned());
    }
    if permissions.artifacts.is_some_and(|scope| !scope.read && !scope.write) {
        return Err("artifacts gives nothing; write read: true or write: true".to_owned());
    }
    if permissions.secrets_reveal && permissions.secrets.is_empty() {
        return Err("secrets-reveal reads the values of `secrets`, and no secrets are asked for".to_owned());
    }
    if let Some(scope) = &permissions.http {
        if scope.hosts.is_empty() || scope.methods.is_empty() {
            return Err("http needs hosts and methods".to_owned());
        }
        if let Some(method) = scope.methods.iter().find(|m| m.is_empty() || !m.bytes().all(|b| b.is_ascii_uppercase()))
        {
            return Err(format!("{method:?} is not a method in upper case"));
        }
    }
    Ok(())
}

/// Reads YAML of ours: strict, bounded, with the place of what is wrong.
///
/// # Errors
/// [`PackageError::Malformed`].
pub fn read_yaml<T: serde::de::DeserializeOwned>(file: &str, text: &str) -> Result<T, PackageError> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let (line, column) = error.location().map_or((0, 0), |at| (at.line(), at.column()));
        let mut message = error.without_snippet().to_string();
        // The library ends its messages with the place that we name ourselves.
        // … or with advice to programmers.
        for tail in [" at line ", " (line ", ", set DuplicateKeyPolicy"] {
            if let Some(end) = message.rfind(tail) {
                message.truncate(end);
            }
        }
        PackageError::Malformed { file: file.to_owned(), line, column, message }
    })
}

impl Manifest {
    /// Reads a manifest's text.
    ///
    /// # Errors
    /// [`PackageError::Malformed`] with line and column.
    pub fn parse(text: &str) -> Result<Self, PackageError> {
        if text.len() as u64 > MAX_MANIFEST {
            return Err(PackageError::TooLarge { what: FILE.to_owned(), size: text.len() as u64, limit: MAX_MANIFEST });
        }
        read_yaml(FILE, text)
    }

    /// What its publisher signs, for the component with this digest.
    pub fn statement<'a>(&'a self, digest: &'a Digest) -> Statement<'a> {
        Statement {
            name: &self.name,
            version: &self.version,
            digest,
            permissions: &self.permissions,
            dependencies: &self.dependencies,
        }
    }

    /// Reads the manifest in `folder`, and gives its text too.
    ///
    /// # Errors
    /// When it is not there or not valid.
    pub fn load(folder: &Path) -> Result<(Self, String), PackageError> {
        let path = folder.join(FILE);
        let text = std::fs::read_to_string(&path).map_err(|error| PackageError::io("read", &path, error))?;
        Ok((Self::parse(&text)?, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHELL: &str = "\
name: windlass:shell
version: 0.1.0
summary: Run commands in a container
licence: Apache-2.0
source: https://example.com/x
readme: README.md
component: ../target/windlass_shell.wasm
permissions: { containers: {images: [from-config], network: true, memory-mib: 8192, cpu-millis: 4000}, artifacts: {write: true}, secrets: [from-config] }
";

    #[test]
    fn a_manifest() {
        let manifest = Manifest::parse(SHELL).unwrap();
        assert_eq!(manifest.name.to_string(), "windlass:shell");
        let words: Vec<_> = manifest.permissions.in_words().into_iter().map(|(_, words)| words).collect();
        insta::assert_json_snapshot!(words, @r#"
        [
          "start containers from the images that your pipeline names; with a network; at most 8192 MiB of memory and 4 processors each",
          "write the run's artifacts and workspace",
          "use secrets without seeing them: the ones that your pipeline names"
        ]
        "#);
    }

    #[test]
    fn how_it_is_built() {
        let check = |yaml: &str, expect: &[&[&str]]| {
            let text = SHELL.replace("component:", &format!("{yaml}\ncomponent:"));
            assert_eq!(Manifest::parse(&text).unwrap().build, expect, "{yaml}");
        };
        check("", &[]);
        check("build: [make]", &[&["make"]]);
        check("build: [npm, run, build]", &[&["npm", "run", "build"]]);
        check("build: [[npm, ci], [npm, run, 'a b']]", &[&["npm", "ci"], &["npm", "run", "a b"]]);
    }

    #[test]
    fn what_is_refused() {
        let check = |from: &str, to: &str| {
            assert!(SHELL.contains(from), "the case changes nothing: {from}");
            match Manifest::parse(&SHELL.replace(from, to)) {
                Ok(_) => panic!("{to:?} was accepted"),
                Err(error) => error.to_string(),
            }
        };
        let long = format!("summary: {}", "x".repeat(201));
        let all: Vec<String> = [
            check("windlass:shell", "windlass:../shell"),
            check("windlass:shell", "shell"),
            check("version: 0.1.0", "version: 1.0"),
            check("version: 0.1.0", "version: ../../x"),
            check("version: 0.1.0", "version: 1.0.0+build"),
            check("summary: Run", "sumary: Run"),
            check("summary: Run commands in a container", &long),
            check("summary: Run commands in a container", "summary: \"\\e[31mred\""),
            check("summary: Run commands in a container", "summary: \"a\\u202Eb\""),
            check("licence: Apache-2.0", "licence: <script>"),
            check("https://example.com/x", "javascript:alert(1)"),
            check("readme: README.md", "readme: ../../etc/passwd"),
            check("readme: README.md", "readme: /etc/passwd"),
            check("images: [from-config]", "images: ['*']"),
            check("images: [from-config]", "images: []"),
            check("artifacts: {write: true}", "artifacts: {}"),
            check("artifacts: {write: true}", "artefacts: {write: true}"),
            check("artifacts: {write: true}", "artifacts: {write: yes}"),
            check("secrets: [from-config]", "secrets-reveal: true"),
            check("secrets: [from-config]", "http: {hosts: [a.b], methods: [get]}"),
            check("component:", "name: a:b\ncomponent:"),
            check("component:", "build: []\ncomponent:"),
            check("component:", "build: make\ncomponent:"),
            check("component:", "build: [['']]\ncomponent:"),
            check("component:", &format!("build: [{}]\ncomponent:", "a, ".repeat(MAX_BUILD + 1))),
            check("component:", "keywords: [Docker]\ncomponent:"),
            check("component:", "keywords: [<b>]\ncomponent:"),
            check("component:", "examples: [../../etc/passwd]\ncomponent:"),
            check("component:", "examples: [a, b, c, d, e, f, g, h, i, j, k]\ncomponent:"),
            check("component:", "engine: newest\ncomponent:"),
            check("component:", "dependencies: {docker: '^1'}\ncomponent:"),
            check("component:", "dependencies: {'windlass:docker': one}\ncomponent:"),
        ]
        .into();
        insta::assert_snapshot!(all.join("\n"), @r#"
        plugin.yaml is not valid (line 1, column 7): plugin name "windlass:../shell" is not valid: write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters
        plugin.yaml is not valid (line 1, column 7): plugin name "shell" is not valid: write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters
        plugin.yaml is not valid (line 2, column 10): "1.0" is not a semantic version such as 1.2.3: unexpected end of input while parsing minor version number
        plugin.yaml is not valid (line 2, column 10): "../../x" is not a semantic version such as 1.2.3: unexpected character '.' while parsing major version number
        plugin.yaml is not valid (line 2, column 10): the version 1.0.0+build holds build metadata; leave out what follows the +
        plugin.yaml is not valid (line 3, column 1): unknown field `sumary`, expected one of name, version, summary, licence, source, readme, component, build, keywords, engine, dependencies, examples, permissions
        plugin.yaml is not valid (line 3, column 10): a summary has 1 to 200 characters, this one has 201
        plugin.yaml is not valid (line 3, column 10): a summary holds no control characters and none that turn the text around
        plugin.yaml is not valid (line 3, column 10): a summary holds no control characters and none that turn the text around
        plugin.yaml is not valid (line 4, column 10): "<script>" is not an SPDX expression such as Apache-2.0 or MIT OR Apache-2.0
        plugin.yaml is not valid (line 5, column 9): source is an http or https address, without a user
        plugin.yaml is not valid (line 6, column 9): readme is a file in the folder of plugin.yaml
        plugin.yaml is not valid (line 6, column 9): readme is a file in the folder of plugin.yaml
        plugin.yaml is not valid (line 8, column 38): the pattern "*" would grant everything; name what is meant, or write from-config
        plugin.yaml is not valid (line 8, column 14): containers names no image; write images: [from-config], or patterns
        plugin.yaml is not valid (line 8, column 14): artifacts gives nothing; write read: true or write: true
        plugin.yaml is not valid (line 8, column 104): unknown field `artefacts`, expected one of containers, artifacts, secrets, secrets-reveal, http, state
        plugin.yaml is not valid (line 8, column 123): invalid boolean (strict mode expects true/false)
        plugin.yaml is not valid (line 8, column 14): secrets-reveal reads the values of `secrets`, and no secrets are asked for
        plugin.yaml is not valid (line 8, column 14): "get" is not a method in upper case
        plugin.yaml is not valid (line 7, column 1): duplicate mapping key: name
        plugin.yaml is not valid (line 7, column 8): build has 1 to 100 commands, each a program and at most 99 arguments; there is no shell
        plugin.yaml is not valid (line 7, column 8): build is a list of a program and its arguments, or a list of such lists
        plugin.yaml is not valid (line 7, column 8): build has 1 to 100 commands, each a program and at most 99 arguments; there is no shell
        plugin.yaml is not valid (line 7, column 8): build has 1 to 100 commands, each a program and at most 99 arguments; there is no shell
        plugin.yaml is not valid (line 7, column 11): "Docker" is not a keyword: write 1 to 30 lower-case letters, digits and hyphens
        plugin.yaml is not valid (line 7, column 11): "<b>" is not a keyword: write 1 to 30 lower-case letters, digits and hyphens
        plugin.yaml is not valid (line 7, column 11): examples are files in the folder of plugin.yaml
        plugin.yaml is not valid (line 7, column 11): there are 11 examples, at most 10 are kept
        plugin.yaml is not valid (line 7, column 9): "newest" is not a range of versions such as ^1.2 or >=0.1, <0.3
        plugin.yaml is not valid (line 7, column 16): plugin name "docker" is not valid: write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters
        plugin.yaml is not valid (line 7, column 15): "one" is not a range of versions such as ^1.2 or >=0.1, <0.3
        "#);
    }

    #[test]
    fn bombs_end() {
        let mut laughs = "a0: &a0 [x]\n".to_owned();
        for n in 1..40 {
            laughs += &format!("a{n}: &a{n} [*a{m}, *a{m}, *a{m}, *a{m}, *a{m}]\n", m = n - 1);
        }
        for text in [laughs, "[".repeat(60_000), "x".repeat(MAX_MANIFEST as usize + 1)] {
            assert!(Manifest::parse(&text).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text in ".{0,400}") {
            let _ = Manifest::parse(&text);
        }
    }
}
