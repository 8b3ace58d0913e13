//! The entries by their numbers: each in its place, none missing, each after the one before it.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt};
use holdfast_schemas::ledger::{Digest, Entry, FOLDER};

use super::{Report, Tampering};
use crate::ledger::error::LedgerError;
use crate::ledger::load::READS_AT_ONCE;
use crate::ledger::objects::Objects;

/// Missing entries in a row that are named one by one, at most.
const GAP_MAX: u64 = 1_000;

/// One object in the ledger's folder.
pub(super) struct Place {
    /// The number that its name says.
    slot: u64,
    entry: Result<Entry, String>,
}

/// Every entry's object.
///
/// # Errors
/// The folder cannot be listed.
pub(super) async fn read_places(objects: &Objects) -> Result<Vec<Place>, LedgerError> {
    let mut slots: Vec<u64> = objects
        .list(FOLDER)
        .await?
        .iter()
        .filter_map(|path| slot_of(path))
        .collect();
    slots.sort_unstable();
    let reads = slots.into_iter().map(|slot| async move {
        let entry = match objects.get(&Entry::path(slot)).await {
            Ok(Some(bytes)) => Entry::decode(&bytes).map_err(|e| e.to_string()),
            // Listed, and gone when it was asked for.
            Ok(None) => Err("it was listed and is not there".to_owned()),
            Err(error) => Err(error.to_string()),
        };
        Ok::<_, LedgerError>(Place { slot, entry })
    });
    futures::stream::iter(reads)
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await
}

fn slot_of(path: &str) -> Option<u64> {
    let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
    let digits = name.strip_suffix(".json")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()))
        .then(|| digits.parse().ok())
        .flatten()
}

/// Puts entries at the numbers they themselves say, and names what does not lie where it belongs.
pub(super) fn arrange(places: &[Place], report: &mut Report) -> BTreeMap<u64, Entry> {
    let mut said: BTreeMap<u64, Vec<(u64, &Entry)>> = BTreeMap::new();
    let mut unreadable = BTreeSet::new();
    for Place { slot, entry } in places {
        match entry {
            Ok(entry) => said.entry(entry.seq).or_default().push((*slot, entry)),
            Err(problem) => {
                unreadable.insert(*slot);
                report.find(*slot, Tampering::Edited, problem);
            }
        }
    }
    let mut chain: BTreeMap<u64, Entry> = BTreeMap::new();
    let mut lies_at = Vec::new();
    for (seq, candidates) in &said {
        let before = seq.checked_sub(1).and_then(|before| chain.get(&before));
        let genuine = candidates
            .iter()
            .find(|(_, entry)| before.is_none_or(|before| entry.prev_hash == before.hash))
            .or(candidates.first());
        let Some((slot, entry)) = genuine else {
            continue;
        };
        for (other, _) in candidates.iter().filter(|(other, _)| other != slot) {
            let text = format!("a second entry {seq} lies in the place of entry {other}");
            report.find(*other, Tampering::Inserted, text);
        }
        lies_at.push((*slot, *seq));
        chain.insert(*seq, Entry::clone(entry));
    }
    let there: BTreeSet<u64> = said.keys().chain(&unreadable).copied().collect();
    missing(&there, said.keys().next_back().copied(), report);
    // By place, the numbers must ascend; a shift of all later ones by an insertion or a deletion does.
    lies_at.sort_unstable();
    let mut highest = 0;
    let mut shifted = Vec::new();
    for (slot, seq) in lies_at {
        if seq < highest || seq == 0 {
            report.find(
                seq,
                Tampering::Reordered,
                format!("it lies in the place of entry {slot}"),
            );
        } else if slot != seq {
            shifted.push((slot, seq));
        }
        highest = highest.max(seq);
    }
    name_shift(&shifted, report);
    chain
}

/// Numbers up to the last one said that nothing has. A long gap is one finding: whoever puts an entry with a huge number must
/// not fill the report.
fn missing(there: &BTreeSet<u64>, last: Option<u64>, report: &mut Report) {
    let mut next = 1;
    let last = last.unwrap_or(0);
    let upto = there
        .iter()
        .skip_while(|seq| **seq == 0)
        .take_while(|seq| **seq <= last);
    for seq in upto {
        let gap = next..*seq;
        if gap.end - gap.start > GAP_MAX {
            let text = format!(
                "entries {} to {} are missing, and later entries are there",
                gap.start,
                gap.end - 1
            );
            report.find(gap.start, Tampering::Deleted, text);
        } else {
            for seq in gap {
                let text = "it is missing, and later entries are there";
                report.find(seq, Tampering::Deleted, text);
            }
        }
        next = seq.saturating_add(1);
    }
}

/// Entries that ascend and yet lie elsewhere: explained by a finding before them, or a reordering of their own.
fn name_shift(shifted: &[(u64, u64)], report: &mut Report) {
    for (slot, seq) in shifted {
        let explained = report.findings.iter().any(|f| {
            matches!(
                f.tampering,
                Tampering::Deleted | Tampering::Inserted | Tampering::Reordered
            ) && f.seq <= (*slot).max(*seq)
        });
        if !explained {
            let text = format!("it lies in the place of entry {slot}");
            report.find(*seq, Tampering::Reordered, text);
        }
    }
}

/// Each entry names the one before it. Where the link is broken, the one before is not what it was: whoever edits an
/// entry and hashes it anew leaves the next one's `prev_hash` behind.
pub(super) fn links(chain: &BTreeMap<u64, Entry>, report: &mut Report) {
    for (seq, entry) in chain {
        let named = match seq.checked_sub(1) {
            Some(0) => Some(Digest::ZERO),
            Some(before) => chain.get(&before).map(|before| before.hash),
            None => None,
        };
        match named {
            Some(hash) if hash != entry.prev_hash && *seq == 1 => {
                report.find(1, Tampering::Edited, "the first entry names one before it");
            }
            Some(hash) if hash != entry.prev_hash => {
                let text = format!("entry {seq} was written after another entry {}", seq - 1);
                report.find(seq - 1, Tampering::Edited, text);
            }
            Some(_) => {}
            // What is missing was named already.
            None => {}
        }
    }
}
