//! What an attacker sends to the registry, byte by byte, and what it makes of that.
//!
//! The program runs in a process of its own, so that what stands around the routes is tested too. After each attack it still answers.
//! Attacks on the client are in `client*.rs`; what the gate refuses is in `gate.rs`.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;

use common::http::{Answer, Program};
use serde_json::{Value, json};
use std::{fs, io::Write as _, os::unix::fs::symlink};
use windlass_contract::Digest;

/// Nobody may see this.
const CANARY: &str = "canary-e0b5a1";
/// An image manifest's media type.
const IMAGE: &str = "application/vnd.oci.image.manifest.v1+json";

/// Pushes a blob.
#[track_caller]
fn push(server: &Program, token: &str, repository: &str, bytes: &[u8]) -> Digest {
    let digest = Digest::of(bytes);
    let pushed = server.with(token, "POST", &format!("/v2/{repository}/blobs/uploads/?digest={digest}"), bytes);
    assert_eq!(pushed.status, 201, "{}", pushed.text());
    digest
}

/// A manifest of one blob, which is pushed.
fn manifest(server: &Program, token: &str, repository: &str, blob: &[u8]) -> Value {
    let digest = push(server, token, repository, blob);
    let content = json!({"mediaType": "text/plain", "digest": digest, "size": blob.len()});
    json!({"schemaVersion": 2, "mediaType": IMAGE, "config": content, "layers": []})
}

/// Case 36: a name or a digest that is a path to somewhere else, in every place where a path has one.
#[test]
fn paths_that_lead_elsewhere() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    // Where a step too far up would arrive.
    for place in [server.data().join("canary"), server.data().parent().unwrap().join("canary")] {
        fs::write(place, CANARY).unwrap();
    }
    let evil = [
        "..",
        "../canary",
        "..%2fcanary",
        "..%2f..%2fcanary",
        "%2e%2e%2fcanary",
        "%2e%2e",
        ".%2e/canary",
        "..%5ccanary",
        "%2fetc%2fpasswd",
        "canary%00",
        "%00",
        "C:%5ccanary",
        "%c0%ae%c0%ae%2fcanary",
        "%252e%252e%252fcanary",
        "..;/canary",
        "~",
        "-",
        "%20",
        "%ff",
        "%e2%80%ae",
        "aux",
        ".lock",
        "registry.db",
        ".tmp-x",
    ];
    let hex = "0".repeat(64);
    let routes: Vec<String> = [
        "/v2/EVIL/echo/tags/list",
        "/v2/acme/EVIL/tags/list",
        "/v2/acme/echo/manifests/EVIL",
        "/v2/acme/echo/blobs/EVIL",
        "/v2/acme/echo/blobs/sha256:EVIL",
        "/v2/acme/echo/referrers/EVIL",
        "/v2/EVIL/echo/blobs/sha256:HEX",
        "/v2/acme/EVIL/manifests/1.0.0",
        "/v2/acme/echo/blobs/uploads/EVIL",
        "/index/EVIL/echo",
        "/index/acme/EVIL",
        "/snapshot/bins/EVIL",
        "/snapshot/bins/sha256:EVIL",
        "/api/v1/plugins/EVIL/echo",
        "/api/v1/plugins/acme/EVIL",
        "/api/v1/plugins/acme/echo/EVIL",
        "/api/v1/namespaces/EVIL",
        "/EVIL",
    ]
    .map(|route| route.replace("HEX", &hex))
    .to_vec();
    let mut calls = 0;
    for route in &routes {
        for part in evil {
            let path = route.replace("EVIL", part);
            for (method, body) in [("GET", ""), ("PUT", "{}"), ("DELETE", ""), ("PATCH", "x"), ("POST", "{}")] {
                let answer = server.with(&token, method, &path, body.as_bytes());
                assert!((400..500).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
                assert!(!answer.text().contains(CANARY), "{method} {path}: {}", answer.text());
                calls += 1;
            }
        }
    }
    println!("{calls} calls");
    for place in [server.data().join("canary"), server.data().parent().unwrap().join("canary")] {
        assert_eq!(fs::read_to_string(place).unwrap(), CANARY);
    }
    server.lives();
}

