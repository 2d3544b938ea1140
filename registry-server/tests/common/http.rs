//! Plain HTTP, as somebody sends it who does not use our client: well-behaved, and byte by byte.

use super::World;
use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// How long an answer is waited for: far longer than any takes, so that a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(90);

/// A client that follows no redirects and keeps no secrets.
pub fn plain_http(world: &World) -> reqwest::Client {
    // reqwest is built without a TLS provider of its own; the client under test installs it.
    let home = world.home("plain");
    windlass_package::client::Registry::new(&home, world.address.parse().expect("a URL"), None).expect("a client");
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.build().expect("a client")
}

/// The program itself, in a process of its own, with all that it does around its routes. It is killed when this is dropped.
pub struct Program {
    child: Child,
    host: String,
    data: PathBuf,
    _folder: tempfile::TempDir,
}

impl Program {
    /// An empty registry, with more arguments of `serve`.
    pub fn start(more: &[&str]) -> Program {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let log = std::fs::File::create(folder.path().join("log")).expect("a file");
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-server"));
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(&data).args(more);
        command.env("RUST_LOG", "debug").stdout(Stdio::piped()).stderr(log);
        let mut child = command.spawn().expect("registry-server starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("a line");
        let host = line.split("http://").nth(1).and_then(|rest| rest.split([',', '/', ' ']).next());
        let host = host.unwrap_or_else(|| panic!("it said {line:?}")).to_owned();
        Program { child, host, data, _folder: folder }
    }

    /// `host:port`.
    pub fn host(&self) -> &str {
        &self.host
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self._folder.path().join("log")).expect("its log")
    }

    /// Another command of the program on the same data; what it prints.
    pub fn operator(&self, args: &[&str]) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_registry-server"));
        let output = command.args(args).arg("--data").arg(&self.data).output().expect("it starts");
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
    }

    /// A token for a namespace.
    pub fn token(&self, namespace: &str) -> String {
        self.operator(&["token", "create", "--name", "test", "--namespace", namespace])
    }

    /// A call with headers and a body, each as it is.
    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.host);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// The same with a token.
    pub fn with(&self, token: &str, method: &str, path: &str, body: &[u8]) -> Answer {
        self.call(method, path, &[("authorization", &format!("Bearer {token}"))], body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], b"")
    }

    /// Sends bytes, and reads until the server closes, which the bytes must ask it for. It may close before it has read everything.
    pub fn raw(&self, bytes: &[u8]) -> Answer {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        Answer::read(stream)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.host).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
        stream
    }

    /// It answers, and has not died meanwhile.
    #[track_caller]
    pub fn lives(&self) {
        assert_eq!(self.get("/healthz").status, 200);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What came back; status 0 when the connection was closed without an answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn read(mut stream: TcpStream) -> Answer {
        let mut bytes = Vec::new();
        if let Err(error) = stream.read_to_end(&mut bytes) {
            // A server that closes with our bytes unread resets the connection; what it has said is read first.
            assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "no answer within {PATIENCE:?}");
        }
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or(0);
        let pairs = lines.filter_map(|line| line.split_once(':'));
        let headers = pairs.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Answer { status, headers, body: bytes.get(end + 4..).unwrap_or_default().to_vec() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of an OCI error.
    pub fn code(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["errors"][0]["code"].as_str().unwrap_or_default().to_owned()
    }
}
