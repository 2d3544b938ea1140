//! A new plugin's folder.
//!
//! The templates are files of this repository, with `@plugin@`, `@name@` and `@snake@` where the names go. What several
//! languages share is there once: the descriptor, the cases, the contract itself (`wit/`), and for C and JavaScript what the
//! example plugins have already (bindings, text functions, locked versions of tools).

use crate::AuthorError;
use include_dir::{Dir, include_dir};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use windlass_contract::PluginName;

static TEMPLATES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/templates");
static WIT: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../wit");

/// What the C template has from the example: bindings that `wit-bindgen c` made, and functions for text.
const C_FILES: &[(&str, &[u8])] = &[
    ("text.c", include_bytes!("../../../examples/plugins/c/text.c")),
    ("text.h", include_bytes!("../../../examples/plugins/c/text.h")),
    ("gen/step_plugin.c", include_bytes!("../../../examples/plugins/c/gen/step_plugin.c")),
    ("gen/step_plugin.h", include_bytes!("../../../examples/plugins/c/gen/step_plugin.h")),
    (
        "gen/step_plugin_component_type.o",
        include_bytes!("../../../examples/plugins/c/gen/step_plugin_component_type.o"),
    ),
];
const CARGO_LOCK: &str = include_str!("../../../examples/plugins/rust/Cargo.lock");
const NPM_LOCK: &str = include_str!("../../../examples/plugins/js/package-lock.json");
const REQUIREMENTS: &str = include_str!("../../../examples/plugins/python/requirements.txt");

/// A language that there is a template for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// Cargo and wit-bindgen.
    Rust,
    /// npm and componentize-qjs.
    JavaScript,
    /// The same, after tsc.
    TypeScript,
    /// pip and componentize-py.
    Python,
    /// make and a WASI SDK.
    C,
}

/// What differs between the languages beside their sources.
struct Recipe {
    folder: &'static str,
    component: &'static str,
    build: &'static [&'static str],
    /// What is installed once.
    once: &'static [&'static str],
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 5] =
        [Language::Rust, Language::JavaScript, Language::TypeScript, Language::Python, Language::C];

    fn recipe(self) -> Recipe {
        match self {
            Language::Rust => Recipe {
                folder: "rust",
                component: "target/wasm32-wasip2/release/@snake@.wasm",
                build: &["cargo", "build", "--release", "--target", "wasm32-wasip2"],
                once: &["rustup target add wasm32-wasip2"],
            },
            Language::JavaScript => {
                Recipe { folder: "js", component: "@name@.wasm", build: &["npm", "run", "build"], once: &["npm ci"] }
            }
            Language::TypeScript => {
                Recipe { folder: "ts", component: "@name@.wasm", build: &["npm", "run", "build"], once: &["npm ci"] }
            }
            Language::Python => Recipe {
                folder: "python",
                component: "@name@.wasm",
                build: &[
                    ".venv/bin/componentize-py",
                    "--wit-path",
                    "wit",
                    "--world",
                    "plugin",
                    "componentize",
                    "--python-path",
                    "src",
                    "--stub-wasi",
                    "--output",
                    "@name@.wasm",
                    "plugin",
                ],
                once: &["python3 -m venv .venv", ".venv/bin/pip install -r requirements.txt"],
            },
            Language::C => Recipe {
                folder: "c",
                component: "@name@.wasm",
                build: &["make"],
                once: &["export WASI_SDK_PATH=/opt/wasi-sdk       # the folder of your WASI SDK, release 25 or newer"],
            },
        }
    }

    /// What has to be run once in a new folder before its first build.
    pub fn once(self) -> &'static [&'static str] {
        self.recipe().once
    }
}

/// The names that are filled in.
struct Names<'a> {
    plugin: &'a PluginName,
    snake: String,
}

impl Names<'_> {
    fn fill(&self, text: &str) -> String {
        text.replace("@plugin@", &self.plugin.to_string())
            .replace("@name@", self.plugin.name())
            .replace("@snake@", &self.snake)
    }

    /// A folder of templates. A name that begins with `_` is hidden there, and one that ends in `.tmpl` would be taken for what
    /// it is a template of.
    fn folder(&self, name: &str, files: &mut BTreeMap<PathBuf, Vec<u8>>) {
        let Some(folder) = TEMPLATES.get_dir(name) else { return };
        let mut open = vec![folder];
        while let Some(each) = open.pop() {
            open.extend(each.dirs());
            for file in each.files() {
                let path = file.path().strip_prefix(name).unwrap_or(file.path());
                let plain = path.to_string_lossy().trim_end_matches(".tmpl").replace("_gitignore", ".gitignore");
                let text = file.contents_utf8().unwrap_or_default();
                files.insert(plain.into(), self.fill(text).into_bytes());
            }
        }
    }

    fn template(&self, name: &str) -> String {
        self.fill(TEMPLATES.get_file(name).and_then(|file| file.contents_utf8()).unwrap_or_default())
    }
}

