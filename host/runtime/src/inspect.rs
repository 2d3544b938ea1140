//! What a component is, read from its bytes without compiling it.

use crate::{
    imports::{self, Import},
    limits,
};
use std::collections::BTreeSet;
use wasmparser::{Encoding, Parser, Payload, ProducersSectionReader, Validator, WasmFeatures};
use windlass_contract::{CONTRACT_PACKAGE, CONTRACT_VERSION, Code, CodedError, Interface, PluginKind};

/// What a component is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inspection {
    /// What it is for, by its exports; at least one.
    pub kinds: BTreeSet<PluginKind>,
    /// The capabilities it uses: interfaces of which it imports at least one function. Those that are always granted
    /// are among them.
    pub imports: BTreeSet<Interface>,
    /// The WASI interfaces it imports. They are linked closed.
    pub wasi: Vec<String>,
    /// What this host does not offer, each with why. Not empty means that it cannot be run.
    pub unknown_imports: Vec<String>,
    /// The version of the contract that its exports are for.
    pub contract: semver::Version,
    /// The names of its exports.
    pub exports: Vec<String>,
    /// Its size in bytes.
    pub size: u64,
    /// The language it says it was written in.
    pub language: Option<String>,
}

/// Why some bytes are not a plugin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InspectError {
    /// Over the size limit.
    #[error("it has {}, more than the {} that a component may have", limits::size(*.0), limits::size(limits::COMPONENT_BYTES))]
    TooLarge(u64),
    /// Not WebAssembly.
    #[error("it is not WebAssembly: it does not begin as such a file does")]
    NotWasm,
    /// A core module.
    #[error("it is a core module, not a component")]
    CoreModule,
    /// A component that is not valid, or uses a proposal that is off.
    #[error("it is not a valid component for this host: {0}")]
    Invalid(String),
    /// A component of another world.
    #[error("it is a component, but not a plugin: it exports {}", list(.0))]
    OtherWorld(Vec<String>),
    /// A plugin for another version of the contract.
    #[error("it is built for {CONTRACT_PACKAGE}@{0}, and this host offers {CONTRACT_VERSION}")]
    OtherContract(String),
}

