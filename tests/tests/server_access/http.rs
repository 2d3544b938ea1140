//! A server of a test's own, and requests to it byte by byte, as an attacker would send them.

use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};
use windlass_tests::{Project, Running};

/// What everybody has who is made by these tests.
pub(crate) const PASSWORD: &str = "correct horse battery";

/// A real server on a home of its own.
pub(crate) struct Server {
    pub(crate) project: Project,
    pub(crate) running: Running,
    arguments: Vec<String>,
    pub(crate) at: String,
    /// The first administrator's key; empty where there was one before.
    pub(crate) admin: String,
}

impl Server {
    pub(crate) fn start() -> Server {
        Server::on(Project::empty())
    }

    pub(crate) fn on(project: Project) -> Server {
        Server::with(project, &[])
    }

    /// With more arguments.
    pub(crate) fn with(project: Project, arguments: &[String]) -> Server {
        let is_new = !project.home().join("server.db").exists();
        let listen = ["server", "--listen", "127.0.0.1:0"].map(str::to_owned);
        let mut running = project.spawn(listen.iter().chain(arguments));
        let line = running.wait_for("http://");
        let at = line.split("http://").nth(1).unwrap().trim().to_owned();
        let admin = match is_new {
            true => running.wait_for("the first administrator's key").rsplit(' ').next().unwrap().to_owned(),
            false => String::new(),
        };
        Server { project, running, arguments: arguments.to_owned(), at, admin }
    }

    /// Kills it, as a crash does, and starts it again with what it has.
    pub(crate) fn again(mut self) -> Server {
        self.running.kill();
        let admin = self.admin;
        Server { admin, ..Server::with(self.project, &self.arguments) }
    }

    /// `line` is the method and the target, such as `GET /api/v1/session`.
    #[track_caller]
    pub(crate) fn send(&self, line: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        try_send(&self.at, line, headers, body.map(|body| ("application/json", body.to_string())))
            .unwrap_or_else(|| panic!("{line}: no answer"))
    }

    #[track_caller]
    pub(crate) fn key(&self, key: &str, line: &str, body: Option<&Value>) -> Answer {
        self.send(line, &[("x-api-key", key)], body)
    }

    /// As the first administrator.
    #[track_caller]
    pub(crate) fn admin(&self, line: &str, body: Option<&Value>) -> Answer {
        self.key(&self.admin, line, body)
    }

    /// Makes a user with [`PASSWORD`].
    #[track_caller]
    pub(crate) fn person(&self, name: &str, role: &str) {
        let body = json!({ "name": name, "role": role, "password": PASSWORD });
        self.admin("POST /api/v1/users", Some(&body)).is(201);
    }

    /// A key of somebody, made by the administrator.
    #[track_caller]
    pub(crate) fn key_of(&self, name: &str, role: &str) -> (i64, String) {
        let body = json!({ "name": "a test's", "role": role, "user": name });
        let made = self.admin("POST /api/v1/tokens", Some(&body)).is(201).body;
        (made["row"]["id"].as_i64().unwrap(), made["key"].as_str().unwrap().to_owned())
    }

    #[track_caller]
    pub(crate) fn sign_in(&self, name: &str, password: &str) -> Answer {
        self.send("POST /api/v1/session", &[], Some(&json!({ "name": name, "password": password })))
    }

    /// A session: the `Cookie` header, and the token for changes.
    #[track_caller]
    pub(crate) fn session(&self, name: &str, password: &str) -> (String, String) {
        signed_in(&self.sign_in(name, password).is(200))
    }

    /// With a cookie.
    #[track_caller]
    pub(crate) fn cookie(&self, cookie: &str, line: &str) -> Answer {
        self.send(line, &[("cookie", cookie)], None)
    }
}

/// The `Cookie` header and the token of an answer that began a session.
pub(crate) fn signed_in(answer: &Answer) -> (String, String) {
    let cookie = answer.cookies().find(|each| each.starts_with("windlass_session=")).expect("a session");
    (cookie.split(';').next().unwrap().to_owned(), answer.body["csrf_token"].as_str().unwrap().to_owned())
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Refused with this status and this code.
    #[track_caller]
    pub(crate) fn refused(self, status: u16, code: &str) -> Answer {
        let answer = self.is(status);
        assert_eq!(answer.body["code"], code, "{}", answer.text);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
        answer
    }

    /// What it says, but for the request's own id.
    pub(crate) fn said(&self) -> Value {
        let mut said = self.body.clone();
        said.as_object_mut().and_then(|said| said.remove("request_id"));
        said
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn cookies(&self) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(|(name, _)| name == "set-cookie").map(|(_, value)| value.as_str())
    }
}

/// One request on a connection of its own; none when the server goes away before it answers.
pub(crate) fn try_send(at: &str, line: &str, headers: &[(&str, &str)], body: Option<(&str, String)>) -> Option<Answer> {
    let stream = TcpStream::connect(at).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    exchange(stream, at, line, headers, body)
}

/// One request on this connection to `at`.
pub(crate) fn exchange(
    mut stream: impl Read + Write,
    at: &str,
    line: &str,
    headers: &[(&str, &str)],
    body: Option<(&str, String)>,
) -> Option<Answer> {
    let mut text = format!("{line} HTTP/1.1\r\nhost: {at}\r\nconnection: close\r\n");
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    let (kind, body) = body.map_or((String::new(), String::new()), |(kind, body)| {
        (format!("content-type: {kind}\r\ncontent-length: {}\r\n", body.len()), body)
    });
    stream.write_all(format!("{text}{kind}\r\n{body}").as_bytes()).ok()?;
    let (mut bytes, mut buffer) = (Vec::new(), [0; 8192]);
    loop {
        match stream.read(&mut buffer).ok()? {
            0 => break,
            read => bytes.extend_from_slice(&buffer[..read]),
        }
        // A stream does not end by itself: that it has begun is the answer.
        let so_far = String::from_utf8_lossy(&bytes);
        if so_far.split_once("\r\n\r\n").is_some_and(|(head, _)| head.contains("text/event-stream")) {
            break;
        }
    }
    let all = String::from_utf8_lossy(&bytes).into_owned();
    let (head, text) = all.split_once("\r\n\r\n")?;
    let mut lines = head.lines();
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers = lines.filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let in_chunks = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let text = if in_chunks { whole(text) } else { text.to_owned() };
    let body = serde_json::from_str(&text).unwrap_or_default();
    Some(Answer { status, headers, text, body })
}

/// A body that came in chunks.
pub(crate) fn whole(mut chunks: &str) -> String {
    let mut text = String::new();
    while let Some((size, rest)) = chunks.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        let Some(chunk) = rest.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        text.push_str(chunk);
        chunks = rest[size..].strip_prefix("\r\n").unwrap_or_default();
    }
    text
}
