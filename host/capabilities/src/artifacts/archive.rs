//! Tar archives on their way out of a container, and into one.
//!
//! A container's file system is hostile: what comes out of it is read entry by entry and written anew. In a folder's
//! archive there are folders, regular files, and links that stay inside; names are relative, unique and below the
//! folder; owners are 0, set-id bits are gone. The same rules are applied again on the way in, since a store on disk can be
//! edited. Everything streams; only the names that were seen are remembered.

use super::{
    reports::{MAX_REPORT_BYTES, is_report},
    store::{Draft, OCTETS, StoreError, Stored, TAR},
};
use crate::secrets::Masker;
use bytes::Bytes;
use std::{
    collections::HashMap,
    io::{self, Read, Write},
    path::{Component, Path, PathBuf},
};
use tar::{Archive, Builder, Entry, EntryType, Header};
use tokio::sync::mpsc;
use windlass_contract::capability::ContainerError;

/// A folder may have this many entries: their names are remembered to find links that lead out.
pub(crate) const MAX_ENTRIES: usize = 100_000;

/// How many chunks wait between the engine's connection and the disk.
const PIPE_CHUNKS: usize = 16;

/// Chunks towards the engine are gathered up to this many bytes.
const PIPE_BYTES: usize = 256 << 10;

type Result<T> = std::result::Result<T, ContainerError>;

/// Keeps what the engine's archive of one path holds: the bytes of a single file, or a folder as a normal tar archive.
pub(crate) fn keep(archive: impl Read, draft: Draft) -> Result<Stored> {
    let mut archive = Archive::new(archive);
    let mut entries = archive.entries().map_err(failed)?;
    let Some(first) = entries.next() else {
        return Err(ContainerError::Other("the engine sent an empty archive".to_owned()));
    };
    let mut first = first.map_err(failed)?;
    match first.header().entry_type() {
        EntryType::Regular | EntryType::Continuous => {
            let mut draft = draft.into_file();
            io::copy(&mut first, &mut draft).map_err(failed)?;
            draft.finish(OCTETS).map_err(stored)
        }
        EntryType::Directory => {
            let masker = draft.masker();
            let mut out = Builder::new(draft);
            Rewriter { masker, ..Rewriter::new(1, PathBuf::new()) }.copy(entries, &mut out)?;
            out.into_inner().map_err(failed)?.finish(TAR).map_err(stored)
        }
        EntryType::Symlink | EntryType::Link => {
            let target = first.link_name().ok().flatten().map(|path| path.display().to_string()).unwrap_or_default();
            Err(ContainerError::Invalid(format!("it is a link to {target:?}; name the file or folder itself")))
        }
        other => Err(ContainerError::Invalid(format!("it is neither a file nor a folder ({other:?})"))),
    }
}

/// Writes the archive that puts an artifact at `at`, relative to the folder that the engine unpacks in.
pub(crate) fn lay_out(mut artifact: impl Read, size: u64, media_type: &str, at: &Path, out: impl Write) -> Result<()> {
    let mut out = Builder::new(out);
    if media_type == TAR {
        let mut rewriter = Rewriter::new(0, at.to_owned());
        let mut archive = Archive::new(&mut artifact);
        rewriter.copy(archive.entries().map_err(failed)?, &mut out)?;
        // The parents that a path needs are made by the engine. Naming the folder itself would change the mode of one that
        // is there, so it is done only where nothing else makes it.
        if rewriter.seen.is_empty() && !at.as_os_str().is_empty() {
            append(&mut out, EntryType::Directory, 0o755, 0, 0, at, io::empty())?;
        }
    } else {
        append(&mut out, EntryType::Regular, 0o644, size, 0, at, &mut artifact)?;
    }
    // To the end: that is where the digest is checked.
    io::copy(&mut artifact, &mut io::sink()).map_err(failed)?;
    out.into_inner().and_then(|mut out| out.flush()).map_err(failed)
}

/// What an entry that was seen is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Folder,
    File,
    Link,
}

/// Copies the entries of a folder, one by one, refusing what could reach beyond it.
struct Rewriter {
    /// How many leading parts of each name are the folder itself.
    strip: usize,
    /// What is put before each name.
    prefix: PathBuf,
    seen: HashMap<PathBuf, Kind>,
    /// What reports are masked with.
    masker: Option<Masker>,
}

