//! The events that everything is measured with.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use holdfast_fixtures::{Generator, Profile};
use holdfast_schemas::decode::decode;

/// A file of events, one JSON object a line.
#[derive(Debug)]
pub(crate) struct Events {
    /// Where they are.
    pub(crate) path: PathBuf,
    /// How many.
    pub(crate) count: u64,
    /// A word in few events.
    pub(crate) rare: String,
    /// A word in many.
    pub(crate) common: String,
    generated: bool,
    bytes: u64,
}

/// Share of the events that a common word is in: about the most frequent word that is not in every other sentence.
const COMMON_SHARE: f64 = 0.05;
/// Events that a rare word is in.
const RARE_EVENTS: u64 = 10;
const SEED: u64 = 1;

impl Events {
    /// Uses the file given, or generates one in `folder`.
    pub(crate) fn prepare(given: Option<&Path>, count: u64, folder: &Path) -> Result<Self> {
        let path = match given {
            Some(path) => path.to_owned(),
            None => generate(count, &folder.join("events.jsonl"))?,
        };
        let (count, rare, common) = survey(&path)?;
        let bytes = path.metadata()?.len();
        Ok(Self {
            path,
            count,
            rare,
            common,
            generated: given.is_none(),
            bytes,
        })
    }

    /// One line for people.
    pub(crate) fn describe(&self) -> String {
        let origin = if self.generated {
            format!("generated, seed {SEED}")
        } else {
            "given".to_owned()
        };
        format!(
            "{} events ({origin}), {} bytes each; rare word {:?}, common word {:?}",
            self.count,
            self.bytes / self.count.max(1),
            self.rare,
            self.common
        )
    }
}

/// Writes a file of generated chat.
pub(crate) fn generate(count: u64, path: &Path) -> Result<PathBuf> {
    let mut generator = Generator::new(Profile::messages(SEED, count));
    let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
    let mut line = Vec::new();
    while generator.write_next(&mut line).is_some() {
        line.push(b'\n');
        out.write_all(&line)?;
        line.clear();
    }
    out.flush()?;
    Ok(path.to_owned())
}

/// Counts the events and picks the words to search for.
fn survey(path: &Path) -> Result<(u64, String, String)> {
    let file = File::open(path).with_context(|| path.display().to_string())?;
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut count, mut words, mut line) = (0, HashMap::<String, u64>::new(), Vec::new());
    while reader.read_until(b'\n', &mut line)? > 0 {
        let event = decode(line.trim_ascii_end())?;
        let body = event.message.body.unwrap_or_default();
        // Plain lower-case words of ASCII letters: a term to every tokenizer of the comparison.
        let mut of_event: Vec<_> = body
            .split(' ')
            .filter(|w| w.len() > 3 && w.bytes().all(|b| b.is_ascii_lowercase()))
            .collect();
        of_event.sort_unstable();
        of_event.dedup();
        for word in of_event {
            *words.entry(word.to_owned()).or_default() += 1;
        }
        count += 1;
        line.clear();
    }
    let nearest = |wanted: u64| {
        let nearest = words
            .iter()
            .min_by_key(|(word, n)| (n.abs_diff(wanted), (*word).clone()));
        nearest
            .map(|(word, _)| word.clone())
            .context("no event has a word")
    };
    Ok((
        count,
        nearest(RARE_EVENTS)?,
        nearest((count as f64 * COMMON_SHARE) as u64)?,
    ))
}
