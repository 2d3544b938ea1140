//! Plain calls of the distribution specification: what stock tools do, and what attackers try.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;

use common::{Author, DESCRIPTOR, Plain, STATE, World, component, token, user};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use windlass_contract::Digest;
use windlass_registry_server::accounts::Action;

fn echo() -> Author {
    Author::new("acme:echo", "0.1.0", "{state: true}", component(DESCRIPTOR, STATE, "0.1.0"))
}

#[tokio::test]
async fn pulling_by_tag_and_by_digest() {
    let world = World::new().await;
    let (author, plain) = (echo(), Plain::new(&world));
    let release = world.publish(&author).await;

    let known: Value = plain.get("/.well-known/wasm-pkg/registry.json").await.json().await.unwrap();
    let host = world.address.trim_start_matches("http://");
    assert_eq!(known, json!({"preferredProtocol": "oci", "oci": {"registry": host, "namespacePrefix": ""}}));

    let tags: Value = plain.get("/v2/acme/echo/tags/list").await.json().await.unwrap();
    assert_eq!(tags, json!({"name": "acme/echo", "tags": ["0.1.0"]}));
    let by_tag = plain.get("/v2/acme/echo/manifests/0.1.0").await;
    assert_eq!(by_tag.headers()["docker-content-digest"], release.manifest.to_string().as_str());
    assert_eq!(by_tag.headers()["content-type"], "application/vnd.oci.image.manifest.v1+json");
    let by_tag = by_tag.bytes().await.unwrap();
    let by_digest = plain.get(&format!("/v2/acme/echo/manifests/{}", release.manifest)).await.bytes().await.unwrap();
    assert_eq!(by_tag, by_digest);
    assert_eq!(Digest::of(&by_tag), release.manifest);

    let manifest: Value = serde_json::from_slice(&by_tag).unwrap();
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    let blob = format!("/v2/acme/echo/blobs/{}", manifest["layers"][0]["digest"].as_str().unwrap());
    assert_eq!(plain.get(&blob).await.bytes().await.unwrap(), author.wasm);
    let head = plain.send(Method::HEAD, &blob, None, Vec::new()).await;
    assert_eq!(head.headers()["content-length"], author.wasm.len().to_string().as_str());
    let part = plain.http.get(format!("{}{blob}", world.address)).header("range", "bytes=4-7").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), author.wasm[4..8]);

    let path = format!("/v2/acme/echo/referrers/{}", release.manifest);
    let referrers: Value = plain.get(&path).await.json().await.unwrap();
    assert_eq!(referrers["manifests"].as_array().map(Vec::len), Some(3), "plugin.yaml, README, signature");
    let only = plain.get(&format!("{path}?artifactType=application/vnd.windlass.signature.v1%2Bjson")).await;
    assert_eq!(only.headers()["oci-filters-applied"], "artifactType");
    assert_eq!(only.json::<Value>().await.unwrap()["manifests"].as_array().map(Vec::len), Some(1));

    let index = plain.get("/index/acme/echo").await;
    let etag = index.headers()["etag"].clone();
    let again = plain.http.get(format!("{}/index/acme/echo", world.address)).header("if-none-match", etag);
    assert_eq!(again.send().await.unwrap().status(), StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn the_token_dance() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let challenge = plain.send(Method::POST, "/v2/acme/echo/blobs/uploads/", None, Vec::new()).await;
    assert_eq!(challenge.status(), StatusCode::UNAUTHORIZED);
    let host = world.address.trim_start_matches("http://");
    let expect =
        format!("Bearer realm=\"http://{host}/token\",service=\"{host}\",scope=\"repository:acme/echo:pull,push\"");
    assert_eq!(challenge.headers()["www-authenticate"], expect.as_str());

    let token = |password: &str| plain.http.get(format!("{}/token", world.address)).basic_auth("ci", Some(password));
    let answer: Value = token(&world.token).send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["token"], world.token.as_str());
    assert_eq!(token("wrong").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let anonymous: Value = plain.get("/token").await.json().await.unwrap();
    let anonymous = anonymous["token"].as_str();
    let upload = "/v2/acme/echo/blobs/uploads/";
    plain.check(Method::GET, "/v2/", anonymous, b"", (StatusCode::OK, "")).await;
    plain.check(Method::GET, "/v2/", None, b"", (StatusCode::UNAUTHORIZED, "UNAUTHORIZED")).await;
    plain.check(Method::POST, upload, anonymous, b"", (StatusCode::UNAUTHORIZED, "UNAUTHORIZED")).await;
    let other = "/v2/other/echo/blobs/uploads/";
    plain.check(Method::POST, other, Some(&world.token), b"", (StatusCode::FORBIDDEN, "DENIED")).await;
    let manifest = Digest::of(b"");
    let request = json!({"name": "other:echo", "version": "0.1.0", "manifest": manifest, "plugin": manifest});
    let publish = || plain.http.post(format!("{}/api/v1/publish", world.address)).json(&request);
    assert_eq!(publish().send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let refused: Value = publish().bearer_auth(&world.token).send().await.unwrap().json().await.unwrap();
    assert_eq!(refused["errors"][0]["code"], "WL0901");
}

#[tokio::test]
async fn uploads() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let token = Some(world.token.as_str());
    let begin = async || {
        let answer = plain.send(Method::POST, "/v2/acme/echo/blobs/uploads/", token, Vec::new()).await;
        assert_eq!(answer.status(), StatusCode::ACCEPTED);
        answer.headers()["location"].to_str().unwrap().to_owned()
    };
    // In chunks.
    let (place, digest) = (begin().await, Digest::of(b"hello world"));
    plain.check(Method::PATCH, &place, token, b"hello ", (StatusCode::ACCEPTED, "")).await;
    plain.check(Method::PATCH, &place, token, b"world", (StatusCode::ACCEPTED, "")).await;
    let finish = format!("{place}?digest={digest}");
    plain.check(Method::PUT, &finish, token, b"", (StatusCode::CREATED, "")).await;
    plain.check(Method::PUT, &finish, token, b"", (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN")).await;
    // Mounted, and whole at once.
    let mount = format!("/v2/acme/other/blobs/uploads/?mount={digest}&from=acme/echo");
    plain.check(Method::POST, &mount, token, b"", (StatusCode::CREATED, "")).await;
    let whole = format!("/v2/acme/echo/blobs/uploads/?digest={}", Digest::of(b"whole"));
    plain.check(Method::POST, &whole, token, b"whole", (StatusCode::CREATED, "")).await;
    // Lies.
    let lie = format!("{}?digest={digest}", begin().await);
    plain.check(Method::PUT, &lie, token, b"other", (StatusCode::BAD_REQUEST, "DIGEST_INVALID")).await;
    let none = begin().await;
    plain.check(Method::PUT, &none, token, b"x", (StatusCode::BAD_REQUEST, "DIGEST_INVALID")).await;
    let gap = plain
        .http
        .patch(format!("{}{}", world.address, begin().await))
        .bearer_auth(&world.token)
        .header("content-range", "5-9")
        .body("hello");
    assert_eq!(gap.send().await.unwrap().status(), StatusCode::RANGE_NOT_SATISFIABLE);
    // Too large: one byte over the limit, in two halves.
    let place = begin().await;
    let half = vec![0; 32 * 1024 * 1024];
    plain.check(Method::PATCH, &place, token, &half, (StatusCode::ACCEPTED, "")).await;
    plain.check(Method::PATCH, &place, token, &half, (StatusCode::ACCEPTED, "")).await;
    plain.check(Method::PATCH, &place, token, b"x", (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID")).await;
    plain.check(Method::PATCH, &place, token, b"x", (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN")).await;
    // Too many at once.
    let mut last = StatusCode::ACCEPTED;
    for _ in 0..windlass_registry_server::storage::MAX_UPLOADS + 1 {
        last = plain.send(Method::POST, "/v2/acme/echo/blobs/uploads/", token, Vec::new()).await.status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn manifests_and_tags() {
    let world = World::new().await;
    let (author, plain) = (echo(), Plain::new(&world));
    let release = world.publish(&author).await;
    let token = Some(world.token.as_str());
    let manifest = plain.get("/v2/acme/echo/manifests/0.1.0").await.bytes().await.unwrap();
    let put = |reference: &str| format!("/v2/acme/echo/manifests/{reference}");

    // A version's tag cannot be moved; its own content may be put again.
    let mut other: Value = serde_json::from_slice(&manifest).unwrap();
    other["annotations"] = json!({});
    let other = serde_json::to_vec(&other).unwrap();
    plain.check(Method::PUT, &put("0.1.0"), token, &other, (StatusCode::CONFLICT, "DENIED")).await;
    plain.check(Method::PUT, &put("0.1.0"), token, &manifest, (StatusCode::CREATED, "")).await;
    assert_eq!(plain.get(&put("0.1.0")).await.bytes().await.unwrap(), manifest);
    plain.check(Method::DELETE, &put("0.1.0"), token, b"", (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED")).await;
    // Other tags are the owner's, and listed in pages.
    plain.check(Method::PUT, &put("latest"), token, &manifest, (StatusCode::CREATED, "")).await;
    let page = plain.get("/v2/acme/echo/tags/list?n=1").await;
    assert_eq!(page.headers()["link"], "</v2/acme/echo/tags/list?n=1&last=0.1.0>; rel=\"next\"");
    let next: Value = plain.get("/v2/acme/echo/tags/list?n=1&last=0.1.0").await.json().await.unwrap();
    assert_eq!(next["tags"], json!(["latest"]));

    let wrong = put(&Digest::of(b"x").to_string());
    plain.check(Method::PUT, &wrong, token, &manifest, (StatusCode::BAD_REQUEST, "DIGEST_INVALID")).await;
    plain.check(Method::PUT, &put("x"), token, b"{", (StatusCode::BAD_REQUEST, "MANIFEST_INVALID")).await;
    let change = |pointer: &str, value: Value| {
        let mut changed: Value = serde_json::from_slice(&manifest).unwrap();
        *changed.pointer_mut(pointer).unwrap() = value;
        serde_json::to_vec(&changed).unwrap()
    };
    let absent = change("/layers/0/digest", json!(Digest::of(b"absent").to_string()));
    plain.check(Method::PUT, &put("x"), token, &absent, (StatusCode::NOT_FOUND, "MANIFEST_BLOB_UNKNOWN")).await;
    let size = change("/layers/0/size", json!(1));
    plain.check(Method::PUT, &put("x"), token, &size, (StatusCode::BAD_REQUEST, "MANIFEST_INVALID")).await;
    let huge = vec![b' '; 4 * 1024 * 1024 + 1];
    plain.check(Method::PUT, &put("x"), token, &huge, (StatusCode::PAYLOAD_TOO_LARGE, "SIZE_INVALID")).await;

    // Names that would leave the folder.
    for (path, expect) in [
        ("/v2/acme/%2e%2e%2fx/tags/list", "NAME_INVALID"),
        ("/v2/..%2f..%2fetc/echo/tags/list", "NAME_INVALID"),
        ("/v2/acme/echo/manifests/..%2f..%2fx", "TAG_INVALID"),
        ("/v2/acme/echo/blobs/sha256:..%2f..%2fx", "DIGEST_INVALID"),
        ("/v2/acme/echo/referrers/sha256:..%2fx", "DIGEST_INVALID"),
        ("/index/acme/..%2fx", "NAME_INVALID"),
    ] {
        plain.check(Method::GET, path, None, b"", (StatusCode::BAD_REQUEST, expect)).await;
    }
    let upload = "/v2/acme/echo/blobs/uploads/..%2f..%2ftokens";
    plain.check(Method::PATCH, upload, token, b"x", (StatusCode::NOT_FOUND, "BLOB_UPLOAD_UNKNOWN")).await;
    let blob = format!("/v2/acme/echo/blobs/{}", Digest::of(b"absent"));
    plain.check(Method::GET, &blob, None, b"", (StatusCode::NOT_FOUND, "BLOB_UNKNOWN")).await;
    plain.check(Method::GET, "/v2/acme/none/tags/list", None, b"", (StatusCode::NOT_FOUND, "NAME_UNKNOWN")).await;
    assert_eq!(plain.get("/index/acme/echo").await.text().await.unwrap().lines().count(), 1);
    assert_eq!(world.publish(&author).await, release);
}

/// A length that is not the body's: the connection is used by hand, since no client would send it.
#[tokio::test]
async fn a_length_that_lies() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let world = World::new().await;
    let host = world.address.trim_start_matches("http://").to_owned();
    let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
    let digest = Digest::of(b"short");
    let head = format!(
        "POST /v2/acme/echo/blobs/uploads/?digest={digest} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\ncontent-length: 1000\r\nconnection: close\r\n\r\nshort",
        world.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    // The server may answer or hang up; what counts is that nothing was kept.
    let _ = stream.read_to_string(&mut answer).await;
    assert!(!answer.starts_with("HTTP/1.1 201"), "{answer}");
    let blob = Plain::new(&world).get(&format!("/v2/acme/echo/blobs/{digest}")).await;
    assert_eq!(blob.status(), StatusCode::NOT_FOUND);
}

/// What another tool pushes under a version is kept and served, and is no release until the gate has passed that very content.
#[tokio::test]
async fn versions_of_other_tools() {
    let world = World::new().await;
    let (author, plain) = (echo(), Plain::new(&world));
    let token = Some(world.token.as_str());
    let prepared = world.prepare(&author).await;
    for blob in &prepared.package.blobs {
        let upload = format!("/v2/acme/echo/blobs/uploads/?digest={}", Digest::of(blob));
        plain.check(Method::POST, &upload, token, blob, (StatusCode::CREATED, "")).await;
    }
    let manifest = prepared.package.manifest.clone();
    let put = "/v2/acme/echo/manifests/0.1.0";
    plain.check(Method::PUT, put, token, &manifest, (StatusCode::CREATED, "")).await;
    let pulled = plain.get(put).await;
    assert_eq!(pulled.headers()["docker-content-digest"], Digest::of(&manifest).to_string().as_str());
    assert_eq!(plain.get("/v2/acme/echo/tags/list").await.json::<Value>().await.unwrap()["tags"], json!(["0.1.0"]));
    assert_eq!(plain.get("/index/acme/echo").await.status(), StatusCode::NOT_FOUND, "no release");

    let mut other: Value = serde_json::from_slice(&manifest).unwrap();
    other["annotations"] = json!({});
    let other = serde_json::to_vec(&other).unwrap();
    plain.check(Method::PUT, put, token, &other, (StatusCode::CONFLICT, "DENIED")).await;
    plain.check(Method::DELETE, put, token, b"", (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED")).await;
    // Another plugin of the same version is refused; that very content passes.
    let changed = Author::new("acme:echo", "0.1.0", "{state: true}", component(DESCRIPTOR, STATE, "another"));
    let error = world.push(&world.prepare(&changed).await).await.unwrap_err();
    assert!(error.to_string().contains("WL0908"), "{error}");
    assert_eq!(world.push(&prepared).await.unwrap().manifest, Digest::of(&manifest));
}

#[tokio::test]
async fn chunks() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let begin = async || {
        let path = "/v2/acme/echo/blobs/uploads/";
        let answer = plain.send(Method::POST, path, Some(&world.token), Vec::new()).await;
        format!("{}{}", world.address, answer.headers()["location"].to_str().unwrap())
    };
    let chunk = async |place: &str, range: &str, body: &'static str| {
        let request = plain.http.patch(place).bearer_auth(&world.token).header("content-range", range);
        let answer = request.body(body).send().await.unwrap();
        let at = answer.headers().get("range").map(|value| value.to_str().unwrap().to_owned());
        (answer.status().as_u16(), at)
    };
    let at = |text: &str| Some(text.to_owned());
    let place = begin().await;
    assert_eq!(chunk(&place, "0-5", "hello ").await, (202, at("0-5")));
    assert_eq!(chunk(&place, "9-10", "xx").await, (416, None), "a gap");
    assert_eq!(chunk(&place, "0-5", "hello ").await, (416, None), "again");
    let status = plain.http.get(&place).bearer_auth(&world.token).send().await.unwrap();
    assert_eq!((status.status().as_u16(), &status.headers()["range"]), (204, &"0-5".parse().unwrap()));
    // The last chunk may come with the end.
    let digest = Digest::of(b"hello world");
    let end =
        plain.http.put(format!("{place}?digest={digest}")).bearer_auth(&world.token).header("content-range", "6-10");
    assert_eq!(end.body("world").send().await.unwrap().status(), StatusCode::CREATED);
    assert_eq!(plain.get(&format!("/v2/acme/echo/blobs/{digest}")).await.text().await.unwrap(), "hello world");

    for range in ["x", "5-0", "-", "0-", "bytes"] {
        assert_eq!(chunk(&begin().await, range, "x").await.0, 400, "{range}");
    }
    let place = begin().await;
    assert_eq!(chunk(&place, "0-99", "short").await.0, 400, "not as long as it says");
    assert_eq!(chunk(&place, "0-4", "short").await.0, 404, "and it is gone");
    let place = begin().await;
    let cancel = async || plain.http.delete(&place).bearer_auth(&world.token).send().await.unwrap().status().as_u16();
    assert_eq!((cancel().await, cancel().await), (204, 404));
}

#[tokio::test]
async fn deleting_what_no_version_needs() {
    let world = World::new().await;
    let (author, plain) = (echo(), Plain::new(&world));
    let release = world.publish(&author).await;
    let only_publish = token(&world.data(), &["acme"], &[Action::Publish]).await;
    let (token, publish) = (Some(world.token.as_str()), Some(only_publish.as_str()));
    let manifest = |reference: &str| format!("/v2/acme/echo/manifests/{reference}");
    let blob = |digest: &Digest| format!("/v2/acme/echo/blobs/{digest}");
    let never = (StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED");

    plain.check(Method::DELETE, &manifest("0.1.0"), token, b"", never).await;
    plain.check(Method::DELETE, &manifest(&release.manifest.to_string()), token, b"", never).await;
    plain.check(Method::DELETE, &blob(&release.digest), token, b"", (StatusCode::FORBIDDEN, "DENIED")).await;
    let referrers: Value =
        plain.get(&format!("/v2/acme/echo/referrers/{}", release.manifest)).await.json().await.unwrap();
    for referrer in referrers["manifests"].as_array().unwrap() {
        plain.check(Method::DELETE, &manifest(referrer["digest"].as_str().unwrap()), token, b"", never).await;
    }

    // An artifact of another tool, with a tag.
    let put_blob = async |bytes: &[u8], token| {
        let upload = format!("/v2/acme/echo/blobs/uploads/?digest={}", Digest::of(bytes));
        plain.check(Method::POST, &upload, token, bytes, (StatusCode::CREATED, "")).await;
    };
    put_blob(b"artifact", token).await;
    put_blob(b"{}", token).await;
    let content =
        |media: &str, bytes: &[u8]| json!({"mediaType": media, "digest": Digest::of(bytes), "size": bytes.len()});
    let image = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.example",
        "config": content("application/vnd.oci.empty.v1+json", b"{}"),
        "layers": [content("text/plain", b"artifact")],
    });
    let image = serde_json::to_vec(&image).unwrap();
    let digest = Digest::of(&image);
    plain.check(Method::PUT, &manifest("latest"), token, &image, (StatusCode::CREATED, "")).await;
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [content("application/vnd.oci.image.manifest.v1+json", &image)],
    });
    let index = serde_json::to_vec(&index).unwrap();
    plain.check(Method::PUT, &manifest("all"), token, &index, (StatusCode::CREATED, "")).await;
    assert_eq!(plain.get(&manifest("all")).await.headers()["content-type"], "application/vnd.oci.image.index.v1+json");

    let denied = (StatusCode::FORBIDDEN, "DENIED");
    plain.check(Method::DELETE, &manifest("latest"), publish, b"", denied).await;
    plain.check(Method::DELETE, &manifest("latest"), None, b"", (StatusCode::UNAUTHORIZED, "UNAUTHORIZED")).await;
    plain.check(Method::DELETE, &blob(&Digest::of(b"artifact")), token, b"", denied).await;
    plain.check(Method::DELETE, &manifest(&digest.to_string()), token, b"", denied).await; // the index needs it
    plain
        .check(Method::DELETE, &manifest(&Digest::of(&index).to_string()), token, b"", (StatusCode::ACCEPTED, ""))
        .await;
    plain.check(Method::DELETE, &manifest("latest"), token, b"", (StatusCode::ACCEPTED, "")).await;
    plain.check(Method::GET, &manifest("latest"), None, b"", (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN")).await;
    plain.check(Method::DELETE, &manifest(&digest.to_string()), token, b"", (StatusCode::ACCEPTED, "")).await;
    plain
        .check(Method::DELETE, &manifest(&digest.to_string()), token, b"", (StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN"))
        .await;
    // Somebody else pushed the same bytes a moment ago, and counts on them.
    let other = user(&world.data(), "ada", false, &[Action::Publish, Action::Claim]).await;
    assert_eq!(plain.api(Method::POST, "namespaces", &other, json!({"name": "ada"})).await.0, 201);
    let mount = format!("/v2/ada/x/blobs/uploads/?mount={}&from=acme/echo", Digest::of(b"artifact"));
    plain.check(Method::POST, &mount, Some(&other), b"", (StatusCode::CREATED, "")).await;
    plain.check(Method::DELETE, &blob(&Digest::of(b"artifact")), token, b"", denied).await;
    put_blob(b"mine alone", token).await;
    plain.check(Method::DELETE, &blob(&Digest::of(b"mine alone")), token, b"", (StatusCode::ACCEPTED, "")).await;
    plain
        .check(Method::GET, &blob(&Digest::of(b"mine alone")), None, b"", (StatusCode::NOT_FOUND, "BLOB_UNKNOWN"))
        .await;
}

#[tokio::test]
async fn names_of_other_shapes() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    for path in ["/v2/acme/a/b/tags/list", "/v2/acme/tags/list", "/v2/a/b/c/blobs/uploads/"] {
        plain.check(Method::GET, path, None, b"", (StatusCode::BAD_REQUEST, "NAME_INVALID")).await;
    }
    plain.check(Method::GET, "/nothing", None, b"", (StatusCode::NOT_FOUND, "UNSUPPORTED")).await;
    let answer = plain.get("/healthz").await;
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert_eq!(answer.headers()["x-request-id"].len(), 16);
    assert_eq!(plain.get("/readyz").await.status(), StatusCode::OK);
    let metrics = plain.get("/metrics").await.text().await.unwrap();
    let line = r#"windlass_registry_requests_total{route="/healthz",method="GET",status="200"} 1"#;
    assert!(metrics.contains(line), "{metrics}");
    assert!(!metrics.contains("/nothing"), "an address that was made up is no label");
}

/// Many referrers come in pages, and the filter goes along.
#[tokio::test]
async fn referrers_in_pages() {
    let world = World::new().await;
    let plain = Plain::new(&world);
    let token = Some(world.token.as_str());
    let upload = format!("/v2/acme/echo/blobs/uploads/?digest={}", Digest::of(b"{}"));
    plain.check(Method::POST, &upload, token, b"{}", (StatusCode::CREATED, "")).await;
    let empty = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2});
    let subject = Digest::of(b"not there yet");
    // Three with so many annotations that two fit into an answer.
    for n in 0..3 {
        let image = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.example",
            "config": empty,
            "layers": [empty],
            "subject": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": subject, "size": 1},
            "annotations": {"n": n.to_string(), "long": "x".repeat(900 * 1024)},
        });
        let image = serde_json::to_vec(&image).unwrap();
        let answer =
            plain.send(Method::PUT, &format!("/v2/acme/echo/manifests/{}", Digest::of(&image)), token, image).await;
        assert_eq!(answer.headers()["oci-subject"], subject.to_string().as_str());
    }
    let mut path = format!("/v2/acme/echo/referrers/{subject}?artifactType=application/vnd.example");
    let mut pages = Vec::new();
    loop {
        let answer = plain.get(&path).await;
        let link = answer.headers().get("link").map(|value| value.to_str().unwrap().to_owned());
        let body: Value = answer.json().await.unwrap();
        pages.push(body["manifests"].as_array().unwrap().len());
        match link {
            Some(link) => path = link.trim_start_matches('<').split('>').next().unwrap().to_owned(),
            None => break,
        }
    }
    assert_eq!(pages, [2, 1]);
    let other = format!("/v2/acme/echo/referrers/{subject}?artifactType=application/vnd.other");
    assert_eq!(plain.get(&other).await.json::<Value>().await.unwrap()["manifests"], json!([]));
}
