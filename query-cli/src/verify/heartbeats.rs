//! Heartbeats: their rolling digests, recomputed from the events.
//!
//! A digest is SHA-256 over the one before and the next event's hash, in the order of sequences. From one heartbeat to the
//! next it takes nothing but the events between: so what came before may be gone.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use super::report::Problem;

/// Name of this check.
pub const CHECK: &str = "heartbeats";

/// One heartbeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beat {
    /// Its own sequence.
    pub sequence: u64,
    /// The last sequence that it counted.
    pub through: u64,
    /// What it says of them.
    pub digest: [u8; 32],
}

/// What came of an origin's heartbeats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Beats {
    /// Digests that the events give.
    pub agree: u64,
    /// Digests that they do not.
    pub differ: u64,
    /// Digests that cannot be recomputed, since something before them is missing.
    pub open: u64,
}

/// Recomputes the digests of one origin. `hashes`: of every event that is there, or was disposed of, by sequence.
#[must_use]
pub fn check(
    origin: &str,
    hashes: &BTreeMap<u64, [u8; 32]>,
    beats: &[Beat],
) -> (Beats, Vec<Problem>) {
    let (mut found, mut problems) = (Beats::default(), Vec::new());
    let mut beats: Vec<&Beat> = beats.iter().collect();
    beats.sort_by_key(|beat| beat.through);
    // The contract leaves open what the first one goes on from: the digest of nothing, or zeros.
    let mut known = vec![(0, Sha256::digest(b"").into()), (0, [0; 32])];
    for beat in beats {
        let rolled = known
            .iter()
            .map(|(from, digest)| rolled(hashes, *from, *digest, beat.through));
        let rolled: Vec<Option<[u8; 32]>> = rolled.collect();
        if rolled.iter().flatten().any(|digest| *digest == beat.digest) {
            found.agree += 1;
        } else if rolled.iter().all(Option::is_none) {
            found.open += 1;
        } else {
            found.differ += 1;
            problems.push(Problem {
                check: CHECK,
                place: format!("{origin}, sequence {}", beat.sequence),
                message: format!(
                    "says {} of the events through {}; the events here say otherwise",
                    hex::encode(beat.digest),
                    beat.through
                ),
            });
        }
        known = vec![(beat.through, beat.digest)];
    }
    (found, problems)
}

/// The digest through an event, from another one on; nothing when an event between is missing.
fn rolled(
    hashes: &BTreeMap<u64, [u8; 32]>,
    from: u64,
    digest: [u8; 32],
    through: u64,
) -> Option<[u8; 32]> {
    let mut digest = digest;
    let mut next = from + 1;
    for (sequence, hash) in hashes.range(next..=through) {
        if *sequence != next {
            return None;
        }
        digest = Sha256::new()
            .chain_update(digest)
            .chain_update(hash)
            .finalize()
            .into();
        next += 1;
    }
    (next == through + 1).then_some(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(count: u64) -> BTreeMap<u64, [u8; 32]> {
        (1..=count)
            .map(|n| (n, Sha256::digest(n.to_be_bytes()).into()))
            .collect()
    }

    fn beat(hashes: &BTreeMap<u64, [u8; 32]>, through: u64) -> Beat {
        Beat {
            sequence: through + 1,
            through,
            digest: rolled(hashes, 0, Sha256::digest(b"").into(), through).unwrap(),
        }
    }

    #[test]
    fn digests_are_recomputed_from_one_to_the_next() {
        let hashes = events(30);
        let beats = [beat(&hashes, 9), beat(&hashes, 19), beat(&hashes, 29)];
        let (found, problems) = check("main.1", &hashes, &beats);
        assert_eq!((found.agree, problems.len()), (3, 0));
        // An event that was changed is between two of them.
        let mut changed = hashes.clone();
        changed.insert(15, [1; 32]);
        let (found, problems) = check("main.1", &changed, &beats);
        assert_eq!((found.agree, found.differ), (2, 1));
        assert!(problems[0].message.contains("through 19"), "{problems:?}");
        // One that is missing leaves its own open, and no other.
        let mut holed = hashes.clone();
        holed.remove(&5);
        let (found, _) = check("main.1", &holed, &beats);
        assert_eq!((found.agree, found.open, found.differ), (2, 1, 0));
    }

    #[test]
    fn a_first_digest_may_go_on_from_zeros() {
        let hashes = events(3);
        let digest = rolled(&hashes, 0, [0; 32], 3).unwrap();
        let zeros = Beat {
            sequence: 4,
            through: 3,
            digest,
        };
        assert_eq!(check("main.1", &hashes, &[zeros]).0.agree, 1);
    }
}
