//! What is remembered of a segment, so that a plan need not read its columns again: a file beside its split, made by the
//! first plan that meets the segment, never changed, and no more than a cache. What is missing, damaged or of another
//! making is made anew; a store that takes no writes keeps none.
//!
//! ```text
//! index/event_year=<year>/<ulid>.memory
//!   "HFMEM3\n\0"   which keys these are   rows   SHA-256 of the segment's file, or zeros
//!   subjects (a bit each)   keys of follow-ups   keys of files
//!   40 bits of every key, ascending   domains and their days   state records
//!   SHA-256 of everything before
//! ```
//! Numbers are LEB128; keys and domains, where they are whole, eight bytes, little-endian. Keys are hashes of ids: the file
//! holds no word of any event.

use std::collections::BTreeSet;

use bytes::Bytes;
use holdfast_archive::{Archive, Segment};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use sha2::{Digest as _, Sha256};

use crate::family::{Reach, Record, Subject, message_key};

const MAGIC: &[u8; 8] = b"HFMEM3\n\0";
const SUBJECTS: [Subject; 9] = [
    Subject::Room,
    Subject::Member,
    Subject::Session,
    Subject::Snapshot,
    Subject::Viewed,
    Subject::Category,
    Subject::User,
    Subject::Node,
    Subject::Origin,
];
/// By the byte that stands for each.
const REACHES: [Reach; 3] = [Reach::Neighbours, Reach::Backward, Reach::Everything];
/// Bits of a key that are dropped: what is left tells a thousand families from a million others, mostly.
const DROPPED: u32 = 24;

/// Which families of a segment have several events, and which state records there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Head {
    /// Keys of messages that have more than their first version, ascending.
    pub(super) tied: Vec<u64>,
    /// Keys of files that were uploaded or downloaded, ascending.
    pub(super) files: Vec<u64>,
    /// Subjects of which there are state records.
    pub(super) subjects: BTreeSet<Subject>,
}

/// Everything else that another segment's families and state records can ask.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Tail {
    /// Parts of every key of a message or file, ascending ([`part`]).
    pub(super) keys: Vec<u64>,
    /// By domain, ascending: the days since 1970 on which it has events that are no state records, or are named in one.
    pub(super) days: Vec<(u64, Vec<i64>)>,
    /// The state records.
    pub(super) records: Vec<Record>,
}

/// What is remembered of one segment.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Memory {
    pub(super) head: Head,
    pub(super) tail: Tail,
}

/// The part of a key that is remembered of every event.
pub(super) fn part(key: u64) -> u64 {
    key >> DROPPED
}

impl Tail {
    /// Whether a family may have an event here. `parts`: parts of its keys, ascending.
    pub(super) fn may_hold(&self, parts: &[u64]) -> bool {
        let (few, many) = match parts.len() < self.keys.len() {
            true => (parts, &self.keys[..]),
            false => (&self.keys[..], parts),
        };
        let mut rest = many;
        for part in few {
            rest = &rest[rest.partition_point(|other| other < part)..];
            if rest.first() == Some(part) {
                return true;
            }
        }
        false
    }
}

/// Where it lies, relative to the archive.
pub(crate) fn path(segment: &str) -> String {
    let stem = segment.strip_suffix(".parquet").unwrap_or(segment);
    format!("index/{stem}.memory")
}

/// What is remembered of a segment, if it is.
pub(super) async fn load(archive: &Archive, segment: &Segment) -> Option<Memory> {
    let path = Path::from(path(&segment.path));
    let bytes = archive.store().get(&path).await.ok()?.bytes().await.ok()?;
    decode(&bytes, segment)
}

