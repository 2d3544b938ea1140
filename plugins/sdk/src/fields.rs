//! Fields of configurations that several plugins have, read in one way.

use serde::Deserialize;

/// When the image is fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub enum PullPolicy {
    /// Unless it is there already.
    #[default]
    IfNotPresent,
    /// Each time.
    Always,
    /// Never: it must be there.
    Never,
}

/// A user's name or number.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "UserForm")]
pub struct User(String);

#[derive(Deserialize)]
#[serde(untagged)]
enum UserForm {
    Number(u32),
    Text(String),
}

impl From<UserForm> for User {
    fn from(form: UserForm) -> Self {
        match form {
            UserForm::Number(number) => User(number.to_string()),
            UserForm::Text(text) => User(text),
        }
    }
}

impl User {
    /// As the engine takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number of only digits and at most one point: no sign, exponent, `inf` or white space.
pub fn decimal(text: &str) -> Option<f64> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.')).then(|| text.parse().ok()).flatten()
}

/// The value of an environment variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnvValue<'a> {
    /// As it is.
    Text(&'a str),
    /// The reference of a secret, with its `secret:`, whose value the host puts in.
    Secret(&'a str),
}

impl<'a> EnvValue<'a> {
    /// What a configured value means. Only a value that *begins* with `secret:` is a reference.
    pub fn of(value: &'a str) -> Self {
        if value.starts_with("secret:") { EnvValue::Secret(value) } else { EnvValue::Text(value) }
    }
}

/// Whether a text is filled in later: what it says is not known yet.
pub fn is_template(text: &str) -> bool {
    text.contains("{{")
}

/// Why `value` is not a `T`; a template is not known yet, and no value is fine.
pub fn refused<'a, T: Deserialize<'a>>(value: Option<&'a serde_json::Value>) -> Option<String> {
    let value = value.filter(|value| !value.as_str().is_some_and(is_template))?;
    T::deserialize(value).err().map(|error| error.to_string())
}
