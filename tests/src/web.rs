//! A small HTTP server on loopback that remembers what it was sent.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

/// A request, as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method and the target, such as `GET /hello`.
    pub line: String,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }
}

/// Answers every request with the next of its answers, and the last one again and again, until the test's process ends.
pub struct WebServer {
    host: String,
    received: Arc<Mutex<Vec<Received>>>,
}

impl WebServer {
    /// Starts one on a free port that answers with 200 and always the same text.
    pub fn start(answer: &str) -> WebServer {
        WebServer::scripted(vec![(200, answer.to_owned())])
    }

    /// Starts one with these answers, at least one: the status, and the text.
    pub fn scripted(answers: Vec<(u16, String)>) -> WebServer {
        assert!(!answers.is_empty(), "there is no answer");
        let answers = Arc::new(answers);
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let remember = Arc::clone(&received);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), remember, answers) = (stream, Arc::clone(&remember), Arc::clone(&answers)) else {
                    return;
                };
                std::thread::spawn(move || serve(&stream, &answers, &remember));
            }
        });
        WebServer { host, received }
    }

    /// Its address and port, such as `127.0.0.1:4711`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// What came so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

fn serve(stream: &TcpStream, answers: &[(u16, String)], remember: &Mutex<Vec<Received>>) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let line = line.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
    let mut headers = Vec::new();
    loop {
        let mut text = String::new();
        reader.read_line(&mut text).ok()?;
        let Some((name, value)) = text.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    let number = {
        let mut received = remember.lock().unwrap();
        received.push(Received { line, headers, body });
        received.len()
    };
    let (status, answer) = &answers[number.min(answers.len()) - 1];
    let head = format!("HTTP/1.1 {status} Answer\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    (&mut &*stream).write_all(format!("{head}{answer}").as_bytes()).ok()
}

/// An answer to [`get`].
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(each, _)| each == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("not JSON: {error}"))
    }
}

/// A plain request to a server on loopback, with nobody's client between: `get("http://127.0.0.1:4711/v2/", &[])`.
#[track_caller]
pub fn get(url: &str, headers: &[(&str, &str)]) -> Answer {
    let (host, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).expect("http://host/path");
    let mut stream = TcpStream::connect(host).unwrap();
    // HTTP/1.0: the body comes as it is and ends with the connection.
    let mut request = format!("GET /{path} HTTP/1.0\r\nhost: {host}\r\n");
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let headers = lines.filter_map(|line| line.split_once(':'));
    Answer {
        status: status.expect("a status"),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect(),
        body: bytes[end + 4..].to_vec(),
    }
}
