//! JSON lines: one event a line, from a file, a FIFO or standard input. No position is kept: each run reads everything, and what is archived
//! is dropped.
//!
//! A file can be read again, so a run that is told to end just stops reading it. What was taken out of a pipe is nowhere else: before a run ends
//! everything read is committed, but for a last line that has no end.

mod input;
mod lines;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::input::{Input, Pipe, Whole};
use self::lines::{LineBlocks, Next};
use super::{Draft, Feed, Source, SourceError};

/// Bytes read at a time, and with them the size of a chunk: some 3,000 events, so that the work on a chunk outweighs its
/// hand-overs while a batch still consists of many.
const BLOCK_BYTES: usize = 2 * 1024 * 1024;

/// Reads JSON lines.
#[derive(Debug)]
pub struct JsonlSource {
    given: Given,
}

#[derive(Debug)]
enum Given {
    File(PathBuf),
    Stdin,
}

/// How reading ended.
enum Ended {
    /// At its end, or the pipeline wants no more.
    Done,
    /// The committer wants it read again.
    Replay(String),
}

impl JsonlSource {
    /// A file, or a FIFO.
    #[must_use]
    pub fn file(path: PathBuf) -> Self {
        Self {
            given: Given::File(path),
        }
    }

    /// Standard input.
    #[must_use]
    pub fn stdin() -> Self {
        Self {
            given: Given::Stdin,
        }
    }
}

impl Source for JsonlSource {
    fn run(self: Box<Self>, mut feed: Feed) -> Result<(), SourceError> {
        feed.metrics().set_ready(true);
        match self.given {
            Given::Stdin => read_pipe("standard input", "-", || Ok(std::io::stdin()), &mut feed),
            Given::File(path) => {
                let name = path.display().to_string();
                let metadata = path.metadata().map_err(|source| failed(&name, source))?;
                // One file has one name in the archive, however it was given: its odd lines are known again.
                let place = path
                    .canonicalize()
                    .map_or_else(|_| name.clone(), |path| path.display().to_string());
                if metadata.is_file() {
                    read_file(&path, &name, &Arc::from(place), &mut feed)
                } else {
                    read_pipe(&name, &place, move || File::open(path), &mut feed)
                }
            }
        }
    }
}

fn failed(file: &str, source: std::io::Error) -> SourceError {
    SourceError::File {
        file: file.to_owned(),
        source,
    }
}

fn read_file(
    path: &Path,
    name: &str,
    place: &Arc<str>,
    feed: &mut Feed,
) -> Result<(), SourceError> {
    loop {
        let file = File::open(path).map_err(|source| failed(name, source))?;
        let mut lines = LineBlocks::new(Arc::clone(place), BLOCK_BYTES);
        let ended = read_lines(&mut Whole(file), &mut lines, feed, |_| Told::Stop)
            .map_err(|source| failed(name, source))?;
        match ended {
            Ended::Replay(reason) => {
                tracing::warn!(reason, "the file is read again from its beginning");
            }
            Ended::Done => return Ok(()),
        }
    }
}

fn read_pipe<R: std::io::Read>(
    name: &str,
    place: &str,
    open: impl FnOnce() -> Result<R, std::io::Error> + Send + 'static,
    feed: &mut Feed,
) -> Result<(), SourceError> {
    let mut pipe = Pipe::new(open).map_err(|source| failed(name, source))?;
    let mut lines = LineBlocks::new(Arc::from(place), BLOCK_BYTES);
    let told = |pipe: &Pipe| {
        pipe.stop();
        Told::Drain
    };
    let ended = read_lines(&mut pipe, &mut lines, feed, told);
    match ended.map_err(|source| failed(name, source))? {
        Ended::Replay(reason) => Err(SourceError::CannotReplay {
            input: name.to_owned(),
            reason,
        }),
        Ended::Done => {
            let bytes = lines.unfinished_bytes();
            if bytes > 0 {
                tracing::warn!(
                    input = name,
                    bytes,
                    "a last line that had not ended is left out"
                );
            }
            Ok(())
        }
    }
}

/// What to do when the run is told to end.
enum Told {
    /// Read no more: it can be read again.
    Stop,
    /// Take what was read already.
    Drain,
}

/// Reads to the end, then waits until everything pushed is settled, since the committer may ask for a replay until then.
fn read_lines<I: Input>(
    input: &mut I,
    lines: &mut LineBlocks,
    feed: &mut Feed,
    told: impl Fn(&I) -> Told,
) -> Result<Ended, std::io::Error> {
    loop {
        if let Some(reason) = feed.feedback().take_reset() {
            return Ok(Ended::Replay(reason));
        }
        let draining = feed.stopping();
        if draining && let Told::Stop = told(input) {
            return Ok(Ended::Done);
        }
        let (bytes, records) = match lines.next(input)? {
            Next::Lines(bytes, records) => (bytes, records),
            Next::Nothing if draining => break,
            Next::Nothing => continue,
            Next::End => break,
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
