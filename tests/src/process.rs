//! Programs that a test runs: to their end, or beside it.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Mutex,
        mpsc::{self, Receiver},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// How long a test waits for a line of a program that runs: far more than any takes, so that a hang is a failure.
const PATIENCE: Duration = Duration::from_secs(60);

/// How a program ended, and what it printed.
#[derive(Debug, Clone)]
pub struct Output {
    /// The exit code; `128 + n` when signal `n` ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Output {
    /// Fails the test unless the exit code is this one; what was printed is shown then.
    #[track_caller]
    pub fn expect(self, code: i32) -> Output {
        let Output { code: found, stdout, stderr } = &self;
        assert_eq!(*found, code, "exit code\n--- stdout\n{stdout}--- stderr\n{stderr}");
        self
    }

    /// The same, with 0.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.expect(0)
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON: {error}\n{}", self.stdout))
    }

    /// Standard output as JSON documents, one a line.
    #[track_caller]
    pub fn json_lines(&self) -> Vec<serde_json::Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON: {error}\n{line}"));
        self.stdout.lines().map(parse).collect()
    }

    /// Both outputs.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs a program to its end, with this text on its standard input.
pub(crate) fn finish(mut command: Command, input: &str) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    // A program that does not read closes the pipe; that is its right.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    Output { code: code(output.status), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn code(status: ExitStatus) -> i32 {
    use std::os::unix::process::ExitStatusExt as _;
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("the program prints UTF-8")
}

/// A program that runs beside the test; killed when this is dropped.
pub struct Running {
    child: Child,
    /// In a lock only so that tests may share what they started.
    lines: Mutex<Receiver<String>>,
    seen: String,
    errors: Option<JoinHandle<String>>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (give, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines() {
                let Ok(line) = line else { return };
                if give.send(line).is_err() {
                    return;
                }
            }
        });
        let errors = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = err.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        });
        Running { child, lines: Mutex::new(lines), seen: String::new(), errors: Some(errors) }
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it prints a line that contains `part`, and gives that line.
    #[track_caller]
    pub fn wait_for(&mut self, part: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.lines.get_mut().unwrap().recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    self.seen.push('\n');
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(_) => {
                    panic!("no line with {part:?} in {PATIENCE:?}, or it ended before; it printed:\n{}", self.seen)
                }
            }
        }
    }

    /// Sends a signal, such as `rustix::process::Signal::INT`.
    pub fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), signal).expect("it still runs");
    }

    /// Kills it at once, as a crash does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself; gives the exit code. For its output too, see [`Running::wait`].
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return code(status);
            }
            assert!(Instant::now() < end, "it has not ended in {PATIENCE:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end. The output holds everything it printed, also what was waited for before.
    pub fn wait(mut self) -> Output {
        let status = self.child.wait().unwrap();
        let mut stdout = std::mem::take(&mut self.seen);
        for line in self.lines.get_mut().unwrap().iter() {
            stdout.push_str(&line);
            stdout.push('\n');
        }
        let stderr = self.errors.take().unwrap().join().unwrap();
        Output { code: code(status), stdout, stderr }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Its own child only; one that has ended and was waited for is left alone by `kill`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
