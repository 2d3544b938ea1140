//! Reading a log.

use super::{END, Frame, HEADER_BYTES, LogStream, MAGIC, MAX_FRAME_BYTES};
use crate::StoreError;
use bytes::Bytes;
use std::{
    fs::{File, Metadata},
    io::{ErrorKind, Read, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 256 * 1024;

/// A position in a log.
pub struct LogReader {
    path: PathBuf,
    file: File,
    /// Which file it is, whatever is at its path by now.
    identity: Identity,
    /// What was read and not yet given out begins at `start`.
    buffer: Vec<u8>,
    start: usize,
    /// Where `start` is in the file.
    offset: u64,
    ended: bool,
}

/// Which file it is. With the time at which it was made, because the number of a file that was removed is given to the next one.
pub(super) type Identity = (u64, u64, Option<std::time::SystemTime>);

fn identity(of: &Metadata) -> Identity {
    (of.dev(), of.ino(), of.created().ok())
}

impl LogReader {
    pub(super) fn open(path: &Path) -> Result<Option<Self>, StoreError> {
        let file = match File::open(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(StoreError::io("open the log", path))?,
        };
        let identity = identity(&file.metadata().map_err(StoreError::io("look at the log", path))?);
        Ok(Some(LogReader {
            path: path.to_owned(),
            file,
            identity,
            buffer: Vec::new(),
            start: 0,
            offset: 0,
            ended: false,
        }))
    }

    /// The next frame; `None` where there is none yet, or none any more ([`LogReader::ended`]). May be asked again later.
    ///
    /// # Errors
    /// When the file cannot be read, is no log, or is damaged.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, StoreError> {
        while !self.ended {
            if let Some(frame) = self.parse()? {
                return Ok(Some(frame));
            }
            if !self.ended && self.read_more()? == 0 {
                break;
            }
        }
        Ok(None)
    }

    /// Where the next frame begins, in bytes from the log's beginning.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on where an earlier reader was ([`LogReader::offset`]). Says whether there is that much: a log that was begun
    /// anew after a crash may be shorter, and is then read from its beginning.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) fn go_to(&mut self, offset: u64) -> Result<bool, StoreError> {
        if offset > self.file_len()? {
            return Ok(false);
        }
        self.file.seek(SeekFrom::Start(offset)).map_err(StoreError::io("read the log", &self.path))?;
        self.offset = offset;
        Ok(true)
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// How many bytes the file has now.
    pub(super) fn file_len(&self) -> Result<u64, StoreError> {
        Ok(self.file.metadata().map_err(StoreError::io("look at the log", &self.path))?.len())
    }

    /// Whether the log's own end was reached: its attempt has ended, and nothing will come.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether another log has taken its place.
    pub(super) fn replaced(&self) -> Result<bool, StoreError> {
        match std::fs::metadata(&self.path) {
            Ok(present) => Ok(identity(&present) != self.identity),
            // Removed, and its successor not yet made.
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(StoreError::io("look at the log", &self.path)(error)),
        }
    }

    /// A frame, if the buffer holds a whole one.
    fn parse(&mut self) -> Result<Option<Frame>, StoreError> {
        if self.offset == 0 {
            let Some(magic) = self.buffer.get(self.start..self.start + MAGIC.len()) else { return Ok(None) };
            if magic != MAGIC {
                return Err(StoreError::NotALog { path: self.path.clone() });
            }
            self.advance(MAGIC.len());
        }
        let rest = &self.buffer[self.start..];
        let Some((header, body)) = rest.split_first_chunk::<HEADER_BYTES>() else { return Ok(None) };
        let [a, b, c, d, e, f, g, h, stream, l0, l1, l2, l3] = *header;
        let at_ms = u64::from_le_bytes([a, b, c, d, e, f, g, h]);
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let known = LogStream::ALL.into_iter().find(|known| known.byte() == stream);
        let damaged = || StoreError::DamagedLog { path: self.path.clone(), offset: self.offset };
        if len > MAX_FRAME_BYTES {
            return Err(damaged());
        }
        let Some(stream) = known else {
            if stream == END && len == 0 {
                self.ended = true;
                return Ok(None);
            }
            return Err(damaged());
        };
        let Some(bytes) = body.get(..len) else { return Ok(None) };
        let frame = Frame { at_ms, stream, bytes: Bytes::copy_from_slice(bytes) };
        self.advance(HEADER_BYTES + len);
        Ok(Some(frame))
    }

    fn advance(&mut self, by: usize) {
        self.start += by;
        self.offset += by as u64;
    }

    fn read_more(&mut self) -> Result<usize, StoreError> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let held = self.buffer.len();
        self.buffer.resize(held + READ_BYTES, 0);
        let read = loop {
            match self.file.read(&mut self.buffer[held..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        self.buffer.truncate(held + read.as_ref().map_or(0, |read| *read));
        read.map_err(StoreError::io("read the log", &self.path))
    }
}

impl Iterator for LogReader {
    type Item = Result<Frame, StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_frame().transpose()
    }
}