/// A line end in what comes back in a header: no header is added, no answer split.
#[test]
fn line_ends_in_what_comes_back() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let mut image = manifest(&server, &token, "acme/echo", b"x");
    for tag in ["alpha", "bravo", "charlie"] {
        image["annotations"] = json!({"tag": tag});
        let put = server.with(&token, "PUT", &format!("/v2/acme/echo/manifests/{tag}"), image.to_string().as_bytes());
        assert_eq!(put.status, 201, "{}", put.text());
    }
    let paths = [
        "/v2/acme/echo/tags/list?n=1&last=a%0d%0ax-evil:%201%0d%0a",
        "/v2/acme/echo/tags/list?n=1%0d%0ax-evil:%201",
        "/v2/acme/echo/referrers/sha256:0000000000000000000000000000000000000000000000000000000000000000?artifactType=a%0d%0ax-evil:1",
        "/v2/acme/ec%0d%0ax-evil:%201/tags/list",
        "/v2/acme/echo/manifests/a%0d%0ax-evil:%201",
        "/index/acme/ec%0d%0ax-evil:%201",
        "/api/v1/search?q=a%0d%0ax-evil:%201",
        "/token?service=a%0d%0ax-evil:%201&scope=repository:a%0d%0ax-evil:%201",
    ];
    for path in paths {
        for answer in [server.get(path), server.with(&token, "POST", path, b"")] {
            assert!(answer.status != 0 && answer.status < 500, "{path}: {answer:?}");
            assert_eq!(answer.header("x-evil"), None, "{path}");
        }
    }
    // A tag with a quote or an angle in `Link` would end the address early: it comes back encoded, or not at all.
    let page = server.get("/v2/acme/echo/tags/list?n=1&last=a%22%3E%3B");
    let link = page.header("link").unwrap_or_default();
    assert_eq!(link.matches('>').count(), link.matches('<').count(), "{link}");
    server.lives();
}

/// Where two readers of a request could disagree on where it ends, there is no answer but a refusal.
#[test]
fn requests_that_two_readers_understand_differently() {
    let server = Program::start(&[]);
    let host = server.host().to_owned();
    let hidden = format!("GET /v2/acme/hidden/tags/list HTTP/1.1\r\nhost: {host}\r\n\r\n");
    let length = hidden.len();
    let cases = [
        (
            "two lengths",
            format!(
                "POST /token HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\ncontent-length: {length}\r\n\r\n{hidden}"
            ),
        ),
        (
            "a length and chunks",
            format!(
                "POST /token HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"
            ),
        ),
        (
            "a length that is none",
            format!("POST /token HTTP/1.1\r\nhost: {host}\r\ncontent-length: +{length}\r\n\r\n{hidden}"),
        ),
        (
            "an unknown coding",
            format!("POST /token HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: xchunked\r\n\r\n0\r\n\r\n{hidden}"),
        ),
        (
            "a space before the colon",
            format!("POST /token HTTP/1.1\r\nhost: {host}\r\ncontent-length : 0\r\n\r\n{hidden}"),
        ),
        (
            "a chunk's size that overflows",
            format!(
                "POST /token HTTP/1.1\r\nhost: {host}\r\ntransfer-encoding: chunked\r\n\r\n10000000000000000\r\n{hidden}"
            ),
        ),
        ("no version", format!("GET /token\r\nhost: {host}\r\n\r\n{hidden}")),
        (
            "two hosts",
            format!("GET /token HTTP/1.1\r\nhost: {host}\r\nhost: evil.example\r\nconnection: close\r\n\r\n"),
        ),
    ];
    // A request after it, so that a server that understood the first in some way comes to an end.
    let last = format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    for (what, bytes) in cases {
        let answer = server.raw(format!("{bytes}{last}").as_bytes());
        assert!(!answer.text().contains("acme/hidden"), "{what}: the hidden request was answered: {}", answer.text());
        assert!(answer.status < 500, "{what}: {answer:?}");
    }
    server.lives();
}