/// Every file of a new plugin, by its path in the folder.
pub fn files(language: Language, plugin: &PluginName) -> BTreeMap<PathBuf, Vec<u8>> {
    let names = Names { plugin, snake: plugin.name().replace('-', "_") };
    let recipe = language.recipe();
    let mut files = BTreeMap::new();
    names.folder("shared", &mut files);
    names.folder(recipe.folder, &mut files);

    let build: Vec<String> = recipe.build.iter().map(|argument| names.fill(argument)).collect();
    let once: Vec<String> = recipe.once.iter().map(|line| format!("    {line}")).collect();
    for name in ["plugin.yaml", "README.md"] {
        let text = names
            .template(&format!("shared/{name}"))
            .replace("@component@", &names.fill(recipe.component))
            .replace("@build@", &format!("[{}]", build.join(", ")))
            .replace("@command@", &build.join(" "))
            .replace("@once@", &once.join("\n"));
        files.insert(name.into(), text.into_bytes());
    }

    let descriptor = names.template("descriptor.json");
    let mut add = |path: &str, bytes: Vec<u8>| drop(files.insert(path.into(), bytes));
    match language {
        Language::Rust => {
            add("src/descriptor.json", descriptor.into_bytes());
            let lock = CARGO_LOCK.replace("name = \"greet-rust\"", &format!("name = \"{}\"", plugin.name()));
            add("Cargo.lock", lock.into_bytes());
        }
        Language::JavaScript => {
            add("src/descriptor.js", module(&descriptor).into_bytes());
            add("package-lock.json", NPM_LOCK.replace("greet-js", plugin.name()).into_bytes());
        }
        Language::TypeScript => add("src/descriptor.ts", module(&descriptor).into_bytes()),
        Language::Python => {
            let text = format!(
                "\"\"\"What this plugin provides. It is a JSON document; a module, because no file can be read at run time.\"\"\"\n\n\
                 DESCRIPTOR = r\"\"\"\n{descriptor}\"\"\"\n"
            );
            add("src/descriptor.py", text.into_bytes());
            add("requirements.txt", REQUIREMENTS.into());
        }
        Language::C => {
            add("descriptor.h", header(&descriptor).into_bytes());
            C_FILES.iter().for_each(|(path, bytes)| add(path, bytes.to_vec()));
        }
    }
    // The tools of interpreters make a component import all of its world: there the plugin has one of its own.
    let contract = match language {
        Language::Rust | Language::C => "wit",
        Language::JavaScript | Language::TypeScript | Language::Python => {
            add("wit/world.wit", names.template("world.wit").into_bytes());
            "wit/deps/windlass-plugin"
        }
    };
    for file in WIT.files().filter(|file| file.path().extension().is_some_and(|ending| ending == "wit")) {
        add(&format!("{contract}/{}", file.path().display()), file.contents().into());
    }
    if matches!(language, Language::JavaScript | Language::TypeScript) {
        for file in TEMPLATES.get_dir("types").into_iter().flat_map(|folder| folder.files()) {
            add(&file.path().display().to_string(), file.contents().into());
        }
    }
    files
}

fn module(json: &str) -> String {
    format!(
        "// What this plugin provides. It is a JSON document; a module, because the engine loads only those.\nexport default {};\n",
        json.trim_end()
    )
}

fn header(json: &str) -> String {
    let lines = json.lines().map(|line| format!("    \"{}\"", line.replace('\\', "\\\\").replace('"', "\\\"")));
    format!(
        "/* What this plugin provides: a JSON document. */\n#ifndef DESCRIPTOR_H\n#define DESCRIPTOR_H\n\n\
         static const char DESCRIPTOR[] =\n{};\n\n#endif\n",
        lines.collect::<Vec<_>>().join("\n")
    )
}

