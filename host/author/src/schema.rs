//! A JSON Schema of `plugin.yaml`, for editors.
//!
//! The parser is what decides; the limits come from it, and the tests hold the two against each other, key by key.

use serde_json::{Value, json};
use windlass_package::manifest::{MAX_BUILD, MAX_DEPENDENCIES, MAX_EXAMPLES, MAX_KEYWORD, MAX_KEYWORDS, MAX_SUMMARY};

/// The schema.
pub fn schema() -> Value {
    let name = "^[a-z][a-z0-9]*(-[a-z0-9]+)*:[a-z][a-z0-9]*(-[a-z0-9]+)*$";
    let command = json!({
        "type": "array", "minItems": 1, "maxItems": MAX_BUILD, "items": { "type": "string" }
    });
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "plugin.yaml",
        "description": "What the author of a Windlass plugin says of it. The rest is read from the component.",
        "type": "object",
        "additionalProperties": false,
        "required": ["name", "version", "summary", "licence", "component"],
        "properties": {
            "name": { "type": "string", "pattern": name, "description": "namespace:name" },
            "version": {
                "type": "string", "pattern": r"^\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$",
                "description": "A semantic version, without build metadata."
            },
            "summary": { "type": "string", "minLength": 1, "maxLength": MAX_SUMMARY, "description": "One line." },
            "licence": {
                "type": "string", "minLength": 1, "maxLength": 120,
                "description": "An SPDX expression.", "examples": ["Apache-2.0", "MIT OR Apache-2.0"]
            },
            "source": { "type": "string", "pattern": "^https?://", "maxLength": 500, "description": "Where its source is." },
            "readme": { "type": "string", "description": "The README, a file in this folder." },
            "component": { "type": "string", "description": "The built component, relative to this folder." },
            "build": {
                "description": "How the component is built: a program and its arguments, or a list of those. There is no shell.",
                "oneOf": [command, { "type": "array", "minItems": 1, "maxItems": MAX_BUILD, "items": command }]
            },
            "keywords": {
                "type": "array", "maxItems": MAX_KEYWORDS, "uniqueItems": true,
                "items": { "type": "string", "pattern": format!("^[a-z0-9-]{{1,{MAX_KEYWORD}}}$") },
                "description": "Words that it may be found by."
            },
            "engine": { "type": "string", "description": "The versions of Windlass that it runs on.", "examples": [">=0.1, <0.3"] },
            "dependencies": {
                "type": "object", "maxProperties": MAX_DEPENDENCIES, "propertyNames": { "pattern": name },
                "additionalProperties": { "type": "string" },
                "description": "The plugins that it calls, and in which versions."
            },
            "examples": {
                "type": "array", "maxItems": MAX_EXAMPLES, "items": { "type": "string", "minLength": 1 },
                "description": "Pipelines that show what it is for, files in this folder."
            },
            "permissions": permissions()
        }
    })
}