/// Everything is bounded: the target, the headers, each kind of body; and what says beforehand that it is too large is not read.
#[test]
fn too_much_of_everything() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let authorization = format!("Bearer {token}");
    let declared = |method: &str, path: &str, length: &str| {
        let host = server.host();
        // Nothing follows, and the connection stays open: an answer can only come from what was declared.
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {authorization}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let mut stream = server.connect();
        stream.write_all(head.as_bytes()).unwrap();
        Answer::read(stream).status
    };
    let upload = server.with(&token, "POST", "/v2/acme/echo/blobs/uploads/", b"");
    let upload = upload.header("location").unwrap().to_owned();
    let digest = Digest::of(b"x");
    let huge = "1000000000000";
    let mut all = Vec::new();
    let mut case = |what: &str, status: u16| all.push(format!("{what}: {status}"));
    case(
        "a blob of a terabyte, in one call",
        declared("POST", &format!("/v2/acme/echo/blobs/uploads/?digest={digest}"), huge),
    );
    case("a blob of a terabyte, as a chunk", declared("PATCH", &upload, huge));
    case("a manifest of a terabyte", declared("PUT", "/v2/acme/echo/manifests/stable", huge));
    case("a publication of a terabyte", declared("POST", "/api/v1/publish", huge));
    case(
        "a publication of 1 MiB",
        server
            .call(
                "POST",
                "/api/v1/publish",
                &[("authorization", &authorization), ("content-type", "application/json")],
                &vec![b' '; 1 << 20],
            )
            .status,
    );
    case(
        "a manifest of 4 MiB and a byte",
        server.with(&token, "PUT", "/v2/acme/echo/manifests/stable", &vec![b' '; (4 << 20) + 1]).status,
    );
    case(
        "a tag of 129 characters",
        server.with(&token, "PUT", &format!("/v2/acme/echo/manifests/{}", "t".repeat(129)), b"{}").status,
    );
    case("a namespace of 65 characters", server.get(&format!("/v2/{}/echo/tags/list", "n".repeat(65))).status);
    insta::assert_snapshot!(all.join("\n"), @"
    a blob of a terabyte, in one call: 413
    a blob of a terabyte, as a chunk: 413
    a manifest of a terabyte: 413
    a publication of a terabyte: 413
    a publication of 1 MiB: 413
    a manifest of 4 MiB and a byte: 413
    a tag of 129 characters: 400
    a namespace of 65 characters: 400
    ");

    // The rest is refused by the HTTP library, with whatever it finds fitting: 4xx, or a closed connection.
    let value = "v".repeat(1 << 20);
    let many: Vec<(String, &str)> = (0..2000).map(|n| (format!("x-{n}"), "v")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    for (what, answer) in [
        ("a header of 1 MiB", server.call("GET", "/v2/", &[("x-long", &value)], b"")),
        ("2,000 headers", server.call("GET", "/v2/", &many, b"")),
        ("a target of 1 MiB", server.get(&format!("/v2/{value}/echo/tags/list"))),
        ("a query of 1 MiB", server.get(&format!("/api/v1/search?q={value}"))),
        ("a token of 1 MiB", server.call("GET", "/v2/", &[("authorization", &format!("Bearer {value}"))], b"")),
    ] {
        assert!(answer.status == 0 || (400..500).contains(&answer.status), "{what}: {}", answer.status);
    }
    // JSON that is deep, and JSON with more members than anybody has.
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for body in [deep.as_str(), &format!("{{\"name\":{deep}}}"), "{\"name\":\"a\",\"name\":\"b\"}", "\u{feff}{}", "nul"]
    {
        let answer = server.call(
            "POST",
            "/api/v1/publish",
            &[("authorization", &authorization), ("content-type", "application/json")],
            body.as_bytes(),
        );
        assert!((400..500).contains(&answer.status), "{}: {}", &body[..body.len().min(40)], answer.status);
        let answer = server.with(&token, "PUT", "/v2/acme/echo/manifests/stable", body.as_bytes());
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "MANIFEST_INVALID"),
            "{}",
            &body[..body.len().min(40)]
        );
    }
    server.lives();
}