impl Rewriter {
    fn new(strip: usize, prefix: PathBuf) -> Self {
        Rewriter { strip, prefix, seen: HashMap::new(), masker: None }
    }

    fn copy<R: Read, W: Write>(&mut self, entries: tar::Entries<'_, R>, out: &mut Builder<W>) -> Result<()> {
        for entry in entries {
            let mut entry = entry.map_err(failed)?;
            let name = entry.path().map_err(failed)?.into_owned();
            let refuse =
                |why: &str| ContainerError::Invalid(format!("{:?} in the folder is refused: {why}", name.display()));
            let path = self.inside(&name).ok_or_else(|| refuse("its name leads out of the folder"))?;
            if path.as_os_str().is_empty() {
                continue;
            }
            if self.seen.len() >= MAX_ENTRIES {
                return Err(ContainerError::TooLarge(format!(
                    "the folder has more than {MAX_ENTRIES} entries; pack it into one file in the container"
                )));
            }
            if path.ancestors().skip(1).any(|parent| matches!(self.seen.get(parent), Some(Kind::Link | Kind::File))) {
                return Err(refuse("a folder on its way is a link or a file"));
            }
            let header = entry.header();
            let (mode, mtime) = (header.mode().unwrap_or(0o644) & 0o777, header.mtime().unwrap_or(0));
            let at = self.prefix.join(&path);
            let kind = match header.entry_type() {
                EntryType::Directory => {
                    append(out, EntryType::Directory, mode, 0, mtime, &at, io::empty())?;
                    Kind::Folder
                }
                EntryType::Regular | EntryType::Continuous => {
                    self.file(&mut entry, mode, mtime, &at, out)?;
                    Kind::File
                }
                EntryType::Symlink => {
                    let target =
                        entry.link_name().map_err(failed)?.ok_or_else(|| refuse("a link to nothing"))?.into_owned();
                    if !stays_inside(&path, &target) {
                        return Err(refuse(&format!(
                            "it is a link that leads out of the folder, to {:?}",
                            target.display()
                        )));
                    }
                    append_link(out, EntryType::Symlink, mtime, &at, &target)?;
                    Kind::Link
                }
                EntryType::Link => {
                    let target =
                        entry.link_name().map_err(failed)?.ok_or_else(|| refuse("a link to nothing"))?.into_owned();
                    let inside = self.inside(&target).filter(|target| self.seen.get(target) == Some(&Kind::File));
                    let Some(target) = inside else {
                        return Err(refuse("it is a hard link to something that is not a file of the folder"));
                    };
                    append_link(out, EntryType::Link, mtime, &at, &self.prefix.join(target))?;
                    Kind::File
                }
                other => return Err(refuse(&format!("it is neither a file, a folder nor a link ({other:?})"))),
            };
            // A folder may be named twice, anything else is a trick: what was checked would not be what is unpacked.
            if self.seen.insert(path, kind).is_some_and(|before| before != Kind::Folder || kind != Kind::Folder) {
                return Err(refuse("its name occurs twice"));
            }
        }
        Ok(())
    }

    /// Copies a file; a report that is small enough to be shown is masked.
    fn file<R: Read, W: Write>(
        &self,
        entry: &mut Entry<'_, R>,
        mode: u32,
        mtime: u64,
        at: &Path,
        out: &mut Builder<W>,
    ) -> Result<()> {
        let size = entry.size();
        let is_shown = size <= MAX_REPORT_BYTES && is_report(&at.to_string_lossy());
        let Some(masker) = self.masker.as_ref().filter(|_| is_shown) else {
            return append(out, EntryType::Regular, mode, size, mtime, at, entry);
        };
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 != size {
            return Err(cut_off(at));
        }
        let masked = masker.mask_bytes(&bytes);
        append(out, EntryType::Regular, mode, masked.len() as u64, mtime, at, &*masked)
    }

    /// The name below the folder, if it is one: relative, without `..`.
    fn inside(&self, name: &Path) -> Option<PathBuf> {
        let mut parts = Vec::new();
        for part in name.components() {
            match part {
                Component::Normal(part) => parts.push(part),
                Component::CurDir => {}
                Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
            }
        }
        (parts.len() >= self.strip).then(|| parts[self.strip..].iter().collect())
    }
}

