//! Credentials of container registries: what the secret's document says, whom they are for, and the configuration that a client
//! in the container finds.
//!
//! The host pulls the step's image with them only where they are for the image's own registry: a login at one registry is no
//! reason to show a password to another. In the container they are a file on a volume of that container alone, never a variable.
//! No error here quotes the document.

use super::{
    StepWork, engine,
    spec::{self, Plan},
    volumes::holder_path,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard::{
    auth::DockerCredentials,
    models::{Mount, MountType, MountVolumeOptions},
    query_parameters::UploadToContainerOptions,
};
use serde::Deserialize;
use std::{collections::HashMap, fmt, io};
use tar::{Builder, EntryType, Header};
use windlass_contract::{SecretValue, capability::ContainerError};
use zeroize::Zeroizing;

/// The folder of the client's configuration in a container; what `DOCKER_CONFIG` says.
pub(super) const CONFIG_DIR: &str = "/run/windlass/docker";

/// The variable that names it to clients.
pub(super) const CONFIG_VARIABLE: &str = "DOCKER_CONFIG";

/// How clients and engines key the registry of images that name none.
const DOCKER_HUB: &str = "https://index.docker.io/v1/";

/// What Docker Hub is called besides.
const DOCKER_HUB_HOSTS: [&str; 3] = ["docker.io", "index.docker.io", "registry-1.docker.io"];

/// The name under which the volume is in the container that fills it.
const HELD_AS: &str = "docker";

/// A login at one registry.
pub(super) struct Credentials {
    username: String,
    password: Zeroizing<String>,
    /// As clients key it: a host with its port, or [`DOCKER_HUB`].
    server: String,
    /// Whether the image comes from there.
    for_image: bool,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("server", &self.server).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    username: String,
    password: String,
    #[serde(default)]
    serveraddress: Option<String>,
}

impl Credentials {
    /// Reads the secret's document; `image` is the step's.
    pub(super) fn parse(secret: &SecretValue, image: &str) -> Result<Credentials, ContainerError> {
        let refuse = |why: &str| {
            ContainerError::Invalid(format!(
                "the secret of the registry's credentials {why}; store a JSON document of this shape: \
                 {{\"username\": \"…\", \"password\": \"…\", \"serveraddress\": \"registry.example.com\"}}, where serveraddress may \
                 be left out for the registry of the image"
            ))
        };
        // What the parser says of an error may quote the document.
        let document: Document =
            serde_json::from_slice(secret.expose()).map_err(|_| refuse("is not such a document"))?;
        let Document { username, password, serveraddress } = document;
        let password = Zeroizing::new(password);
        if username.is_empty() || username.contains([':', '\n']) {
            return Err(refuse("has a username that is empty or holds a colon"));
        }
        if password.is_empty() {
            return Err(refuse("has an empty password"));
        }
        let home = image_registry(image);
        let server = match &serveraddress {
            None => home.clone(),
            Some(address) => server_key(address).ok_or_else(|| refuse("has a serveraddress that is no host"))?,
        };
        let for_image = server == home;
        Ok(Credentials { username, password, server, for_image })
    }

    /// What the engine is told for a pull of the step's image.
    pub(super) fn for_pull(&self) -> Option<DockerCredentials> {
        self.for_image.then(|| DockerCredentials {
            username: Some(self.username.clone()),
            password: Some(self.password.to_string()),
            serveraddress: Some(self.server.clone()),
            ..DockerCredentials::default()
        })
    }

    /// What must not be seen of it beside the document itself; every form of these is masked.
    pub(super) fn sensitive(&self) -> [SecretValue; 2] {
        [self.password.as_bytes(), self.pair().as_bytes()].map(|bytes| SecretValue::new(bytes.to_vec()))
    }

    fn pair(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{}:{}", self.username, *self.password))
    }

    /// The client's `config.json`.
    fn config(&self) -> Zeroizing<String> {
        let auth = Zeroizing::new(STANDARD.encode(self.pair().as_bytes()));
        // Neither holds a character that JSON would escape: one was checked, the other is base64.
        Zeroizing::new(format!(r#"{{"auths":{{"{}":{{"auth":"{}"}}}}}}"#, self.server, *auth))
    }

    /// The archive with the configuration, readable for `reader` alone, or for all where it is not known who will read.
    fn archive(&self, reader: Option<u64>) -> io::Result<Vec<u8>> {
        let mut archive = Builder::new(Vec::new());
        let mut put = |kind, name: String, modes: [u32; 2], bytes: &[u8]| {
            let mut header = Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(modes[usize::from(reader.is_none())]);
            header.set_uid(reader.unwrap_or_default());
            header.set_gid(0);
            header.set_size(bytes.len() as u64);
            archive.append_data(&mut header, name, bytes)
        };
        put(EntryType::Directory, HELD_AS.to_owned(), [0o500, 0o555], b"")?;
        put(EntryType::Regular, format!("{HELD_AS}/config.json"), [0o400, 0o444], self.config().as_bytes())?;
        archive.into_inner()
    }
}

/// The registry of an image, as clients key it. `image` is a reference that was checked.
fn image_registry(image: &str) -> String {
    match image.split_once('/') {
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => {
            server_key(host).unwrap_or_else(|| host.to_owned())
        }
        _ => DOCKER_HUB.to_owned(),
    }
}

/// How clients key the registry that an author calls `address`: with or without scheme and path.
fn server_key(address: &str) -> Option<String> {
    let address = address.trim();
    let bare = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://")).unwrap_or(address);
    let host = bare.split('/').next().unwrap_or_default().to_ascii_lowercase();
    let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '[' | ']');
    if host.is_empty() || !host.chars().all(sound) {
        return None;
    }
    Some(if DOCKER_HUB_HOSTS.contains(&host.as_str()) { DOCKER_HUB.to_owned() } else { host })
}

/// The number of the user that a container starts as, where the engine's word for it is a number. Root without any word.
fn user_number(user: &str) -> Option<u64> {
    let name = user.split(':').next().unwrap_or_default();
    match name {
        "" | "root" => Some(0),
        name => name.parse().ok(),
    }
}

/// The volume of a container's credentials.
pub(super) fn volume_name(container: &str) -> String {
    format!("{container}-docker")
}

/// That volume in the container. Its label is the run's, so that whatever clears the run away finds it.
pub(super) fn mount(container: &str, at: &str, read_only: bool, labels: HashMap<String, String>) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(volume_name(container)),
        target: Some(at.to_owned()),
        read_only: Some(read_only),
        volume_options: Some(MountVolumeOptions {
            no_copy: Some(true),
            labels: Some(labels),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    }
}

impl StepWork {
    /// Puts the credentials of `plan` where the container `name`, which was created and not started, will find them. Does it again
    /// where it was interrupted.
    pub(super) async fn lend_credentials(&self, name: &str, plan: &Plan) -> Result<(), ContainerError> {
        let Some(credentials) = &plan.credentials else { return Ok(()) };
        // The image's user, where the step names none: the engine has put it in.
        let user = self.inspect(name).await?.and_then(|found| found.config?.user).unwrap_or_default();
        let archive = credentials.archive(user_number(&user));
        let archive = archive.map_err(|error| ContainerError::Other(error.to_string()))?;
        let holder = format!("{name}-login");
        let mounts = vec![mount(name, &holder_path(HELD_AS), false, self.volumes.run_labels())];
        let labels = spec::labels(&self.call, self.engine.owner());
        self.engine.hold(&holder, labels, mounts, "hand over the registry's credentials").await?;
        let path = holder_path(HELD_AS);
        let parent = path.trim_end_matches(HELD_AS).to_owned();
        let options = UploadToContainerOptions { path: parent, ..UploadToContainerOptions::default() };
        let docker = &self.engine.connect().await?.docker;
        let uploaded = docker.upload_to_container(&holder, Some(options), bollard::body_full(archive.into())).await;
        self.engine.remove_container(&holder).await?;
        uploaded.map_err(|error| ContainerError::VolumeMountFailed(engine::words(&error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(document: &str, image: &str) -> Result<Credentials, String> {
        Credentials::parse(&SecretValue::new(document.as_bytes().to_vec()), image).map_err(|error| error.to_string())
    }

    #[test]
    fn whom_credentials_are_for() {
        let check = |address: Option<&str>, image: &str, server: &str, for_image: bool| {
            let document = serde_json::json!({"username": "ci", "password": "s3cr3t", "serveraddress": address});
            let credentials = parse(&document.to_string(), image).unwrap();
            assert_eq!((credentials.server.as_str(), credentials.for_pull().is_some()), (server, for_image), "{image}");
        };
        check(None, "ghcr.io/acme/tool:1", "ghcr.io", true);
        check(None, "localhost:5000/tool", "localhost:5000", true);
        check(None, "localhost/tool", "localhost", true);
        check(None, "alpine:3", DOCKER_HUB, true);
        check(None, "acme/tool", DOCKER_HUB, true);
        check(None, "docker.io/acme/tool", DOCKER_HUB, true);
        check(Some("ghcr.io"), "ghcr.io/acme/tool", "ghcr.io", true);
        check(Some("https://GHCR.io/v2/"), "ghcr.io/acme/tool", "ghcr.io", true);
        check(Some("https://index.docker.io/v1/"), "alpine", DOCKER_HUB, true);
        check(Some("docker.io"), "library/alpine", DOCKER_HUB, true);
        // For the step's own pushes, and not to be shown to the image's registry.
        check(Some("ghcr.io"), "alpine:3", "ghcr.io", false);
        check(Some("localhost:5001"), "localhost:5000/tool", "localhost:5001", false);
    }

    #[test]
    fn a_document_of_another_shape_is_refused_without_showing_it() {
        for document in [
            "",
            "s3cr3t",
            "\"s3cr3t\"",
            "ci:s3cr3t",
            "{\"username\": \"s3cr3t\"}",
            "{\"username\": \"ci\", \"password\": \"s3cr3t\", \"s3cr3t\": 1}",
            "{\"username\": \"ci\", \"password\": [\"s3cr3t\"]}",
            "{\"username\": \"s3cr3t:x\", \"password\": \"s3cr3t\"}",
            "{\"username\": \"\", \"password\": \"s3cr3t\"}",
            "{\"username\": \"ci\", \"password\": \"\"}",
            "{\"username\": \"ci\", \"password\": \"s3cr3t\", \"serveraddress\": \"s3cr3t s3cr3t\"}",
            "{\"username\": \"ci\", \"password\": \"s3cr3t\", \"serveraddress\": \"\"}",
        ] {
            let words = parse(document, "alpine").err().unwrap_or_else(|| panic!("{document}"));
            assert!(words.contains("\"username\": \"…\"") && !words.contains("s3cr3t"), "{words}");
        }
    }

    #[test]
    fn the_configuration_that_a_client_reads() {
        let credentials = parse("{\"username\": \"ci\", \"password\": \"s3cr3t\"}", "localhost:5000/x").unwrap();
        insta::assert_snapshot!(*credentials.config(), @r#"{"auths":{"localhost:5000":{"auth":"Y2k6czNjcjN0"}}}"#);
        let modes = |reader| {
            let archive = credentials.archive(reader).unwrap();
            let mut archive = tar::Archive::new(archive.as_slice());
            let entries = archive.entries().unwrap().map(|entry| {
                let header = entry.unwrap().header().clone();
                format!("{:o} {}", header.mode().unwrap(), header.uid().unwrap())
            });
            entries.collect::<Vec<_>>()
        };
        assert_eq!(modes(Some(1000)), ["500 1000", "400 1000"]);
        assert_eq!(modes(None), ["555 0", "444 0"]);
    }

    #[test]
    fn who_will_read_it() {
        let check = |user: &str, expect: Option<u64>| assert_eq!(user_number(user), expect, "{user}");
        check("", Some(0));
        check("root", Some(0));
        check("0:0", Some(0));
        check("1000", Some(1000));
        check("1000:100", Some(1000));
        check("builder", None);
    }
}
