//! Is the chain what it was? Every number is looked at; each edit, deletion, insertion and reordering is named.
//!
//! What the chain alone cannot show: the last entries cut off show against the fence (`txn ledger` in the table), an
//! unsigned last entry exchanged for another, and a rewrite of everything, only against an anchor.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use holdfast_archive::{Archive, LEDGER_APP_ID};
use holdfast_schemas::ledger::snapshot::Snapshot;
use holdfast_schemas::ledger::{Act, Digest, Entry, FOLDER, Params, RecordError, SNAPSHOT_PATH};

use super::LedgerOptions;
use super::error::LedgerError;
use super::load::READS_AT_ONCE;
use super::objects::Objects;
use super::state::{Head, State};
use crate::actor::{keys, roles};
use crate::approval;

/// Missing entries in a row that are named one by one, at most.
const GAP_MAX: u64 = 1_000;

/// What was done to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tampering {
    /// An entry's content was changed, or it was exchanged for another.
    Edited,
    /// An entry is missing, and later ones are there.
    Deleted,
    /// An entry is there that the chain does not go through.
    Inserted,
    /// An entry lies in another's place.
    Reordered,
    /// The last entries are missing: the table is fenced behind the end.
    Truncated,
    /// An entry's parameters were changed.
    ParamsEdited,
    /// An entry's parameters are missing, and no entry removes them.
    ParamsMissing,
    /// An entry of an actor has no signature, or one that is not theirs.
    Signature,
    /// An entry is there that whoever wrote it may not have written: disabled, without the role, without an approval.
    NotAllowed,
    /// The snapshot of the fold says something else than the chain.
    Snapshot,
    /// An object of the ledger cannot be read.
    Unreadable,
}

impl Tampering {
    /// Its word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Deleted => "deleted",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::ParamsEdited => "parameters edited",
            Self::ParamsMissing => "parameters missing",
            Self::Signature => "signature",
            Self::NotAllowed => "not allowed",
            Self::Snapshot => "snapshot",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The entry it is about.
    pub seq: u64,
    /// What was done.
    pub tampering: Tampering,
    /// In words.
    pub text: String,
}

/// What verification found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The last entry of the chain, as far as it holds.
    pub head: Head,
    /// Entries looked at.
    pub entries: u64,
    /// Entries with a valid signature.
    pub signed: u64,
    /// The table's fence.
    pub fence: Option<i64>,
    /// Parameters that stand for no entry: left by a writer that died, or lost a race.
    pub orphans: u64,
    /// Acts of a newer version, each with its last entry.
    pub unknown: BTreeMap<String, u64>,
    /// What is wrong, in the order of entries.
    pub findings: Vec<Finding>,
    /// Hash of every entry that holds, for comparison with an anchor.
    pub hashes: BTreeMap<u64, Digest>,
}

impl Report {
    fn find(&mut self, seq: u64, tampering: Tampering, text: impl Into<String>) {
        self.findings.push(Finding {
            seq,
            tampering,
            text: text.into(),
        });
    }
}

/// One object in the ledger's folder.
struct Place {
    /// The number that its name says.
    slot: u64,
    entry: Result<Entry, String>,
}

/// Verifies the ledger of an archive.
///
/// # Errors
/// The ledger's folder cannot be listed. What can be listed and not read is a finding.
pub async fn verify(archive: &Archive, options: LedgerOptions) -> Result<Report, LedgerError> {
    let objects = Objects::new(archive, options.environment, options.append_time_max);
    let fence = archive.snapshot().await?.position(LEDGER_APP_ID).await?;
    // Before the entries, which only grow: what it stands for is then among them, whoever appends meanwhile.
    let fold_written = objects.get(SNAPSHOT_PATH).await;
    let places = read_places(&objects).await?;
    let mut report = Report {
        head: Head::default(),
        entries: places.len() as u64,
        signed: 0,
        fence,
        orphans: 0,
        unknown: BTreeMap::new(),
        findings: Vec::new(),
        hashes: BTreeMap::new(),
    };
    let chain = arrange(&places, &mut report);
    let last = chain.keys().next_back().copied().unwrap_or(0);
    if let Some(fence) = fence.and_then(|fence| u64::try_from(fence).ok())
        && fence > last
    {
        let text = format!("the table is fenced at entry {fence}, the ledger ends at entry {last}");
        report.find(last + 1, Tampering::Truncated, text);
    }
    links(&chain, &mut report);
    let decoded = words(&objects, &chain, &mut report).await?;
    let folding = Folding::new(&chain, &decoded);
    let state = folding.all(&mut report);
    snapshot(
        &objects,
        fold_written,
        state.as_ref(),
        &folding,
        &mut report,
    )
    .await;
    report.hashes = chain
        .iter()
        .map(|(seq, entry)| (*seq, entry.hash))
        .collect();
    report.findings.sort_by_key(|f| (f.seq, f.tampering));
    report.findings.dedup();
    Ok(report)
}

