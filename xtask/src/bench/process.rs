//! What the kernel says of this process.

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A line of this process's status that is a size, such as `VmRSS:`, in bytes.
pub(crate) fn memory(line: &str) -> anyhow::Result<u64> {
    let kib: u64 = status(line)?.trim_end_matches(" kB").parse()?;
    Ok(kib << 10)
}

/// How many threads it has.
pub(crate) fn threads() -> anyhow::Result<u64> {
    Ok(status("Threads:")?.parse()?)
}

fn status(line: &str) -> anyhow::Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let found = status.lines().find_map(|text| text.strip_prefix(line)).context("no such line")?;
    Ok(found.trim().to_owned())
}

/// Lets it have as many open files as the machine allows it: a claim holds one, and a thousand claims are measured.
pub(crate) fn raise_open_files() -> anyhow::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).context("cannot raise the limit of open files")
}