/// Who opens connections and says nothing, or says it letter by letter, keeps nobody else out and is cut off.
#[test]
fn connections_that_say_nothing() {
    let server = Program::start(&[]);
    let host = server.host();
    let silent: Vec<_> = (0..200).map(|_| server.connect()).collect();
    let mut dripping = server.connect();
    dripping.write_all(format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\nx-slow: ").as_bytes()).unwrap();
    let mut resting = server.connect();
    resting.write_all(format!("GET /healthz HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes()).unwrap();
    server.lives();
    // A letter now and then does not help: the head has to be whole in time. Ends when the server has closed.
    while dripping.write_all(b"x").is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    // The answer that there was, and then the end.
    assert_eq!(Answer::read(resting).status, 200);
    for stream in silent {
        assert!(matches!(Answer::read(stream).status, 0 | 408));
    }
    server.lives();
}

/// A body that says it is compressed is not unpacked: there is no bomb to send, and a blob is the bytes that were sent.
#[test]
fn compressed_bodies_are_not_unpacked() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let authorization = format!("Bearer {token}");
    // `{}` by gzip, its header and a stored block.
    let packed = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xab, 0xae, 5, 0, 0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0];
    let headers =
        |media| [("authorization", authorization.as_str()), ("content-encoding", "gzip"), ("content-type", media)];
    let publish = server.call("POST", "/api/v1/publish", &headers("application/json"), &packed);
    assert!(matches!(publish.status, 400 | 415 | 422), "{publish:?}");
    let unpacked = Digest::of(b"{}");
    let path = |digest: &Digest| format!("/v2/acme/echo/blobs/uploads/?digest={digest}");
    let blob = server.call("POST", &path(&unpacked), &headers("application/octet-stream"), &packed);
    assert!(matches!(blob.status, 400 | 415), "{blob:?}");
    let put = server.call("PUT", "/v2/acme/echo/manifests/stable", &headers(IMAGE), &packed);
    assert!(matches!(put.status, 400 | 415), "{put:?}");
    server.lives();
}

/// An upload belongs to the repository that it was begun in: who learns its id, and owns another namespace, can do nothing with it.
#[test]
fn an_upload_of_another_namespace() {
    let server = Program::start(&[]);
    let (acme, evil) = (server.token("acme"), server.token("evil"));
    let begun = server.with(&acme, "POST", "/v2/acme/echo/blobs/uploads/", b"");
    let location = begun.header("location").unwrap().to_owned();
    let id = location.rsplit('/').next().unwrap().split('?').next().unwrap();
    assert!(id.len() >= 32, "an id that cannot be guessed: {id}");
    let digest = Digest::of(b"evil");
    for method in ["GET", "PATCH", "DELETE"] {
        let other = server.with(&evil, method, &format!("/v2/evil/echo/blobs/uploads/{id}"), b"evil");
        assert_eq!((other.status, other.code().as_str()), (404, "BLOB_UPLOAD_UNKNOWN"), "{method}");
        let foreign = server.with(&evil, method, &location, b"evil");
        assert_eq!((foreign.status, foreign.code().as_str()), (403, "DENIED"), "{method}");
        let sibling = server.with(&acme, method, &format!("/v2/acme/other/blobs/uploads/{id}"), b"evil");
        assert_eq!(sibling.status, 404, "{method} from another repository of the same owner");
    }
    let finish = server.with(&evil, "PUT", &format!("/v2/evil/echo/blobs/uploads/{id}?digest={digest}"), b"evil");
    assert_eq!((finish.status, finish.code().as_str()), (404, "BLOB_UPLOAD_UNKNOWN"));
    // It is as it was.
    let good = Digest::of(b"good");
    let finish = server.with(&acme, "PUT", &format!("{location}?digest={good}"), b"good");
    assert_eq!(finish.status, 201, "{}", finish.text());
    for id in ["0".repeat(32), "f".repeat(32), "../../x".to_owned(), "0".repeat(31), "0".repeat(10_000), "G".repeat(32)]
    {
        let guessed = server.with(&acme, "PATCH", &format!("/v2/acme/echo/blobs/uploads/{id}"), b"x");
        assert!(matches!(guessed.status, 400 | 404 | 414), "{id:.40}: {}", guessed.status);
    }
}

/// A request that is still writing when another makes the upload a blob: it could go on and change what others rely on, a blob that was
/// there before too.
#[test]
fn writing_on_after_the_end() {
    let server = Program::start(&[]);
    let (acme, evil) = (server.token("acme"), server.token("evil"));
    let good = b"what everybody relies on".as_slice();
    let digest = push(&server, &acme, "acme/echo", good);
    let begun = server.with(&evil, "POST", "/v2/evil/echo/blobs/uploads/", b"");
    let location = begun.header("location").unwrap().to_owned();
    let host = server.host();
    let head = format!(
        "PATCH {location} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {evil}\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
        good.len() + 4
    );
    let mut slow = server.connect();
    slow.write_all(&[head.as_bytes(), good].concat()).unwrap();
    let size = || server.with(&evil, "GET", &location, b"").header("range").map(str::to_owned);
    let all = format!("0-{}", good.len() - 1);
    while size() != Some(all.clone()) {
        std::thread::yield_now();
    }
    let ended = server.with(&evil, "PUT", &format!("{location}?digest={digest}"), b"");
    assert_eq!((ended.status, ended.code().as_str()), (409, "BLOB_UPLOAD_INVALID"), "{}", ended.text());
    slow.write_all(b"evil").unwrap();
    assert_eq!(Answer::read(slow).status, 202);
    assert_eq!(server.get(&format!("/v2/acme/echo/blobs/{digest}")).body, good);
    let ended = server.with(&evil, "PUT", &format!("{location}?digest={digest}"), b"");
    assert_eq!((ended.status, ended.code().as_str()), (400, "DIGEST_INVALID"));
    assert_eq!(server.get(&format!("/v2/acme/echo/blobs/{digest}")).body, good);
}

/// Whoever begins uploads and never ends them gets to a limit, is told so, and keeps nobody else's from working for long.
#[test]
fn uploads_that_are_never_ended() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let mut open = 0;
    let refused = loop {
        let begun = server.with(&token, "POST", "/v2/acme/echo/blobs/uploads/", b"");
        if begun.status != 202 {
            break begun;
        }
        open += 1;
        assert!(open <= 10_000, "there is no limit");
    };
    assert_eq!((refused.status, refused.code().as_str()), (429, "TOOMANYREQUESTS"), "after {open}");
    println!("{open} open uploads");
    // Another namespace has its own, and reading goes on.
    push(&server, &server.token("other"), "other/echo", b"x");
    assert_eq!(server.get("/v2/acme/echo/tags/list").status, 404);
    server.lives();
}

