//! What a registry that was taken over, or somebody on the way to it, may try on the client. Each is a case of the list in
//! SECURITY.md; the registry is a real one of files, the components and signatures are real.

#![allow(clippy::unwrap_used, reason = "a test program: a panic is a failed test")]

mod common;
mod statics;

use axum::{
    body::Body,
    http::{Response, StatusCode, header},
};
use common::{Author, DESCRIPTOR, GROUP, STATE, component, files, runtime};
use ed25519_dalek::SigningKey;
use jiff::SignedDuration;
use statics::{State, StaticRegistry, cut, status, with};
use windlass_contract::{CodedError as _, Digest};
use windlass_package::{
    Consent, Home, Outcome, PackageError, install,
    install::Options,
    lock::Lock,
    release::{Notice, Release},
};

fn echo(version: &str) -> Author {
    Author::new("acme:echo", version, "{state: true}", component(DESCRIPTOR, STATE, version))
}

/// A user: a home and a project.
struct User {
    folder: tempfile::TempDir,
    home: Home,
}

impl User {
    fn of(registry: &StaticRegistry) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = registry.home(&folder.path().join("home"));
        User { folder, home }
    }

    fn project(&self) -> std::path::PathBuf {
        let project = self.folder.path().join("project");
        std::fs::create_dir_all(&project).unwrap();
        project
    }

    fn configure(&mut self, text: &str) {
        std::fs::create_dir_all(self.home.root()).unwrap();
        std::fs::write(self.home.root().join("config.toml"), text).unwrap();
        self.home = Home::new(self.home.root().to_owned());
    }

    async fn install(&self, what: &str) -> Result<Vec<Outcome>, PackageError> {
        let requests: Vec<_> = what.split_whitespace().map(|each| each.parse().unwrap()).collect();
        install(&self.home, &self.project(), runtime(), &requests, Options::default(), Consent::Given).await
    }

    /// What is locked, or why it is not: the first line of the error.
    async fn tries(&self, registry: &StaticRegistry, what: &str) -> String {
        match self.install(what).await {
            Ok(_) => {
                let lock = Lock::load(&self.project()).unwrap();
                let words: Vec<_> =
                    lock.plugins.values().map(|each| format!("{}@{}", each.name, each.version)).collect();
                words.join(" ")
            }
            Err(error) => plain(&format!("{} {error}", error.code()), registry),
        }
    }
}

