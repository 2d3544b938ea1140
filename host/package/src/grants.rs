//! `windlass.grants.yaml`: what each plugin was granted. Lives in version control beside the pipeline.
//!
//! Written sorted, under a fixed heading; a comment that somebody adds is lost when the file is next written, which the
//! heading says. A plugin that is not in it has no permission.

use crate::{
    PackageError,
    files::{Mode, read_text, write_atomic},
    manifest::{check_permissions, read_yaml},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::Path};
use windlass_contract::{Permissions, PluginName};

/// The file's name.
pub const FILE: &str = "windlass.grants.yaml";

const HEADING: &str = "\
# What each plugin may do in this project. `windlass plugin install` adds to it; narrow it by hand as you like.
# A plugin gets what it asks for and what stands here, never more. Comments other than this one are not kept.
";

/// A project's grants.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grants {
    /// By plugin.
    #[serde(default)]
    pub plugins: BTreeMap<PluginName, Permissions>,
}

impl Grants {
    /// Reads a project's grants; none where there is no file.
    ///
    /// # Errors
    /// [`PackageError::Malformed`] with line and column.
    pub fn load(project: &Path) -> Result<Self, PackageError> {
        match read_text(&project.join(FILE))? {
            Some(text) => Self::parse(&text),
            None => Ok(Grants::default()),
        }
    }

    /// Reads the text of a grants file.
    ///
    /// # Errors
    /// As [`Grants::load`].
    pub fn parse(text: &str) -> Result<Self, PackageError> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Grants::default());
        }
        let grants: Grants = read_yaml(FILE, text)?;
        for (name, permissions) in &grants.plugins {
            check_permissions(permissions).map_err(|message| PackageError::Malformed {
                file: FILE.to_owned(),
                line: 0,
                column: 0,
                message: format!("{name}: {message}"),
            })?;
        }
        Ok(grants)
    }

    /// What a plugin was granted: nothing where it is not named.
    pub fn of(&self, name: &PluginName) -> Permissions {
        self.plugins.get(name).cloned().unwrap_or_default()
    }

    /// The file's text.
    pub fn text(&self) -> String {
        // Maps with string keys, sets, numbers and texts: serialisation cannot fail.
        HEADING.to_owned() + &serde_saphyr::to_string(self).unwrap_or_default()
    }

    /// Writes it; leaves the file alone when nothing changed.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, project: &Path) -> Result<(), PackageError> {
        let path = project.join(FILE);
        let before = read_text(&path)?;
        if before.is_none() && self.plugins.is_empty()
            || before.as_deref().is_some_and(|text| Self::parse(text).is_ok_and(|before| before == *self))
        {
            return Ok(());
        }
        write_atomic(&path, self.text().as_bytes(), Mode::Shared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let mut grants = Grants::default();
        let asked =
            "containers: {images: [from-config, 'ghcr.io/acme/*'], network: true}\nsecrets: [cloud/*]\nstate: true";
        grants.plugins.insert("windlass:shell".parse().unwrap(), read_yaml("x", asked).unwrap());
        grants.plugins.insert("acme:none".parse().unwrap(), Permissions::default());
        insta::assert_snapshot!(grants.text(), @r#"
        # What each plugin may do in this project. `windlass plugin install` adds to it; narrow it by hand as you like.
        # A plugin gets what it asks for and what stands here, never more. Comments other than this one are not kept.
        plugins:
          "acme:none": {}
          "windlass:shell":
            containers:
              images:
              - from-config
              - ghcr.io/acme/*
              network: true
              memory-mib: 4096
              cpu-millis: 2000
            secrets:
            - cloud/*
            state: true
        "#);
        assert_eq!(Grants::parse(&grants.text()).unwrap(), grants);
    }

    #[test]
    fn what_is_refused() {
        let check = |text: &str| match Grants::parse(text) {
            Ok(grants) => format!("{} plugins", grants.plugins.len()),
            Err(error) => error.to_string(),
        };
        let all = [
            check(""),
            check("# nothing yet\n"),
            check("plugins:\n  acme:x: {}\n"),
            check("plugins:\n  acme:x: {stat: true}\n"),
            check("plugins:\n  ../x: {}\n"),
            check("plugins:\n  acme:x: {containers: {images: ['*']}}\n"),
            check("plugins:\n  acme:x: {artifacts: {}}\n"),
            check("grants: {}\n"),
            check("plugins:\n  acme:x: {}\n  acme:x: {state: true}\n"),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        0 plugins
        0 plugins
        1 plugins
        windlass.grants.yaml is not valid (line 2, column 12): unknown field `stat`, expected one of containers, artifacts, secrets, secrets-reveal, http, state
        windlass.grants.yaml is not valid (line 2, column 3): plugin name "../x" is not valid: write namespace:name, each part lower-case letters, digits and single hyphens, starting with a letter, at most 64 characters
        windlass.grants.yaml is not valid (line 2, column 34): the pattern "*" would grant everything; name what is meant, or write from-config
        windlass.grants.yaml is not valid: acme:x: artifacts gives nothing; write read: true or write: true
        windlass.grants.yaml is not valid (line 1, column 1): unknown field `grants`, expected one of plugins
        windlass.grants.yaml is not valid (line 3, column 3): duplicate mapping key: acme:x
        "#);
    }
}
