//! Where a split's bytes come from: a memory map, or ranged reads through a cache. Every block is compared with its
//! checksum before anything is made of it, so damage is an error and never a wrong answer or a panic inside Tantivy.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tantivy::HasLen;
use tantivy::directory::{FileHandle, OwnedBytes};

use super::bundle::{BLOCK_BYTES, Part};
use super::cache::RangedFile;

/// The bytes of one split's parts.
pub(crate) struct Source {
    bytes: Raw,
    checksums: Vec<u32>,
    /// One bit a block that was found to be right.
    verified: Vec<AtomicU64>,
    len: usize,
}

enum Raw {
    Mapped(OwnedBytes),
    Ranged(RangedFile),
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("len", &self.len)
            .finish_non_exhaustive()
    }
}

impl Source {
    /// Over a memory map (or bytes in memory) that holds the parts from byte 0.
    pub(crate) fn mapped(bytes: OwnedBytes, parts_bytes: u64, checksums: Vec<u32>) -> Self {
        Self::new(Raw::Mapped(bytes), parts_bytes, checksums)
    }

    /// Over a file that is read range by range.
    pub(crate) fn ranged(file: RangedFile, parts_bytes: u64, checksums: Vec<u32>) -> Self {
        Self::new(Raw::Ranged(file), parts_bytes, checksums)
    }

    fn new(bytes: Raw, parts_bytes: u64, checksums: Vec<u32>) -> Self {
        let verified = (0..checksums.len().div_ceil(64))
            .map(|_| AtomicU64::new(0))
            .collect();
        Self {
            bytes,
            checksums,
            verified,
            len: parts_bytes as usize,
        }
    }

    /// Bytes of a range of the parts.
    ///
    /// # Errors
    /// The range is not inside, the read failed, or a block differs from its checksum.
    pub(crate) fn read(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        if range.start >= range.end {
            return Ok(OwnedBytes::empty());
        }
        if range.end > self.len {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "a part of the split reaches past its end",
            ));
        }
        let blocks = range.start / BLOCK_BYTES..range.end.div_ceil(BLOCK_BYTES);
        match &self.bytes {
            Raw::Mapped(bytes) => {
                self.verify(blocks, 0, bytes)?;
                Ok(bytes.slice(range))
            }
            Raw::Ranged(file) => {
                let whole = blocks.start * BLOCK_BYTES..(blocks.end * BLOCK_BYTES).min(self.len);
                let bytes = match file.read(whole.clone()).and_then(|bytes| {
                    self.verify(blocks.clone(), whole.start, &bytes)?;
                    Ok(bytes)
                }) {
                    Ok(bytes) => bytes,
                    // A damaged cache must not make a good split unusable: once more, from the store itself.
                    Err(_) => {
                        let bytes = file.read_past_cache(whole.clone())?;
                        self.verify(blocks, whole.start, &bytes)?;
                        bytes
                    }
                };
                Ok(OwnedBytes::new(
                    bytes[range.start - whole.start..range.end - whole.start].to_vec(),
                ))
            }
        }
    }

    /// Compares blocks; `bytes` begins at byte `begin` of the parts.
    fn verify(&self, blocks: Range<usize>, begin: usize, bytes: &[u8]) -> io::Result<()> {
        let mapped = matches!(self.bytes, Raw::Mapped(_));
        for block in blocks {
            let (word, bit) = (block / 64, 1_u64 << (block % 64));
            // A map stays as it is; what a cache returns is compared every time.
            if mapped && self.verified[word].load(Ordering::Relaxed) & bit != 0 {
                continue;
            }
            let from = block * BLOCK_BYTES - begin;
            let to = ((block + 1) * BLOCK_BYTES).min(self.len) - begin;
            let wanted = self.checksums.get(block).copied();
            let found = bytes.get(from..to).map(crc32fast::hash);
            if wanted.is_none() || found != wanted {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    format!("block {block} of the split differs from its checksum"),
                ));
            }
            self.verified[word].fetch_or(bit, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// One part of a split as Tantivy wants a file.
#[derive(Debug, Clone)]
pub(crate) struct PartFile {
    pub(crate) source: Arc<Source>,
    pub(crate) range: Range<usize>,
}

impl PartFile {
    pub(crate) fn of(source: &Arc<Source>, part: &Part) -> Self {
        let from = part.offset as usize;
        Self {
            source: Arc::clone(source),
            range: from..from + part.bytes as usize,
        }
    }
}

impl HasLen for PartFile {
    fn len(&self) -> usize {
        self.range.len()
    }
}

impl FileHandle for PartFile {
    fn read_bytes(&self, range: Range<usize>) -> io::Result<OwnedBytes> {
        let end = self
            .range
            .start
            .checked_add(range.end)
            .filter(|end| *end <= self.range.end);
        let end = end.ok_or_else(|| {
            io::Error::new(io::ErrorKind::UnexpectedEof, "a read past the part's end")
        })?;
        self.source.read(self.range.start + range.start..end)
    }
}
