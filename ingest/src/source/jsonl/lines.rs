//! A stream of bytes cut into blocks of whole lines.

use std::sync::Arc;

use holdfast_schemas::limits::EVENT_BYTES_MAX;
use memchr::{memchr, memchr_iter};

use super::input::{Filled, Input};
use crate::source::{OVERSIZED_BYTES_KEPT, Records};

/// Lines that a chunk has at most: each takes memory beside its bytes, however short it is.
const LINES_MAX: usize = 16 * 1024;

/// See the module.
pub(super) struct LineBlocks {
    file: Arc<str>,
    block_bytes: usize,
    /// The beginning of the line that the last block ended in.
    carried: Vec<u8>,
    /// A line over the limit whose end has not come yet: what is kept of it, its bytes so far, and the last of them.
    oversized: Option<(Vec<u8>, u64, u8)>,
    line: u64,
    ended: bool,
}

/// What comes next.
pub(super) enum Next {
    /// Whole lines.
    Lines(Vec<u8>, Records),
    /// Nothing for now: the other end of the pipe pauses.
    Nothing,
    /// The input has ended.
    End,
}

impl LineBlocks {
    pub(super) fn new(file: Arc<str>, block_bytes: usize) -> Self {
        Self {
            file,
            block_bytes,
            carried: Vec::new(),
            oversized: None,
            line: 1,
            ended: false,
        }
    }

    /// Bytes read of a line that has not ended.
    pub(super) fn unfinished_bytes(&self) -> u64 {
        self.carried.len() as u64 + self.oversized.as_ref().map_or(0, |(_, bytes, _)| *bytes)
    }

    /// The next lines.
    pub(super) fn next(&mut self, input: &mut impl Input) -> Result<Next, std::io::Error> {
        if let Some((kept, bytes, last)) = self.oversized.take() {
            return self.pass_over(kept, bytes, last, input);
        }
        let mut bytes = std::mem::take(&mut self.carried);
        // A block that was cut by its lines is handed on to its end before the next one is read, or what is carried would grow for ever.
        if let Some(end) = end_of_lines(&bytes).filter(|(_, full)| *full) {
            self.carried = bytes.split_off(end.0);
            return Ok(self.lines(bytes));
        }
        loop {
            let mut paused = false;
            if !self.ended {
                match input.fill(&mut bytes, self.block_bytes)? {
                    Filled::Full => {}
                    Filled::Paused => paused = true,
                    Filled::Ended => self.ended = true,
                }
            }
            if let Some((end, _)) = end_of_lines(&bytes) {
                self.carried = bytes.split_off(end);
                return Ok(self.lines(bytes));
            }
            if self.ended && bytes.is_empty() {
                return Ok(Next::End);
            }
            if self.ended {
                return Ok(self.lines(bytes));
            }
            // One line fills the whole block. Beyond the limit it is no event, and no more of it is kept than is bounded.
            if bytes.len() > EVENT_BYTES_MAX + 1 {
                let (length, last) = (bytes.len() as u64, bytes.last().copied());
                bytes.truncate(OVERSIZED_BYTES_KEPT);
                return self.pass_over(bytes, length, last.unwrap_or_default(), input);
            }
            if paused {
                self.carried = bytes;
                return Ok(Next::Nothing);
            }
        }
    }

    fn lines(&mut self, bytes: Vec<u8>) -> Next {
        let records = Records::Lines {
            file: Arc::clone(&self.file),
            first_line: self.line,
        };
        self.line += memchr_iter(b'\n', &bytes).count() as u64;
        Next::Lines(bytes, records)
    }

    /// Passes over the rest of a line that is over the limit, in bounded memory.
    fn pass_over(
        &mut self,
        mut kept: Vec<u8>,
        mut bytes: u64,
        mut last: u8,
        input: &mut impl Input,
    ) -> Result<Next, std::io::Error> {
        let mut block = Vec::new();
        loop {
            block.clear();
            let filled = input.fill(&mut block, self.block_bytes)?;
            let end = memchr(b'\n', &block);
            let of_line = &block[..end.unwrap_or(block.len())];
            bytes += of_line.len() as u64;
            let room = OVERSIZED_BYTES_KEPT - kept.len();
            kept.extend_from_slice(&of_line[..of_line.len().min(room)]);
            last = of_line.last().copied().unwrap_or(last);
            self.ended = matches!(filled, Filled::Ended);
            if let Some(end) = end {
                self.carried = block.split_off(end + 1);
                break;
            }
            match filled {
                Filled::Full => {}
                Filled::Ended => break,
                Filled::Paused => {
                    self.oversized = Some((kept, bytes, last));
                    return Ok(Next::Nothing);
                }
            }
        }
        // A carriage return belongs to the line's end, as it does where a block holds the whole line.
        let bytes = bytes - u64::from(last == b'\r');
        kept.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
        let records = Records::Oversized {
            file: Arc::clone(&self.file),
            line: self.line,
            bytes,
        };
        self.line += 1;
        Ok(Next::Lines(kept, records))
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
    use crate::source::jsonl::BLOCK_BYTES;
    use crate::source::jsonl::input::Whole;
    use proptest::prelude::*;

    type Lines = Vec<(u64, Vec<u8>)>;
    type Oversized = Vec<(u64, u64, Vec<u8>)>;

    /// Gives what it has in pieces, with pauses between them.
    struct Pieces<'a> {
        left: &'a [u8],
        sizes: Vec<usize>,
    }

