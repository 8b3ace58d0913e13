//! JSON lines: one event a line, from a file or standard input. No position is kept: each run reads everything, and what is archived
//! is dropped.

use std::fs::File;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use holdfast_schemas::limits::EVENT_BYTES_MAX;
use memchr::{memchr, memchr_iter};

use super::{Draft, Feed, Records, Source, SourceError};

/// Bytes read at a time, and with them the size of a chunk: some 3,000 events, so that the work on a chunk outweighs its
/// hand-overs while a batch still consists of many.
const BLOCK_BYTES: usize = 2 * 1024 * 1024;
/// Lines that a chunk has at most: each takes memory beside its bytes, however short it is.
const LINES_MAX: usize = 16 * 1024;
/// Bytes kept of a line over the limit: enough to recognise it.
const OVERSIZED_BYTES_KEPT: usize = 64 * 1024;

/// Reads JSON lines.
#[derive(Debug)]
pub struct JsonlSource {
    input: Input,
}

#[derive(Debug)]
enum Input {
    File(PathBuf),
    Stdin,
}

/// How reading a file ended.
enum Ended {
    /// At its end, or the pipeline wants no more.
    Done,
    /// The committer wants it read again.
    Replay(String),
}

impl JsonlSource {
    /// A file.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self {
            input: Input::File(path),
        }
    }

    /// Standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self {
            input: Input::Stdin,
        }
    }
}

impl Source for JsonlSource {
    fn run(self: Box<Self>, mut feed: Feed) -> Result<(), SourceError> {
        feed.metrics().set_ready(true);
        loop {
            let ended = match &self.input {
                Input::File(path) => {
                    let name = path.display().to_string();
                    let failed = |source| SourceError::File {
                        file: name.clone(),
                        source,
                    };
                    let file = File::open(path).map_err(failed)?;
                    // One file has one name in the archive, however it was given: its odd lines are known again.
                    let place = path
                        .canonicalize()
                        .map_or_else(|_| name.clone(), |path| path.display().to_string());
                    read_lines(file, &Arc::from(place), &mut feed).map_err(failed)?
                }
                Input::Stdin => {
                    let failed = |source| SourceError::File {
                        file: "standard input".into(),
                        source,
                    };
                    read_lines(std::io::stdin().lock(), &Arc::from("-"), &mut feed)
                        .map_err(failed)?
                }
            };
            match ended {
                Ended::Replay(_) if matches!(self.input, Input::Stdin) => {
                    return Err(SourceError::CannotReplay);
                }
                Ended::Replay(reason) => {
                    tracing::warn!(reason, "the file is read again from its beginning");
                }
                Ended::Done => return Ok(()),
            }
        }
    }
}

/// Reads to the end, then waits until everything pushed is settled, since the committer may ask for a replay until then.
fn read_lines(
    mut input: impl Read,
    file: &Arc<str>,
    feed: &mut Feed,
) -> Result<Ended, std::io::Error> {
    let mut lines = LineBlocks::new(Arc::clone(file), BLOCK_BYTES);
    loop {
        if let Some(reason) = feed.feedback().take_reset() {
            return Ok(Ended::Replay(reason));
        }
        if feed.stopping() {
            return Ok(Ended::Done);
        }
        let Some((bytes, records)) = lines.next(&mut input)? else {
            break;
        };
        let draft = Draft {
            generation: feed.gate().generation(),
            bytes,
            records,
            positions: Vec::new(),
            flush: false,
        };
        if !feed.push_waiting(draft) {
            return Ok(Ended::Done);
        }
    }
    if !feed.push_waiting(Draft::flush(feed.gate().generation())) {
        return Ok(Ended::Done);
    }
    while !feed
        .feedback()
        .wait(feed.pushed_chunks(), Duration::from_millis(100))
        && !feed.aborted()
    {}
    Ok(feed
        .feedback()
        .take_reset()
        .map_or(Ended::Done, Ended::Replay))
}

/// Cuts a stream into blocks of whole lines.
struct LineBlocks {
    file: Arc<str>,
    block_bytes: usize,
    /// The beginning of the line that the last block ended in.
    carried: Vec<u8>,
    line: u64,
    ended: bool,
}

impl LineBlocks {
    fn new(file: Arc<str>, block_bytes: usize) -> Self {
        Self {
            file,
            block_bytes,
            carried: Vec::new(),
            line: 1,
            ended: false,
        }
    }

    /// The next lines, or nothing at the end of the input.
    fn next(
        &mut self,
        input: &mut impl Read,
    ) -> Result<Option<(Vec<u8>, Records)>, std::io::Error> {
        let mut bytes = std::mem::take(&mut self.carried);
        // A block that was cut by its lines is handed on to its end before the next one is read, or what is carried would grow for ever.
        if let Some(end) = end_of_lines(&bytes).filter(|(_, full)| *full) {
            self.carried = bytes.split_off(end.0);
            return Ok(Some(self.lines(bytes)));
        }
        loop {
            if !self.ended {
                bytes.reserve(self.block_bytes);
                let wanted = self.block_bytes as u64;
                let read = input.by_ref().take(wanted).read_to_end(&mut bytes)?;
                self.ended = (read as u64) < wanted;
            }
            if let Some((end, _)) = end_of_lines(&bytes) {
                self.carried = bytes.split_off(end);
                return Ok(Some(self.lines(bytes)));
            }
            if self.ended {
                let last = (!bytes.is_empty()).then(|| self.lines(bytes));
                return Ok(last);
            }
            // One line fills the whole block. Up to the limit it is a record; beyond, only its beginning is kept.
            if bytes.len() > EVENT_BYTES_MAX + 1 {
                return self.oversized(bytes, input).map(Some);
            }
        }
    }

