//! Hashed columns: from the folded value of an id to the few rows that may hold it.
//!
//! Event and message ids are unique and mostly random. A term dictionary over them costs more than all other fields
//! together (25 bytes and half a microsecond an event) to answer a question that a hash answers: which rows to look at.
//! A row found here is a candidate; the value is compared on the row itself.
//!
//! Layout, little-endian: `rows: u32`, `bucket_bits: u32`, `ends: [u32; 2^bucket_bits]` (entries in the buckets up to
//! and including this one), `fingerprints: [u8; n]`, `docs: [u32; n]`. The bucket is the hash's highest bits, the
//! fingerprint its lowest eight; a bucket's entries ascend by row.

use super::terms::stable_hash;

/// Writes a hashed column of `(row, folded value's hash)` pairs, rows ascending.
pub(crate) fn write(entries: &[(u32, u64)], into: &mut Vec<u8>) {
    let bucket_bits = (entries.len() / 4)
        .max(1)
        .next_power_of_two()
        .trailing_zeros();
    let bucket = |hash: u64| {
        if bucket_bits == 0 {
            0
        } else {
            (hash >> (64 - bucket_bits)) as usize
        }
    };
    let mut places = vec![0_u32; 1 << bucket_bits];
    for (_, hash) in entries {
        places[bucket(*hash)] += 1;
    }
    let mut next = 0;
    for place in &mut places {
        let count = *place;
        *place = next;
        next += count;
    }
    let mut fingerprints = vec![0_u8; entries.len()];
    let mut docs = vec![0_u32; entries.len()];
    for (doc, hash) in entries {
        let place = &mut places[bucket(*hash)];
        fingerprints[*place as usize] = *hash as u8;
        docs[*place as usize] = *doc;
        *place += 1;
    }
    into.reserve(8 + places.len() * 4 + entries.len() * 5);
    into.extend_from_slice(&(entries.len() as u32).to_le_bytes());
    into.extend_from_slice(&bucket_bits.to_le_bytes());
    for end in places {
        into.extend_from_slice(&end.to_le_bytes());
    }
    into.extend_from_slice(&fingerprints);
    for doc in docs {
        into.extend_from_slice(&doc.to_le_bytes());
    }
}

/// The hash of a folded value, as hashed columns hold it.
#[must_use]
pub(crate) fn hash(folded: &str) -> u64 {
    stable_hash(folded.as_bytes())
}

/// Reads the rows that may hold a value. `read(from, to)` returns those bytes of the column.
///
/// # Errors
/// What `read` returns, or that the column is not as the layout says.
pub(crate) fn candidates(
    folded: &str,
    mut read: impl FnMut(usize, usize) -> std::io::Result<tantivy::directory::OwnedBytes>,
) -> std::io::Result<Vec<u32>> {
    let wrong = || {
        std::io::Error::new(
            std::io::ErrorKind::InvalidData,
            "a hashed column's length is wrong",
        )
    };
    let word = |bytes: &[u8], at: usize| -> std::io::Result<u32> {
        let bytes = bytes.get(at..at + 4).ok_or_else(wrong)?;
        bytes
            .try_into()
            .map(u32::from_le_bytes)
            .map_err(|_| wrong())
    };
    let head = read(0, 8)?;
    let (entries, bits) = (word(&head, 0)? as usize, word(&head, 4)?);
    if bits > 31 {
        return Err(wrong());
    }
    let hash = hash(folded);
    let bucket = if bits == 0 {
        0
    } else {
        (hash >> (64 - bits)) as usize
    };
    let ends = 8;
    let begin = if bucket == 0 {
        0
    } else {
        word(&read(ends + (bucket - 1) * 4, ends + bucket * 4)?, 0)? as usize
    };
    let end = word(&read(ends + bucket * 4, ends + bucket * 4 + 4)?, 0)? as usize;
    if begin > end || end > entries {
        return Err(wrong());
    }
    let fingerprints = ends + (1_usize << bits) * 4;
    let docs = fingerprints + entries;
    let prints = read(fingerprints + begin, fingerprints + end)?;
    let rows = read(docs + begin * 4, docs + end * 4)?;
    let mut found = Vec::new();
    for (at, print) in prints.iter().enumerate() {
        if *print == hash as u8 {
            found.push(word(&rows, at * 4)?);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;
    use tantivy::directory::OwnedBytes;

    proptest! {
        #[test]
        fn every_row_of_a_value_is_a_candidate(values in prop::collection::vec("[a-c]{0,3}", 0..200)) {
            let entries: Vec<(u32, u64)> = values.iter().enumerate().map(|(doc, value)| (doc as u32, hash(value))).collect();
            let mut bytes = Vec::new();
            write(&entries, &mut bytes);
            let bytes = OwnedBytes::new(bytes);
            for value in values.iter().map(String::as_str).chain(["absent"]) {
                let found = candidates(value, |from, to| Ok(bytes.slice(from..to))).unwrap();
                let expected: Vec<u32> = (0..).zip(&values).filter(|(_, other)| *other == value).map(|(doc, _)| doc).collect();
                prop_assert!(expected.iter().all(|doc| found.contains(doc)));
                prop_assert!(found.is_sorted());
            }
        }
    }
}
