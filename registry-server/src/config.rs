//! The operator's configuration file: TOML, every key optional, none unknown.
//!
//! ```toml
//! behind-proxy = true
//!
//! [limits]
//! new-packages = { per-minute = 1, burst = 20 }
//!
//! [[issuers]]
//! url = "https://ci.example.com"
//! audience = "https://plugins.example.com"
//! ```

use crate::{error::RegistryError, limits::Rates, trusted::Issuer};
use serde::Deserialize;
use std::path::Path;

/// Most issuers: each is somebody who can say who may publish, so they are few.
pub const MAX_ISSUERS: usize = 32;

/// What the file says.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Config {
    /// Whether the requests come from a proxy that names the client last in `X-Forwarded-For`.
    pub behind_proxy: bool,
    /// How much one may do in a time.
    pub limits: Rates,
    /// Who can vouch for publishers.
    pub issuers: Vec<Issuer>,
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is not there or not valid, with the place.
    pub fn load(path: &Path) -> Result<Self, RegistryError> {
        let text = std::fs::read_to_string(path).map_err(|error| RegistryError::io("read", path, error))?;
        Config::parse(&text).map_err(|why| RegistryError::Config { path: path.display().to_string(), why })
    }

    fn parse(text: &str) -> Result<Self, String> {
        let config: Config = toml::from_str(text).map_err(|error| error.to_string())?;
        if config.issuers.len() > MAX_ISSUERS {
            return Err(format!("there are {} issuers, at most {MAX_ISSUERS} are allowed", config.issuers.len()));
        }
        for (n, issuer) in config.issuers.iter().enumerate() {
            if config.issuers[..n].iter().any(|other| other.url == issuer.url) {
                return Err(format!("the issuer {} is there twice", issuer.url.as_str()));
            }
        }
        crate::limits::Limits::new(&config.limits)?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read() {
        let text = "behind-proxy = true\n[limits]\nyanks = { per-minute = 2, burst = 3 }\n\
                    [[issuers]]\nurl = \"https://ci.example.com\"\naudience = \"registry\"\n";
        let config = Config::parse(text).unwrap();
        assert_eq!((config.limits.yanks.per_minute, config.limits.yanks.burst), (2.0, 3));
        assert_eq!(config.limits.reads, Rates::default().reads);
        assert_eq!(config.issuers[0].url.as_str(), "https://ci.example.com");
        assert_eq!(Config::parse("").unwrap(), Config::default());
    }

    #[test]
    fn what_is_refused() {
        let issuer = "[[issuers]]\nurl = \"https://ci.example.com\"\naudience = \"registry\"\n";
        let many: String = (0..=MAX_ISSUERS).map(|n| issuer.replace("ci.", &format!("ci{n}."))).collect();
        let check = |text: &str, expect: &str| {
            let why = Config::parse(text).unwrap_err();
            assert!(why.contains(expect), "{text}: {why}");
        };
        check("behind_proxy = true", "unknown field");
        check("[limits]\nyanks = { per-minute = 0, burst = 3 }", "more than nothing");
        check("[limits]\nyank = { per-minute = 1, burst = 3 }", "unknown field");
        check(&issuer.repeat(2), "there twice");
        check(&issuer.replace("https", "http"), "https");
        check(&issuer.replace("\"registry\"", "\"\""), "audience");
        check(&many, "at most 32");
    }
}
