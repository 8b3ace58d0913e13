//! The filter of a split's words: it tells in a few bytes that a word is in none of its rows, which is so of most splits
//! when the word is rare. The dictionary, far larger, is opened only for what may be there.

use tantivy::schema::Field;
use xorf::{BinaryFuse8, BinaryFuse8Ref, DmaSerializable, Filter, FilterRef};

use crate::invert::terms::stable_hash;

const DESCRIPTOR_BYTES: usize = BinaryFuse8::DESCRIPTOR_LEN;

/// Collects words.
#[derive(Debug, Default)]
pub(crate) struct WordsFilter {
    keys: Vec<u64>,
}

impl WordsFilter {
    pub(crate) fn add(&mut self, field: Field, word: &[u8]) {
        self.keys.push(key(field, word));
    }

    /// Writes the filter; nothing if there can be none, and then readers go without.
    pub(crate) fn write(mut self, into: &mut Vec<u8>) {
        // Words can be made whose hashes are one, and of the same key twice no filter can be built.
        self.keys.sort_unstable();
        self.keys.dedup();
        if let Ok(filter) = BinaryFuse8::try_from(self.keys.as_slice()) {
            let mut descriptor = [0; DESCRIPTOR_BYTES];
            filter.dma_copy_descriptor_to(&mut descriptor);
            into.extend_from_slice(&descriptor);
            into.extend_from_slice(filter.dma_fingerprints());
        }
    }
}

/// Whether a word may be among those of a filter; false is certain. `None` when these bytes are no filter.
pub(crate) fn may_have(filter: &[u8], field: Field, word: &[u8]) -> Option<bool> {
    let (descriptor, fingerprints) = filter.split_at_checked(DESCRIPTOR_BYTES)?;
    if !fits(descriptor, fingerprints.len()) {
        return None;
    }
    let filter = BinaryFuse8Ref::from_dma(descriptor, fingerprints);
    Some(filter.contains(&key(field, word)))
}

/// Whether every place that a descriptor can lead to is there: it comes from a file.
fn fits(descriptor: &[u8], fingerprints: usize) -> bool {
    let number = |at: usize| -> Option<u64> {
        let bytes = descriptor.get(at..at + 4)?.try_into().ok()?;
        Some(u64::from(u32::from_le_bytes(bytes)))
    };
    let (Some(segment), Some(mask), Some(starts)) = (number(8), number(12), number(16)) else {
        return false;
    };
    segment.is_power_of_two()
        && mask == segment - 1
        && starts > 0
        && starts % segment == 0
        && starts + 2 * segment == fingerprints as u64
}

/// The same word in two fields is two keys.
fn key(field: Field, word: &[u8]) -> u64 {
    stable_hash(word) ^ u64::from(field.field_id()) << 56
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn filter(words: &[(u32, Vec<u8>)]) -> Vec<u8> {
        let mut filter = WordsFilter::default();
        for (field, word) in words {
            filter.add(Field::from_field_id(*field), word);
        }
        let mut bytes = Vec::new();
        filter.write(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn no_word_is_missed(words in prop::collection::vec((0..4_u32, prop::collection::vec(any::<u8>(), 0..20)), 0..400)) {
            let filter = filter(&words);
            for (field, word) in &words {
                prop_assert_eq!(may_have(&filter, Field::from_field_id(*field), word), Some(true));
            }
        }

        #[test]
        fn bytes_that_are_no_filter_say_nothing(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(may_have(&bytes, Field::from_field_id(0), b"word"), None);
        }

        #[test]
        fn a_damaged_descriptor_does_no_harm(at in 0..DESCRIPTOR_BYTES, byte in any::<u8>(), cut in 0..2_usize) {
            let words: Vec<_> = (0..1000).map(|n: u32| (1, n.to_string().into_bytes())).collect();
            let mut filter = filter(&words);
            filter[at] = byte;
            filter.truncate(filter.len() - cut);
            for n in 0..100_u32 {
                let _ = may_have(&filter, Field::from_field_id(1), n.to_string().as_bytes());
            }
        }
    }

    #[test]
    fn most_other_words_are_known_to_be_missing_in_nine_bits_each() {
        let words: Vec<_> = (0..100_000_u32)
            .map(|n| (1, format!("word{n}").into_bytes()))
            .collect();
        let filter = filter(&words);
        assert!(
            filter.len() * 8 < words.len() * 10,
            "{} bytes",
            filter.len()
        );
        let wrong = |field, prefix: &str| {
            let may = |n: &u32| {
                may_have(
                    &filter,
                    Field::from_field_id(field),
                    format!("{prefix}{n}").as_bytes(),
                ) == Some(true)
            };
            (0..10_000_u32).filter(may).count()
        };
        assert!(wrong(1, "other") < 100, "other words");
        assert!(wrong(0, "word") < 100, "another field");
    }
}
