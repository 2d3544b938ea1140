//! Requests against real servers on loopback, and against a hostile name server.

use super::*;
use crate::{
    log::tests_support::Kept,
    secrets::{KeySource, StepSecrets, Vault},
};
use axum::{
    Router,
    extract::Request as Asked,
    http::StatusCode,
    response::IntoResponse,
    routing::{any, get},
};
use std::net::{IpAddr, SocketAddr};
use windlass_contract::{
    SecretValue,
    capability::{Secret, Secrets as _},
};

/// A server that tells what it was sent, and misbehaves on request.
async fn server() -> SocketAddr {
    async fn echo(asked: Asked) -> impl IntoResponse {
        let (parts, body) = asked.into_parts();
        let body = axum::body::to_bytes(body, MAX_BODY).await.unwrap();
        let headers: Vec<String> =
            parts.headers.iter().map(|(n, v)| format!("{n}: {}", String::from_utf8_lossy(v.as_bytes()))).collect();
        format!("{} {}\n{}\n\n{}", parts.method, parts.uri, headers.join("\n"), String::from_utf8_lossy(&body))
    }
    let endless = || async {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1 << 20])));
        axum::body::Body::from_stream(chunks)
    };
    let app = Router::new()
        .route("/echo", any(echo))
        .route(
            "/redirect",
            get(|| async { (StatusCode::FOUND, [("location", "http://169.254.169.254/latest/meta-data/")]) }),
        )
        .route("/endless", get(endless))
        .route("/never", get(std::future::pending::<()>))
        .layer(axum::extract::DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

struct Tools {
    http: StepHttp,
    secrets: StepSecrets,
    sink: Arc<Kept>,
    _dir: tempfile::TempDir,
}

const VALUE: &str = "value-of-the-token";

/// Tools that may reach `hosts`; `opened` is what the operator opened; names lead where `names` says.
fn tools(
    hosts: &[&str],
    opened: &[&str],
    names: &'static [(&'static str, &'static [&'static str])],
    bound: &[&str],
) -> Tools {
    let policy = EgressPolicy { opened: opened.iter().map(|net| net.parse().unwrap()).collect() };
    let lookup: Lookup = Arc::new(move |name| {
        let found = names
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, to)| to.iter().map(|ip| ip.parse::<IpAddr>().unwrap()).collect());
        Box::pin(async move { found.ok_or_else(|| std::io::Error::other("no such name")) })
    });
    let dir = tempfile::tempdir().unwrap();
    let vault = Vault::open(dir.path().join("vault.json"), KeySource::File(dir.path().join("key")));
    let bound: Vec<String> = bound.iter().map(|host| (*host).to_owned()).collect();
    vault.set(&"cloud/token".parse().unwrap(), &SecretValue::new(VALUE.as_bytes().to_vec()), &bound).unwrap();
    let (sink, masker, book) = (Arc::new(Kept::default()), Masker::new(), Arc::new(Book::default()));
    let secrets = StepSecrets {
        environment: None,
        vault: Arc::new(vault),
        granted: ["cloud/token".parse().unwrap()].into(),
        named: Arc::default(),
        masker: masker.clone(),
        sink: sink.clone(),
        book: book.clone(),
    };
    let scope = HttpScope {
        hosts: hosts.iter().map(|host| host.parse().unwrap()).collect(),
        methods: ["GET", "POST"].map(str::to_owned).into(),
    };
    let config = ["https://named.test/path".to_owned(), "bare.test:8443".to_owned(), "not a host".to_owned()].into();
    let client = Client::with_lookup(policy, lookup).unwrap();
    let http = StepHttp::new(client, scope, &config, book, masker, false, sink.clone(), CancellationToken::new());
    Tools { http, secrets, sink, _dir: dir }
}

fn ask(method: &str, url: &str) -> HttpRequest {
    HttpRequest { method: method.to_owned(), url: url.to_owned(), timeout_ms: Some(5000), ..HttpRequest::default() }
}

async fn text(answer: Result<Box<dyn HttpResponse>, HttpError>) -> Result<String, HttpError> {
    let mut answer = answer?;
    let mut all = Vec::new();
    loop {
        let bytes = answer.read(1000).await?;
        if bytes.is_empty() {
            return Ok(String::from_utf8(all).unwrap());
        }
        assert!(bytes.len() <= 1000);
        all.extend_from_slice(&bytes);
    }
}

