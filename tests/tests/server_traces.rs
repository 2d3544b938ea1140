//! Traces of a server: real runs, told by OTLP over HTTP to a real collector. What it passes on is taken by a receiver of the test's own at
//! the network's edge, which decodes the protocol's own messages.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value},
    trace::v1::Span,
};
use prost::Message as _;
use serde_json::json;
use std::{
    collections::BTreeMap,
    io::Write as _,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use windlass_tests::{IMAGE, Project, Received, Registry, Server, WebServer, root};

const SECRET: &str = "value-that-nobody-may-see";

/// Two steps, of which one has a secret, prints it, and fails.
const FLOW: &str = "name: traced
inputs:
  note: { type: string, default: none }
steps:
  - name: first
    type: step.shell_exec
    config: { image: IMAGE, commands: [echo one] }
  - name: second
    type: step.shell_exec
    config:
      image: IMAGE
      env: { TOKEN: 'secret:vault/token', NOTE: '{{ inputs.note }}' }
      commands: ['echo \"$TOKEN\"; exit 3']
";

/// Begins a run of [`FLOW`], and waits for its end; its id.
fn run(server: &Server) -> String {
    server.project().secret("vault/token", SECRET, &[]);
    let admin = server.admin();
    admin.post("/api/v1/workflows", json!({ "yaml": FLOW.replace("IMAGE", IMAGE) })).expect(201);
    let begun = admin.post("/api/v1/workflows/traced/runs", json!({ "inputs": { "note": "an input" } })).expect(201);
    let id = begun.body["id"].as_str().unwrap().to_owned();
    let end = Instant::now() + Duration::from_secs(120);
    loop {
        let now = admin.get(&format!("/api/v1/runs/{id}")).expect(200).body;
        if now["status"] == "finished" {
            assert_eq!(now["outcome"], "failed", "{now}");
            return id;
        }
        assert!(Instant::now() < end, "{now}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A server that sends its traces there, and has the plugin that runs commands, from a registry that has ended since.
fn server(endpoint: &str) -> Server {
    let registry = Registry::start();
    let mut project = Project::empty();
    project.set_env("WINDLASS_REGISTRY", registry.url());
    project.set_env("WINDLASS_REGISTRY_TOKEN", &registry.token("windlass"));
    let plugin = root().join("plugins/shell");
    project.windlass(["plugin".as_ref(), "publish".as_ref(), plugin.as_os_str()]).ok();
    project.windlass(["plugin", "install", "windlass:shell", "--grant"]).ok();
    project.set_env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
    Server::with(project, &[])
}

/// A collector; ended when it is dropped.
struct Collector {
    child: Child,
    /// Where it takes traces.
    url: String,
}

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Collector {
    /// One that passes on to this address what it gets.
    fn start(to: &str) -> Collector {
        let program = root().join("tests/collector/.venv/bin/rotel-agent");
        assert!(program.is_file(), "{} is not there. Run: make setup-tests", program.display());
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (http, grpc) = (free(), free());
        let child = Command::new(program)
            .args(["start", "--otlp-http-endpoint", &http, "--otlp-grpc-endpoint", &grpc, "--exporter", "otlp"])
            .args(["--otlp-exporter-endpoint", to, "--otlp-exporter-protocol", "http"])
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(&http).is_err() {
            assert!(Instant::now() < end, "the collector does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        Collector { child, url: format!("http://{http}") }
    }

    /// Ends it when it has passed everything on.
    fn end(mut self) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap();
    }
}

/// The texts and numbers among attributes.
fn facts(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(any_value::Value::StringValue(text)) => text.clone(),
        Some(any_value::Value::IntValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|each| (each.key.clone(), text(&each.value))).collect()
}

/// A request's body, which the collector sends compressed.
fn body(request: &Received) -> Vec<u8> {
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    let mut gzip = Command::new("gzip").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut to = gzip.stdin.take().unwrap();
    let compressed = request.body.clone();
    let writing = std::thread::spawn(move || to.write_all(&compressed).unwrap());
    let output = gzip.wait_with_output().unwrap();
    writing.join().unwrap();
    assert!(output.status.success(), "{output:?}");
    output.stdout
}

/// What was received, decoded: the spans, and what is said of who has sent them.
fn received(receiver: &WebServer) -> (Vec<Span>, BTreeMap<String, String>) {
    let (mut spans, mut about) = (Vec::new(), BTreeMap::new());
    for request in receiver.received() {
        assert_eq!(request.line, "POST /v1/traces");
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
        for resource in ExportTraceServiceRequest::decode(&*body(&request)).unwrap().resource_spans {
            about.extend(facts(&resource.resource.unwrap().attributes));
            spans.extend(resource.scope_spans.into_iter().flat_map(|scope| scope.spans));
        }
    }
    (spans, about)
}

#[test]
fn spans_of_a_run_arrive_with_what_they_are_about() {
    let receiver = WebServer::start("");
    let collector = Collector::start(&format!("http://{}", receiver.host()));
    let mut server = server(&collector.url);
    let run = run(&server);
    server.nobody().get("/api/v1/runs?token=in-the-address").expect(401);
    let key = server.key().to_owned();
    // What is not sent yet is sent at the end.
    assert_eq!(server.end(), 0);
    collector.end();

    let (spans, about) = received(&receiver);
    assert_eq!(about["service.name"], "windlass");
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let runs = named("run");
    assert_eq!(runs.len(), 1, "one run, told once");
    let whole = runs[0];
    let told = facts(&whole.attributes);
    assert_eq!((told["run"].as_str(), told["pipeline"].as_str()), (run.as_str(), "traced"));
    assert_eq!(whole.parent_span_id, Vec::<u8>::new(), "a run outlives the request that began it");

    let mut steps = named("step");
    steps.sort_by_key(|step| step.start_time_unix_nano);
    let told: Vec<_> = steps.iter().map(|step| facts(&step.attributes)).collect();
    for ((step, told), (name, outcome)) in steps.iter().zip(&told).zip([("first", "succeeded"), ("second", "failed")]) {
        let own = ["run", "step", "attempt", "step_type", "outcome"].map(|fact| told[fact].as_str());
        assert_eq!(own, [run.as_str(), name, "1", "step.shell_exec", outcome]);
        assert!(told["plugin"].starts_with("windlass:shell") && told["plugin"].contains("0.1.0"), "{told:?}");
        assert_eq!((&step.parent_span_id, &step.trace_id), (&whole.span_id, &whole.trace_id), "its run is its parent");
        assert!(whole.start_time_unix_nano <= step.start_time_unix_nano);
        assert!(step.start_time_unix_nano < step.end_time_unix_nano);
        assert!(step.end_time_unix_nano <= whole.end_time_unix_nano);
    }
    assert_eq!(steps.len(), 2);
    assert!(steps[0].end_time_unix_nano <= steps[1].start_time_unix_nano, "one after the other");

    let requests: Vec<_> = named("request").iter().map(|span| facts(&span.attributes)).collect();
    let begun = requests.iter().filter(|told| told["route"] == "/api/v1/workflows/{name}/runs").collect::<Vec<_>>();
    assert_eq!(begun.iter().map(|told| told["method"].as_str()).collect::<Vec<_>>(), ["POST"]);

    // Nothing secret, and nothing of what people wrote into addresses and inputs.
    for request in receiver.received() {
        let body = body(&request);
        for secret in [SECRET, &key, "in-the-address", "an input", "vault/token"] {
            let found = body.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in a trace");
        }
    }
}

#[test]
fn a_receiver_that_does_not_answer_holds_nobody_up() {
    // One that takes connections and says nothing, and one that is not there.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for endpoint in [silent.local_addr().unwrap(), gone] {
        let mut server = server(&format!("http://{endpoint}"));
        run(&server);
        // As long as it takes to fill what is kept of spans for the receiver, and more.
        let admin = server.admin();
        let began = Instant::now();
        for _ in 0..3_000 {
            admin.get("/api/v1/session").expect(200);
        }
        let took = began.elapsed();
        assert!(took < Duration::from_secs(60), "3,000 requests took {took:?}");
        let began = Instant::now();
        assert_eq!(server.end(), 0);
        let took = began.elapsed();
        assert!(took < Duration::from_secs(20), "the end took {took:?}");
    }
}