fn list(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

impl CodedError for InspectError {
    fn code(&self) -> Code {
        Code(match self {
            InspectError::TooLarge(_) => 340,
            InspectError::NotWasm => 341,
            InspectError::CoreModule => 342,
            InspectError::Invalid(_) => 343,
            InspectError::OtherWorld(_) => 344,
            InspectError::OtherContract(_) => 345,
        })
    }

    fn help(&self) -> Option<String> {
        Some(match self {
            InspectError::TooLarge(_) => "leave out debug information, unused libraries and embedded data".into(),
            InspectError::NotWasm => "give the component that your build made, a .wasm file".into(),
            InspectError::CoreModule => {
                "build it for the target `wasm32-wasip2`, or turn it into a component with `wasm-tools component new`"
                    .into()
            }
            InspectError::Invalid(_) => {
                "build it without threads, shared memory, 64-bit memory, garbage collection and exceptions".into()
            }
            InspectError::OtherWorld(_) => format!(
                "export one of {CONTRACT_PACKAGE}/step, provider or scanner @{CONTRACT_VERSION}, from the world of `wit/`"
            ),
            InspectError::OtherContract(_) => format!("build it against version {CONTRACT_VERSION} of `wit/`"),
        })
    }
}

/// What guests may use, as the engine is configured.
fn features() -> WasmFeatures {
    let off = WasmFeatures::THREADS
        | WasmFeatures::SHARED_EVERYTHING_THREADS
        | WasmFeatures::MEMORY64
        | WasmFeatures::GC
        | WasmFeatures::FUNCTION_REFERENCES
        | WasmFeatures::EXCEPTIONS
        | WasmFeatures::LEGACY_EXCEPTIONS
        | WasmFeatures::STACK_SWITCHING;
    (WasmFeatures::default() | WasmFeatures::CM_ASYNC) - off
}

/// Tells what `wasm` is.
///
/// # Errors
/// When it is not a plugin: not WebAssembly, a core module, not valid, or of another world.
pub fn inspect(wasm: &[u8]) -> Result<Inspection, InspectError> {
    let size = wasm.len() as u64;
    if size > limits::COMPONENT_BYTES {
        return Err(InspectError::TooLarge(size));
    }
    let invalid = |error: wasmparser::BinaryReaderError| InspectError::Invalid(error.message().to_owned());
    match Parser::new(0).parse_all(wasm).next() {
        Some(Ok(Payload::Version { encoding: Encoding::Component, .. })) => {}
        Some(Ok(Payload::Version { encoding: Encoding::Module, .. })) => return Err(InspectError::CoreModule),
        Some(Err(error)) if wasm.starts_with(b"\0asm") => return Err(invalid(error)),
        _ => return Err(InspectError::NotWasm),
    }
    let types = Validator::new_with_features(features()).validate_all(wasm).map_err(invalid)?;
    let uses_functions = |name: &str| {
        use wasmparser::component_types::ComponentEntityType::{Func, Instance};
        match types.component_item_for_import(name).map(|item| item.ty) {
            Some(Instance(id)) => types[id].exports.values().any(|item| matches!(item.ty, Func(_))),
            _ => true,
        }
    };

    let mut found = Inspection {
        kinds: BTreeSet::new(),
        imports: BTreeSet::new(),
        wasi: Vec::new(),
        unknown_imports: Vec::new(),
        contract: semver::Version::new(0, 0, 0),
        exports: Vec::new(),
        size,
        language: None,
    };
    let mut contract = None;
    let mut producers = Producers::default();
    let mut depth = 0_u32;
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for item in section {
                    let name = item.map_err(invalid)?.name.name;
                    match imports::import(name) {
                        Import::Capability(interface) if uses_functions(name) => {
                            found.imports.insert(interface);
                        }
                        Import::Capability(_) | Import::Types => {}
                        Import::Wasi => found.wasi.push(name.to_owned()),
                        Import::Unknown(words) => found.unknown_imports.push(words),
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 1 => {
                for item in section {
                    let name = item.map_err(invalid)?.name.name;
                    found.exports.push(name.to_owned());
                    if let Some((kind, version)) = imports::export(name) {
                        found.kinds.insert(kind);
                        contract = Some(version);
                    }
                }
            }
            Payload::CustomSection(section) if section.name() == "producers" => {
                let reader = wasmparser::BinaryReader::new(section.data(), section.data_offset());
                // A section that tools fill in for people: one that cannot be read tells nothing.
                if let Ok(section) = ProducersSectionReader::new(reader) {
                    producers.read(section);
                }
            }
            _ => {}
        }
    }
    let Some(version) = contract else { return Err(InspectError::OtherWorld(found.exports)) };
    found.contract = semver::Version::parse(version).map_err(|_| InspectError::OtherContract(version.to_owned()))?;
    if !imports::speaks(version) {
        return Err(InspectError::OtherContract(version.to_owned()));
    }
    found.language = producers.language();
    Ok(found)
}

/// What the tools that made a component wrote into it.
#[derive(Default)]
struct Producers {
    languages: BTreeSet<String>,
    tools: BTreeSet<String>,
}

impl Producers {
    /// Names are the component's own words: each is cut to 40 printable characters.
    fn read(&mut self, section: ProducersSectionReader<'_>) {
        for field in section.into_iter().flatten() {
            let names = match field.name {
                "language" => &mut self.languages,
                "processed-by" => &mut self.tools,
                _ => continue,
            };
            for value in field.values.into_iter().flatten().take(20) {
                names.insert(value.name.chars().filter(|c| !c.is_control()).take(40).collect());
            }
        }
    }

    /// An interpreter's component says the language of the interpreter, so the tool that packed it is asked first.
    fn language(self) -> Option<String> {
        let packed = |name: &str| self.tools.iter().any(|tool| tool.to_lowercase().contains(name));
        if packed("componentize-py") {
            return Some("Python".into());
        }
        if ["componentize-js", "componentizejs", "componentize-qjs", "jco"].iter().any(|name| packed(name)) {
            return Some("JavaScript".into());
        }
        self.languages.into_iter().next_back()
    }
}
