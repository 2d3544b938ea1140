//! Files of the run's volumes, for plugins that work on them without a container.
//!
//! A step has volumes at paths of its own choice, as a container would; the host knows them as `/workspace` and `/volumes/NAME`.
//! [`Mounts`] translates, and lets no path lead out of what the step has: that is pure, and tested here. [`read`] and [`write`]
//! call the host, which moves files as artifacts; each step uses one key for it, [`scratch_key`], whose last content stays.

use crate::{artifacts, inputs};
use serde::Deserialize;

/// Bytes that one call reads or writes.
const CHUNK_BYTES: usize = 1 << 20;

/// The volume that every run has.
const WORKSPACE: &str = "workspace";

/// A volume that a step has, as its configuration says it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VolumeMount {
    /// The volume's name in the pipeline.
    pub name: String,
    /// Where the step has it, absolute.
    pub mount_path: String,
    /// Whether nothing may be written to it.
    #[serde(default)]
    pub read_only: bool,
}

/// The volumes of a step, in the order of its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounts(Vec<VolumeMount>);

/// A place in a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// As the step calls it: absolute, without `.` and `..`.
    pub path: String,
    /// As the host calls it.
    pub host_path: String,
    /// Whether nothing may be written there.
    pub read_only: bool,
}

impl Default for Mounts {
    /// The workspace at `/workspace`, to read and to write.
    fn default() -> Self {
        let mount_path = "/workspace".to_owned();
        Mounts(vec![VolumeMount { name: WORKSPACE.to_owned(), mount_path, read_only: false }])
    }
}

impl Mounts {
    /// The volumes that a configuration names; the workspace, where it has no list at all.
    ///
    /// # Errors
    /// The index of the volume that is wrong, and why: a path that is not absolute, a path that another one has.
    pub fn new(volumes: Option<Vec<VolumeMount>>) -> Result<Mounts, (usize, String)> {
        let Some(volumes) = volumes else { return Ok(Mounts::default()) };
        let mut sound: Vec<VolumeMount> = Vec::new();
        for (index, mount) in volumes.into_iter().enumerate() {
            let path = mount.mount_path.strip_prefix('/').and_then(normal).filter(|path| !path.is_empty());
            let Some(path) = path else {
                let why = format!("the mount_path {:?} is not an absolute path without `..`", mount.mount_path);
                return Err((index, why));
            };
            let mount_path = format!("/{path}");
            if sound.iter().any(|other| other.mount_path == mount_path) {
                return Err((index, format!("two volumes are to be mounted at {mount_path}; give each its own path")));
            }
            sound.push(VolumeMount { mount_path, ..mount });
        }
        Ok(Mounts(sound))
    }

    /// The volumes.
    pub fn iter(&self) -> impl Iterator<Item = &VolumeMount> {
        self.0.iter()
    }