    impl Input for Pieces<'_> {
        fn fill(&mut self, bytes: &mut Vec<u8>, wanted: usize) -> Result<Filled, std::io::Error> {
            let Some(size) = self.sizes.pop() else {
                return Whole(&mut self.left).fill(bytes, wanted);
            };
            let size = size.min(wanted).min(self.left.len());
            bytes.extend_from_slice(&self.left[..size]);
            self.left = &self.left[size..];
            Ok(Filled::Paused)
        }
    }

    /// What came out, as (line, bytes) of every non-empty line and the (line, length, what is kept) of oversized ones.
    fn run(input: &[u8], block_bytes: usize) -> (Lines, Oversized) {
        run_in_pieces(input, block_bytes, Vec::new())
    }

    fn run_in_pieces(left: &[u8], block_bytes: usize, sizes: Vec<usize>) -> (Lines, Oversized) {
        let (mut lines, mut oversized) = (Vec::new(), Vec::new());
        let mut blocks = LineBlocks::new(Arc::from("f"), block_bytes);
        let mut input = Pieces { left, sizes };
        loop {
            let (bytes, records) = match blocks.next(&mut input).unwrap() {
                Next::Lines(bytes, records) => (bytes, records),
                Next::Nothing => continue,
                Next::End => break,
            };
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
                    oversized.push((line, length, bytes));
                }
                Records::Messages { .. } | Records::Rows { .. } => unreachable!(),
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
            pieces in proptest::collection::vec(0usize..50, 0..40),
        ) {
            let mut input = lines.join(&b'\n');
            if ends && !input.is_empty() { input.push(b'\n'); }
            let expected: Vec<_> = input.split(|b| *b == b'\n').enumerate()
                .filter(|(_, line)| !line.is_empty()).map(|(i, line)| (i as u64 + 1, line.to_vec())).collect();
            let (found, oversized) = run_in_pieces(&input, block, pieces);
            prop_assert_eq!(found, expected);
            prop_assert!(oversized.is_empty());
        }
    }

    #[test]
    fn a_line_over_the_limit_is_kept_and_the_next_ones_are_lines() {
        for long in [EVENT_BYTES_MAX * 2 + 17, OVERSIZED_BYTES_KEPT + 17] {
            passes_over(long);
        }
    }

    fn passes_over(long: usize) {
        let mut input = b"first\n".to_vec();
        input.extend(std::iter::repeat_n(b'x', long));
        input.extend(b"\r\nlast");
        let blocks = [1 << 16, 1 << 20, 1 << 21, 8 << 20];
        let pauses = [vec![], vec![5; 100], vec![100_000; 1000]];
        for (block, pauses) in blocks
            .iter()
            .flat_map(|b| pauses.iter().map(move |p| (*b, p)))
        {
            let (lines, oversized) = run_in_pieces(&input, block, pauses.clone());
            // A block that holds the whole line hands it on as a line: the decoder then says that it is too long.
            if oversized.is_empty() {
                assert_eq!(lines[1].1.len(), long + 1, "with its carriage return");
                assert_eq!(lines[2], (3, b"last".to_vec()));
            } else {
                let [(line, length, kept)] = oversized.as_slice() else {
                    panic!("{} oversized lines", oversized.len());
                };
                assert_eq!((*line, *length), (2, long as u64));
                assert_eq!(kept.len(), long.min(OVERSIZED_BYTES_KEPT));
                assert!(kept.iter().all(|byte| *byte == b'x'));
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
        let mut rest = Whole(input.as_slice());
        let mut counts = Vec::new();
        while let Next::Lines(bytes, _) = blocks.next(&mut rest).unwrap() {
            counts.push(memchr_iter(b'\n', &bytes).count());
        }
        assert_eq!(counts, [LINES_MAX, LINES_MAX, LINES_MAX, 5]);
    }
}