/// Writes a new plugin into `folder`, which must not be there.
///
/// # Errors
/// When it is there, or cannot be written. Nothing is left half.
pub fn create(language: Language, plugin: &PluginName, folder: &Path) -> Result<(), AuthorError> {
    if folder.symlink_metadata().is_ok() {
        return Err(AuthorError::Exists { path: folder.to_owned() });
    }
    let parent = match folder.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let write = |path: &Path, bytes: &[u8]| -> std::io::Result<()> {
        fs::create_dir_all(path.parent().unwrap_or(path))?;
        fs::write(path, bytes)
    };
    fs::create_dir_all(parent).map_err(|error| AuthorError::io("make the folder", parent, error))?;
    let staged = tempfile::Builder::new().prefix(".windlass-new-").tempdir_in(parent);
    let staged = staged.map_err(|error| AuthorError::io("write into", parent, error))?;
    // A temporary folder is for its owner alone; what is in it becomes an ordinary folder.
    let inside = staged.path().join("plugin");
    for (path, bytes) in files(language, plugin) {
        let path = inside.join(path);
        write(&path, &bytes).map_err(|error| AuthorError::io("write", &path, error))?;
    }
    fs::rename(&inside, folder).map_err(|error| AuthorError::io("make the folder", folder, error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_package::manifest::Manifest;

    fn name() -> PluginName {
        "acme:say-hello".parse().unwrap()
    }

    #[test]
    fn each_is_complete() {
        for language in Language::ALL {
            let files = files(language, &name());
            let text = |path: &str| String::from_utf8(files[Path::new(path)].clone()).unwrap();
            let manifest = Manifest::parse(&text("plugin.yaml")).unwrap();
            assert_eq!(manifest.name, name());
            assert!(!manifest.build.is_empty(), "{language:?} is built by something");
            assert!(files.contains_key(Path::new(".gitignore")), "{language:?} ignores what it builds");
            assert!(text("tests/hello.yaml").contains("step.say_hello"));
            for (path, bytes) in &files {
                let left = ["@plugin@", "@name@", "@snake@", "@build@", "@once@", "@command@", "@component@"];
                let found = left.iter().find(|name| bytes.windows(name.len()).any(|part| part == name.as_bytes()));
                assert_eq!(found, None, "{language:?} {}", path.display());
                assert!(!path.to_string_lossy().ends_with(".tmpl"));
            }
        }
    }

    #[test]
    fn the_same_descriptor_in_each_language() {
        let of = |language, path: &str| String::from_utf8(files(language, &name())[Path::new(path)].clone()).unwrap();
        let json: serde_json::Value = serde_json::from_str(&of(Language::Rust, "src/descriptor.json")).unwrap();
        let check = |text: String| {
            let (from, to) = (text.find('{').unwrap(), text.rfind('}').unwrap());
            assert_eq!(serde_json::from_str::<serde_json::Value>(&text[from..=to]).unwrap(), json);
        };
        check(of(Language::JavaScript, "src/descriptor.js"));
        check(of(Language::TypeScript, "src/descriptor.ts"));
        check(of(Language::Python, "src/descriptor.py"));
        let c = of(Language::C, "descriptor.h");
        let lines = c.lines().filter_map(|line| line.trim().strip_prefix('"')).map(|line| {
            line.trim_end_matches(';').strip_suffix('"').unwrap_or(line).replace("\\\"", "\"").replace("\\\\", "\\")
        });
        check(lines.collect());
    }

    /// `types/` is made by another tool from `wit/`: nothing of the contract may be missing in it.
    #[test]
    fn the_types_know_the_whole_contract() {
        let mut resolve = wit_parser::Resolve::default();
        resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).unwrap();
        let camel = |name: &str| {
            let mut words = name.split('-');
            let first = words.next().unwrap_or_default().to_owned();
            words.fold(first, |text, word| text + &word[..1].to_uppercase() + &word[1..])
        };
        let files = files(Language::TypeScript, &name());
        let mut seen = 0;
        for (_, interface) in resolve.interfaces.iter() {
            let interface_name = interface.name.as_deref().unwrap();
            if matches!(interface_name, "provider" | "scanner") {
                continue;
            }
            let path = format!("types/windlass-plugin-{interface_name}.d.ts");
            let types = String::from_utf8(files[Path::new(&path)].clone()).unwrap();
            for function in interface.functions.values() {
                let name = camel(function.item_name());
                let declared = function.item_name() == "" || types.contains(&format!("{name}("));
                let is_constructor = matches!(function.kind, wit_parser::FunctionKind::Constructor(_));
                assert!(declared || is_constructor, "{interface_name}.{name} is not in {path}");
                seen += 1;
            }
        }
        assert!(seen > 50, "the contract was read");
    }

    #[test]
    fn an_existing_folder_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/plugin");
        create(Language::C, &name(), &path).unwrap();
        assert!(path.join("plugin.yaml").is_file());
        fs::write(path.join("plugin.yaml"), "mine").unwrap();
        assert!(matches!(create(Language::Rust, &name(), &path), Err(AuthorError::Exists { .. })));
        assert_eq!(fs::read_to_string(path.join("plugin.yaml")).unwrap(), "mine");
        assert_eq!(fs::read_dir(folder.path().join("deep")).unwrap().count(), 1, "nothing else is left");
    }
}
