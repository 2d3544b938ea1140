//! The file: one call a line, in the order in which they were made.
//!
//! ```text
//! {"session":1}
//! {"call":"containers.start","with":{"image":"busybox"},"gives":{"ok":{"container":"container#1"}}}
//! {"call":"container.wait","on":"container#1","gives":{"ok":{"code":0}}}
//! ```
//!
//! Data is `{"text": …}` or `{"base64": …}` where it is short, else `{"sha256": …, "size": …}` and a file of that name in the
//! folder `<session>.data`.

use crate::{SessionError, refusal::Refusal};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};
use windlass_contract::Digest;

/// The format that this version writes and reads.
const FORMAT: u32 = 1;
/// Largest session file, in bytes: some ten thousand calls. A test that needs more is a load test.
pub const MAX_SESSION: u64 = 16 << 20;
/// Most calls of a session.
pub const MAX_CALLS: usize = 10_000;
/// Data up to this many bytes stands in the session itself, where a person can read it; more is a file beside it.
pub const INLINE_BYTES: usize = 4096;
/// Largest data file, in bytes: twice the largest piece that a host function gives, since masking may lengthen it.
pub const MAX_DATA: u64 = 2 << 20;
/// All data of a session, in bytes: fixtures are kept in version control.
pub const TOTAL_DATA_BYTES: usize = 64 << 20;

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was answered.
    Ok(Value),
    /// It was refused.
    Error(Refusal),
}

/// One call of a capability.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// Interface or resource, and function, such as `http.send`.
    pub call: String,
    /// The resource that it was made on, such as `container#1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Its arguments by name; those that were not set are not there.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// What came of it.
    pub gives: Answer,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Heading {
    session: u32,
}

/// The calls of one rehearsal.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Session {
    pub(crate) calls: Vec<Call>,
    pub(crate) data: BTreeMap<String, Bytes>,
}

impl Session {
    /// The calls.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// Reads a session and its data.
    ///
    /// # Errors
    /// When a file cannot be read, is over a limit, or is not what it should be.
    pub fn load(path: &Path) -> Result<Self, SessionError> {
        let text = String::from_utf8(read(path, MAX_SESSION)?).map_err(|_| malformed(path, 1, "it is not UTF-8"))?;
        let mut lines = text.lines().enumerate();
        let heading = lines.next().and_then(|(_, line)| serde_json::from_str::<Heading>(line).ok());
        match heading {
            Some(Heading { session: FORMAT }) => {}
            Some(Heading { session }) => {
                let why = format!("it has the format {session}, and this version of Windlass reads {FORMAT}");
                return Err(malformed(path, 1, &why));
            }
            None => return Err(malformed(path, 1, "it does not begin with {\"session\":1}")),
        }
        let mut session = Session::default();
        for (at, line) in lines {
            if session.calls.len() == MAX_CALLS {
                return Err(SessionError::TooLarge { path: path.to_owned(), limit: format!("{MAX_CALLS} calls") });
            }
            let call: Call = serde_json::from_str(line).map_err(|error| malformed(path, at + 1, &error.to_string()))?;
            session.read_data(path, &call)?;
            session.calls.push(call);
        }
        Ok(session)
    }

    /// How many bytes of data lie beside it.
    pub(crate) fn data_bytes(&self) -> usize {
        self.data.values().map(Bytes::len).sum()
    }

    /// Reads the data that an answer refers to.
    fn read_data(&mut self, path: &Path, call: &Call) -> Result<(), SessionError> {
        let Answer::Ok(answer) = &call.gives else { return Ok(()) };
        let Some(digest) = answer.get("sha256").and_then(Value::as_str) else { return Ok(()) };
        // Parsed before it becomes part of a path.
        let file = data_folder(path);
        let digest: Digest =
            format!("sha256:{digest}").parse().map_err(|_| SessionError::Data { path: file.clone() })?;
        let file = file.join(digest.hex());
        let bytes = read(&file, MAX_DATA)?;
        if Digest::of(&bytes) != digest {
            return Err(SessionError::Data { path: file });
        }
        self.data.insert(digest.hex(), bytes.into());
        Ok(())
    }

    /// Writes the session and its data, in place of what was there. The session comes last: what it refers to is there.
    ///
    /// # Errors
    /// When a file cannot be written, or the session is over a limit.
    pub fn save(&self, path: &Path) -> Result<(), SessionError> {
        if self.calls.len() > MAX_CALLS {
            return Err(SessionError::TooLarge { path: path.to_owned(), limit: format!("{MAX_CALLS} calls") });
        }
        if self.data_bytes() > TOTAL_DATA_BYTES {
            let limit = format!("{} MiB of data", TOTAL_DATA_BYTES >> 20);
            return Err(SessionError::TooLarge { path: path.to_owned(), limit });
        }
        let mut text = json!(Heading { session: FORMAT }).to_string();
        for call in &self.calls {
            text.push('\n');
            text.push_str(&json!(call).to_string());
        }
        text.push('\n');
        if text.len() as u64 > MAX_SESSION {
            return Err(SessionError::TooLarge { path: path.to_owned(), limit: format!("{MAX_SESSION} bytes") });
        }
        let folder = data_folder(path);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("remove", &folder, error)),
            _ => {}
        }
        if !self.data.is_empty() {
            fs::create_dir_all(&folder).map_err(|error| io("make", &folder, error))?;
        }
        for (name, bytes) in &self.data {
            let file = folder.join(name);
            fs::write(&file, bytes).map_err(|error| io("write", &file, error))?;
        }
        fs::write(path, text).map_err(|error| io("write", path, error))
    }

    /// The bytes that a piece of data stands for; `None` where it is not one.
    pub(crate) fn bytes(&self, piece: &Value) -> Option<Bytes> {
        let text = |key: &str| piece.get(key).and_then(Value::as_str);
        if let Some(text) = text("text") {
            return Some(Bytes::copy_from_slice(text.as_bytes()));
        }
        if let Some(text) = text("base64") {
            return STANDARD.decode(text).ok().map(Bytes::from);
        }
        self.data.get(text("sha256")?).cloned()
    }
}