    fn lines(&mut self, bytes: Vec<u8>) -> (Vec<u8>, Records) {
        let records = Records::Lines {
            file: Arc::clone(&self.file),
            first_line: self.line,
        };
        self.line += memchr_iter(b'\n', &bytes).count() as u64;
        (bytes, records)
    }

    /// Passes over the rest of a line that is over the limit, in constant memory.
    fn oversized(
        &mut self,
        mut beginning: Vec<u8>,
        input: &mut impl Read,
    ) -> Result<(Vec<u8>, Records), std::io::Error> {
        let mut bytes = beginning.len() as u64;
        beginning.truncate(OVERSIZED_BYTES_KEPT);
        let mut block = vec![0; self.block_bytes.min(1 << 20)];
        loop {
            let read = match input.read(&mut block) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if read == 0 {
                self.ended = true;
                break;
            }
            if let Some(end) = memchr(b'\n', &block[..read]) {
                bytes += end as u64;
                self.carried = block[end + 1..read].to_vec();
                break;
            }
            bytes += read as u64;
        }
        let records = Records::Oversized {
            file: Arc::clone(&self.file),
            line: self.line,
            bytes,
        };
        self.line += 1;
        Ok((beginning, records))
    }
}

/// The end of the last whole line, or of the last that fits a chunk, and whether the chunk is full with it; nothing without a whole line.
fn end_of_lines(bytes: &[u8]) -> Option<(usize, bool)> {
    let (count, last) = memchr_iter(b'\n', bytes)
        .take(LINES_MAX)
        .fold((0, None), |(count, _), at| (count + 1, Some(at)));
    last.map(|at| (at + 1, count == LINES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Lines = Vec<(u64, Vec<u8>)>;

    /// What came out, as (line, bytes) of every non-empty line and the (line, length) of oversized ones.
    fn run(input: &[u8], block_bytes: usize) -> (Lines, Vec<(u64, u64)>) {
        let (mut lines, mut oversized) = (Vec::new(), Vec::new());
        let mut blocks = LineBlocks::new(Arc::from("f"), block_bytes);
        let mut input = input;
        while let Some((bytes, records)) = blocks.next(&mut input).unwrap() {
            match records {
                Records::Lines { first_line, .. } => {
                    let body = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
                    for (i, line) in body.split(|b| *b == b'\n').enumerate() {
                        if !line.is_empty() {
                            lines.push((first_line + i as u64, line.to_vec()));
                        }
                    }
                }
                Records::Oversized {
                    line,
                    bytes: length,
                    ..
                } => {
                    assert!(bytes.len() <= OVERSIZED_BYTES_KEPT);
                    oversized.push((line, length));
                }
                Records::Messages { .. } => unreachable!(),
            }
        }
        (lines, oversized)
    }

    proptest! {
        #[test]
        fn every_line_comes_once_with_its_number(
            lines in proptest::collection::vec(proptest::collection::vec(b'a'..=b'z', 0..40), 0..60),
            ends in any::<bool>(),
            block in 1usize..50,
        ) {
            let mut input = lines.join(&b'\n');
            if ends && !input.is_empty() { input.push(b'\n'); }
            let expected: Vec<_> = input.split(|b| *b == b'\n').enumerate()
                .filter(|(_, line)| !line.is_empty()).map(|(i, line)| (i as u64 + 1, line.to_vec())).collect();
            let (found, oversized) = run(&input, block);
            prop_assert_eq!(found, expected);
            prop_assert!(oversized.is_empty());
        }
    }

    #[test]
    fn a_line_over_the_limit_is_passed_over_and_the_next_ones_are_not() {
        let long = EVENT_BYTES_MAX * 2 + 17;
        let mut input = b"first\n".to_vec();
        input.extend(std::iter::repeat_n(b'x', long));
        input.extend(b"\nlast");
        for block in [1 << 16, 1 << 20, 1 << 21, 8 << 20] {
            let (lines, oversized) = run(&input, block);
            // A block that holds the whole line hands it on as a line: the decoder then says that it is too long.
            if oversized.is_empty() {
                assert_eq!(lines[1].1.len(), long);
                assert_eq!(lines[2], (3, b"last".to_vec()));
            } else {
                assert_eq!(oversized, [(2, long as u64)]);
                assert_eq!(
                    lines,
                    [(1, b"first".to_vec()), (3, b"last".to_vec())],
                    "block {block}"
                );
            }
        }
    }

    #[test]
    fn short_lines_are_cut_into_chunks_of_a_bounded_number() {
        let input: Vec<u8> = (0..LINES_MAX * 3 + 5).flat_map(|_| *b"a\n").collect();
        let (lines, _) = run(&input, BLOCK_BYTES);
        assert_eq!(lines.len(), LINES_MAX * 3 + 5);
        assert_eq!(lines.last().unwrap().0, lines.len() as u64);
        let mut blocks = LineBlocks::new(Arc::from("f"), BLOCK_BYTES);
        let mut rest = input.as_slice();
        let mut counts = Vec::new();
        while let Some((bytes, _)) = blocks.next(&mut rest).unwrap() {
            counts.push(memchr_iter(b'\n', &bytes).count());
        }
        assert_eq!(counts, [LINES_MAX, LINES_MAX, LINES_MAX, 5]);
    }
}