/// Remembers; answers whether it could. What cannot be written is made anew by the next plan.
pub(super) async fn store(archive: &Archive, segment: &Segment, memory: &Memory) -> bool {
    let path = path(&segment.path);
    let bytes = Bytes::from(encode(memory, segment));
    let to = Path::from(path.as_str());
    let put = archive.store().put(&to, bytes.into()).await;
    if let Err(error) = &put {
        tracing::debug!(path, %error, "what a plan learnt of a segment is not remembered");
    }
    put.is_ok()
}

/// The hash of something fixed: another one, and the keys mean nothing to this program.
fn canary() -> u64 {
    message_key(Some("holdfast"), "which keys are these?")
}

fn encode(memory: &Memory, segment: &Segment) -> Vec<u8> {
    let Memory { head, tail } = memory;
    let mut out = Vec::with_capacity(256 + tail.keys.len() * 4);
    out.extend(MAGIC);
    out.extend(canary().to_le_bytes());
    out.extend(segment.rows.to_le_bytes());
    out.extend(segment.sha256.unwrap_or_default());
    let bits = SUBJECTS.iter().zip(0..);
    let bits = bits.filter(|(subject, _)| head.subjects.contains(subject));
    number(bits.fold(0, |bits, (_, place)| bits | 1 << place), &mut out);
    for keys in [&head.tied, &head.files] {
        number(keys.len() as u64, &mut out);
        out.extend(keys.iter().flat_map(|key| key.to_le_bytes()));
    }
    number(tail.keys.len() as u64, &mut out);
    let mut last = 0;
    for key in &tail.keys {
        number(key - last, &mut out);
        last = *key;
    }
    number(tail.days.len() as u64, &mut out);
    for (domain, days) in &tail.days {
        out.extend(domain.to_le_bytes());
        number(days.len() as u64, &mut out);
        let mut last = 0;
        for day in days {
            number(zigzag(day - last), &mut out);
            last = *day;
        }
    }
    number(tail.records.len() as u64, &mut out);
    for record in &tail.records {
        out.extend(record.chain.to_le_bytes());
        out.extend(record.time_us.to_le_bytes());
        out.push(
            REACHES
                .iter()
                .position(|reach| *reach == record.reach)
                .unwrap_or(0) as u8,
        );
    }
    let digest = Sha256::digest(&out);
    out.extend(digest);
    out
}

fn decode(bytes: &[u8], segment: &Segment) -> Option<Memory> {
    let (body, digest) = bytes.split_last_chunk::<32>()?;
    if Sha256::digest(body)[..] != digest[..] {
        return None;
    }
    let mut read = Reader(body);
    let ours = read.chunk::<8>()? == *MAGIC
        && read.word()? == canary()
        && read.word()? == segment.rows
        && read.chunk::<32>()? == segment.sha256.unwrap_or_default();
    if !ours {
        return None;
    }
    let bits = read.number()?;
    let subjects = SUBJECTS.iter().zip(0..);
    let subjects = subjects.filter(|(_, place)| bits >> place & 1 == 1);
    let head = Head {
        subjects: subjects.map(|(subject, _)| *subject).collect(),
        tied: read.words()?,
        files: read.words()?,
    };
    let tail = Tail {
        keys: read.keys()?,
        days: read.days()?,
        records: read.records()?,
    };
    read.0.is_empty().then_some(Memory { head, tail })
}

