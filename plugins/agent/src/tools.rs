//! The tools that a model is offered: their description, and reading what it asks of them. Pure, but for the files themselves,
//! which are behind [`Files`].
//!
//! What the model asks wrongly is told to it, as the tool's result, so that it can ask again; what the host cannot do ends the step.

use crate::chat::ToolCall;
use serde::Deserialize;
use serde_json::{Value, json};
use std::{collections::BTreeSet, io::Read, path::Path};
use windlass_plugin::{
    StepError,
    files::{Mounts, Place},
};

/// Bytes of a file that a model is shown: 256 KiB, about what the context of a large model holds.
pub const MAX_READ_BYTES: usize = 256 * 1024;

/// Names that a listing has at most; nobody reads the 2,001st.
pub const MAX_LISTED_COUNT: usize = 2000;

/// What there is at a place.
pub enum Found {
    /// Nothing.
    Nothing,
    /// A file, by its bytes.
    File(Box<dyn Read>),
    /// A folder, by its tar archive.
    Folder(Box<dyn Read>),
}

/// The files of the run's volumes.
pub trait Files {
    /// What there is.
    ///
    /// # Errors
    /// When the host cannot tell.
    fn open(&self, place: &Place) -> Result<Found, StepError>;
    /// Writes a file, and the folders it needs. Inner errors are the model's: a path at which no file can be.
    ///
    /// # Errors
    /// When the host cannot.
    fn write(&self, place: &Place, bytes: &[u8]) -> Result<Result<(), String>, StepError>;
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadFile {
    path: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WriteFile {
    path: String,
    content: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ListFiles {
    #[serde(default)]
    path: String,
}

/// The tools for these volumes, as a request describes them; without any volume there is none.
pub fn described(mounts: &Mounts) -> Value {
    let paths: Vec<_> = mounts.iter().map(|mount| mount.mount_path.as_str()).collect();
    if paths.is_empty() {
        return json!([]);
    }
    let place = format!("Absolute, or relative to {}. It must be below {}.", paths[0], paths.join(" or "));
    let path = json!({"type": "string", "description": place});
    let tool = |name: &str, description: &str, properties: Value, required: &[&str]| {
        json!({"type": "function", "function": {"name": name, "description": description, "parameters": {
            "type": "object", "properties": properties, "required": required, "additionalProperties": false}}})
    };
    let mut tools = vec![
        tool("read_file", "Shows the content of a text file.", json!({"path": path}), &["path"]),
        tool("list_files", "Lists all files below a folder, one path a line.", json!({"path": path}), &[]),
    ];
    if mounts.iter().any(|mount| !mount.read_only) {
        let content = json!({"type": "string", "description": "The whole content that the file is to have."});
        let properties = json!({"path": path, "content": content});
        tools.push(tool("write_file", "Writes a file, and the folders it needs.", properties, &["path", "content"]));
    }
    json!(tools)
}

/// What came of a call.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// For the model.
    pub result: String,
    /// For the log, one line.
    pub line: String,
}

/// Carries a call out.
///
/// # Errors
/// When the host cannot.
pub fn call(call: &ToolCall, mounts: &Mounts, files: &impl Files) -> Result<Outcome, StepError> {
    let done = match call.name.as_str() {
        "read_file" => parse(call).and_then(|ReadFile { path }| mounts.resolve(&path)).map(|place| read(&place, files)),
        "list_files" => {
            parse(call).and_then(|ListFiles { path }| mounts.resolve(&path)).map(|place| list(&place, files))
        }
        "write_file" => parse(call).and_then(|WriteFile { path, content }| {
            let place = mounts.resolve(&path)?;
            if place.read_only {
                return Err(format!("{} is read-only", place.path));
            }
            Ok(write(&place, &content, files))
        }),
        name => Err(format!("there is no tool {name:?}")),
    };
    let failed = |why: String| Outcome { line: format!("{}: {why}", call.name), result: format!("error: {why}") };
    match done {
        Ok(done) => Ok(done?.unwrap_or_else(failed)),
        Err(why) => Ok(failed(why)),
    }
}

fn parse<'a, T: Deserialize<'a>>(call: &'a ToolCall) -> Result<T, String> {
    let arguments = if call.arguments.trim().is_empty() { "{}" } else { &call.arguments };
    serde_json::from_str(arguments).map_err(|error| format!("the arguments are not what {} takes: {error}", call.name))
}

/// What came of a call: for the model to read, or why not, for it to read as well.
type Done = Result<Result<Outcome, String>, StepError>;

fn broken(place: &Place, error: &std::io::Error) -> StepError {
    StepError::Other(format!("reading {} failed: {error}", place.path))
}

fn read(place: &Place, files: &impl Files) -> Done {
    let path = &place.path;
    let file = match files.open(place)? {
        Found::Nothing => return Ok(Err(format!("there is no {path}"))),
        Found::Folder(_) => return Ok(Err(format!("{path} is a folder; list_files shows what is in it"))),
        Found::File(file) => file,
    };
    let mut bytes = Vec::new();
    // One more than is shown, to know whether there is more.
    let limit = MAX_READ_BYTES as u64 + 1;
    file.take(limit).read_to_end(&mut bytes).map_err(|error| broken(place, &error))?;
    let cut = bytes.len() > MAX_READ_BYTES;
    bytes.truncate(MAX_READ_BYTES);
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        // Cut inside of a character.
        Err(error) if cut && error.error_len().is_none() => {
            std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => return Ok(Err(format!("{path} is not a text file"))),
    };
    let note = if cut { format!("\n[only the first {MAX_READ_BYTES} bytes are shown]") } else { String::new() };
    Ok(Ok(Outcome { result: format!("{text}{note}"), line: format!("read_file {path} ({} bytes)", text.len()) }))
}

fn write(place: &Place, content: &str, files: &impl Files) -> Done {
    let path = &place.path;
    let done = files.write(place, content.as_bytes())?;
    let size = content.len();
    Ok(done
        .map(|()| Outcome { result: format!("wrote {size} bytes"), line: format!("write_file {path} ({size} bytes)") }))
}

fn list(place: &Place, files: &impl Files) -> Done {
    let path = &place.path;
    let folder = match files.open(place)? {
        Found::Nothing => return Ok(Err(format!("there is no {path}"))),
        Found::File(_) => return Ok(Err(format!("{path} is a file; read_file shows it"))),
        Found::Folder(folder) => folder,
    };
    let (names, more) = names(folder).map_err(|error| broken(place, &error))?;
    let mut result: String = names.iter().flat_map(|name| [path.as_str(), "/", name, "\n"]).collect();
    if more {
        result.push_str(&format!("[only {MAX_LISTED_COUNT} are shown; list a folder below]\n"));
    }
    if names.is_empty() {
        result = "the folder is empty\n".to_owned();
    }
    Ok(Ok(Outcome { result, line: format!("list_files {path} ({} files)", names.len()) }))
}

/// The files and links in an archive, sorted, and whether there are more than are listed.
fn names(archive: impl Read) -> std::io::Result<(BTreeSet<String>, bool)> {
    let mut names = BTreeSet::new();
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries()? {
        let entry = entry?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        if names.len() == MAX_LISTED_COUNT {
            return Ok((names, true));
        }
        let name = entry.path()?;
        names.insert(Path::new(&*name).to_string_lossy().into_owned());
    }
    Ok((names, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, collections::BTreeMap};
    use windlass_plugin::files::VolumeMount;

    /// Files by the host's paths.
    #[derive(Default)]
    struct Kept(RefCell<BTreeMap<String, Vec<u8>>>);

    impl Files for Kept {
        fn open(&self, place: &Place) -> Result<Found, StepError> {
            let files = self.0.borrow();
            if place.path.ends_with("/offline") {
                return Err(StepError::Unavailable("the store does not answer".to_owned()));
            }
            if let Some(bytes) = files.get(&place.host_path) {
                return Ok(Found::File(Box::new(std::io::Cursor::new(bytes.clone()))));
            }
            let below = format!("{}/", place.host_path);
            let mut archive = tar::Builder::new(Vec::new());
            let mut found = false;
            for (name, bytes) in files.iter().filter_map(|(name, bytes)| Some((name.strip_prefix(&below)?, bytes))) {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                archive.append_data(&mut header, name, bytes.as_slice()).expect("it fits");
                found = true;
            }
            let archive = archive.into_inner().expect("it is in memory");
            Ok(if found { Found::Folder(Box::new(std::io::Cursor::new(archive))) } else { Found::Nothing })
        }
        fn write(&self, place: &Place, bytes: &[u8]) -> Result<Result<(), String>, StepError> {
            self.0.borrow_mut().insert(place.host_path.clone(), bytes.to_vec());
            Ok(Ok(()))
        }
    }

    fn mounts() -> Mounts {
        let mount = |name: &str, path: &str, read_only| VolumeMount {
            name: name.to_owned(),
            mount_path: path.to_owned(),
            read_only,
        };
        Mounts::new(Some(vec![mount("workspace", "/w", false), mount("docs", "/docs", true)])).expect("they are sound")
    }

    fn ask(files: &Kept, name: &str, arguments: &str) -> String {
        let wanted = ToolCall { id: "1".to_owned(), name: name.to_owned(), arguments: arguments.to_owned() };
        call(&wanted, &mounts(), files).expect("the host can").result
    }

    #[test]
    fn files_are_written_read_and_listed() {
        let files = Kept::default();
        assert_eq!(ask(&files, "write_file", r#"{"path": "src/a.rs", "content": "fn a() {}\n"}"#), "wrote 10 bytes");
        assert_eq!(ask(&files, "write_file", r#"{"path": "/w/é \"x\"", "content": ""}"#), "wrote 0 bytes");
        assert_eq!(ask(&files, "read_file", r#"{"path": "/w/src/a.rs"}"#), "fn a() {}\n");
        assert_eq!(ask(&files, "list_files", "{}"), "/w/src/a.rs\n/w/é \"x\"\n");
        assert_eq!(ask(&files, "list_files", ""), "/w/src/a.rs\n/w/é \"x\"\n");
        assert_eq!(ask(&files, "list_files", r#"{"path": "src"}"#), "/w/src/a.rs\n");
        assert!(files.0.borrow().contains_key("/workspace/src/a.rs"));
    }

    #[test]
    fn what_a_model_asks_wrongly_is_told_to_it() {
        let files = Kept::default();
        files.0.borrow_mut().insert("/volumes/docs/x".to_owned(), vec![0xff]);
        let check = |name: &str, arguments: &str, expect: &str| {
            let result = ask(&files, name, arguments);
            assert!(result.starts_with(&format!("error: {expect}")), "{result}, not {expect}");
        };
        check("read_file", r#"{"path": "none"}"#, "there is no /w/none");
        check("read_file", r#"{"path": "/docs"}"#, "/docs is a folder");
        check("read_file", r#"{"path": "/docs/x"}"#, "/docs/x is not a text file");
        check("read_file", r#"{"path": "/etc/passwd"}"#, "/etc/passwd is not below /w, /docs");
        check("read_file", r#"{"path": "../../etc/passwd"}"#, "\"../../etc/passwd\" holds `..`");
        check("write_file", r#"{"path": "/docs/y", "content": ""}"#, "/docs/y is read-only");
        check("write_file", r#"{"path": "x"}"#, "the arguments are not what write_file takes");
        check("read_file", "{not json", "the arguments are not what read_file takes");
        check("list_files", r#"{"path": "/docs/x"}"#, "/docs/x is a file");
        check("list_files", r#"{"path": "nowhere"}"#, "there is no /w/nowhere");
        check("run", "{}", "there is no tool \"run\"");
        assert_eq!(files.0.borrow().len(), 1, "nothing was written");
    }

    #[test]
    fn what_the_host_cannot_do_ends_the_step() {
        let wanted = ToolCall {
            id: String::new(),
            name: "read_file".to_owned(),
            arguments: "{\"path\": \"offline\"}".to_owned(),
        };
        assert!(matches!(call(&wanted, &mounts(), &Kept::default()), Err(StepError::Unavailable(_))));
    }

    #[test]
    fn long_files_and_long_lists_are_cut() {
        let files = Kept::default();
        // A character of two bytes lies across the limit.
        files.0.borrow_mut().insert("/workspace/long".to_owned(), format!("x{}", "é".repeat(MAX_READ_BYTES)).into());
        let shown = ask(&files, "read_file", r#"{"path": "long"}"#);
        assert!(shown.starts_with("xé") && shown.ends_with("é\n[only the first 262144 bytes are shown]"));
        assert!(shown.len() < MAX_READ_BYTES + 100);
        for n in 0..=MAX_LISTED_COUNT {
            files.0.borrow_mut().insert(format!("/workspace/many/{n}"), Vec::new());
        }
        let listed = ask(&files, "list_files", r#"{"path": "many"}"#);
        assert_eq!(listed.lines().count(), MAX_LISTED_COUNT + 1);
        assert!(listed.ends_with("[only 2000 are shown; list a folder below]\n"));
    }

    #[test]
    fn tools_are_offered_for_what_there_is() {
        let names = |mounts: &Mounts| {
            let tools = described(mounts);
            let name = |tool: &Value| tool["function"]["name"].as_str().map(str::to_owned);
            tools.as_array().expect("a list").iter().filter_map(name).collect::<Vec<_>>()
        };
        assert_eq!(names(&mounts()), ["read_file", "list_files", "write_file"]);
        let read_only = VolumeMount { name: "docs".to_owned(), mount_path: "/docs".to_owned(), read_only: true };
        assert_eq!(names(&Mounts::new(Some(vec![read_only])).expect("sound")), ["read_file", "list_files"]);
        assert!(names(&Mounts::new(Some(vec![])).expect("sound")).is_empty());
        assert!(described(&mounts())[0].to_string().contains("relative to /w. It must be below /w or /docs."));
    }
}
