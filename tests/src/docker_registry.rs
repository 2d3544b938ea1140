//! A container registry that wants a login: Debian's `docker-registry`, with one user.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const USER: &str = "ci";
const PASSWORD: &str = "s3cr3t-of-the-registry";
/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// It ends when this is dropped, and what was published from here is off the engine then.
pub struct DockerRegistry {
    child: Child,
    host: String,
    images: Vec<String>,
    folder: TempDir,
}

impl DockerRegistry {
    /// An empty one on a free port of loopback.
    pub fn start() -> DockerRegistry {
        let folder = tempfile::tempdir().unwrap();
        let need = "docker-registry and htpasswd are missing. Run: make setup-tests";
        let users = Command::new("htpasswd").args(["-Bbn", USER, PASSWORD]).output().expect(need).stdout;
        fs::write(folder.path().join("htpasswd"), users).unwrap();
        let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let root = folder.path().display();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {root}/data}}}}\n\
             http: {{addr: {host}}}\nauth: {{htpasswd: {{realm: test, path: {root}/htpasswd}}}}\n"
        );
        fs::write(folder.path().join("registry.yml"), config).unwrap();
        let mut serve = Command::new("docker-registry");
        serve.arg("serve").arg(folder.path().join("registry.yml")).stdout(Stdio::null()).stderr(Stdio::null());
        let registry = DockerRegistry { child: serve.spawn().expect(need), host, images: Vec::new(), folder };
        let began = Instant::now();
        while TcpStream::connect(&registry.host).is_err() {
            assert!(began.elapsed() < PATIENCE, "the registry does not answer at {}", registry.host);
            // Another program's start gives no event to wait for.
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// Its address and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The password of its user.
    pub fn password(&self) -> &str {
        PASSWORD
    }

    /// The login, as a secret holds it.
    pub fn login(&self) -> String {
        format!(r#"{{"username": "{USER}", "password": "{PASSWORD}", "serveraddress": "{}"}}"#, self.host)
    }

    /// The login, as the container tools' `config.json` holds it.
    pub fn docker_config(&self) -> String {
        let auth = base64(&format!("{USER}:{PASSWORD}"));
        format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, self.host)
    }

    /// Puts an image of the engine there under this name, and takes the name off the engine again.
    pub fn publish(&mut self, image: &str, name: &str) {
        let remote = format!("{}/{name}", self.host);
        let config = self.folder.path().join("client");
        fs::create_dir_all(&config).unwrap();
        fs::write(config.join("config.json"), self.docker_config()).unwrap();
        let config = config.display().to_string();
        for args in
            [&["tag", image, &remote][..], &["--config", &config, "push", "--quiet", &remote], &["rmi", &remote]]
        {
            let output = docker(args);
            assert!(output.status.success(), "docker {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        self.images.push(remote);
    }
}

impl Drop for DockerRegistry {
    fn drop(&mut self) {
        for image in &self.images {
            docker(&["rmi", image]);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn docker(args: &[&str]) -> Output {
    Command::new("docker").args(args).output().expect("the docker client")
}

/// The standard alphabet, with padding.
fn base64(text: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = (0..3).fold(0_u32, |bits, at| bits << 8 | u32::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize] as char;
            out.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    out
}