fn number(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn chunk<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (chunk, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*chunk)
    }

    fn word(&mut self) -> Option<u64> {
        self.chunk().map(u64::from_le_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = self.chunk()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    /// A count of things of at least so many bytes each: no more than can be there.
    fn count(&mut self, bytes: usize) -> Option<usize> {
        let count = usize::try_from(self.number()?).ok()?;
        (count <= self.0.len() / bytes).then_some(count)
    }

    fn words(&mut self) -> Option<Vec<u64>> {
        let count = self.count(8)?;
        (0..count).map(|_| self.word()).collect()
    }

    fn keys(&mut self) -> Option<Vec<u64>> {
        let count = self.count(1)?;
        let mut last = 0u64;
        let mut key = || {
            last = last.checked_add(self.number()?)?;
            Some(last)
        };
        (0..count).map(|_| key()).collect()
    }

    fn days(&mut self) -> Option<Vec<(u64, Vec<i64>)>> {
        let count = self.count(9)?;
        let mut one = || {
            let domain = self.word()?;
            let count = self.count(1)?;
            let mut last = 0i64;
            let mut day = || {
                let step = self.number()?;
                let step = (step >> 1).cast_signed() ^ -(step & 1).cast_signed();
                last = last.checked_add(step)?;
                Some(last)
            };
            let days: Option<Vec<i64>> = (0..count).map(|_| day()).collect();
            Some((domain, days?))
        };
        (0..count).map(|_| one()).collect()
    }

    fn records(&mut self) -> Option<Vec<Record>> {
        let count = self.count(17)?;
        let mut one = || {
            Some(Record {
                chain: self.word()?,
                time_us: self.word()?.cast_signed(),
                reach: *REACHES.get(usize::from(self.chunk::<1>()?[0]))?,
            })
        };
        (0..count).map(|_| one()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_archive::SegmentStats;
    use proptest::prelude::*;

    fn segment(rows: u64) -> Segment {
        Segment {
            path: "event_year=2026/01ARZ3NDEKTSV4RRFFQ69G5FAV.parquet".to_owned(),
            event_year: 2026,
            rows,
            bytes: 1,
            base_row_id: 0,
            commit_version: 1,
            sha256: Some([7; 32]),
            stats: SegmentStats::default(),
        }
    }

    fn record() -> impl Strategy<Value = Record> {
        (any::<u64>(), any::<i64>(), 0..REACHES.len()).prop_map(|(chain, time_us, reach)| Record {
            chain,
            time_us,
            reach: REACHES[reach],
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_what_was_changed_is_not(
            tied: Vec<u64>, files: Vec<u64>, bits in 0u32..512, mut keys in proptest::collection::vec(0u64..1 << 40, 0..50),
            days in proptest::collection::vec((any::<u64>(), proptest::collection::vec(-9_000_000i64..9_000_000, 0..9)), 0..9),
            records in proptest::collection::vec(record(), 0..9), at: prop::sample::Index, flip in 1u8..,
        ) {
            keys.sort_unstable();
            let subjects = SUBJECTS.iter().zip(0..).filter(|(_, place)| bits >> place & 1 == 1);
            let memory = Memory {
                head: Head { tied, files, subjects: subjects.map(|(subject, _)| *subject).collect() },
                tail: Tail { keys, days, records },
            };
            let mut bytes = encode(&memory, &segment(9));
            let found = decode(&bytes, &segment(9));
            prop_assert_eq!(found.as_ref(), Some(&memory));
            prop_assert_eq!(decode(&bytes, &segment(8)), None);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(decode(&bytes, &segment(9)), None);
            bytes.truncate(at);
            prop_assert_eq!(decode(&bytes, &segment(9)), None);
        }

        #[test]
        fn a_family_is_found_wherever_it_is(mut keys in proptest::collection::vec(0u64..60, 0..30), mut parts in proptest::collection::vec(0u64..60, 0..30)) {
            keys.sort_unstable();
            parts.sort_unstable();
            let shared = parts.iter().any(|part| keys.contains(part));
            let tail = Tail { keys, ..Tail::default() };
            prop_assert_eq!(tail.may_hold(&parts), shared);
        }
    }

    #[test]
    fn every_subject_has_its_bit() {
        let all: BTreeSet<Subject> = SUBJECTS.into_iter().collect();
        assert_eq!(all.len(), SUBJECTS.len());
        for known in holdfast_schemas::event_type::KNOWN {
            if let Some(crate::family::Class::State(subject)) =
                crate::family::contract_class(known.name)
            {
                assert!(all.contains(&subject), "{}", known.name);
            }
        }
    }
}
