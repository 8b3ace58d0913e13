//! A table from byte strings to dense numbers, and their sorted order.

/// Longest string that is kept inside its slot. Words are five bytes long on average, a pair of Han or Kana six.
const SHORT_BYTES_MAX: usize = 12;
const SLOTS_MIN: usize = 1 << 10;

/// Numbers byte strings in the order of their first appearance: 0, 1, 2 …
///
/// Strings of up to [`SHORT_BYTES_MAX`] bytes without a NUL lie in the table itself (one memory access a lookup);
/// longer ones in an arena, found by a 64-bit hash and compared in full.
#[derive(Debug)]
pub(crate) struct TermTable {
    /// 96 bits of zero-padded bytes, first byte highest, then the number plus one; zero is free.
    short: Vec<u128>,
    short_used: usize,
    long: Vec<LongSlot>,
    long_used: usize,
    arena: Vec<u8>,
    len: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct LongSlot {
    hash: u64,
    /// Number plus one; zero is free.
    number: u32,
    bytes: u32,
    start: u64,
}

/// A string of a [`TermTable`] in sorted order.
pub(crate) struct SortedTerm<'a> {
    /// The string.
    pub(crate) bytes: &'a [u8],
    /// Its number in the table.
    pub(crate) number: u32,
}

impl TermTable {
    pub(crate) fn new() -> Self {
        Self {
            short: vec![0; SLOTS_MIN],
            short_used: 0,
            long: Vec::new(),
            long_used: 0,
            arena: Vec::new(),
            len: 0,
        }
    }

    /// Strings numbered so far.
    pub(crate) fn len(&self) -> usize {
        self.len as usize
    }

    /// The number of `term`, given now if it is new; the flag tells whether it is.
    #[inline]
    pub(crate) fn number(&mut self, term: &[u8]) -> (u32, bool) {
        if term.len() <= SHORT_BYTES_MAX && memchr::memchr(0, term).is_none() {
            self.short_number(pack(term))
        } else {
            self.long_number(term)
        }
    }

    #[inline]
    fn short_number(&mut self, packed: u128) -> (u32, bool) {
        let mask = self.short.len() - 1;
        let mut at = spread(packed) & mask;
        loop {
            let slot = self.short[at];
            if slot == 0 {
                break;
            }
            if slot ^ packed <= u128::from(u32::MAX) {
                return ((slot & u128::from(u32::MAX)) as u32 - 1, false);
            }
            at = (at + 1) & mask;
        }
        let number = self.len;
        self.len += 1;
        self.short[at] = packed | u128::from(number + 1);
        self.short_used += 1;
        if self.short_used * 2 > self.short.len() {
            self.grow_short();
        }
        (number, true)
    }

    #[cold]
    fn grow_short(&mut self) {
        let doubled = vec![0; self.short.len() * 2];
        let mask = doubled.len() - 1;
        let old = std::mem::replace(&mut self.short, doubled);
        for slot in old.into_iter().filter(|slot| *slot != 0) {
            let mut at = spread(slot & !u128::from(u32::MAX)) & mask;
            while self.short[at] != 0 {
                at = (at + 1) & mask;
            }
            self.short[at] = slot;
        }
    }

    fn long_number(&mut self, term: &[u8]) -> (u32, bool) {
        if self.long_used * 2 >= self.long.len() {
            self.grow_long();
        }
        let hash = stable_hash(term);
        let mask = self.long.len() - 1;
        let mut at = hash as usize & mask;
        loop {
            let slot = self.long[at];
            if slot.number == 0 {
                break;
            }
            if slot.hash == hash && self.long_bytes(&slot) == term {
                return (slot.number - 1, false);
            }
            at = (at + 1) & mask;
        }
        let number = self.len;
        self.len += 1;
        self.long[at] = LongSlot {
            hash,
            number: number + 1,
            bytes: term.len() as u32,
            start: self.arena.len() as u64,
        };
        self.arena.extend_from_slice(term);
        self.long_used += 1;
        (number, true)
    }

    fn long_bytes(&self, slot: &LongSlot) -> &[u8] {
        &self.arena[slot.start as usize..slot.start as usize + slot.bytes as usize]
    }