/// Ranges do not multiply what is sent, and what is not a range is ignored, as the protocol has it.
#[test]
fn ranges_that_multiply() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let blob: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let digest = push(&server, &token, "acme/echo", &blob);
    let overlapping = format!("bytes={}", vec!["0-"; 1000].join(","));
    let small = format!("bytes={}", (0..1000).map(|n| format!("{n}-{n}")).collect::<Vec<_>>().join(","));
    for range in [
        overlapping.as_str(),
        &small,
        "bytes=0-18446744073709551615",
        "bytes=18446744073709551615-",
        "bytes=-18446744073709551615",
        "bytes=99999999999999999999999-",
        "bytes=-0",
        "bytes=0--1",
        "bytes= 0-1",
        "bytes=a-b",
        "lines=0-1",
        "bytes=5-2",
        "",
        "bytes=",
    ] {
        let answer = server.call("GET", &format!("/v2/acme/echo/blobs/{digest}"), &[("range", range)], b"");
        assert!(matches!(answer.status, 200 | 206 | 400 | 416), "{range:.40}: {}", answer.status);
        assert!(answer.body.len() <= blob.len() + 1024, "{range:.40}: {} bytes for {}", answer.body.len(), blob.len());
        if answer.status == 200 {
            assert_eq!(Digest::of(&answer.body), digest, "{range:.40}");
        }
    }
    server.lives();
}

/// No page is longer than a page, whatever is asked for.
#[test]
fn pages_that_are_too_long() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let image = manifest(&server, &token, "acme/echo", b"x");
    assert_eq!(server.with(&token, "PUT", "/v2/acme/echo/manifests/a", image.to_string().as_bytes()).status, 201);
    let long = "z".repeat(4000);
    for query in [
        "n=18446744073709551615",
        "n=99999999999999999999999999",
        "n=-1",
        "n=abc",
        "n=1e9",
        "n=",
        "n=0x10",
        "last=%00",
        "last=%ff",
        &format!("last={long}"),
        "n=1&n=2",
        "cursor=AAAA",
        "cursor=-1",
        "limit=1000000000",
        "limit=-1",
        "limit=0",
        "page=99999999",
        "sort=%27;drop%20table%20releases",
        "q=%22%22%22",
        "q=NEAR(a%20b,%2099999)",
        "q=*",
        "q=%25",
        "q=a*b*c*",
        "q=col:umn",
        "q=(((((((",
        "q=%00",
        &format!("q={long}"),
        &format!("kind={long}"),
        "capability=%27%20OR%201=1",
        "verified=maybe",
    ] {
        for path in [
            "/v2/acme/echo/tags/list",
            "/api/v1/search",
            "/v2/acme/echo/referrers/sha256:0000000000000000000000000000000000000000000000000000000000000000",
        ] {
            let answer = server.get(&format!("{path}?{query}"));
            assert!(
                matches!(answer.status, 200 | 400 | 404 | 414 | 422),
                "{path}?{query:.60}: {} {}",
                answer.status,
                answer.text()
            );
            assert!(answer.body.len() < 64 * 1024, "{path}?{query:.60}: {} bytes", answer.body.len());
        }
    }
    server.lives();
}

