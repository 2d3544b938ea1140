//! Behind a proxy that ends TLS, which is a real one with a real certificate: `--public-url https://…`.

use crate::http::{Answer, PASSWORD, Server, exchange, signed_in};
use serde_json::{Value, json};
use std::{net::TcpListener, path::Path, process::Command, sync::Arc, time::Duration};
use tokio::{io::copy_bidirectional, net::TcpStream, runtime::Runtime};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned,
        crypto::{CryptoProvider, ring},
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};
use windlass_tests::Project;

/// Takes connections by TLS as `localhost`, and passes their bytes on to a server by plain HTTP.
struct Proxy {
    /// Its host and port.
    at: String,
    certificate: CertificateDer<'static>,
    listener: Option<TcpListener>,
    config: Arc<ServerConfig>,
    runtime: Runtime,
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

impl Proxy {
    /// One that listens, and does not know its server yet.
    fn new(folder: &Path) -> Proxy {
        let (key, certificate) = (folder.join("key.pem"), folder.join("certificate.pem"));
        let made = Command::new("openssl")
            .args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=localhost".split(' '))
            .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout".as_ref(), key.as_os_str(), "-out".as_ref(), certificate.as_os_str()])
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        let certificate = CertificateDer::from_pem_file(certificate).unwrap();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], PrivateKeyDer::from_pem_file(key).unwrap())
            .unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = format!("localhost:{}", listener.local_addr().unwrap().port());
        let runtime = Runtime::new().unwrap();
        Proxy { at, certificate, listener: Some(listener), config: Arc::new(config), runtime }
    }

    /// Passes connections on from now on.
    fn pass_on_to(&mut self, server: String) {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.config));
        let listener = self.listener.take().unwrap();
        listener.set_nonblocking(true).unwrap();
        self.runtime.spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, server) = (acceptor.clone(), server.clone());
                tokio::spawn(async move {
                    let mut outside = acceptor.accept(stream).await?;
                    let mut inside = TcpStream::connect(server).await?;
                    copy_bidirectional(&mut outside, &mut inside).await
                });
            }
        });
    }

    #[track_caller]
    fn send(&self, line: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Answer {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let port = self.at.split(':').nth(1).unwrap();
        let stream = std::net::TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let body = body.map(|body| ("application/json", body.to_string()));
        exchange(StreamOwned::new(client, stream), &self.at, line, headers, body).expect("an answer")
    }
}

/// A cookie's facts, by its name.
fn cookie<'a>(answer: &'a Answer, name: &str) -> Vec<&'a str> {
    let line = answer.cookies().find(|line| line.starts_with(&format!("{name}=")));
    line.unwrap_or_else(|| panic!("no {name} in {answer:?}")).split("; ").skip(1).collect()
}

#[test]
fn a_session_behind_tls_is_bound_to_it() {
    let project = Project::empty();
    let mut proxy = Proxy::new(project.folder());
    let public = format!("https://{}", proxy.at);
    let server = Server::with(project, &["--public-url".to_owned(), public.clone()]);
    proxy.pass_on_to(server.at.clone());
    server.person("ada", "admin");

    let sign_in = json!({ "name": "ada", "password": PASSWORD });
    let begun = proxy.send("POST /api/v1/session", &[("origin", &public)], Some(&sign_in)).is(200);
    // A browser takes a cookie of that name only with `Secure`, for all paths and for no other host: without `Domain`.
    let week = "Max-Age=604800";
    assert_eq!(cookie(&begun, "__Host-windlass_session"), ["Path=/", week, "SameSite=Lax", "Secure", "HttpOnly"]);
    assert_eq!(cookie(&begun, "windlass_csrf"), ["Path=/", week, "SameSite=Lax", "Secure"]);
    assert!(begun.cookies().all(|line| !line.starts_with("windlass_session=")), "{begun:?}");
    let bound = begun.cookies().next().unwrap().split(';').next().unwrap().to_owned();
    let token = begun.body["csrf_token"].as_str().unwrap().to_owned();
    assert_eq!(proxy.send("GET /api/v1/session", &[("cookie", &bound)], None).is(200).body["user"]["name"], "ada");
    // The name that any site of this host could set counts for nothing here.
    let plain = bound.replace("__Host-", "");
    proxy.send("GET /api/v1/session", &[("cookie", &plain)], None).refused(401, "WL1501");

    // A change comes from the public address, and from no other: not from the same host without TLS, nor from a name that the request
    // itself says.
    let port = proxy.at.split(':').nth(1).unwrap();
    let mut n = 0;
    let mut change = |origin: &str| {
        n += 1;
        let headers = [("cookie", bound.as_str()), ("x-csrf-token", token.as_str()), ("origin", origin)];
        proxy.send("POST /api/v1/users", &headers, Some(&json!({ "name": format!("u{n}"), "role": "viewer" })))
    };
    change(&public).is(201);
    for strange in [
        format!("http://{}", proxy.at),
        format!("http://{}", server.at),
        format!("https://{}", server.at),
        format!("https://127.0.0.1:{port}"),
        "https://localhost".to_owned(),
        "https://evil.example".to_owned(),
        "null".to_owned(),
    ] {
        let refused = change(&strange).refused(403, "WL1520");
        assert!(refused.text.contains("Origin"), "{strange}: {}", refused.text);
    }
    proxy.send("POST /api/v1/session", &[("origin", "https://evil.example")], Some(&sign_in)).refused(403, "WL1520");

    // Signing out takes the bound cookie away, by its name.
    let headers = [("cookie", bound.as_str()), ("x-csrf-token", token.as_str()), ("origin", public.as_str())];
    let out = proxy.send("DELETE /api/v1/session", &headers, None).is(204);
    assert_eq!(cookie(&out, "__Host-windlass_session"), ["Path=/", "Max-Age=0", "SameSite=Lax", "Secure", "HttpOnly"]);
    proxy.send("GET /api/v1/session", &[("cookie", &bound)], None).refused(401, "WL1501");
}

#[test]
fn a_session_on_this_machine_alone_needs_no_tls() {
    let server = Server::start();
    server.person("ada", "viewer");
    let begun = server.sign_in("ada", PASSWORD).is(200);
    // Browsers refuse both over plain HTTP.
    assert!(begun.cookies().all(|line| !line.contains("__Host-") && !line.contains("Secure")), "{begun:?}");
    let (cookie, _) = signed_in(&begun);
    server.cookie(&cookie, "GET /api/v1/session").is(200);
    let bound = format!("__Host-{cookie}");
    server.cookie(&bound, "GET /api/v1/session").refused(401, "WL1501");
}