    #[cold]
    fn grow_long(&mut self) {
        let size = (self.long.len() * 2).max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.long, vec![LongSlot::default(); size]);
        let mask = size - 1;
        for slot in old.into_iter().filter(|slot| slot.number != 0) {
            let mut at = slot.hash as usize & mask;
            while self.long[at].number != 0 {
                at = (at + 1) & mask;
            }
            self.long[at] = slot;
        }
    }

    /// Calls `each` with every string, in no order.
    pub(crate) fn each(&self, mut each: impl FnMut(&[u8])) {
        let mut unpacked = [0; 16];
        for slot in self.short.iter().filter(|slot| **slot != 0) {
            each(unpack(*slot, &mut unpacked));
        }
        for slot in self.long.iter().filter(|slot| slot.number != 0) {
            each(self.long_bytes(slot));
        }
    }

    /// Calls `each` with every string in byte order.
    pub(crate) fn sorted<E>(
        &self,
        mut each: impl FnMut(SortedTerm<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut short: Vec<u128> = self
            .short
            .iter()
            .copied()
            .filter(|slot| *slot != 0)
            .collect();
        // A packed string without NUL sorts as its bytes do; the number behind it never decides.
        short.sort_unstable();
        let mut long: Vec<LongSlot> = self
            .long
            .iter()
            .copied()
            .filter(|slot| slot.number != 0)
            .collect();
        long.sort_unstable_by(|a, b| self.long_bytes(a).cmp(self.long_bytes(b)));
        let mut long = long.iter().peekable();
        let mut unpacked = [0; 16];
        for slot in short {
            let bytes = unpack(slot, &mut unpacked);
            while let Some(next) = long.peek() {
                let long_bytes = self.long_bytes(next);
                if long_bytes > bytes {
                    break;
                }
                each(SortedTerm {
                    bytes: long_bytes,
                    number: next.number - 1,
                })?;
                long.next();
            }
            each(SortedTerm {
                bytes,
                number: (slot & u128::from(u32::MAX)) as u32 - 1,
            })?;
        }
        for slot in long {
            each(SortedTerm {
                bytes: self.long_bytes(slot),
                number: slot.number - 1,
            })?;
        }
        Ok(())
    }
}

#[inline]
fn pack(term: &[u8]) -> u128 {
    let mut bytes = [0_u8; 16];
    bytes[..term.len()].copy_from_slice(term);
    u128::from_be_bytes(bytes)
}

fn unpack(slot: u128, into: &mut [u8; 16]) -> &[u8] {
    *into = slot.to_be_bytes();
    let len = into[..SHORT_BYTES_MAX]
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(SHORT_BYTES_MAX);
    &into[..len]
}

#[inline]
fn spread(packed: u128) -> usize {
    let folded = ((packed >> 64) as u64 ^ 0x9E37_79B9_7F4A_7C15)
        .wrapping_mul(0xD6E8_FEB8_6659_FD93)
        ^ (packed as u64 ^ 0xA076_1D64_78BD_642F).wrapping_mul(0xE703_7ED1_A0B4_28DB);
    (folded ^ (folded >> 32)).wrapping_mul(0x9E37_79B9_7F4A_7C15) as usize >> 20
}

/// A 64-bit hash that is part of the split format (section "hashed columns"): the bytes in little-endian words of eight,
/// the last one zero-padded, mixed by multiply and rotate, then the length.
#[inline]
pub(crate) fn stable_hash(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut hash = 0_u64;
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(MULTIPLIER);
    }
    if !rest.is_empty() {
        let mut word = [0; 8];
        word[..rest.len()].copy_from_slice(rest);
        hash = (hash.rotate_left(23) ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    hash = (hash ^ bytes.len() as u64).wrapping_mul(MULTIPLIER);
    hash ^= hash >> 32;
    hash.wrapping_mul(0xD6E8_FEB8_6659_FD93) ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_stable_and_order_is_by_bytes(terms in prop::collection::vec(prop::collection::vec(prop_oneof![Just(0_u8), 97..100_u8, any::<u8>()], 0..40), 0..600)) {
            let mut table = TermTable::new();
            let mut expected: Vec<Vec<u8>> = Vec::new();
            for term in &terms {
                let (number, new) = table.number(term);
                match expected.iter().position(|known| known == term) {
                    Some(at) => prop_assert_eq!((number as usize, new), (at, false)),
                    None => {
                        prop_assert_eq!((number as usize, new), (expected.len(), true));
                        expected.push(term.clone());
                    }
                }
            }
            let mut unsorted = Vec::new();
            table.each(|term| unsorted.push(term.to_vec()));
            unsorted.sort();
            let mut seen = Vec::new();
            table.sorted(|term| { seen.push((term.bytes.to_vec(), term.number)); Ok::<_, ()>(()) }).unwrap();
            let mut sorted: Vec<(Vec<u8>, u32)> = expected.into_iter().zip(0..).collect();
            sorted.sort();
            prop_assert!(unsorted.iter().eq(sorted.iter().map(|(term, _)| term)));
            prop_assert_eq!(seen, sorted);
        }
    }

    #[test]
    fn stable_hash_never_changes() {
        // Computed by another program from the description in docs/split-format.md.
        assert_eq!(stable_hash(b""), 0x0000_0000_0000_0000);
        assert_eq!(stable_hash(b"m-1"), 0x6416_0A3A_1ED6_E0FC);
        let id = b"0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001";
        assert_eq!(stable_hash(id), 0x0BEA_1966_D9CD_3AA6);
    }
}
