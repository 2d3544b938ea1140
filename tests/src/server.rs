//! A real `windlass server` of a test's own, and who speaks to it.

use crate::{Output, Project, Running, process};
use serde_json::Value;
use std::{path::Path, process::Command};

/// A server on a free port of this machine. It ends with the test.
pub struct Server {
    project: Project,
    arguments: Vec<String>,
    running: Option<Running>,
    url: String,
    key: String,
}

/// Somebody who speaks to a server: nobody, or whoever a key belongs to.
#[derive(Clone)]
pub struct Client {
    url: String,
    key: Option<String>,
    headers: Vec<(String, String)>,
}

/// What a server has answered.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body's bytes.
    pub bytes: Vec<u8>,
    /// The body where it is JSON, else null.
    pub body: Value,
}

impl Reply {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The answer itself, where it has this status; else the test has failed.
    #[track_caller]
    pub fn expect(self, status: u16) -> Reply {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

impl Server {
    /// Starts one whose project has the bundled plugins installed and granted.
    #[allow(clippy::new_without_default, reason = "it starts a process: no default")]
    pub fn start() -> Server {
        Server::with(Project::new(), &[])
    }

    /// Starts one in a home of a test's own, with more arguments.
    pub fn with(project: Project, arguments: &[&str]) -> Server {
        let arguments = arguments.iter().map(|&each| each.to_owned()).collect();
        let mut server = Server { project, arguments, running: None, url: String::new(), key: String::new() };
        server.run("127.0.0.1:0");
        server
    }

    fn command(&self, listen: &str) -> Command {
        let folder = self.project.folder().display().to_string();
        let mut command = self.project.command(["--project", &folder, "server", "--listen", listen]);
        command.args(&self.arguments);
        command
    }

    fn run(&mut self, listen: &str) {
        let mut running = Running::start(self.command(listen));
        let line = running.wait_for("http://");
        let from = line.find("http://").expect("an address");
        self.url = line[from..].trim().to_owned();
        if self.key.is_empty() {
            let line = running.wait_for("wlk_");
            self.key = line[line.find("wlk_").expect("a key")..].trim().to_owned();
        }
        self.running = Some(running);
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its home and its project.
    pub fn project(&self) -> &Project {
        &self.project
    }

    /// Its home and its project, to change what its next start finds.
    pub fn project_mut(&mut self) -> &mut Project {
        &mut self.project
    }

    /// The folder with its data.
    pub fn home(&self) -> &Path {
        self.project.home()
    }

    /// The first administrator's key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The first administrator.
    pub fn admin(&self) -> Client {
        self.client(&self.key)
    }

    /// Whoever this key belongs to.
    pub fn client(&self, key: &str) -> Client {
        Client { key: Some(key.to_owned()), ..self.nobody() }
    }

    /// Nobody.
    pub fn nobody(&self) -> Client {
        Client { url: self.url.clone(), key: None, headers: Vec::new() }
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.running.as_ref().expect("it runs").id()
    }

    /// Ends it from one moment to the next, as a loss of power would.
    pub fn kill(&mut self) {
        self.running.take().expect("it runs").kill();
    }

    /// Ends it as an operator does; gives its exit code.
    pub fn end(&mut self) -> i32 {
        let mut running = self.running.take().expect("it runs");
        running.signal(rustix::process::Signal::TERM);
        running.end()
    }

    /// Starts it again, at the address that it had.
    pub fn restart(&mut self) {
        let listen = self.url.strip_prefix("http://").expect("an address").to_owned();
        self.run(&listen);
    }

    /// Runs a command of the program beside it, in its home and project.
    pub fn windlass(&self, args: &[&str]) -> Output {
        process::finish(self.project.command(args), "")
    }
}

impl Client {
    /// The same, with a header in each request.
    pub fn with(&self, name: &str, value: &str) -> Client {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.to_owned()));
        client
    }

    /// `GET`.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, None)
    }

    /// `POST` of JSON.
    #[track_caller]
    pub fn post(&self, path: &str, body: Value) -> Reply {
        self.send_json("POST", path, &body)
    }

    /// `PUT` of JSON.
    #[track_caller]
    pub fn put(&self, path: &str, body: Value) -> Reply {
        self.send_json("PUT", path, &body)
    }

    /// `PATCH` of JSON.
    #[track_caller]
    pub fn patch(&self, path: &str, body: Value) -> Reply {
        self.send_json("PATCH", path, &body)
    }

    /// `DELETE`.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.send("DELETE", path, None)
    }

    /// Any method with a body of JSON.
    #[track_caller]
    pub fn send_json(&self, method: &str, path: &str, body: &Value) -> Reply {
        self.with("content-type", "application/json").send(method, path, Some(body.to_string().into_bytes()))
    }

    /// A request that the server dies of: there is no answer.
    #[track_caller]
    pub fn loses(&self, method: &str, path: &str, body: &Value) {
        let client = self.with("content-type", "application/json");
        let answer = client.exchange(method, path, Some(body.to_string().into_bytes()));
        assert!(answer.is_err(), "{method} {path}: {answer:?}");
    }

    /// Any request.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Reply {
        self.exchange(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn exchange(&self, method: &str, path: &str, body: Option<Vec<u8>>) -> Result<Reply, ureq::Error> {
        let agent: ureq::Agent =
            ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0).build().into();
        let mut request = ureq::http::Request::builder().method(method).uri(format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut answer = match body {
            Some(body) => agent.run(request.body(body).expect("a request")),
            None => agent.run(request.body(()).expect("a request")),
        }?;
        let headers = answer.headers().iter();
        let headers =
            headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
        let (status, headers) = (answer.status().as_u16(), headers.collect());
        let bytes = answer.body_mut().with_config().limit(u64::MAX).read_to_vec().expect("a body");
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Reply { status, headers, bytes, body })
    }
}