/// Whoever can write into the data folder, or was there before the server, gets nothing else served by a link.
#[test]
fn links_planted_in_the_data_folder() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let secret = server.data().parent().unwrap().join("secret");
    fs::write(&secret, CANARY).unwrap();
    let wanted = Digest::of(b"what the link stands for");
    let hex = wanted.hex();
    let folder = server.data().join("blobs/sha256").join(&hex[..2]);
    fs::create_dir_all(&folder).unwrap();
    symlink(&secret, folder.join(hex)).unwrap();
    let answer = server.get(&format!("/v2/acme/echo/blobs/{wanted}"));
    assert!(!answer.text().contains(CANARY), "{answer:?}");
    assert_eq!(answer.status, 404);
    // A manifest cannot name it either, and pushing the real bytes replaces the link, not what it points to.
    push(&server, &token, "acme/echo", b"what the link stands for");
    assert_eq!(server.get(&format!("/v2/acme/echo/blobs/{wanted}")).body, b"what the link stands for");
    assert_eq!(fs::read_to_string(&secret).unwrap(), CANARY);
    server.lives();
}

/// What the registry calls itself is configured: no header of a request gets into a challenge or the well-known document.
#[test]
fn the_host_header_decides_nothing() {
    let server = Program::start(&[]);
    for header in ["host", "x-forwarded-host", "x-forwarded-proto", "forwarded", "x-original-url", "x-rewrite-url"] {
        for path in ["/v2/", "/.well-known/wasm-pkg/registry.json", "/token"] {
            let own = if header == "host" { String::new() } else { format!("host: {}\r\n", server.host()) };
            let request = format!("GET {path} HTTP/1.1\r\n{own}{header}: evil.example\r\nconnection: close\r\n\r\n");
            let answer = server.raw(request.as_bytes());
            let all = format!("{:?} {}", answer.headers, answer.text());
            assert!(answer.status != 0 && !all.contains("evil.example"), "{header} {path}: {all}");
        }
    }
}

/// Nothing that was pushed runs in a browser: content is handed out as what cannot be shown, and a page elsewhere can send nothing.
#[test]
fn content_is_never_a_web_page() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let page = b"<script>alert(1)</script>";
    let digest = push(&server, &token, "acme/echo", page);
    let blob = server.get(&format!("/v2/acme/echo/blobs/{digest}"));
    assert_eq!(blob.body, page);
    assert_eq!(blob.header("content-type"), Some("application/octet-stream"));
    assert_eq!(blob.header("x-content-type-options"), Some("nosniff"));

    let authorization = format!("Bearer {token}");
    for media in ["text/html", "image/svg+xml", "application/xhtml+xml"] {
        let mut image = manifest(&server, &token, "acme/echo", page);
        image["mediaType"] = json!(media);
        let headers = [("authorization", authorization.as_str()), ("content-type", media)];
        let put = server.call("PUT", "/v2/acme/echo/manifests/page", &headers, image.to_string().as_bytes());
        assert_eq!((put.status, put.code().as_str()), (400, "MANIFEST_INVALID"), "{media}");
    }
    let image = manifest(&server, &token, "acme/echo", page);
    let put = server.with(&token, "PUT", "/v2/acme/echo/manifests/page", image.to_string().as_bytes());
    assert_eq!(put.status, 201);
    let back = server.call("GET", "/v2/acme/echo/manifests/page", &[("accept", "text/html")], b"");
    assert_eq!((back.header("content-type"), back.header("x-content-type-options")), (Some(IMAGE), Some("nosniff")));

    // What an error repeats of a request is JSON, and quoted.
    let error = server.get("/v2/acme/echo/manifests/%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    assert!(error.header("content-type").is_some_and(|media| media.starts_with("application/json")), "{error:?}");

    // A form of another site carries no token, and no answer lets its scripts read.
    let headers = [("origin", "https://evil.example"), ("cookie", "token=x"), ("content-type", "text/plain")];
    for (method, path) in
        [("GET", "/v2/"), ("OPTIONS", "/api/v1/publish"), ("POST", "/api/v1/publish"), ("GET", "/api/v1/search")]
    {
        let answer = server.call(method, path, &headers, b"");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{method} {path}");
        assert_eq!(answer.header("set-cookie"), None, "{method} {path}");
    }
}