/// The name of the case, then its words.
async fn refused(tools: &Tools, request: HttpRequest) -> String {
    let shown = request.url.clone();
    match tools.http.send(request).await {
        Ok(answer) => panic!("{shown} was answered with {}", answer.status()),
        Err(error) => format!("{error:?}"),
    }
}

#[tokio::test]
async fn a_request_and_its_answer() {
    let server = server().await;
    let tools = tools(&[&format!("127.0.0.1:{}", server.port())], &["127.0.0.1/32"], &[], &[]);
    let mut request = ask("POST", &format!("http://{server}/echo?a=b"));
    request.headers = vec![("X-One".to_owned(), "1".to_owned()), ("x-one".to_owned(), "2".to_owned())];
    request.body = b"hello".to_vec();
    let text = text(tools.http.send(request).await).await.unwrap();
    assert!(text.starts_with("POST /echo?a=b\n"), "{text}");
    assert!(text.contains("x-one: 1\nx-one: 2\n") && text.ends_with("\n\nhello"), "{text}");
}

#[tokio::test]
async fn metadata_in_all_its_disguises() {
    let names: &[(&str, &[&str])] = &[
        ("metadata.test", &["169.254.169.254"]),
        ("mixed.test", &["93.184.216.34", "169.254.169.254"]),
        ("six.test", &["fd00:ec2::254"]),
        ("mapped.test", &["::ffff:169.254.169.254"]),
        ("nat64.test", &["64:ff9b::a9fe:a9fe"]),
        ("localhost", &["127.0.0.1"]),
        ("localhost.", &["127.0.0.1"]),
    ];
    // All of these are granted by name: what refuses them is the address.
    let hosts = [
        "*.test",
        "localhost",
        "169.254.169.254",
        "127.0.0.1",
        "[fd00:ec2::254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "0.0.0.0",
        "[::1]",
    ];
    let tools = tools(&hosts, &[], names, &[]);
    for url in [
        "http://169.254.169.254/latest/meta-data/",
        "http://2852039166/",
        "http://0xa9fea9fe/",
        "http://0251.0376.0251.0376/",
        "http://169.254.43518/",
        "http://169.254.169.254./",
        "http://[::ffff:169.254.169.254]/",
        "http://[::ffff:a9fe:a9fe]/",
        "http://[64:ff9b::169.254.169.254]/",
        "http://[fd00:ec2::254]/",
        "http://１６９.２５４.１６９.２５４/",
        "http://metadata.test/",
        "http://METADATA.test/",
        "http://metadata.test./",
        "http://mixed.test/",
        "http://six.test/",
        "http://mapped.test/",
        "http://nat64.test/",
        "http://127.1/",
        "http://0x7f.1/",
        "http://0/",
        "http://[::1]/",
        "http://localhost/",
    ] {
        let words = refused(&tools, ask("GET", url)).await;
        let unresolved = url.ends_with("test./") && words.starts_with("Unreachable");
        assert!(words.starts_with("Denied") || unresolved, "{url}: {words}");
    }
    assert!(tools.sink.text().contains("a cloud metadata service"), "{}", tools.sink.text());
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_judged_anew() {
    let server = server().await;
    let tools = tools(&[&format!("127.0.0.1:{}", server.port()), "169.254.169.254"], &["127.0.0.1/32"], &[], &[]);
    let answer = tools.http.send(ask("GET", &format!("http://{server}/redirect"))).await.unwrap();
    assert_eq!(answer.status(), 302);
    let to = answer.headers().into_iter().find(|(name, _)| name == "location").unwrap().1;
    assert!(refused(&tools, ask("GET", &to)).await.starts_with("Denied"));
}

#[tokio::test]
async fn hosts_ports_and_methods_of_the_grant() {
    let tools = tools(&["api.a.test", "*.b.test", "c.test:8443", "from-config"], &[], &[], &[]);
    let check = async |method: &str, url: &str, expect: &str| {
        let words = refused(&tools, ask(method, url)).await;
        assert!(words.starts_with(expect), "{method} {url}: {words}");
    };
    // What is granted gets as far as the name server, which knows none of them.
    for url in [
        "https://api.a.test/",
        "http://api.a.test:80/",
        "https://API.A.TEST./",
        "https://x.b.test/",
        "https://c.test:8443/",
        "https://named.test/other",
        "https://bare.test:8443/",
    ] {
        check("GET", url, "Unreachable").await;
    }
    for url in [
        "https://a.test/",
        "https://api.a.test:8443/",
        "https://api.a.test.evil.test/",
        "https://x.y.b.test/",
        "https://b.test/",
        "https://c.test/",
        "https://named.test:444/",
        "https://bare.test/",
        "https://not/",
        "https://evil.test/?https://api.a.test/",
        "https://evil.test/#@api.a.test",
        "https://evil.test\\@api.a.test/x",
        "https://xn--pi-6kc.a.test/",
    ] {
        let words = refused(&tools, ask("GET", url)).await;
        assert!(words.starts_with("NotGranted") || words.starts_with("Invalid"), "{url}: {words}");
    }
    check("DELETE", "https://api.a.test/", "NotGranted").await;
    for method in ["", "get", "GET ", "G\r\nX: y", "CONNECT", "TRACE"] {
        check(method, "https://api.a.test/", "Invalid").await;
    }
    for url in [
        "",
        "api.a.test",
        "file:///etc/passwd",
        "ftp://api.a.test/",
        "https://user@api.a.test/",
        "https://user:pw@api.a.test/",
        "https://@api.a.test/",
        "https://api.a.test/\r\nX: y",
        "https://api.a.test/ x",
        "https://",
        &format!("https://api.a.test/{}", "x".repeat(MAX_URL)),
    ] {
        check("GET", url, "Invalid").await;
    }
}

#[tokio::test]
async fn headers_that_would_let_a_request_be_read_in_two_ways() {
    let tools = tools(&["api.a.test"], &[], &[], &[]);
    for (name, value) in [
        ("Host", "evil.test"),
        ("Content-Length", "1"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "x"),
        ("Proxy-Authorization", "x"),
        ("TE", "x"),
        ("Upgrade", "h2c"),
        ("Expect", "100-continue"),
        ("X-A", "b\r\nHost: evil"),
        ("X-A", "b\0"),
        ("X A", "b"),
        ("X\r\nA", "b"),
        ("", "b"),
    ] {
        let request =
            HttpRequest { headers: vec![(name.to_owned(), value.to_owned())], ..ask("GET", "https://api.a.test/") };
        let words = refused(&tools, request).await;
        assert!(words.starts_with("Invalid"), "{name:?}: {words}");
    }
    let many = HttpRequest {
        headers: vec![("a".to_owned(), "b".to_owned()); MAX_HEADERS + 1],
        ..ask("GET", "https://api.a.test/")
    };
    assert!(refused(&tools, many).await.starts_with("TooLarge"));
    let large = HttpRequest { body: vec![0; MAX_BODY + 1], ..ask("GET", "https://api.a.test/") };
    assert!(refused(&tools, large).await.starts_with("TooLarge"));
}

#[tokio::test]
async fn a_secret_goes_only_where_it_is_bound_and_does_not_come_back() {
    let server = server().await;
    let here = format!("127.0.0.1:{}", server.port());
    let bound = tools(&[&here], &["127.0.0.1/32"], &[], &[&here]);
    let secret = bound.secrets.get("cloud/token".to_owned()).await.unwrap();
    let with = |secret: &Arc<dyn Secret>, url: &str| {
        let mut request = ask("POST", url);
        request.secret_headers = vec![("authorization".to_owned(), "Bearer ".to_owned(), secret.clone())];
        request.headers = vec![("x-copy".to_owned(), format!("<{}>", secret.placeholder()))];
        request.body = format!("{{\"token\":\"{}\"}}", secret.placeholder()).into_bytes();
        request
    };
    let echoed = text(bound.http.send(with(&secret, &format!("http://{server}/echo"))).await).await.unwrap();
    // The server got the value (it has its length), and the plugin does not see it.
    assert!(
        echoed.contains("authorization: Bearer ***")
            && echoed.contains("x-copy: <***>")
            && echoed.ends_with("{\"token\":\"***\"}"),
        "{echoed}"
    );
    assert!(echoed.contains(&format!("content-length: {}", VALUE.len() + "{\"token\":\"\"}".len())), "{echoed}");
    assert!(!echoed.contains("wlph_"));

    // Not in a URL, whatever the host, and however it is written.
    for part in [secret.placeholder(), VALUE.to_owned(), VALUE.replace('-', "%2d"), hex::encode(VALUE)] {
        let words = refused(&bound, ask("GET", &format!("http://{server}/echo?t={part}"))).await;
        assert!(words.starts_with("Denied"), "{words}");
        assert!(!words.contains(VALUE));
    }

    // Bound to another host, or to none.
    for hosts in [&["other.test"][..], &[]] {
        let unbound = tools(&[&here], &["127.0.0.1/32"], &[], hosts);
        let secret = unbound.secrets.get("cloud/token".to_owned()).await.unwrap();
        let whole = with(&secret, &format!("http://{server}/echo"));
        for (headers, secret_headers, body) in [
            (whole.headers.clone(), vec![], vec![]),
            (vec![], whole.secret_headers.clone(), vec![]),
            (vec![], vec![], whole.body.clone()),
        ] {
            let words = refused(&unbound, HttpRequest { headers, secret_headers, body, ..whole.clone() }).await;
            assert!(words.starts_with("Denied") && words.contains("not bound to 127.0.0.1"), "{words}");
        }
        assert!(unbound.sink.text().contains("refused: secret cloud/token is not bound"));
    }

    // A placeholder and a handle of another call mean nothing here.
    let other = tools(&[&here], &["127.0.0.1/32"], &[], &[&here]);
    let headers = Vec::new();
    let handle = HttpRequest { headers, ..with(&secret, &format!("http://{server}/echo")) };
    assert!(refused(&other, handle).await.starts_with("Invalid"));
    let stray =
        HttpRequest { body: secret.placeholder().into_bytes(), ..ask("POST", &format!("http://{server}/echo")) };
    assert!(refused(&other, stray).await.starts_with("Denied"));
}

#[tokio::test]
async fn a_secret_is_not_sent_in_the_clear() {
    let tools = tools(&["api.a.test"], &[], &[], &["api.a.test"]);
    let secret = tools.secrets.get("cloud/token".to_owned()).await.unwrap();
    let secret_headers = vec![("authorization".to_owned(), String::new(), secret)];
    let words = refused(&tools, HttpRequest { secret_headers, ..ask("GET", "http://api.a.test/") }).await;
    assert!(words.contains("without encryption"), "{words}");
}

#[tokio::test]
async fn servers_that_never_end() {
    let server = server().await;
    let tools = tools(&[&format!("127.0.0.1:{}", server.port())], &["127.0.0.1/32"], &[], &[]);
    let endless = text(
        tools
            .http
            .send(HttpRequest { timeout_ms: Some(60_000), ..ask("GET", &format!("http://{server}/endless")) })
            .await,
    )
    .await;
    assert!(matches!(endless, Err(HttpError::TooLarge(_))), "{endless:?}");
    let never = HttpRequest { timeout_ms: Some(50), ..ask("GET", &format!("http://{server}/never")) };
    assert!(refused(&tools, never).await.starts_with("TimedOut"));
}

#[tokio::test]
async fn sixteen_at_once_and_the_next_waits_its_turn() {
    let server = server().await;
    let tools = tools(&[&format!("127.0.0.1:{}", server.port())], &["127.0.0.1/32"], &[], &[]);
    let echo = || HttpRequest { timeout_ms: Some(300), ..ask("GET", &format!("http://{server}/echo")) };
    let mut open = Vec::new();
    for _ in 0..MAX_OPEN {
        open.push(tools.http.send(ask("GET", &format!("http://{server}/echo"))).await.unwrap());
    }
    assert!(refused(&tools, echo()).await.starts_with("TimedOut"));
    open.pop();
    assert_eq!(tools.http.send(echo()).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_step_that_is_stopped_does_not_wait() {
    let server = server().await;
    let tools = tools(&[&format!("127.0.0.1:{}", server.port())], &["127.0.0.1/32"], &[], &[]);
    let stop = tools.http.cancelled.clone();
    let (words, ()) =
        tokio::join!(refused(&tools, ask("GET", &format!("http://{server}/never"))), async { stop.cancel() });
    assert!(words.contains("asked to stop"), "{words}");
}

proptest::proptest! {
    /// Whatever text is given as a URL, what passes names exactly one granted host, and the parser agrees with itself.
    #[test]
    fn only_the_granted_host_passes(text in "(https?:)?[/\\\\]{0,3}([a-z.@:#?%\\\\]{0,12})(good\\.test)?[a-z.@:/#?\\\\]{0,12}") {
        if let Ok(url) = parse_url(&text) {
            let pattern: windlass_contract::permissions::Pattern = "good.test".parse().unwrap();
            if pattern.matches(&host_with_port(&url), &['.'], &BTreeSet::new()) {
                let again = Url::parse(url.as_str()).unwrap();
                proptest::prop_assert_eq!(again.host_str().map(|host| host.trim_end_matches('.')), Some("good.test"));
                proptest::prop_assert!(url.username().is_empty() && url.password().is_none());
            }
        }
    }
}
