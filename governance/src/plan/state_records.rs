//! State records: those that may go by the rules stay while something they explain does.

use roaring::RoaringBitmap;

use super::Basis;
use super::families::Family;
use super::scan::StateRow;
use super::tally::Counting;
use crate::family::{Interval, KeptDays, Record, intervals};

/// Decides on the state records of the segments that were scanned, which come with the number of their segment. `others`:
/// those of their chains that stay. What goes is added to `goes`; answers what it explained, and when.
pub(super) fn decide(
    records: &[(usize, StateRow)],
    others: &[Record],
    kept: &KeptDays,
    basis: &Basis,
    goes: &mut [RoaringBitmap],
    counting: &mut Counting,
) -> Vec<(Vec<u64>, Interval)> {
    let mut gone = Vec::new();
    let placed: Vec<Record> = records
        .iter()
        .map(|(_, row)| Record {
            chain: row.chain.id,
            time_us: row.judged.time_us,
            backward: row.chain.backward,
        })
        .chain(others.iter().copied())
        .collect();
    for ((segment, row), interval) in records.iter().zip(intervals(&placed)) {
        let mut family = Family::of(&row.judged, false);
        let explains = family.goes(basis)
            && row
                .chain
                .domains
                .iter()
                .any(|domain| kept.any(*domain, interval));
        if explains {
            family = family.explaining();
        }
        if family.goes(basis) {
            goes[*segment].insert(row.row);
            gone.push((row.chain.domains.clone(), interval));
            counting.families += 1;
            counting.goes(
                row.room.as_deref(),
                row.judged.time_us,
                row.judged.means.deleting,
            );
        } else if let Some(reason) = family.stays_because(&row.judged, basis) {
            counting.stays(reason);
        }
    }
    gone
}
