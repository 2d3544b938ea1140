//! Servers that are measured, each in a process of its own: our registry, Debian's docker-registry, and a bare one that
//! answers with bytes it holds. And the client that asks them: `wrk`, with connections that stay open.

use super::root;
use anyhow::{Context as _, bail, ensure};
use axum::{Router, body::Bytes, http::header};
use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// How long a server may take until it answers.
const PATIENCE: Duration = Duration::from_secs(60);
/// Connections that ask at once.
const CONNECTIONS: u32 = 32;
/// How long is asked in one round, in seconds.
const SECONDS: u32 = 2;
/// Clock ticks of a second in `/proc/<pid>/stat`: fixed for programs since Linux 2.6.
const TICKS: f64 = 100.0;

/// What `wrk` runs: the same requests over and over, made once; the last line says how it went.
const SCRIPT: &str = r#"
local made, at = {}, 0
function init(args)
  -- docker-registry hands out no OCI manifest to who does not ask for one.
  local headers = { Accept = "application/vnd.oci.image.manifest.v1+json" }
  if args[2] then headers["If-None-Match"] = args[2] end
  for path in io.lines(args[1]) do made[#made + 1] = wrk.format("GET", path, headers) end
end
function request()
  at = at % #made + 1
  return made[at]
end
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format("RESULT %d %d %d\n", summary.requests, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// A server that ends when this is dropped.
pub(crate) struct Served {
    child: Child,
    /// `http://host:port`.
    pub(crate) address: String,
    _folder: Option<TempDir>,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `registry-server` of the same build as this program.
pub(crate) fn registry_program() -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name("registry-server");
    ensure!(program.is_file(), "there is no {}; `make bench` builds it", program.display());
    Ok(program)
}

fn first_line(child: &mut Child) -> anyhow::Result<String> {
    let mut line = String::new();
    BufReader::new(child.stdout.take().context("its output")?).read_line(&mut line)?;
    Ok(line)
}

impl Served {
    /// Our registry on a data folder.
    pub(crate) fn ours(data: &Path) -> anyhow::Result<Served> {
        let mut command = Command::new(registry_program()?);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data);
        let mut child = command.env("RUST_LOG", "warn").stdout(Stdio::piped()).spawn()?;
        let line = first_line(&mut child)?;
        let address = line.split_whitespace().find(|word| word.starts_with("http://")).context("its address")?;
        let address = address.trim_end_matches([',', '/']).to_owned();
        Ok(Served { child, address, _folder: None })
    }

    /// Debian's docker-registry, as it is run in earnest: a folder, descriptors cached in memory, no log of requests.
    pub(crate) fn docker() -> anyhow::Result<Served> {
        let folder = tempfile::tempdir()?;
        let host = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let config = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, cache: {{blobdescriptor: inmemory}}}}\nhttp: {{addr: {host}}}\n",
            folder.path().join("data").display()
        );
        let file = folder.path().join("registry.yml");
        std::fs::write(&file, config)?;
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(file).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().context("docker-registry is missing; run make setup-tests")?;
        let served = Served { child, address: format!("http://{host}"), _folder: Some(folder) };
        let began = Instant::now();
        while std::net::TcpStream::connect(&host).is_err() {
            ensure!(began.elapsed() < PATIENCE, "docker-registry does not answer at {host}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(served)
    }

    /// The floor: the same HTTP library, one answer, from memory.
    pub(crate) fn bare(answer: &[u8]) -> anyhow::Result<Served> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("answer");
        std::fs::write(&file, answer)?;
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.arg("__answer").arg(&file).stdout(Stdio::piped()).spawn()?;
        let address = first_line(&mut child)?.trim().to_owned();
        Ok(Served { child, address, _folder: Some(folder) })
    }

    /// Processor time that it has used, in seconds.
    fn busy(&self) -> anyhow::Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // After the name, which may hold anything, in parentheses: the third field is the state, user and system time are 14 and 15.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| -> anyhow::Result<f64> { Ok(fields.get(at).context("a field")?.parse()?) };
        Ok((ticks(11)? + ticks(12)?) / TICKS)
    }

    /// Asks for these paths in turn as fast as it answers.
    pub(crate) fn ask(&self, paths: &[String], if_none_match: Option<&str>) -> anyhow::Result<Asked> {
        let folder = tempfile::tempdir()?;
        let (script, list) = (folder.path().join("ask.lua"), folder.path().join("paths"));
        std::fs::write(&script, SCRIPT)?;
        std::fs::write(&list, paths.join("\n"))?;
        let mut command = Command::new("wrk");
        command.args(["-t1", &format!("-c{CONNECTIONS}"), &format!("-d{SECONDS}s"), "-s"]).arg(script);
        command.arg(&self.address).arg("--").arg(list).args(if_none_match);
        let (busy, began) = (self.busy()?, Instant::now());
        let output = command.output().context("wrk is missing; run make setup-tests")?;
        let (busy, took) = (self.busy()? - busy, began.elapsed().as_secs_f64());
        let text = String::from_utf8_lossy(&output.stdout);
        let result =
            text.lines().find_map(|line| line.strip_prefix("RESULT ")).with_context(|| format!("wrk said: {text}"))?;
        let numbers: Vec<f64> = result.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let &[requests, bytes, errors] = numbers.as_slice() else { bail!("wrk said {result:?}") };
        ensure!(errors == 0.0 && requests > 0.0, "{errors} of {requests} requests failed at {}", self.address);
        Ok(Asked { rate: requests / took, of_a_core: requests / busy, bytes: bytes / requests })
    }
}

/// How it went.
pub(crate) struct Asked {
    /// Requests a second, with whatever processors were free.
    pub(crate) rate: f64,
    /// Requests in a second of one processor's time of the server.
    pub(crate) of_a_core: f64,
    /// Bytes of an answer, with its head.
    pub(crate) bytes: f64,
}

/// The bare server's own process: answers whatever it is asked with the bytes of a file.
pub(crate) async fn answer(file: &Path) -> anyhow::Result<()> {
    let bytes = Bytes::from(std::fs::read(file)?);
    let router = Router::new().fallback(move || {
        let bytes = bytes.clone();
        async move { ([(header::CONTENT_TYPE, "application/octet-stream")], bytes) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}

/// The plugin that is served and installed: the bundled shell plugin, as its author has it.
pub(crate) fn shell_folder() -> PathBuf {
    root().join("plugins/shell")
}