/// A version has the bytes that it was first given; what else is tried under it changes nothing (case 35).
#[test]
fn a_version_is_never_pushed_anew() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let first = manifest(&server, &token, "acme/echo", b"first").to_string();
    let second = manifest(&server, &token, "acme/echo", b"second").to_string();
    let path = "/v2/acme/echo/manifests/1.0.0";
    assert_eq!(server.with(&token, "PUT", path, first.as_bytes()).status, 201);
    assert_eq!(server.with(&token, "PUT", path, first.as_bytes()).status, 201, "the same once more");
    let again = server.with(&token, "PUT", path, second.as_bytes());
    assert_eq!((again.status, again.code().as_str()), (409, "DENIED"), "{}", again.text());
    assert_eq!(server.get(path).text(), first);
    // Nor by another way of writing it.
    for other in ["v1.0.0", "1.0.0%20", "01.0.0", "1.0.0%2b", "1.0"] {
        let put = server.with(&token, "PUT", &format!("/v2/acme/echo/manifests/{other}"), second.as_bytes());
        assert_eq!(server.get(path).text(), first, "{other}: {}", put.status);
    }
}

/// A token does what it was made for, and nothing else (case 39): each thing that can be done, with a token for each action.
#[test]
fn a_token_of_the_wrong_scope() {
    let server = Program::start(&[]);
    server.operator(&["user", "add", "ada", "--admin"]);
    server.operator(&["user", "add", "bob"]);
    server.operator(&["namespace", "give", "acme", "ada"]);
    let what: [(&str, &str, &str, &str); 6] = [
        ("publish", "POST", "/v2/acme/echo/blobs/uploads/", ""),
        ("yank", "PUT", "/api/v1/plugins/acme/echo/1.0.0/yank", r#"{"reason": "it is broken"}"#),
        ("delete", "DELETE", "/v2/acme/echo/manifests/stable", ""),
        ("owners", "PUT", "/api/v1/namespaces/acme/owners/bob", ""),
        ("claim", "POST", "/api/v1/namespaces", r#"{"name": "fresh"}"#),
        ("admin", "GET", "/api/v1/audit", ""),
    ];
    for (made_for, ..) in what {
        let token = server.operator(&["token", "create", "--name", "t", "--user", "ada", "--action", made_for]);
        let few = ["token", "create", "--name", "t", "--user", "ada", "--namespace", "other", "--action", made_for];
        let elsewhere = server.operator(&few);
        for (needs, method, path, body) in what {
            let call = |token: &str| {
                let authorization = format!("Bearer {token}");
                let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
                server.call(method, path, &headers, body.as_bytes()).status
            };
            let status = call(&token);
            if needs == made_for {
                assert!(!matches!(status, 401 | 403) && status < 500, "{made_for}: {method} {path}: {status}");
            } else {
                assert_eq!(status, 403, "{made_for}: {method} {path}");
            }
            // A token of another namespace; who watches over all of them has none.
            if !matches!(needs, "claim" | "admin") {
                assert_eq!(call(&elsewhere), 403, "{made_for} in another namespace: {method} {path}");
            }
        }
    }
}

/// What is no token gets nobody in, wherever it stands; and no token gets into the log.
#[test]
fn tokens_that_are_none() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let (id, secret) = token.strip_prefix("wlr_").unwrap().split_once('_').unwrap();
    let upload = "/v2/acme/echo/blobs/uploads/";
    let zeros = "0".repeat(64);
    for header in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer anonymous".to_owned(),
        "Bearer null".to_owned(),
        format!("Bearer {secret}"),
        format!("Bearer wlr_{id}"),
        format!("Bearer wlr_{id}_"),
        format!("Bearer wlr_{id}_{zeros}"),
        format!("Bearer wlr_0000000000000000_{secret}"),
        format!("Bearer WLR_{id}_{secret}"),
        format!("Bearer {token}x"),
        format!("Bearer {token}, Bearer {token}"),
        format!("Digest {token}"),
        "Basic !!!".to_owned(),
        "Basic Og==".to_owned(),
        format!("Bearer wlr_' OR 1=1 --_{secret}"),
    ] {
        let answer = server.call("POST", upload, &[("authorization", &header)], b"");
        assert!(matches!(answer.status, 400 | 401), "{header:.30}: {}", answer.status);
        assert!(answer.header("www-authenticate").is_some() || answer.status == 400);
    }
    for elsewhere in [format!("{upload}?token={token}"), format!("{upload}?access_token={token}&account=ci")] {
        assert_eq!(server.call("POST", &elsewhere, &[], b"").status, 401, "in the address");
    }
    for header in ["cookie", "x-token", "x-api-key", "proxy-authorization"] {
        assert_eq!(server.call("POST", upload, &[(header, &format!("Bearer {token}"))], b"").status, 401, "{header}");
    }
    assert_eq!(server.with(&token, "POST", upload, b"").status, 202);
    let log = server.log();
    assert!(log.contains("answered") && !log.contains(secret), "the log holds a token");
    // Revoked, and that from now on.
    server.operator(&["token", "revoke", id]);
    assert_eq!(server.with(&token, "POST", upload, b"").status, 401);
}