/// An error's words without what differs from run to run.
fn plain(text: &str, registry: &StaticRegistry) -> String {
    let mut text = text.replace(&registry.address, "REGISTRY");
    for prefix in ["sha256:", "ed25519:"] {
        let parts: Vec<_> = text.split(prefix).map(str::to_owned).collect();
        let rest = parts[1..].iter().map(|part| part.trim_start_matches(|c: char| c.is_ascii_hexdigit()).to_owned());
        text = std::iter::once(parts[0].clone()).chain(rest).collect::<Vec<_>>().join(&format!("{prefix}…"));
    }
    // Times: 2026-11-24T12:00:00.123Z
    let is_time = |word: &str| word.contains('T') && word.trim_end_matches([',', ')']).ends_with('Z');
    let words = text.split(' ').map(|word| if is_time(word) { "TIME" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_registry_of_files_is_enough() {
    let registry = StaticRegistry::start().await;
    registry.publish(&echo("0.1.0")).await;
    registry.publish(&Author::new("acme:other", "1.0.0", "{}", component(DESCRIPTOR, GROUP, "o"))).await;
    let user = User::of(&registry);
    assert_eq!(user.tries(&registry, "acme:echo").await, "acme:echo@0.1.0");
    let paths = registry.paths();
    assert_eq!(paths.iter().filter(|path| *path == "/snapshot.json").count(), 1, "{paths:?}");
    // Warm: nobody is asked.
    assert_eq!(user.tries(&registry, "acme:echo").await, "acme:echo@0.1.0");
    assert_eq!(registry.paths(), Vec::<String>::new());
    // What did not change costs the snapshot, which answers that it did not change.
    let info = windlass_package::installed::info(&user.home, &user.project(), &"acme:echo".parse().unwrap()).await;
    assert_eq!(info.unwrap().releases.len(), 1);
    assert_eq!(registry.paths(), ["/snapshot.json"]);
    let seen = std::fs::read_to_string(user.home.root().join("registries.toml")).unwrap();
    assert!(seen.contains("serial = 2"), "{seen}");
}

#[tokio::test]
async fn downgrade_and_freeze() {
    let registry = StaticRegistry::start().await;
    registry.publish(&echo("0.1.0")).await;
    let old = registry.state();
    registry.publish(&echo("0.2.0")).await;
    let user = User::of(&registry);
    assert_eq!(user.tries(&registry, "acme:echo@=0.1.0").await, "acme:echo@0.1.0");

    let mut all = Vec::new();
    let new = registry.state();
    registry.set_state(old);
    all.push(format!("an old state: {}", user.tries(&registry, "acme:echo@^0.2").await));
    registry.set_state(new);

    let hours = SignedDuration::from_hours;
    let minutes = SignedDuration::from_mins;
    registry.sign_as(&registry.key, hours(-200), minutes(-11));
    all.push(format!("held back: {}", user.tries(&registry, "acme:echo@^0.2").await));
    registry.sign_as(&registry.key, minutes(11), hours(24));
    all.push(format!("a clock that is behind: {}", user.tries(&registry, "acme:echo@^0.2").await));
    insta::assert_snapshot!(all.join("\n"), @"
    an old state: WL0827 the registry REGISTRY shows an old state of its index: its snapshot has the serial 1, and 2 was seen before
    held back: WL0827 the registry REGISTRY shows an old state of its index: its snapshot of TIME expired at TIME
    a clock that is behind: WL0827 the registry REGISTRY shows an old state of its index: its snapshot was made at TIME and this machine's clock says TIME
    ");
    // Clocks may differ by some minutes.
    registry.sign_as(&registry.key, minutes(9), hours(24));
    assert_eq!(user.tries(&registry, "acme:echo@^0.2").await, "acme:echo@0.2.0");
    let other = User::of(&registry);
    registry.sign_as(&registry.key, hours(-200), minutes(-9));
    assert_eq!(other.tries(&registry, "acme:echo@^0.2").await, "acme:echo@0.2.0");
}

#[tokio::test]
async fn a_snapshot_by_somebody_else() {
    let registry = StaticRegistry::start().await;
    registry.publish(&echo("0.1.0")).await;
    let (user, mut careful) = (User::of(&registry), User::of(&registry));
    assert_eq!(user.tries(&registry, "acme:echo").await, "acme:echo@0.1.0");
    registry.publish(&echo("0.2.0")).await;
    let sound = registry.state();
    let hours = SignedDuration::from_hours;
    let other = SigningKey::from_bytes(&[6; 32]);
    registry.sign_as(&other, hours(0), hours(24));
    let mut all = vec![format!("another key: {}", user.tries(&registry, "acme:echo@^0.2").await)];
    let key = windlass_package::signature::PublisherKey::of(&registry.key);
    let address = &registry.address;
    careful
        .configure(&format!("[registries]\ndefault = \"{address}\"\n[registries.keys]\n\"{address}\" = \"{key}\"\n"));
    all.push(format!("not the pinned key: {}", careful.tries(&registry, "acme:echo").await));
    registry.set_state(sound.clone());
    registry.take("/snapshot.json");
    all.push(format!("none any more: {}", user.tries(&registry, "acme:echo@^0.2").await));
    registry.set_state(sound.clone());
    let text = String::from_utf8(sound.files["/snapshot.json"].clone()).unwrap();
    registry.put("/snapshot.json", text.replace("serial\\\":2", "serial\\\":3"));
    all.push(format!("altered: {}", user.tries(&registry, "acme:echo@^0.2").await));
    insta::assert_snapshot!(all.join("\n"), @"
    another key: WL0826 the registry REGISTRY cannot be believed: its snapshot is signed by ed25519:…, and it is known by ed25519:…
    not the pinned key: WL0826 the registry REGISTRY cannot be believed: its snapshot is signed by ed25519:…, and it is known by ed25519:…
    none any more: WL0826 the registry REGISTRY cannot be believed: it has no signed snapshot of its index any more
    altered: WL0826 the registry REGISTRY cannot be believed: the signature of its snapshot by ed25519:… does not hold
    ");
    registry.set_state(sound);
    assert_eq!(careful.tries(&registry, "acme:echo").await, "acme:echo@0.2.0");
}

#[tokio::test]
async fn mix_and_match() {
    let registry = StaticRegistry::start().await;
    registry.publish(&echo("0.1.0")).await;
    let old = registry.state();
    registry.publish(&echo("0.2.0")).await;
    let new = registry.state();
    let user = User::of(&registry);
    // The new snapshot with the index of before: a yank, say, is held back.
    registry.put("/index/acme/echo", old.files["/index/acme/echo"].clone());
    let mut all = vec![format!("an old index: {}", user.tries(&registry, "acme:echo").await)];
    registry.set_state(new.clone());
    let bin = new.files.keys().rfind(|path| path.starts_with("/snapshot/bins/") && !old.files.contains_key(*path));
    let bin = bin.unwrap().clone();
    let old_bin = old.files.keys().find(|path| path.starts_with("/snapshot/bins/")).unwrap();
    registry.put(&bin, old.files[old_bin].clone());
    all.push(format!("an old bin: {}", User::of(&registry).tries(&registry, "acme:echo").await));
    insta::assert_snapshot!(all.join("\n"), @"
    an old index: WL0828 the registry REGISTRY shows documents that do not belong together: /index/acme/echo should have the digest sha256:…, by its snapshot, and has sha256:…
    an old bin: WL0828 the registry REGISTRY shows documents that do not belong together: the bin sha256:… has the digest sha256:…
    ");

    // A publication that comes between the two requests is no attack: the snapshot is asked for again.
    registry.set_state(new);
    let before = old.files["/snapshot.json"].clone();
    registry.behave("/snapshot.json", move |_, asked, file| {
        Response::new(Body::from(if asked == 0 { before.clone() } else { file.unwrap().to_vec() }))
    });
    registry.asked();
    assert_eq!(User::of(&registry).tries(&registry, "acme:echo").await, "acme:echo@0.2.0");
    assert_eq!(registry.paths().iter().filter(|path| *path == "/snapshot.json").count(), 2);
}

#[tokio::test]
async fn bytes_that_are_not_what_they_should_be() {
    let registry = StaticRegistry::start().await;
    let release = registry.publish(&echo("0.1.0")).await;
    let sound = registry.state();
    let blob = format!("/v2/acme/echo/blobs/{}", release.digest);
    let bytes = sound.files[&blob].clone();
    let user = User::of(&registry);
    let mut all = Vec::new();
    let mut check = async |what: &str| {
        registry.asked();
        let words = user.tries(&registry, "acme:echo").await;
        let count = registry.paths().iter().filter(|path| **path == blob).count();
        all.push(format!("{what}, asked for {count} times: {words}"));
        assert_eq!(files(&user.home.root().join("plugins")), [".lock"], "something was kept");
        assert!(files(&user.project()).is_empty(), "the project was changed");
        registry.behave_again();
        registry.set_state(State { serial: registry.state().serial, ..sound.clone() });
        registry.sign();
    };
    let mut other = bytes.clone();
    *other.last_mut().unwrap() ^= 1;
    registry.put(&blob, other);
    check("other bytes").await;
    registry.put(&blob, bytes[..bytes.len() - 1].to_vec());
    check("cut, and whole by its length").await;
    let longer = [bytes.as_slice(), b"x"].concat();
    registry.put(&blob, longer);
    check("longer").await;
    registry.behave(&blob, |_, _, file| cut(file.unwrap(), 100));
    check("a connection that always breaks").await;
    registry.behave(&blob, |_, _, _| status(StatusCode::NOT_FOUND));
    check("gone").await;
    registry.behave(&blob, |_, _, _| with(status(StatusCode::FOUND), header::LOCATION, "file:///etc/passwd"));
    check("a redirect into the file system").await;
    registry.behave(&blob, |_, _, _| with(status(StatusCode::FOUND), header::LOCATION, "http://192.0.2.1/x"));
    check("a redirect by http to another machine").await;
    let itself = blob.clone();
    registry.behave(&blob, move |_, _, _| with(status(StatusCode::FOUND), header::LOCATION, &itself));
    check("a redirect to itself").await;
    registry.list(Release { size: release.size + 1, ..release.clone() });
    check("a size that is a lie").await;
    registry.list(Release { size: 1 << 40, ..release.clone() });
    check("a size beyond all measure").await;
    insta::assert_snapshot!(all.join("\n"), @"
    other bytes, asked for 1 times: WL0812 acme:echo@0.1.0: the component that the registry sent should have the digest sha256:… and has sha256:…
    cut, and whole by its length, asked for 1 times: WL0812 acme:echo@0.1.0: the component that the registry sent should have the digest sha256:… and has sha256:…
    longer, asked for 1 times: WL0809 the registry REGISTRY sent something unusable for the component of acme:echo@0.1.0: it is longer than 3670 bytes
    a connection that always breaks, asked for 4 times: WL0806 the registry REGISTRY does not answer: end of file before message length reached
    gone, asked for 1 times: WL0807 the registry REGISTRY answered 404 to the request for the component of acme:echo@0.1.0: it does not have it
    a redirect into the file system, asked for 1 times: WL0807 the registry REGISTRY answered 302 to GET /v2/acme/echo/blobs/sha256:…: Found
    a redirect by http to another machine, asked for 1 times: WL0806 the registry REGISTRY does not answer: it redirects to an address that is neither https nor on this machine
    a redirect to itself, asked for 6 times: WL0806 the registry REGISTRY does not answer: it redirects too often
    a size that is a lie, asked for 1 times: WL0809 the registry REGISTRY sent something unusable for the component of acme:echo@0.1.0: it has 3670 bytes, and the index says 3671
    a size beyond all measure, asked for 0 times: WL0823 the component of acme:echo@0.1.0 is 1099511627776 bytes, the limit is 67108864
    ");
}

#[tokio::test]
async fn a_download_is_taken_up_where_it_broke() {
    let registry = StaticRegistry::start().await;
    let release = registry.publish(&echo("0.1.0")).await;
    let blob = format!("/v2/acme/echo/blobs/{}", release.digest);
    registry.behave(&blob, |headers, _, file| {
        let file = file.unwrap();
        let Some(range) = headers.get(header::RANGE) else { return cut(file, 100) };
        let from: usize =
            range.to_str().unwrap().strip_prefix("bytes=").unwrap().trim_end_matches('-').parse().unwrap();
        assert_eq!(from, 100);
        let mut response = Response::new(Body::from(file[from..].to_vec()));
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        with(response, header::CONTENT_RANGE, &format!("bytes {from}-{}/{}", file.len() - 1, file.len()))
    });
    let user = User::of(&registry);
    registry.asked();
    assert_eq!(user.tries(&registry, "acme:echo").await, "acme:echo@0.1.0");
    assert_eq!(registry.paths().iter().filter(|path| **path == blob).count(), 2);
}

#[tokio::test]
async fn what_is_tried_again() {
    let registry = StaticRegistry::start().await;
    registry.publish(&echo("0.1.0")).await;
    let user = User::of(&registry);
    let busy = |code: u16| status(StatusCode::from_u16(code).unwrap());
    let served = |file: Option<&[u8]>| Response::new(Body::from(file.unwrap().to_vec()));
    registry.behave("/snapshot.json", move |_, asked, file| if asked < 2 { busy(503) } else { served(file) });
    registry.behave("/index/acme/echo", move |_, asked, file| match asked {
        0 => with(busy(429), header::RETRY_AFTER, "0"),
        _ => served(file),
    });
    assert_eq!(user.tries(&registry, "acme:echo").await, "acme:echo@0.1.0");

    let other = User::of(&registry);
    registry.behave("/index/acme/echo", move |_, _, _| with(busy(429), header::RETRY_AFTER, "3600"));
    registry.asked();
    let mut all = vec![other.tries(&registry, "acme:echo").await];
    assert_eq!(
        registry.paths().iter().filter(|path| *path == "/index/acme/echo").count(),
        1,
        "an hour is not waited for"
    );
    registry.behave("/index/acme/echo", move |_, _, _| busy(502));
    all.push(other.tries(&registry, "acme:echo").await);
    assert_eq!(registry.paths().iter().filter(|path| *path == "/index/acme/echo").count(), 4);
    registry.behave("/index/acme/echo", move |_, _, _| busy(500));
    all.push(other.tries(&registry, "acme:echo").await);
    assert_eq!(registry.paths().iter().filter(|path| *path == "/index/acme/echo").count(), 1);
    insta::assert_snapshot!(all.join("\n"), @"
    WL0807 the registry REGISTRY answered 429 to GET /index/acme/echo: Too Many Requests (it says to come back in 3600 s)
    WL0807 the registry REGISTRY answered 502 to GET /index/acme/echo: Bad Gateway
    WL0807 the registry REGISTRY answered 500 to GET /index/acme/echo: Internal Server Error
    ");
}

#[tokio::test]
async fn dependency_confusion() {
    let (private, public) = (StaticRegistry::start().await, StaticRegistry::start().await);
    // The public registry has all that somebody could wish for, and in higher versions.
    public.publish(&Author::new("acme:echo", "9.0.0", "{}", component(DESCRIPTOR, GROUP, "evil"))).await;
    public.publish(&Author::new("acme:secret", "9.0.0", "{}", component(DESCRIPTOR, GROUP, "evil2"))).await;
    private.publish(&echo("0.1.0")).await;
    let helper = Author::new("acme:helper", "1.0.0", "{}", component(DESCRIPTOR, GROUP, "h"));
    with_dependencies(&helper, "{'acme:secret': '^9'}");
    private.publish(&helper).await;
    let mut user = User::of(&public);
    user.configure(&format!(
        "[registries]\ndefault = \"{}\"\nnamespaces = {{ acme = \"{}\" }}\n",
        public.address, private.address
    ));
    assert_eq!(user.tries(&private, "acme:echo").await, "acme:echo@0.1.0");
    let all = [user.tries(&private, "acme:secret").await, user.tries(&private, "acme:helper").await];
    insta::assert_snapshot!(all.join("\n"), @"
    WL0810 the registry REGISTRY has no plugin acme:secret
    WL0825 no versions of these plugins go together:
      - you ask for acme:helper
      - acme:helper 1.0.0 asks for acme:secret ^9
      - there are of acme:helper: 1.0.0
      - its registry has no plugin acme:secret
    ");
    assert_eq!(public.paths(), Vec::<String>::new(), "the other registry was asked");
}

fn with_dependencies(author: &Author, dependencies: &str) {
    let path = author.folder.path().join("plugin.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(path, format!("{text}dependencies: {dependencies}\n")).unwrap();
}

/// `acme:caller` calls `acme:called`.
fn caller(version: &str, dependencies: &str) -> Author {
    let author = Author::new("acme:caller", version, "{}", component(DESCRIPTOR, GROUP, &format!("caller{version}")));
    with_dependencies(&author, dependencies);
    author
}

fn called(version: &str) -> Author {
    Author::new("acme:called", version, "{state: true}", component(DESCRIPTOR, STATE, &format!("called{version}")))
}

#[tokio::test]
async fn what_a_plugin_calls_is_installed_with_it_and_asked_about() {
    let registry = StaticRegistry::start().await;
    registry.publish(&caller("1.0.0", "{'acme:called': '^1'}")).await;
    registry.publish(&called("1.0.0")).await;
    registry.publish(&called("2.0.0")).await;
    let user = User::of(&registry);
    let requests = ["acme:caller".parse().unwrap()];
    let mut asked = Vec::new();
    let mut ask = |question: &windlass_package::ConsentRequest| {
        asked.push(question.plugin.name.to_string());
        true
    };
    let consent = Consent::Ask(&mut ask);
    let done = install(&user.home, &user.project(), runtime(), &requests, Options::default(), consent).await.unwrap();
    let words: Vec<_> = done.iter().map(|each| (each.plugin.name.name(), each.dependency)).collect();
    assert_eq!(words, [("caller", false), ("called", true)]);
    assert_eq!(asked, ["acme:called"], "the caller asks for nothing");
    let lock = Lock::load(&user.project()).unwrap();
    let requested: Vec<_> = lock.plugins.values().map(|each| (each.name.name(), each.requested)).collect();
    assert_eq!(requested, [("called", false), ("caller", true)]);

    // On another machine, by the lock: both, and nobody is asked.
    let other = User::of(&registry);
    std::fs::remove_dir_all(other.project()).unwrap();
    let options = Options { locked: true, ..Options::default() };
    install(&other.home, &user.project(), runtime(), &requests, options, Consent::Nobody).await.unwrap();
    assert_eq!(windlass_package::installed(&other.home, &user.project()).unwrap().len(), 2);

    // What does not go together is said in words, and nothing changes.
    registry.publish(&caller("1.1.0", "{'acme:called': '^2'}")).await;
    let all = [
        user.tries(&registry, "acme:caller@^1.1").await,
        user.tries(&registry, "acme:caller@=1.0.0 acme:called@^2").await,
    ];
    insta::assert_snapshot!(all.join("\n"), @"
    acme:called@2.0.0 acme:caller@1.1.0
    WL0825 no versions of these plugins go together:
      - you ask for acme:called ^2
      - you ask for acme:caller =1.0.0
      - acme:caller 1.0.0 asks for acme:called ^1
      - there are of acme:caller: 1.1.0, 1.0.0
      - there are of acme:called: 2.0.0, 1.0.0
    ");
}

#[tokio::test]
async fn a_patch_version_that_wants_more_is_not_taken_silently() {
    let registry = StaticRegistry::start().await;
    registry.publish(&Author::new("acme:echo", "1.0.0", "{}", component(DESCRIPTOR, GROUP, "1"))).await;
    let user = User::of(&registry);
    user.install("acme:echo").await.unwrap();
    registry.publish(&Author::new("acme:echo", "1.0.1", "{state: true}", component(DESCRIPTOR, STATE, "2"))).await;
    let (home, project) = (&user.home, user.project());
    let options = Options::default();
    let installer = windlass_package::Installer {
        home,
        project: &project,
        components: runtime(),
        options,
        progress: &windlass_package::Silent,
    };
    let lock = Lock::load(&project).unwrap();
    let roots = [windlass_package::resolve::Root {
        name: "acme:echo".parse().unwrap(),
        requirement: "*".parse().unwrap(),
        by: windlass_package::resolve::AskedBy::Lock,
    }];
    let all = Default::default();
    let ahead = installer.look_ahead(&all, &roots).await.unwrap();
    assert_eq!(ahead.len(), 1);
    assert_eq!((ahead[0].from.clone(), &ahead[0].to), (Some("1.0.0".parse().unwrap()), &"1.0.1".parse().unwrap()));
    assert!(matches!(ahead[0].permissions[..], [(_, _, windlass_package::install::Change::New)]));
    assert_eq!(Lock::load(&project).unwrap(), lock, "looking changes nothing");
    let error = installer.update(&all, &roots, Consent::Nobody).await.unwrap_err();
    assert!(matches!(error, PackageError::NotGranted { .. }), "{error}");
    assert_eq!(Lock::load(&project).unwrap(), lock, "the lock is as it was");
    let done = installer.update(&all, &roots, Consent::Given).await.unwrap();
    assert_eq!(done[0].plugin.to_string(), "acme:echo@1.0.1");
}

#[tokio::test]
async fn what_became_of_what_is_locked() {
    let registry = StaticRegistry::start().await;
    let first = registry.publish(&echo("0.1.0")).await;
    registry.publish(&called("1.0.0")).await;
    let user = User::of(&registry);
    user.install("acme:echo acme:called").await.unwrap();
    registry.publish(&echo("0.1.1")).await;
    registry.publish(&echo("0.2.0")).await;
    let notice = Notice { reason: "it \u{1b}[31mleaks".to_owned(), since: jiff::Timestamp::now() };
    registry.list(Release { status: windlass_package::release::Status::Yanked(notice.clone()), ..first.clone() });
    let root = |name: &str, requirement: &str| windlass_package::resolve::Root {
        name: name.parse().unwrap(),
        requirement: requirement.parse().unwrap(),
        by: windlass_package::resolve::AskedBy::Pipeline("ci.yaml".to_owned()),
    };
    let roots = [root("acme:echo", "^0.1"), root("acme:called", "*")];
    let all = windlass_package::update::outdated(&user.home, &user.project(), &roots).await.unwrap();
    let text = |version: &Option<semver::Version>| version.as_ref().map_or("-".to_owned(), ToString::to_string);
    let words: Vec<_> = all
        .iter()
        .map(|each| {
            let notice = each.notice.as_ref().map(|(state, why)| format!(" {state}: {why}")).unwrap_or_default();
            let (wanted, newest) = (text(&each.wanted), text(&each.newest));
            format!("{} {} wanted {wanted} newest {newest}{notice}", each.name, each.installed)
        })
        .collect();
    insta::assert_snapshot!(words.join("\n"), @"
    acme:called 1.0.0 wanted 1.0.0 newest 1.0.0
    acme:echo 0.1.0 wanted 0.1.1 newest 0.2.0 yanked: it  [31mleaks
    ");

    // A yanked version stays for those who have it, on a fresh machine too; nobody else comes by it.
    let fresh = User::of(&registry);
    let requests = ["acme:echo".parse().unwrap()];
    install(&fresh.home, &user.project(), runtime(), &requests, Options::default(), Consent::Nobody).await.unwrap();
    let mut all = vec![fresh.tries(&registry, "acme:echo@=0.1.0").await];
    // A quarantined one is not even installed from a lock.
    registry.list(Release { status: windlass_package::release::Status::Quarantined(notice), ..first });
    let fresh = User::of(&registry);
    let done = install(
        &fresh.home,
        &user.project(),
        runtime(),
        &requests,
        Options { locked: true, ..Options::default() },
        Consent::Nobody,
    )
    .await;
    all.push(plain(&done.unwrap_err().to_string(), &registry));
    insta::assert_snapshot!(all.join("\n"), @"
    WL0811 no version of acme:echo satisfies =0.1.0 (there are: 0.2.0, 0.1.1, 0.1.0 (yanked: it  [31mleaks))
    windlass.lock would have to change: acme:echo@0.1.0 may not be installed any more (quarantined: it  [31mleaks)
    ");
}

#[tokio::test]
async fn mirrors_are_trusted_with_nothing() {
    let (origin, mirror) = (StaticRegistry::start().await, StaticRegistry::start().await);
    let release = origin.publish(&echo("0.1.0")).await;
    let blob = format!("/v2/acme/echo/blobs/{}", release.digest);
    let copy = |of: &StaticRegistry| {
        let mut state = of.state();
        // A mirror says of itself where its bytes are.
        let own = mirror.state().files["/.well-known/wasm-pkg/registry.json"].clone();
        state.files.insert("/.well-known/wasm-pkg/registry.json".to_owned(), own);
        mirror.set_state(state);
    };
    copy(&origin);
    let key = windlass_package::signature::PublisherKey::of(&origin.key);
    let (address, mirrors) = (&origin.address, format!("[\"http://127.0.0.1:9\", \"{}\"]", mirror.address));
    let plain_config = format!("[registries]\ndefault = \"{address}\"\n");
    let keys = format!("[registries.keys]\n\"{address}\" = \"{key}\"\n");
    let with_mirrors = format!("{plain_config}[registries.mirrors]\n\"{address}\" = {mirrors}\n");
    let user = |config: &str| {
        let mut user = User::of(&origin);
        user.configure(config);
        user
    };
    // One that is away is passed over, one that is there spares the origin.
    let first = user(&format!("{with_mirrors}{keys}"));
    assert_eq!(first.tries(&origin, "acme:echo").await, "acme:echo@0.1.0");
    assert_eq!(origin.paths(), Vec::<String>::new());
    assert!(mirror.paths().contains(&blob));
    assert_eq!(Lock::load(&first.project()).unwrap().plugins.values().next().unwrap().registry, origin.address);
    // The registry's key is learned from the registry, not from a mirror.
    let learner = user(&with_mirrors);
    assert_eq!(learner.tries(&origin, "acme:echo").await, "acme:echo@0.1.0");
    assert_eq!(origin.paths(), ["/snapshot.json".to_owned(), first_bin(&origin), "/index/acme/echo".to_owned()]);
    // One that is behind is passed over by those who saw more.
    origin.publish(&echo("0.2.0")).await;
    let mut second = user(&plain_config);
    second.install("acme:echo@^0.2").await.unwrap();
    second.configure(&with_mirrors);
    origin.publish(&echo("0.3.0")).await;
    assert_eq!(second.tries(&origin, "acme:echo@^0.3").await, "acme:echo@0.3.0");
    // One that gives other bytes is an error, not a reason to look elsewhere.
    copy(&origin);
    let bad = user(&format!("{with_mirrors}{keys}"));
    let digest = origin.state().releases[&"acme:echo".parse().unwrap()].last().unwrap().digest;
    mirror.put(&format!("/v2/acme/echo/blobs/{digest}"), b"evil".to_vec());
    let mut all = vec![bad.tries(&origin, "acme:echo").await];
    // And one that signs for itself is believed in nothing, once the registry's key is known.
    copy(&origin);
    mirror.sign_as(&SigningKey::from_bytes(&[7; 32]), SignedDuration::ZERO, SignedDuration::from_hours(1));
    all.push(second.tries(&origin, "acme:echo@^0.1").await);
    insta::assert_snapshot!(all.join("\n"), @"
    WL0812 acme:echo@0.3.0: the component that the registry sent should have the digest sha256:… and has sha256:…
    WL0826 the registry REGISTRY cannot be believed: its snapshot is signed by ed25519:…, and it is known by ed25519:…
    ");
}

/// The path of the only bin of a registry that has one plugin, as it is now.
fn first_bin(registry: &StaticRegistry) -> String {
    let state = registry.state();
    let signed: windlass_package::snapshot::SignedSnapshot =
        serde_json::from_slice(&state.files["/snapshot.json"]).unwrap();
    let snapshot: windlass_package::snapshot::Snapshot = serde_json::from_str(&signed.signed).unwrap();
    format!("/snapshot/bins/{}", snapshot.bins.values().next().unwrap())
}

#[tokio::test]
async fn credentials_stay_with_their_origin() {
    let (oci, elsewhere) = (StaticRegistry::start().await, StaticRegistry::start().await);
    let author = echo("0.1.0");
    let prepared = oci.prepare(&author).await;
    let basic = "Basic dXNlcjpzM2NyM3Q="; // user:s3cr3t
    // An OCI registry that wants a login for everything, and has its blobs elsewhere.
    let target = elsewhere.address.clone();
    let guard = move |inner: Response<Body>, headers: &axum::http::HeaderMap| match headers.get(header::AUTHORIZATION) {
        Some(value) if value == basic => inner,
        _ => with(status(StatusCode::UNAUTHORIZED), header::WWW_AUTHENTICATE, "Basic realm=\"x\""),
    };
    oci.behave("/v2/team/acme/echo/tags/list", move |headers, _, _| {
        guard(Response::new(Body::from(r#"{"tags":["0.1.0","latest","v2","1.x"]}"#)), headers)
    });
    let image = prepared.package.manifest.clone();
    oci.behave("/v2/team/acme/echo/manifests/0.1.0", move |headers, _, _| {
        guard(Response::new(Body::from(image.clone())), headers)
    });
    for blob in &prepared.package.blobs {
        let path = format!("/v2/team/acme/echo/blobs/{}", Digest::of(blob));
        elsewhere.put(&path, blob.clone());
        let location = format!("{target}{path}");
        oci.behave(&path, move |headers, _, _| {
            guard(with(status(StatusCode::TEMPORARY_REDIRECT), header::LOCATION, &location), headers)
        });
    }
    let mut user = User::of(&oci);
    user.configure(&format!("[registries.namespaces]\nacme = {{ oci = \"{}\", prefix = \"team\" }}\n", oci.address));
    let token = windlass_contract::SecretValue::new(b"user:s3cr3t".to_vec());
    user.home.keep_token(&oci.address.parse().unwrap(), &token).unwrap();
    let requests = ["acme:echo".parse().unwrap()];
    let options = Options { allow_unsigned: true, ..Options::default() };
    install(&user.home, &user.project(), runtime(), &requests, options, Consent::Given).await.unwrap();
    assert!(oci.asked().iter().any(|asked| asked.authorization.as_deref() == Some(basic)), "the login was used");
    let there = elsewhere.asked();
    assert!(!there.is_empty(), "the blobs came from elsewhere");
    assert!(there.iter().all(|asked| asked.authorization.is_none()), "{there:?}");
    let locked = std::fs::read_to_string(user.project().join("windlass.lock")).unwrap();
    assert!(!locked.contains("s3cr3t"), "{locked}");

    // A realm at another origin gets no credentials either, unless the user named it.
    let realm = format!("Bearer realm=\"{}/token\",service=\"x\"", elsewhere.address);
    oci.behave("/v2/team/acme/other/tags/list", move |headers, _, _| match headers.get(header::AUTHORIZATION) {
        Some(value) if value == "Bearer t" => Response::new(Body::from(r#"{"tags":[]}"#)),
        _ => with(status(StatusCode::UNAUTHORIZED), header::WWW_AUTHENTICATE, &realm),
    });
    elsewhere.put("/token", r#"{"token":"t"}"#);
    let mut seen = Vec::new();
    for realm in ["", &format!(", realm = \"{}\"", elsewhere.address)] {
        user.configure(&format!(
            "[registries.namespaces]\nacme = {{ oci = \"{}\", prefix = \"team\"{realm} }}\n",
            oci.address
        ));
        let error = user.install("acme:other").await.unwrap_err();
        assert!(matches!(error, PackageError::UnknownPlugin { .. }), "{error}");
        seen.extend(elsewhere.asked().into_iter().map(|asked| asked.authorization.is_some()));
    }
    assert_eq!(seen, [false, true]);
}