    /// Where `path` is: absolute, or relative to the first volume.
    ///
    /// # Errors
    /// In words, when it leads out of the volumes.
    pub fn resolve(&self, path: &str) -> Result<Place, String> {
        let Some(first) = self.0.first() else { return Err("this step has no volume".to_owned()) };
        let absolute = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", first.mount_path) };
        let Some(rest) = normal(&absolute[1..]) else {
            return Err(format!("{path:?} holds `..` or a control character"));
        };
        let path = format!("/{rest}");
        let below = |mount: &&VolumeMount| {
            path.strip_prefix(&mount.mount_path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // A volume may be mounted below another: the deeper one is what is there.
        let Some(mount) = self.0.iter().filter(below).max_by_key(|mount| mount.mount_path.len()) else {
            let known = self.0.iter().map(|mount| mount.mount_path.as_str()).collect::<Vec<_>>().join(", ");
            return Err(format!("{path} is not below {known}"));
        };
        let root = if mount.name == WORKSPACE { "/workspace".to_owned() } else { format!("/volumes/{}", mount.name) };
        let host_path = format!("{root}{}", &path[mount.mount_path.len()..]);
        Ok(Place { host_path, read_only: mount.read_only, path })
    }
}

/// A path without empty parts and `.`; none where it holds `..` or a control character.
fn normal(path: &str) -> Option<String> {
    let parts: Vec<_> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    (!parts.contains(&"..") && !path.chars().any(char::is_control)).then(|| parts.join("/"))
}

/// The artifact through which a step's files move.
pub fn scratch_key() -> String {
    format!("files/{}", inputs::step_name())
}

/// What lies at a place, to be read: a file, or, of a folder, the tar archive of it.
///
/// # Errors
/// As `artifacts.from-workspace`.
pub fn open(place: &Place) -> Result<(artifacts::Artifact, Reader), artifacts::ArtifactError> {
    let artifact = artifacts::from_workspace(&place.host_path, &scratch_key())?;
    let reader = artifact.open()?;
    Ok((artifact, Reader { reader, chunk: Vec::new(), at: 0 }))
}

/// Whether an artifact is the archive of a folder.
pub fn is_folder(artifact: &artifacts::Artifact) -> bool {
    artifact.media_type() == "application/x-tar"
}

/// The bytes of an artifact.
pub struct Reader {
    reader: artifacts::Reader,
    chunk: Vec<u8>,
    at: usize,
}

impl std::io::Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.chunk.len() {
            let max = u32::try_from(CHUNK_BYTES).unwrap_or(u32::MAX);
            self.chunk = self.reader.read(max).map_err(|error| std::io::Error::other(error.to_string()))?;
            self.at = 0;
        }
        let n = out.len().min(self.chunk.len() - self.at);
        out[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

/// Writes a file, and the folders that it needs.
///
/// # Errors
/// As `artifacts.create` and `artifacts.to-workspace`.
pub fn write(place: &Place, bytes: &[u8]) -> Result<(), artifacts::ArtifactError> {
    let writer = artifacts::create(&scratch_key())?;
    bytes.chunks(CHUNK_BYTES).try_for_each(|chunk| writer.write(chunk))?;
    artifacts::to_workspace(&writer.finish()?, &place.host_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(volumes: &[(&str, &str, bool)]) -> Result<Mounts, (usize, String)> {
        let mount = |(name, path, read_only): &(&str, &str, bool)| VolumeMount {
            name: (*name).to_owned(),
            mount_path: (*path).to_owned(),
            read_only: *read_only,
        };
        Mounts::new(Some(volumes.iter().map(mount).collect()))
    }

    #[test]
    fn where_a_path_is() {
        let check = |volumes: &[(&str, &str, bool)], path: &str, expect: Result<&str, &str>| {
            let place = mounts(volumes).expect("they are sound").resolve(path);
            let found = place.map(|place| format!("{}{}", place.host_path, if place.read_only { " ro" } else { "" }));
            assert_eq!(found.as_deref().map_err(String::as_str), expect, "{path}");
        };
        let one: &[_] = &[("workspace", "/src", false)];
        check(one, "a/b", Ok("/workspace/a/b"));
        check(one, "./a//b/", Ok("/workspace/a/b"));
        check(one, "", Ok("/workspace"));
        check(one, "/src", Ok("/workspace"));
        check(one, "/src/a", Ok("/workspace/a"));
        check(one, "/srcs/a", Err("/srcs/a is not below /src"));
        check(one, "/etc/passwd", Err("/etc/passwd is not below /src"));
        check(one, "../etc/passwd", Err("\"../etc/passwd\" holds `..` or a control character"));
        check(one, "a/../../b", Err("\"a/../../b\" holds `..` or a control character"));
        check(one, "a\nb", Err("\"a\\nb\" holds `..` or a control character"));
        let two: &[_] = &[("cache", "/c", true), ("workspace", "/c/deep/", false)];
        check(two, "x", Ok("/volumes/cache/x ro"));
        check(two, "/c/deep/x", Ok("/workspace/x"));
        check(two, "/c/deeper", Ok("/volumes/cache/deeper ro"));
        check(&[], "x", Err("this step has no volume"));
    }

    #[test]
    fn volumes_that_cannot_be() {
        for path in ["", "/", "src", "/..", "/a/../b", "//"] {
            assert_eq!(mounts(&[("workspace", path, false)]).err().map(|(index, _)| index), Some(0), "{path:?}");
        }
        let twice = mounts(&[("workspace", "/a", false), ("cache", "/a/", false)]);
        assert_eq!(twice.err().map(|(index, _)| index), Some(1));
        assert_eq!(Mounts::new(None), Ok(Mounts::default()));
    }
}