/// A name that is taken for another is refused when it is first pushed to, whatever tool pushes (case 34).
#[test]
fn names_that_are_taken_for_another() {
    let server = Program::start(&[]);
    let token = server.token("acme");
    let put = |repository: &str| {
        let begun = server.with(&token, "POST", &format!("/v2/{repository}/blobs/uploads/"), b"");
        if begun.status != 202 {
            return begun.status;
        }
        let image = manifest(&server, &token, repository, b"x").to_string();
        server.with(&token, "PUT", &format!("/v2/{repository}/manifests/stable"), image.as_bytes()).status
    };
    assert_eq!(put("acme/aws-deploy"), 201);
    for (name, status) in [
        ("acme/awsdeploy", 409),
        ("acme/aws-dep1oy", 409),
        ("acme/avvs-deploy", 409),
        ("acme/aws_deploy", 400),
        ("acme/AWS-deploy", 400),
        ("acme/%D0%B0ws-deploy", 400),     // a Cyrillic a
        ("acme/aws-deploy%E2%80%8B", 400), // a space of no width
        ("acme/aws%2Ddeploy%2F", 400),
        ("windlass/core", 403),
    ] {
        let found = put(name);
        assert!(
            found == status || (status == 409 && matches!(found, 403 | 409 | 422)),
            "{name}: {found}, not {status}"
        );
    }
    // Namespaces that sound like the project are the operator's to give.
    let claim = server.operator(&["user", "add", "eve"]);
    assert!(claim.contains("eve"));
    let eve = server.operator(&["token", "create", "--name", "t", "--user", "eve", "--action", "claim"]);
    let authorization = format!("Bearer {eve}");
    for name in ["windlass", "official", "admin", "acrne", "acme", "Acme", "a--b", "wind-lass"] {
        let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
        let body = json!({ "name": name }).to_string();
        let claimed = server.call("POST", "/api/v1/namespaces", &headers, body.as_bytes());
        assert!((400..500).contains(&claimed.status), "{name}: {} {}", claimed.status, claimed.text());
    }
}

/// Who took an account over and yanks everything that is good gets no further than a hundred, and is told when to come back.
#[test]
fn a_storm_of_yanks() {
    let server = Program::start(&[]);
    let token = server.operator(&["token", "create", "--name", "t", "--namespace", "acme", "--action", "yank"]);
    let authorization = format!("Bearer {token}");
    let headers = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let mut done = 0;
    let refused = loop {
        let path = format!("/api/v1/plugins/acme/echo/1.0.{done}/yank");
        let yank = server.call("PUT", &path, &headers, br#"{"reason": "it is broken"}"#);
        if yank.status == 429 {
            break yank;
        }
        assert_eq!(yank.status, 404, "{}", yank.text());
        done += 1;
        assert!(done < 1000, "there is no limit");
    };
    assert!((100..200).contains(&done), "{done} yanks at once");
    assert!(
        refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u64>().is_ok_and(|n| n > 0)),
        "{refused:?}"
    );
}