fn permissions() -> Value {
    let patterns = |what: &str| {
        json!({
            "type": "array", "minItems": 1, "uniqueItems": true, "items": { "type": "string", "minLength": 1, "maxLength": 255 },
            "description": format!("{what} `from-config` is what the pipeline's author wrote into the step's configuration. A pattern has `*` for a part; there is none for everything.")
        })
    };
    json!({
        "type": "object",
        "additionalProperties": false,
        "description": "A scope for each interface that the component imports beyond log, inputs and outputs.",
        "properties": {
            "containers": {
                "type": "object", "additionalProperties": false, "required": ["images"],
                "description": "Start containers.",
                "properties": {
                    "images": patterns("Which images."),
                    "network": { "type": "boolean", "default": false, "description": "Whether a container may have a network." },
                    "detached": { "type": "boolean", "default": false, "description": "Whether a provider's containers may outlive its calls." },
                    "ports": { "type": "boolean", "default": false, "description": "Whether those may be reached at ports of the engine's machine, on its loopback address." },
                    "memory-mib": { "type": "integer", "minimum": 0, "default": 4096, "description": "Ceiling in MiB." },
                    "cpu-millis": { "type": "integer", "minimum": 0, "default": 2000, "description": "Ceiling in thousandths of a processor." }
                }
            },
            "artifacts": {
                "type": "object", "additionalProperties": false, "minProperties": 1,
                "description": "Artifacts and the workspace.",
                "properties": { "read": { "type": "boolean" }, "write": { "type": "boolean" } }
            },
            "secrets": patterns("Which secrets it may use without seeing them."),
            "secrets-reveal": { "type": "boolean", "default": false, "description": "Read the values of those secrets. Shown in red to whoever installs the plugin." },
            "http": {
                "type": "object", "additionalProperties": false, "required": ["hosts", "methods"],
                "description": "Send requests.",
                "properties": {
                    "hosts": patterns("Which hosts."),
                    "methods": { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": "^[A-Z]+$" } }
                }
            },
            "state": { "type": "boolean", "default": false, "description": "A small store of its own between runs." }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use windlass_package::manifest::{Manifest, read_yaml};

    /// The keys that the parser knows at a place, from what it says about one that it does not know.
    fn keys_of_the_parser(at: &str) -> BTreeSet<String> {
        let text = minimal(&at.replace("KEY", "no-such-key: 1"));
        let error = Manifest::parse(&text).expect_err("an unknown key").to_string();
        let (_, list) = error.split_once("expected ").unwrap_or_else(|| panic!("{error}"));
        let list = list.trim_start_matches("one of ").replace(" or ", ", ");
        list.split(", ").map(|key| key.trim_matches('`').to_owned()).collect()
    }

    fn minimal(more: &str) -> String {
        format!("name: a:b\nversion: 0.1.0\nsummary: x\nlicence: MIT\ncomponent: x.wasm\n{more}\n")
    }

    #[test]
    fn it_has_the_parsers_keys() {
        let schema = schema();
        let check = |pointer: &str, at: &str| {
            let properties = schema.pointer(&format!("{pointer}/properties")).and_then(Value::as_object);
            let keys: BTreeSet<String> = properties.expect(pointer).keys().cloned().collect();
            assert_eq!(keys, keys_of_the_parser(at), "{pointer}");
        };
        check("", "KEY");
        check("/properties/permissions", "permissions: { KEY }");
        check("/properties/permissions/properties/containers", "permissions: { containers: { KEY } }");
        check("/properties/permissions/properties/artifacts", "permissions: { artifacts: { KEY } }");
        check("/properties/permissions/properties/http", "permissions: { http: { KEY } }");
    }

    #[test]
    fn it_accepts_and_refuses_what_the_parser_does() {
        let validator = jsonschema::validator_for(&schema()).expect("a JSON Schema");
        let check = |text: &str, expect: bool| {
            let value: Value = read_yaml("x", text).expect("YAML");
            assert_eq!(Manifest::parse(text).is_ok(), expect, "the parser: {text}");
            assert_eq!(validator.is_valid(&value), expect, "the schema: {text}");
        };
        check(&minimal(""), true);
        for (more, expect) in [
            ("source: https://example.com/x", true),
            ("source: ftp://example.com/x", false),
            ("build: [make]", true),
            ("build: [[npm, ci], [npm, run, build]]", true),
            ("build: []", false),
            ("build: make", false),
            ("keywords: [docker, a-1]", true),
            ("keywords: [Docker]", false),
            ("dependencies: { 'acme:log': ^1 }", true),
            ("dependencies: { log: ^1 }", false),
            ("examples: [demo.yaml]", true),
            ("examples: [a, b, c, d, e, f, g, h, i, j, k]", false),
            ("permissions: { state: true }", true),
            ("permissions: { containers: { images: [from-config] } }", true),
            ("permissions: { containers: { images: [] } }", false),
            ("permissions: { containers: {} }", false),
            ("permissions: { artifacts: {} }", false),
            ("permissions: { artifacts: { write: true } }", true),
            ("permissions: { http: { hosts: [a.b], methods: [GET] } }", true),
            ("permissions: { http: { hosts: [a.b], methods: [get] } }", false),
            ("permissions: { http: { hosts: [a.b] } }", false),
            ("permissions: { root: true }", false),
        ] {
            check(&minimal(more), expect);
        }
        for (from, to) in
            [("a:b", "b"), ("a:b", "A:b"), ("0.1.0", "1"), ("0.1.0", "0.1.0+x"), ("summary: x", "summary: ''")]
        {
            check(&minimal("").replace(from, to), false);
        }
        // Every template satisfies it.
        for language in crate::scaffold::Language::ALL {
            let files = crate::scaffold::files(language, &"acme:greet".parse().unwrap());
            let text = String::from_utf8(files[std::path::Path::new("plugin.yaml")].clone()).unwrap();
            check(&text, true);
        }
    }
}
