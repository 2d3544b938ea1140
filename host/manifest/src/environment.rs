//! What an environment gives its provider: its configuration against the provider's schema.
//!
//! Unlike a step's, it holds no templates: what stands in it is what the provider gets. A secret's reference stands only where the
//! schema takes one, so that none is sent somewhere as text.

use crate::{MAX_DIAGNOSTICS, annotations::Schema};
use serde_json::Value;
use windlass_contract::SecretReference;

/// What is wrong with an environment's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: a JSON pointer, empty for the whole.
    pub pointer: String,
    /// In words, which do not repeat the value: it may be a password in the wrong place.
    pub message: String,
}

/// Checks an environment's configuration against the `config_schema` of its provider; no faults means that it may be given to it. At
/// most [`MAX_DIAGNOSTICS`].
///
/// # Errors
/// In words, when the schema is none: a defect of the plugin.
pub fn check_environment(schema: &Value, config: &Value) -> Result<Vec<Fault>, String> {
    let schema = Schema::compile(schema)?;
    if !config.is_object() {
        return Ok(vec![Fault { pointer: String::new(), message: "the configuration is not an object".to_owned() }]);
    }
    let fault = |error: jsonschema::ValidationError<'_>| Fault {
        pointer: error.instance_path().as_str().to_owned(),
        message: error.masked().to_string(),
    };
    let mut faults: Vec<Fault> = schema.validator.iter_errors(config).map(fault).take(MAX_DIAGNOSTICS).collect();
    schema.scalars(config, &mut |pointer, value, facts| {
        let Some(reference) = value.as_str().and_then(SecretReference::in_text) else { return };
        let message = match reference {
            _ if !facts.secret => "no secret's reference may stand here".to_owned(),
            Err(error) => error.rule.to_owned(),
            Ok(_) => return,
        };
        if faults.len() < MAX_DIAGNOSTICS {
            faults.push(Fault { pointer: pointer.to_owned(), message });
        }
    });
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn faults() {
        let schema = json!({
            "type": "object",
            "required": ["region"],
            "properties": {
                "region": {"type": "string"},
                "port": {"type": "integer"},
                "token": {"type": "string", "x-windlass-secret": true},
                "env": {"type": "object", "additionalProperties": {"type": "string", "x-windlass-secret": true}},
            },
        });
        let check = |config: Value, expect: &[&str]| {
            let found = check_environment(&schema, &config).unwrap();
            let found: Vec<_> = found.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect();
            assert_eq!(found.len(), expect.len(), "{found:?}");
            assert!(found.iter().zip(expect).all(|(found, expect)| found.contains(expect)), "{found:?}");
            assert!(!found.concat().contains("hunter2"), "{found:?}");
        };
        check(json!({"region": "eu", "token": "secret:cloud/token", "env": {"A": "secret:a/b", "B": "{{ x }}"}}), &[]);
        check(json!({}), &[": \"region\" is a required property"]);
        check(json!({"region": "eu", "port": "hunter2"}), &["/port: value is not of type \"integer\""]);
        check(json!({"region": "eu", "prot": 1}), &["'prot' was unexpected"]);
        check(json!({"region": "secret:cloud/region"}), &["/region: no secret's reference may stand here"]);
        check(json!({"region": "eu", "token": "secret:hunter2"}), &["/token: "]);
        check(json!([]), &[": the configuration is not an object"]);
        assert!(check_environment(&json!({"type": "objekt"}), &json!({})).is_err());
        let many: serde_json::Map<_, _> =
            (0..2 * MAX_DIAGNOSTICS).map(|n| (n.to_string(), json!("secret:x"))).collect();
        let found = check_environment(&schema, &json!({"region": "eu", "env": many})).unwrap();
        assert_eq!(found.len(), MAX_DIAGNOSTICS);
    }
}
