//! What a container prints: to the log as it comes, and head and tail of it kept for the plugin.

use crate::{
    log::{LogSink, LogStream},
    secrets::{MaskStream, Masker},
};
use bollard::{container::LogOutput, errors::Error};
use futures::{Stream, StreamExt as _};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};
use windlass_contract::capability::Output;

/// Of each stream of a container this many bytes are kept for the step's results at most: 1 MiB, half of it from the beginning
/// and half from the end.
pub const CAPTURED_BYTES: u64 = 1 << 20;

const CAPTURE_HALF: usize = (CAPTURED_BYTES / 2) as usize;

/// Head and tail of a stream.
#[derive(Default)]
struct Capture {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    left_out: u64,
}

impl Capture {
    fn push(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(CAPTURE_HALF - self.head.len()));
        self.head.extend_from_slice(head);
        let (skipped, rest) = rest.split_at(rest.len().saturating_sub(CAPTURE_HALF));
        let over = (self.tail.len() + rest.len()).saturating_sub(CAPTURE_HALF);
        self.tail.drain(..over);
        self.left_out += (skipped.len() + over) as u64;
        self.tail.extend(rest);
    }

    /// As text, cut between characters, with the gap marked.
    fn text(&self) -> String {
        let (front, back) = self.tail.as_slices();
        let tail = [front, back].concat();
        if self.left_out == 0 {
            return String::from_utf8_lossy(&[self.head.as_slice(), &tail].concat()).into_owned();
        }
        let head = &self.head[..char_end(&self.head)];
        let start = tail.iter().take(3).take_while(|byte| is_continuation(**byte)).count();
        let left_out = self.left_out + (self.head.len() - head.len() + start) as u64;
        let gap = format!("\n[… {left_out} bytes left out; the log has them …]\n");
        [String::from_utf8_lossy(head), gap.into(), String::from_utf8_lossy(&tail[start..])].concat()
    }
}

fn is_continuation(byte: u8) -> bool {
    byte & 0b1100_0000 == 0b1000_0000
}

/// Where the last whole character ends.
fn char_end(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        // Not text in the middle: look at the end alone.
        Err(_) => {
            let back = bytes.iter().rev().take(3).take_while(|byte| is_continuation(**byte)).count() + 1;
            let last = bytes.len().saturating_sub(back);
            match std::str::from_utf8(&bytes[last..]) {
                Err(error) if error.error_len().is_none() => last,
                _ => bytes.len(),
            }
        }
        Ok(_) => bytes.len(),
    }
}

struct Lane {
    stream: LogStream,
    mask: MaskStream,
    capture: Capture,
    /// Raw bytes that were taken in.
    taken: u64,
    /// Raw bytes that come again and are to be passed over.
    repeated: u64,
    buffer: Vec<u8>,
}

/// Both streams of a process on their way to the log.
pub(super) struct Outputs {
    sink: Arc<dyn LogSink>,
    lanes: [Mutex<Lane>; 2],
}

impl Outputs {
    pub(super) fn new(sink: Arc<dyn LogSink>, masker: &Masker) -> Self {
        let lane = |stream| {
            let (capture, buffer) = (Capture::default(), Vec::new());
            Mutex::new(Lane { stream, mask: masker.stream(), capture, taken: 0, repeated: 0, buffer })
        };
        Outputs { sink, lanes: [lane(LogStream::Stdout), lane(LogStream::Stderr)] }
    }

    fn put(&self, lane: usize, bytes: &[u8]) {
        let mut lane = self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner);
        let lane = &mut *lane;
        let pass = usize::try_from(lane.repeated).unwrap_or(usize::MAX).min(bytes.len());
        lane.repeated -= pass as u64;
        let bytes = &bytes[pass..];
        if bytes.is_empty() {
            return;
        }
        lane.taken += bytes.len() as u64;
        lane.buffer.clear();
        lane.mask.push(bytes, &mut lane.buffer);
        self.hand_on(lane);
    }

    fn hand_on(&self, lane: &mut Lane) {
        if !lane.buffer.is_empty() {
            lane.capture.push(&lane.buffer);
            self.sink.append(lane.stream, &lane.buffer);
        }
    }

    /// What comes next is the log from its beginning: what was taken in already is passed over.
    pub(super) fn rewind(&self) {
        for lane in &self.lanes {
            let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            lane.repeated = lane.taken;
        }
    }

    /// Takes a stream to its end. False when it broke off.
    pub(super) async fn drain(&self, stream: impl Stream<Item = Result<LogOutput, Error>>) -> bool {
        let mut stream = std::pin::pin!(stream);
        while let Some(frame) = stream.next().await {
            match frame {
                Ok(LogOutput::StdErr { message }) => self.put(1, &message),
                Ok(frame) => self.put(0, &frame.into_bytes()),
                Err(_) => return false,
            }
        }
        true
    }

    /// The process has ended: nothing is held back any more.
    pub(super) fn finish(&self) {
        for lane in &self.lanes {
            let mut lane = lane.lock().unwrap_or_else(PoisonError::into_inner);
            let lane = &mut *lane;
            lane.buffer.clear();
            lane.mask.finish(&mut lane.buffer);
            self.hand_on(lane);
        }
    }

    pub(super) fn captured(&self, output: Output) -> String {
        let lane = usize::from(output == Output::Stderr);
        self.lanes[lane].lock().unwrap_or_else(PoisonError::into_inner).capture.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::tests_support::Kept;
    use windlass_contract::SecretValue;

    fn captured(chunks: impl IntoIterator<Item = Vec<u8>>) -> String {
        let mut capture = Capture::default();
        chunks.into_iter().for_each(|chunk| capture.push(&chunk));
        capture.text()
    }

    #[test]
    fn head_and_tail_with_a_marked_gap() {
        assert_eq!(captured([b"hello ".to_vec(), b"world".to_vec()]), "hello world");
        let whole = vec![b'x'; 2 * CAPTURE_HALF];
        assert_eq!(captured([whole.clone()]).len(), whole.len());
        for size in [1, 7, 4096, 1 << 20, 3 << 20] {
            let long: Vec<u8> = (0..3 << 20).map(|n: usize| b'a' + u8::try_from(n / 4096 % 26).unwrap()).collect();
            let text = captured(long.chunks(size).map(<[u8]>::to_vec));
            let (head, rest) = text.split_once("\n[… 2097152 bytes left out; the log has them …]\n").unwrap();
            assert_eq!(head.as_bytes(), &long[..CAPTURE_HALF]);
            assert_eq!(rest.as_bytes(), &long[long.len() - CAPTURE_HALF..]);
        }
    }

    #[test]
    fn the_gap_does_not_cut_a_character() {
        // Three bytes each, so that both borders fall into one.
        let text = captured(["€".repeat(600_000).into_bytes()]);
        assert!(!text.contains('\u{fffd}'));
        assert!(text.starts_with('€') && text.ends_with('€') && text.contains("bytes left out"));
    }

    #[test]
    fn a_log_that_is_read_again_is_not_written_twice() {
        let (sink, masker) = (Arc::new(Kept::default()), Masker::new());
        masker.add(&SecretValue::new(b"s3cr3t".to_vec()));
        let outputs = Outputs::new(sink.clone(), &masker);
        outputs.put(0, b"one s3c");
        outputs.rewind();
        outputs.put(0, b"on");
        outputs.put(0, b"e s3cr3t two s3c");
        outputs.finish();
        assert_eq!(sink.text(), "one *** two s3c");
        assert_eq!(outputs.captured(Output::Stdout), "one *** two s3c");
        assert_eq!(outputs.captured(Output::Stderr), "");
    }
}
