//! State records: those that may go by the rules stay while something they explain does. Who somebody was is explained of
//! records, too: of a join that stays, the user's record stays.

use super::Basis;
use super::families::Family;
use super::going::Going;
use super::scan::StateRow;
use super::tally::Counting;
use crate::family::{Interval, KeptDays, Record, intervals};

/// Decides on the state records of the segments that were scanned, which come with the number of their segment. `others`:
/// those of their chains that stay. What goes is added to `goes`; answers what it explained, and when.
pub(super) fn decide(
    records: &[(usize, StateRow)],
    others: &[Record],
    kept: KeptDays,
    basis: &Basis,
    goes: &mut [Going],
    counting: &mut Counting,
) -> Vec<(Vec<u64>, Interval)> {
    let mut gone = Vec::new();
    let placed: Vec<Record> = records
        .iter()
        .map(|(_, row)| Record {
            chain: row.chain.id,
            time_us: row.judged.time_us,
            reach: row.chain.reach,
        })
        .chain(others.iter().copied())
        .collect();
    let intervals = intervals(&placed);
    let families = families(records, &intervals, kept, basis);
    for (((segment, row), interval), family) in records.iter().zip(intervals).zip(families) {
        if family.goes(basis) {
            goes[*segment].insert(row.row, row.judged.means.deleting);
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

/// Each record as a family, those that explain something that stays marked. What stays names users, whose records then
/// explain it: until no more stay, those that would go are looked at again.
fn families(
    records: &[(usize, StateRow)],
    intervals: &[Interval],
    mut kept: KeptDays,
    basis: &Basis,
) -> Vec<Family> {
    let mut families: Vec<Family> = records
        .iter()
        .map(|(_, row)| Family::of(&row.judged, false))
        .collect();
    let stay = |kept: &mut KeptDays, row: &StateRow| {
        row.users
            .iter()
            .for_each(|user| kept.mark(*user, row.judged.time_us));
    };
    let mut open: Vec<usize> = Vec::new();
    for (place, (_, row)) in records.iter().enumerate() {
        match families[place].goes(basis) {
            true => open.push(place),
            false => stay(&mut kept, row),
        }
    }
    loop {
        let before = open.len();
        open.retain(|place| {
            let (row, interval) = (&records[*place].1, intervals[*place]);
            let mut domains = row.chain.domains.iter();
            let explains = domains.any(|domain| kept.any(*domain, interval));
            if explains {
                families[*place] = families[*place].explaining();
                stay(&mut kept, row);
            }
            !explains
        });
        if open.len() == before {
            return families;
        }
    }
}