/// Whether a symbolic link at `path` to `target` cannot lead out of the folder that `path` is relative to.
///
/// `..` is accepted only in front: behind another name it could go up from wherever that name, as a link, leads.
fn stays_inside(path: &Path, target: &Path) -> bool {
    let mut depth = path.components().count() - 1;
    let mut descending = false;
    for part in target.components() {
        match part {
            Component::ParentDir if descending || depth == 0 => return false,
            Component::ParentDir => depth -= 1,
            Component::Normal(_) => descending = true,
            Component::CurDir => {}
            Component::RootDir | Component::Prefix(_) => return false,
        }
    }
    true
}

fn header(kind: EntryType, mode: u32, size: u64, mtime: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(mtime);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn append<W: Write>(
    out: &mut Builder<W>,
    kind: EntryType,
    mode: u32,
    size: u64,
    mtime: u64,
    path: &Path,
    data: impl Read,
) -> Result<()> {
    let mut data = Counted { data, left: size };
    out.append_data(&mut header(kind, mode, size, mtime), path, &mut data).map_err(failed)?;
    if data.left > 0 {
        return Err(cut_off(path));
    }
    Ok(())
}

fn cut_off(path: &Path) -> ContainerError {
    ContainerError::Other(format!("the archive ends inside of {:?}", path.display()))
}

fn append_link<W: Write>(out: &mut Builder<W>, kind: EntryType, mtime: u64, path: &Path, target: &Path) -> Result<()> {
    out.append_link(&mut header(kind, 0o777, 0, mtime), path, target).map_err(failed)
}

/// Reads exactly as much as a header says.
struct Counted<R> {
    data: R,
    left: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let max = out.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let n = self.data.read(&mut out[..max])?;
        self.left -= n as u64;
        Ok(n)
    }
}

/// What failed, freed from the `io::Error` that it travelled in.
fn failed(error: io::Error) -> ContainerError {
    let text = error.to_string();
    match error.into_inner().map(|inner| inner.downcast::<StoreError>()) {
        Some(Ok(error)) => stored(*error),
        _ => ContainerError::Other(format!("the archive cannot be read: {text}")),
    }
}

fn stored(error: StoreError) -> ContainerError {
    match error {
        StoreError::TooLarge { .. } | StoreError::TooMany { .. } => ContainerError::TooLarge(error.to_string()),
        StoreError::NotFound { .. } => ContainerError::NotFound(error.to_string()),
        error => ContainerError::Other(error.to_string()),
    }
}

/// The blocking end of a stream that comes from the engine. An empty chunk is the sign of its end.
pub(crate) struct PipeReader {
    from: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
    ended: bool,
}

impl Read for PipeReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() && !self.ended {
            // A pipe that closes without the sign of its end broke: half an archive must not look like a whole one.
            self.chunk = self.from.blocking_recv().ok_or(io::ErrorKind::UnexpectedEof)??;
            self.ended = self.chunk.is_empty();
        }
        let n = out.len().min(self.chunk.len());
        out[..n].copy_from_slice(&self.chunk.split_to(n));
        Ok(n)
    }
}

/// The blocking end of a stream that goes to the engine.
pub(crate) struct PipeWriter {
    to: mpsc::Sender<io::Result<Bytes>>,
    chunk: Vec<u8>,
}