async fn read_places(objects: &Objects) -> Result<Vec<Place>, LedgerError> {
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
fn arrange(places: &[Place], report: &mut Report) -> BTreeMap<u64, Entry> {
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
fn links(chain: &BTreeMap<u64, Entry>, report: &mut Report) {
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

/// Parameters, those that are what their entries say.
async fn words(
    objects: &Objects,
    chain: &BTreeMap<u64, Entry>,
    report: &mut Report,
) -> Result<BTreeMap<u64, Params>, LedgerError> {
    let reads = chain.values().map(|entry| async move {
        let bytes = objects.get(&entry.params_path()).await;
        Ok::<_, LedgerError>((entry, bytes.map_err(|e| e.to_string())))
    });
    type Read<'e> = (&'e Entry, Result<Option<Bytes>, String>);
    let read: Vec<Read<'_>> = futures::stream::iter(reads)
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    let mut decoded: BTreeMap<u64, Params> = BTreeMap::new();
    for (entry, bytes) in &read {
        match bytes {
            Err(problem) => report.find(entry.seq, Tampering::Unreadable, problem),
            Ok(None) => {}
            Ok(Some(bytes)) => match Params::decode(bytes, &entry.params_digest) {
                Ok(params) if params.act.action() == entry.action && params.seq == entry.seq => {
                    decoded.insert(entry.seq, params);
                }
                Ok(_) => report.find(
                    entry.seq,
                    Tampering::ParamsEdited,
                    "its parameters belong to another entry",
                ),
                Err(RecordError::Hash { .. }) => report.find(
                    entry.seq,
                    Tampering::ParamsEdited,
                    "its parameters are not those that the entry was written with",
                ),
                Err(error @ RecordError::Shape { .. }) => {
                    report.find(entry.seq, Tampering::ParamsEdited, error.to_string());
                }
            },
        }
    }
    orphans(objects, chain, report).await?;
    Ok(decoded)
}

async fn orphans(
    objects: &Objects,
    chain: &BTreeMap<u64, Entry>,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let known: BTreeSet<String> = chain.values().map(Entry::params_path).collect();
    let listed = objects
        .list(holdfast_schemas::ledger::PARAMS_FOLDER)
        .await?;
    report.orphans = listed.iter().filter(|path| !known.contains(*path)).count() as u64;
    Ok(())
}

/// The chain with its words, ready to be folded.
struct Folding<'a> {
    chain: &'a BTreeMap<u64, Entry>,
    decoded: &'a BTreeMap<u64, Params>,
    /// What stands in for words that were removed, by entry.
    removed: BTreeMap<u64, Option<&'a serde_json::Value>>,
}

impl<'a> Folding<'a> {
    fn new(chain: &'a BTreeMap<u64, Entry>, decoded: &'a BTreeMap<u64, Params>) -> Self {
        let removals = decoded.values().filter_map(|params| match &params.act {
            Act::ParamsRemoved(removed) => Some((removed.seq, removed.stand_in.as_ref())),
            _ => None,
        });
        Self {
            chain,
            decoded,
            removed: removals.collect(),
        }
    }

    fn act(&self, seq: u64, entry: &Entry) -> Option<Act> {
        match self.removed.get(&seq) {
            Some(Some(stand_in)) => Act::from_parts(&entry.action, (*stand_in).clone()).ok(),
            Some(None) => None,
            None => self.decoded.get(&seq).map(|params| params.act.clone()),
        }
    }

    fn apply(&self, state: &mut State, seq: u64, entry: &Entry, act: Option<Act>) {
        // As opening does: searches and exports fold without their words.
        let act = act.filter(|_| !Act::folds_without_params(&entry.action));
        let command = self
            .decoded
            .get(&seq)
            .filter(|_| act.is_some() && !self.removed.contains_key(&seq))
            .and_then(|params| params.command.as_deref());
        state.apply(entry, act.as_ref(), command);
    }

    /// Folds all of it, each entry judged against those before it; answers the state when nothing was missing.
    fn all(&self, report: &mut Report) -> Option<State> {
        let mut whole = report.findings.is_empty();
        let unread = report
            .findings
            .iter()
            .filter(|f| matches!(f.tampering, Tampering::ParamsEdited | Tampering::Unreadable));
        let named: BTreeSet<u64> = unread.map(|f| f.seq).collect();
        let mut state = State::default();
        for (seq, entry) in self.chain {
            let act = self.act(*seq, entry);
            let removed = self.removed.contains_key(seq);
            if signature(&state, entry, report) {
                allowed(&state, entry, act.as_ref(), removed, report);
            }
            if act.is_none() && !removed {
                whole = false;
                if !named.contains(seq) {
                    let text = "its parameters are missing, and no entry removes them";
                    report.find(*seq, Tampering::ParamsMissing, text);
                }
            }
            self.apply(&mut state, *seq, entry, act);
        }
        report.unknown = state.unknown.clone();
        report.head = state.head;
        whole.then_some(state)
    }

    /// Goes on from a state to the end of the chain.
    fn rest(&self, mut state: State) -> State {
        for (seq, entry) in self.chain.range(state.head.seq.saturating_add(1)..) {
            self.apply(&mut state, *seq, entry, self.act(*seq, entry));
        }
        state
    }
}

/// From the first actor on, every entry is signed by one. Answers whether that says who wrote it.
fn signature(before: &State, entry: &Entry, report: &mut Report) -> bool {
    let key = before.actors.get(&entry.actor).map(|actor| &actor.key);
    let valid = match (key, &entry.signature) {
        (Some(key), Some(signature)) => keys::verifies(key, &entry.signed_bytes(), signature),
        _ => false,
    };
    if valid {
        report.signed += 1;
    } else if before.has_actors() {
        let text = match (key, &entry.signature) {
            (None, _) => format!("`{}` was no actor then", entry.actor),
            (Some(_), None) => format!("the signature of `{}` is missing", entry.actor),
            (Some(_), Some(_)) => format!("the signature is not that of `{}`", entry.actor),
        };
        report.find(entry.seq, Tampering::Signature, text);
    }
    valid
}

/// Whoever signed an entry must have been allowed to: a key that still works may belong to somebody who was disabled, and
/// a store can be written past Holdfast.
fn allowed(before: &State, entry: &Entry, act: Option<&Act>, removed: bool, report: &mut Report) {
    let Some(act) = act else {
        return;
    };
    let mut judged = roles::may(before, &entry.actor, act);
    // What was approved word for word cannot be compared once the words are gone.
    if !removed {
        judged = judged.and_then(|()| approval::check(before, act));
    }
    if let Err(refusal) = judged {
        report.find(entry.seq, Tampering::NotAllowed, refusal.to_string());
    }
}

/// The snapshot is derived: it must say what the chain says. `written`: as it was before the chain was looked at.
async fn snapshot(
    objects: &Objects,
    written: Result<Option<Bytes>, LedgerError>,
    state: Option<&State>,
    folding: &Folding<'_>,
    report: &mut Report,
) {
    let bytes = match written {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return,
        Err(error) => return report.find(0, Tampering::Unreadable, error.to_string()),
    };
    let Some((seq, problem)) = says_otherwise(&bytes, state, folding) else {
        return;
    };
    // One that was exchanged meanwhile is looked at next time.
    if let Ok(Some(now)) = objects.get(SNAPSHOT_PATH).await
        && now != bytes
    {
        return;
    }
    report.find(seq, Tampering::Snapshot, problem);
}

/// What is wrong with a snapshot, and the entry it stands for.
fn says_otherwise(
    bytes: &Bytes,
    state: Option<&State>,
    folding: &Folding<'_>,
) -> Option<(u64, String)> {
    let snapshot = match Snapshot::decode(bytes) {
        Ok(Some(snapshot)) => snapshot,
        Ok(None) => return None,
        Err(error) => return Some((0, error.to_string())),
    };
    let seq = snapshot.seq;
    let found = |problem: &str| Some((seq, problem.to_owned()));
    match folding.chain.get(&seq) {
        Some(entry) if entry.hash == snapshot.hash => {}
        Some(_) | None => return found("it stands for no entry of the chain"),
    }
    let state = state?;
    let Ok(said) = serde_json::from_str::<State>(snapshot.state.get()) else {
        return found("its state cannot be read");
    };
    if said.head.seq != seq {
        return found("its state is that of another entry");
    }
    let mut removed = folding.removed.keys().take_while(|gone| **gone <= seq);
    if removed.any(|gone| !said.removed.contains_key(gone)) {
        return found("it may hold words that were removed since");
    }
    // The fold goes on from what it says to the end: it must get where the chain gets.
    match folding.rest(said) == *state {
        true => None,
        false => found("it says something else than the chain"),
    }
}