/// Data as it stands in a session. Data that is too long for that is given to `keep`.
pub(crate) fn piece(bytes: &[u8], keep: impl FnOnce(String)) -> Value {
    if bytes.len() > INLINE_BYTES {
        let name = Digest::of(bytes).hex();
        let piece = json!({ "sha256": name, "size": bytes.len() });
        keep(name);
        return piece;
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => json!({ "text": text }),
        Err(_) => json!({ "base64": STANDARD.encode(bytes) }),
    }
}

fn data_folder(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".data");
    name.into()
}

fn read(path: &Path, limit: u64) -> Result<Vec<u8>, SessionError> {
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(|error| io("read", path, error))?;
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| io("read", path, error))?;
    if bytes.len() as u64 > limit {
        return Err(SessionError::TooLarge { path: path.to_owned(), limit: format!("{limit} bytes") });
    }
    Ok(bytes)
}

fn io(what: &'static str, path: &Path, source: std::io::Error) -> SessionError {
    SessionError::Io { what, path: path.to_owned(), source }
}

fn malformed(path: &Path, line: usize, why: &str) -> SessionError {
    SessionError::Malformed { path: path.to_owned(), line, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(session: &Session) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.session");
        session.save(&path).unwrap();
        (folder, path)
    }

    fn reading(bytes: &[u8]) -> Session {
        let mut session = Session::default();
        let mut data = BTreeMap::new();
        let answer = piece(bytes, |name| drop(data.insert(name, Bytes::copy_from_slice(bytes))));
        session.data = data;
        session.calls.push(Call {
            call: "reader.read".to_owned(),
            on: Some("reader#1".to_owned()),
            with: Map::new(),
            gives: Answer::Ok(answer),
        });
        session
    }

    #[test]
    fn data_comes_back_as_it_went() {
        for bytes in [b"".to_vec(), b"text".to_vec(), vec![0xff, 0], vec![7; INLINE_BYTES], vec![7; INLINE_BYTES + 1]] {
            let session = reading(&bytes);
            let (_folder, path) = saved(&session);
            let read = Session::load(&path).unwrap();
            assert_eq!(read, session);
            let Answer::Ok(piece) = &read.calls[0].gives else { panic!("an answer") };
            assert_eq!(read.bytes(piece).unwrap(), bytes);
        }
    }

    #[test]
    fn what_is_not_a_session_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.session");
        let check = |text: &str| {
            fs::write(&path, text).unwrap();
            let error = Session::load(&path).expect_err(text).to_string();
            error.replace(&folder.path().display().to_string(), "FOLDER")
        };
        let many = "\n{\"call\":\"a.b\",\"gives\":{\"ok\":null}}".repeat(MAX_CALLS + 1);
        let all = [
            check(""),
            check("{}"),
            check("{\"session\":2}"),
            check("{\"session\":1}\nno"),
            check("{\"session\":1}\n{\"call\":\"a.b\"}"),
            check("{\"session\":1}\n{\"call\":\"a.b\",\"gives\":{\"ok\":{\"sha256\":\"../../etc/passwd\"}}}"),
            check(&format!("{{\"session\":1}}{many}")),
            check(&" ".repeat(MAX_SESSION as usize + 1)),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        FOLDER/a.session is not a session (line 1): it does not begin with {"session":1}
        FOLDER/a.session is not a session (line 1): it does not begin with {"session":1}
        FOLDER/a.session is not a session (line 1): it has the format 2, and this version of Windlass reads 1
        FOLDER/a.session is not a session (line 2): expected ident at line 1 column 2
        FOLDER/a.session is not a session (line 2): missing field `gives` at line 1 column 14
        FOLDER/a.session.data is not the data that its session was recorded with
        the session FOLDER/a.session has more than 10000 calls
        the session FOLDER/a.session has more than 16777216 bytes
        "#);
    }

    #[test]
    fn what_is_too_much_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.session");
        let call = reading(b"").calls.remove(0);
        let many = Session { calls: vec![call; MAX_CALLS + 1], data: BTreeMap::new() };
        let piece = Bytes::from(vec![7; TOTAL_DATA_BYTES / 2 + 1]);
        let large = Session { calls: Vec::new(), data: ["a", "b"].map(|name| (name.to_owned(), piece.clone())).into() };
        for session in [many, large] {
            assert!(matches!(session.save(&path), Err(SessionError::TooLarge { .. })));
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was written");
    }

    #[test]
    fn damaged_and_oversized_data_is_refused() {
        let (folder, path) = saved(&reading(&vec![7; INLINE_BYTES + 1]));
        let file = fs::read_dir(folder.path().join("a.session.data")).unwrap().next().unwrap().unwrap().path();
        fs::write(&file, "other").unwrap();
        assert!(matches!(Session::load(&path), Err(SessionError::Data { .. })));
        fs::write(&file, vec![7; MAX_DATA as usize + 1]).unwrap();
        assert!(matches!(Session::load(&path), Err(SessionError::TooLarge { .. })));
    }
}
