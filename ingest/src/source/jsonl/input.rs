//! Where bytes come from: a file, which always answers, or a pipe, whose other end may be silent for days.

use std::io::{Error, ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};

/// Bytes that a pipe is asked for at a time: what Linux keeps in one.
const PIPE_BYTES: usize = 64 * 1024;
/// Blocks that a pipe's thread reads ahead: one of [`super::BLOCK_BYTES`] is never waited for while the other end has more.
const BLOCKS_AHEAD: usize = 4;
/// Time after the first bytes at which they are handed on, however few they are.
const LINGER: Duration = Duration::from_millis(40);

/// How far an input filled a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// As far as was asked, or further.
    Full,
    /// Not as far: nothing more comes for now.
    Paused,
    /// There is nothing more.
    Ended,
}

/// Gives bytes.
pub(super) trait Input {
    /// Appends some `wanted` bytes.
    fn fill(&mut self, bytes: &mut Vec<u8>, wanted: usize) -> Result<Filled, Error>;
}

/// An input that never keeps anybody waiting.
pub(super) struct Whole<R>(pub(super) R);

impl<R: Read> Input for Whole<R> {
    fn fill(&mut self, bytes: &mut Vec<u8>, wanted: usize) -> Result<Filled, Error> {
        bytes.reserve(wanted);
        let read = self.0.by_ref().take(wanted as u64).read_to_end(bytes)?;
        Ok(if read < wanted {
            Filled::Ended
        } else {
            Filled::Full
        })
    }
}

/// A pipe, read on a thread of its own that nobody waits for: a read blocks until the other end writes or closes, and so does opening a FIFO.
/// The thread ends with the next bytes, or with the process.
pub(super) struct Pipe {
    blocks: Receiver<Result<Vec<u8>, Error>>,
    stopped: Arc<AtomicBool>,
}

impl Pipe {
    /// Begins to read what `open` gives.
    pub(super) fn new<R: Read>(
        open: impl FnOnce() -> Result<R, Error> + Send + 'static,
    ) -> Result<Self, Error> {
        let (sender, blocks) = bounded(BLOCKS_AHEAD);
        let stopped = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stopped);
        let read = move || {
            let result = open().and_then(|mut input| {
                while !told.load(Ordering::Acquire) {
                    let mut block = vec![0; PIPE_BYTES];
                    match input.read(&mut block) {
                        Ok(0) => break,
                        Ok(read) => block.truncate(read),
                        Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                        Err(error) => return Err(error),
                    }
                    if sender.send(Ok(block)).is_err() {
                        break;
                    }
                }
                Ok(())
            });
            if let Err(error) = result {
                // Nobody listens any more: the run has ended.
                drop(sender.send(Err(error)));
            }
        };
        let thread = std::thread::Builder::new().name("pipe".to_owned());
        thread.spawn(read).map(drop)?;
        Ok(Self { blocks, stopped })
    }

    /// Reads at most once more: what was read until then still comes, and then a pause.
    pub(super) fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
    }
}

impl Input for Pipe {
    fn fill(&mut self, bytes: &mut Vec<u8>, wanted: usize) -> Result<Filled, Error> {
        let (before, until) = (bytes.len(), Instant::now() + LINGER);
        while bytes.len() - before < wanted {
            match self.blocks.recv_deadline(until) {
                Ok(block) => bytes.extend_from_slice(&block?),
                Err(RecvTimeoutError::Timeout) => return Ok(Filled::Paused),
                Err(RecvTimeoutError::Disconnected) => return Ok(Filled::Ended),
            }
        }
        Ok(Filled::Full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_pipe_pauses_while_its_other_end_is_silent_and_ends_with_it() {
        let (reader, mut writer) = std::io::pipe().unwrap();
        let mut pipe = Pipe::new(move || Ok(reader)).unwrap();
        let mut bytes = Vec::new();
        assert_eq!(pipe.fill(&mut bytes, 10).unwrap(), Filled::Paused);
        writer.write_all(b"some").unwrap();
        while bytes.is_empty() {
            assert_eq!(pipe.fill(&mut bytes, 10).unwrap(), Filled::Paused);
        }
        assert_eq!(bytes, b"some");
        drop(writer);
        while pipe.fill(&mut bytes, 10).unwrap() != Filled::Ended {}
        assert_eq!(bytes, b"some");
    }

    #[test]
    fn what_cannot_be_opened_is_an_error_of_the_first_read() {
        let missing = || std::fs::File::open("/no/such/file");
        let mut pipe = Pipe::new(missing).unwrap();
        let error = loop {
            match pipe.fill(&mut Vec::new(), 1) {
                Ok(filled) => assert_eq!(filled, Filled::Paused),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
}