impl Write for PipeWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= PIPE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        let chunk = Bytes::from(std::mem::take(&mut self.chunk));
        self.to.blocking_send(Ok(chunk)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// A bounded pipe from async code to a blocking reader.
pub(crate) fn pipe_in() -> (mpsc::Sender<io::Result<Bytes>>, PipeReader) {
    let (to, from) = mpsc::channel(PIPE_CHUNKS);
    (to, PipeReader { from, chunk: Bytes::new(), ended: false })
}

/// A bounded pipe from a blocking writer to async code. The sender is there to pass on why the writer failed.
pub(crate) fn pipe_out() -> (PipeWriter, mpsc::Sender<io::Result<Bytes>>, mpsc::Receiver<io::Result<Bytes>>) {
    let (to, from) = mpsc::channel(PIPE_CHUNKS);
    (PipeWriter { to: to.clone(), chunk: Vec::with_capacity(PIPE_BYTES) }, to, from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::artifacts::ArtifactStore;

    /// An entry as a hostile tool would write it: names are put into the header without any check.
    struct Raw(EntryType, &'static str, &'static str);

    fn archive(entries: &[Raw]) -> Vec<u8> {
        let mut out = Vec::new();
        for Raw(kind, name, data) in entries {
            let link = matches!(kind, EntryType::Symlink | EntryType::Link);
            let mut header = header(*kind, 0o4755, if link { 0 } else { data.len() as u64 }, 7);
            header.set_uid(1000);
            let old = header.as_old_mut();
            old.name[..name.len()].copy_from_slice(name.as_bytes());
            if link {
                old.linkname[..data.len()].copy_from_slice(data.as_bytes());
            }
            header.set_cksum();
            out.extend_from_slice(header.as_bytes());
            if !link && !data.is_empty() {
                out.extend_from_slice(data.as_bytes());
                out.resize(out.len().next_multiple_of(512), 0);
            }
        }
        out.resize(out.len() + 1024, 0);
        out
    }

    fn kept(entries: &[Raw]) -> std::result::Result<(String, Vec<u8>), String> {
        let dir = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(dir.path().to_owned());
        let draft = store.begin(&"r1".parse().unwrap(), &"k".parse().unwrap()).unwrap();
        let stored = keep(&*archive(entries), draft).map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        store.read(stored.digest, stored.size).unwrap().read_to_end(&mut bytes).unwrap();
        Ok((stored.media_type, bytes))
    }

    fn listing(tar: &[u8]) -> Vec<String> {
        let mut archive = Archive::new(tar);
        let line = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let entry = entry.unwrap();
            let header = entry.header();
            let link = entry.link_name().unwrap().map(|to| format!(" -> {}", to.display())).unwrap_or_default();
            let (mode, owner) = (header.mode().unwrap(), header.uid().unwrap());
            format!("{:?} {mode:o} {owner} {}{link}", header.entry_type(), entry.path().unwrap().display())
        };
        archive.entries().unwrap().map(line).collect()
    }

    use EntryType::{Directory as Dir, Fifo, Link as Hard, Regular as File, Symlink as Sym};

    #[test]
    fn a_file_becomes_its_bytes_and_a_folder_a_normal_archive() {
        assert_eq!(kept(&[Raw(File, "server", "elf")]), Ok((OCTETS.to_owned(), b"elf".to_vec())));
        let entries = [
            Raw(Dir, "dist/", ""),
            Raw(Dir, "dist/bin/", ""),
            Raw(File, "dist/bin/tool", "x"),
            Raw(Sym, "dist/latest", "bin/tool"),
            Raw(Sym, "dist/bin/up", "../latest"),
            Raw(Hard, "dist/same", "dist/bin/tool"),
        ];
        let (media_type, bytes) = kept(&entries).unwrap();
        assert_eq!(media_type, TAR);
        insta::assert_snapshot!(listing(&bytes).join("\n"), @r"
        Directory 755 0 bin
        Regular 755 0 bin/tool
        Symlink 777 0 latest -> bin/tool
        Symlink 777 0 bin/up -> ../latest
        Link 777 0 same -> bin/tool
        ");
    }

    #[test]
    fn what_leads_out_of_the_folder_is_refused() {
        let check = |entries: Vec<Raw>, expect: &str| {
            let entries: Vec<Raw> = [Raw(Dir, "d/", "")].into_iter().chain(entries).collect();
            let error = kept(&entries).unwrap_err();
            assert!(error.contains(expect), "{error}, not {expect}");
        };
        check(vec![Raw(File, "d/../../evil", "x")], "its name leads out");
        check(vec![Raw(File, "/etc/passwd", "x")], "its name leads out");
        check(vec![Raw(File, "../evil", "x")], "its name leads out");
        check(vec![Raw(Sym, "d/l", "/etc")], "a link that leads out");
        check(vec![Raw(Sym, "d/l", "../x")], "a link that leads out");
        check(vec![Raw(Sym, "d/a/l", "../../x")], "a link that leads out");
        check(vec![Raw(Sym, "d/a/up", ".."), Raw(Sym, "d/l", "a/up/../x")], "a link that leads out");
        check(vec![Raw(Sym, "d/l", "a"), Raw(File, "d/l/x", "x")], "a folder on its way is a link");
        check(vec![Raw(File, "d/x", "1"), Raw(Sym, "d/x", "y")], "occurs twice");
        check(vec![Raw(Hard, "d/h", "/etc/shadow")], "a hard link");
        check(vec![Raw(Hard, "d/h", "d/none")], "a hard link");
        check(vec![Raw(Sym, "d/l", "a"), Raw(Hard, "d/h", "d/l")], "a hard link");
        check(vec![Raw(Fifo, "d/p", "")], "neither a file");
        check(vec![Raw(EntryType::Block, "d/sda", "")], "neither a file");
        assert!(kept(&[Raw(Sym, "l", "/etc/shadow")]).unwrap_err().contains("it is a link"));
        assert!(kept(&[]).unwrap_err().contains("empty archive"));
    }

    #[test]
    fn the_same_rules_hold_on_the_way_in() {
        let laid = |bytes: &[u8], media_type: &str, at: &str| {
            let mut out = Vec::new();
            lay_out(bytes, bytes.len() as u64, media_type, Path::new(at), &mut out).map(|()| listing(&out).join("\n"))
        };
        let good = archive(&[Raw(File, "a/x", "1"), Raw(Hard, "y", "a/x")]);
        assert_eq!(laid(&good, TAR, "to/it").unwrap(), "Regular 755 0 to/it/a/x\nLink 777 0 to/it/y -> to/it/a/x");
        assert_eq!(laid(&good, OCTETS, "to/f.tar").unwrap(), "Regular 644 0 to/f.tar");
        assert_eq!(laid(&archive(&[]), TAR, "to/it").unwrap(), "Directory 755 0 to/it");
        assert!(laid(&archive(&[Raw(File, "../x", "1")]), TAR, "to/it").is_err());
        assert!(laid(&archive(&[Raw(Sym, "x", "../../y")]), TAR, "to/it").is_err());
    }

    #[test]
    fn a_cut_archive_is_not_kept() {
        let dir = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(dir.path().to_owned());
        let (run, key) = ("r1".parse().unwrap(), "k".parse().unwrap());
        for name in ["d/x", "d/x.xml"] {
            let whole = archive(&[Raw(Dir, "d/", ""), Raw(File, name, "12345")]);
            let draft = store.begin(&run, &key).unwrap().masking_reports(Masker::new());
            assert!(keep(&whole[..512 * 2 + 3], draft).is_err(), "{name}");
        }
        assert!(store.list(&run).unwrap().is_empty());
    }

    #[test]
    fn reports_are_masked_and_nothing_else_is() {
        let masker = Masker::new();
        assert!(masker.add(&windlass_contract::SecretValue::new(b"hunter2-and-more".to_vec())));
        let dir = tempfile::tempdir().unwrap();
        let store = ArtifactStore::open(dir.path().to_owned());
        let run = "r1".parse().unwrap();
        let kept = |key: &str, entries: &[Raw]| {
            let draft = store.begin(&run, &key.parse().unwrap()).unwrap().masking_reports(masker.clone());
            let stored = keep(&*archive(entries), draft).unwrap();
            let mut bytes = Vec::new();
            store.read(stored.digest, stored.size).unwrap().read_to_end(&mut bytes).unwrap();
            bytes
        };
        let said = "<failure>hunter2-and-more</failure>";
        for (key, expect) in [
            ("unit.xml", "<failure>***</failure>"),
            ("scan.SARIF", "<failure>***</failure>"),
            ("scan.sarif.json", "<failure>***</failure>"),
            ("unit.json", said),
        ] {
            assert_eq!(String::from_utf8(kept(key, &[Raw(File, "f", said)])).unwrap(), expect, "{key}");
        }
        // A folder may be called as a report: its archive is still one.
        let entries = [Raw(Dir, "d/", ""), Raw(File, "d/unit.xml", said), Raw(File, "d/key.pem", said)];
        for key in ["reports", "reports.xml"] {
            let bytes = kept(key, &entries);
            let mut archive = Archive::new(&*bytes);
            let texts = archive.entries().unwrap().map(|entry| io::read_to_string(entry.unwrap()).unwrap());
            assert_eq!(texts.collect::<Vec<_>>(), ["<failure>***</failure>", said], "{key}");
        }
    }
}
