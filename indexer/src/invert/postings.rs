//! Postings of numbered terms, laid out by a counting sort and written by Tantivy's serializer.

use tantivy::postings::FieldSerializer;

use super::terms::TermTable;
use crate::error::IndexError;

/// Occurrences laid out at a time. Bounds the memory of the sort: 8 bytes each.
const BATCH_OCCURRENCES: usize = 6 << 20;

/// Consecutive tokens of one document: token `first` stands at `position`, the next ones follow.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Run {
    pub(crate) doc: u32,
    pub(crate) first: u32,
    pub(crate) position: u32,
}

/// Terms in their sorted order: where each begins in `bytes`, and the place of each number in that order.
struct Order {
    bytes: Vec<u8>,
    starts: Vec<u64>,
    rank_of: Vec<u32>,
}

impl Order {
    fn of(table: &TermTable) -> Self {
        let mut order = Self {
            bytes: Vec::new(),
            starts: Vec::with_capacity(table.len() + 1),
            rank_of: vec![0; table.len()],
        };
        let mut rank = 0;
        let each = |term: super::terms::SortedTerm<'_>| -> Result<(), std::convert::Infallible> {
            order.starts.push(order.bytes.len() as u64);
            order.bytes.extend_from_slice(term.bytes);
            order.rank_of[term.number as usize] = rank;
            rank += 1;
            Ok(())
        };
        let Ok(()) = table.sorted(each);
        order.starts.push(order.bytes.len() as u64);
        order
    }

    fn term(&self, rank: usize) -> &[u8] {
        &self.bytes[self.starts[rank] as usize..self.starts[rank + 1] as usize]
    }

    /// Occurrences of each rank.
    fn counts(&self, tokens: &[u32]) -> Vec<u32> {
        let mut counts = vec![0_u32; self.rank_of.len()];
        for number in tokens {
            counts[*number as usize] += 1;
        }
        let mut by_rank = vec![0_u32; counts.len()];
        for (number, count) in counts.into_iter().enumerate() {
            by_rank[self.rank_of[number] as usize] = count;
        }
        by_rank
    }
}

/// Cuts ranks into batches of at most [`BATCH_OCCURRENCES`], or one rank.
fn batches(counts: &[u32]) -> Vec<std::ops::Range<usize>> {
    let mut ranges = Vec::new();
    let (mut from, mut held) = (0, 0_usize);
    for (rank, count) in counts.iter().enumerate() {
        if held > 0 && held + *count as usize > BATCH_OCCURRENCES {
            ranges.push(from..rank);
            (from, held) = (rank, 0);
        }
        held += *count as usize;
    }
    if from < counts.len() {
        ranges.push(from..counts.len());
    }
    ranges
}

/// Where each rank of a batch begins among the batch's occurrences.
fn offsets(counts: &[u32]) -> Vec<u32> {
    let mut next = 0;
    counts
        .iter()
        .map(|count| {
            let begin = next;
            next += count;
            begin
        })
        .collect()
}

/// Writes terms with the documents and positions they occur at.
///
/// `tokens` are term numbers in the order of `runs`, which ascend by document and, within it, by position.
pub(crate) fn write_positions(
    table: &TermTable,
    tokens: &[u32],
    runs: &[Run],
    into: &mut FieldSerializer<'_>,
) -> Result<(), IndexError> {
    let order = Order::of(table);
    let counts = order.counts(tokens);
    let mut occurrences: Vec<u64> = Vec::new();
    let mut deltas = Vec::new();
    for range in batches(&counts) {
        let counts = &counts[range.clone()];
        let mut ends = offsets(counts);
        occurrences.clear();
        occurrences.resize(counts.iter().map(|count| *count as usize).sum(), 0);
        for (at, run) in runs.iter().enumerate() {
            let end = runs
                .get(at + 1)
                .map_or(tokens.len(), |next| next.first as usize);
            let first = u64::from(run.doc) << 32 | u64::from(run.position);
            for (packed, number) in (first..).zip(&tokens[run.first as usize..end]) {
                // Wrapping turns a rank before the batch into a large number, so that one comparison decides.
                let place = (order.rank_of[*number as usize] as usize).wrapping_sub(range.start);
                if let Some(end) = ends.get_mut(place) {
                    occurrences[*end as usize] = packed;
                    *end += 1;
                }
            }
        }
        let mut begin = 0;
        for (place, count) in counts.iter().enumerate() {
            let end = begin + *count as usize;
            write_term(
                order.term(range.start + place),
                &occurrences[begin..end],
                &mut deltas,
                into,
            )?;
            begin = end;
        }
    }
    Ok(())
}

fn write_term(
    term: &[u8],
    occurrences: &[u64],
    deltas: &mut Vec<u32>,
    into: &mut FieldSerializer<'_>,
) -> Result<(), IndexError> {
    into.new_term(term, 0, true)?;
    let mut rest = occurrences;
    while let Some(first) = rest.first() {
        let doc = (first >> 32) as u32;
        deltas.clear();
        let mut before = 0;
        let mut taken = 0;
        for packed in rest {
            if (packed >> 32) as u32 != doc {
                break;
            }
            let position = *packed as u32;
            deltas.push(position - before);
            before = position;
            taken += 1;
        }
        into.write_doc(doc, deltas.len() as u32, deltas);
        rest = &rest[taken..];
    }
    into.close_term()?;
    Ok(())
}

/// Marks a place without a value in the table of [`write_docs`].
pub(crate) const NONE: u32 = u32::MAX;

/// Writes terms with the documents they occur in.
///
/// `numbers` holds `width` term numbers a document ([`NONE`] for none). `prefix` is put before every term.
pub(crate) fn write_docs(
    table: &TermTable,
    numbers: &[u32],
    width: usize,
    prefix: u8,
    into: &mut FieldSerializer<'_>,
) -> Result<(), IndexError> {
    let mut ends = vec![0_u32; table.len()];
    for number in numbers.iter().filter(|number| **number != NONE) {
        ends[*number as usize] += 1;
    }
    let counts = ends.clone();
    let mut next = 0;
    for end in &mut ends {
        let count = *end;
        *end = next;
        next += count;
    }
    let begins = ends.clone();
    let mut docs = vec![0_u32; next as usize];
    for (doc, row) in numbers.chunks_exact(width).enumerate() {
        for number in row.iter().filter(|number| **number != NONE) {
            let end = &mut ends[*number as usize];
            docs[*end as usize] = doc as u32;
            *end += 1;
        }
    }
    let mut key = Vec::new();
    table.sorted(|term| {
        let number = term.number as usize;
        let begin = begins[number] as usize;
        key.clear();
        key.push(prefix);
        key.extend_from_slice(term.bytes);
        into.new_term_without_freq(&key)?;
        // Two properties of one document may hold the same value (an actor whose id is the address): it counts once.
        let mut last = None;
        for doc in &docs[begin..begin + counts[number] as usize] {
            if last != Some(*doc) {
                into.write_doc(*doc, 0, &[]);
                last = Some(*doc);
            }
        }
        into.close_term()?;
        Ok(())
    })
}
