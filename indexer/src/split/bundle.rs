//! The split's file: named parts, checksums of its blocks, a footer. `docs/split-format.md` is its page.

use bytes::Bytes;
use holdfast_query::analyzer::ANALYZER_VERSION;
use serde::{Deserialize, Serialize};
use tantivy::index::{SegmentComponent, SegmentId};

use crate::error::{IndexError, SplitError};
use crate::schema::WORDS_FILTER;

/// Version of the layout and of the fields inside. A split of another one is scanned.
pub const FORMAT_VERSION: u32 = 1;

/// Last bytes of every split.
pub(crate) const MAGIC: [u8; 8] = *b"HFSPLIT\n";
/// Bytes covered by one checksum: small enough that opening reads little, large enough that the table stays small.
pub(crate) const BLOCK_BYTES: usize = 64 * 1024;
/// `parts_bytes: u64, footer_bytes: u32, format_version: u32, crc32: u32, reserved: u32, magic`.
pub(crate) const TRAILER_BYTES: usize = 32;
/// A footer larger than this was not written by us.
const FOOTER_BYTES_MAX: u64 = 1 << 20;

/// The parts that Tantivy reads, in the order of the file: what is opened first lies last, near the footer.
pub(crate) const SPLIT_FILES: [SegmentComponent; 6] = [
    SegmentComponent::Positions,
    SegmentComponent::Postings,
    SegmentComponent::Terms,
    SegmentComponent::Store,
    SegmentComponent::FastFields,
    SegmentComponent::FieldNorms,
];

/// Name of a Tantivy part in the bundle.
pub(crate) fn split_file_name(component: &SegmentComponent) -> &'static str {
    match component {
        SegmentComponent::Postings => "idx",
        SegmentComponent::Positions => "pos",
        SegmentComponent::Terms => "term",
        SegmentComponent::Store => "store",
        SegmentComponent::FastFields => "fast",
        SegmentComponent::FieldNorms => "fieldnorm",
        SegmentComponent::TempStore | SegmentComponent::Delete | SegmentComponent::Custom(_) => {
            "none"
        }
    }
}

/// Tantivy's name of the only segment in a split. Always the same, so that the same rows give the same bytes.
pub(crate) fn tantivy_segment_id() -> Result<SegmentId, IndexError> {
    SegmentId::from_uuid_string("00000000000000000000000000000001").map_err(|error| {
        IndexError::Tantivy(tantivy::TantivyError::InvalidArgument(error.to_string()))
    })
}

/// What the split says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Footer {
    /// ULID of its segment.
    pub(crate) segment: String,
    /// Rows of its segment; documents of the split.
    pub(crate) rows: u64,
    /// Analyzer that its terms were made by.
    pub(crate) analyzer_version: u32,
    /// Attachments that its events refer to.
    pub(crate) attachments: u64,
    /// The parts, ascending and without holes from byte 0.
    pub(crate) parts: Vec<Part>,
}

/// A named range of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Part {
    /// Its name.
    pub(crate) name: String,
    /// First byte.
    pub(crate) offset: u64,
    /// Length.
    pub(crate) bytes: u64,
}

/// Writes a bundle in memory.
pub(crate) struct BundleWriter {
    bytes: Vec<u8>,
    footer: Footer,
}

impl BundleWriter {
    pub(crate) fn new(segment: &str, rows: u64, attachments: u64) -> Self {
        let footer = Footer {
            segment: segment.to_owned(),
            rows,
            analyzer_version: ANALYZER_VERSION,
            attachments,
            parts: Vec::new(),
        };
        Self {
            bytes: Vec::new(),
            footer,
        }
    }

    pub(crate) fn add(&mut self, name: &str, part: &[u8]) {
        let offset = self.bytes.len() as u64;
        self.bytes.extend_from_slice(part);
        self.footer.parts.push(Part {
            name: name.to_owned(),
            offset,
            bytes: part.len() as u64,
        });
    }

    pub(crate) fn add_with(
        &mut self,
        name: &str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), IndexError>,
    ) -> Result<(), IndexError> {
        let offset = self.bytes.len() as u64;
        write(&mut self.bytes)?;
        let bytes = self.bytes.len() as u64 - offset;
        self.footer.parts.push(Part {
            name: name.to_owned(),
            offset,
            bytes,
        });
        Ok(())
    }

    pub(crate) fn finish(self) -> Bytes {
        seal(self.bytes, &self.footer)
    }
}

/// Appends checksums, footer and trailer to the parts.
fn seal(mut bytes: Vec<u8>, footer: &Footer) -> Bytes {
    let parts_bytes = bytes.len();
    let mut tail = Vec::new();
    for block in bytes.chunks(BLOCK_BYTES) {
        tail.extend_from_slice(&crc32fast::hash(block).to_le_bytes());
    }
    let checksums_bytes = tail.len();
    // Serialising numbers and strings into memory cannot fail; an empty footer would be refused on opening.
    tail.extend_from_slice(&serde_json::to_vec(footer).unwrap_or_default());
    let footer_bytes = tail.len() - checksums_bytes;
    tail.extend_from_slice(&(parts_bytes as u64).to_le_bytes());
    tail.extend_from_slice(&(footer_bytes as u32).to_le_bytes());
    tail.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    let crc = crc32fast::hash(&tail);
    tail.extend_from_slice(&crc.to_le_bytes());
    tail.extend_from_slice(&[0; 4]);
    tail.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&tail);
    Bytes::from(bytes)
}

/// The end of a bundle, read and compared.
#[derive(Debug)]
pub(crate) struct Tail {
    pub(crate) footer: Footer,
    /// One checksum a block.
    pub(crate) checksums: Vec<u32>,
    /// Bytes of all parts.
    pub(crate) parts_bytes: u64,
    /// Checksum of the tail: tells two files of one name apart.
    pub(crate) identity: u32,
}

/// Bytes of the tail (checksums, footer, trailer) that a trailer speaks of.
///
/// # Errors
/// The trailer is not one.
pub(crate) fn tail_bytes(file_bytes: u64, trailer: &[u8]) -> Result<u64, SplitError> {
    let trailer = Trailer::parse(trailer)?;
    let blocks = trailer.parts_bytes.div_ceil(BLOCK_BYTES as u64);
    let tail = blocks
        .checked_mul(4)
        .and_then(|checksums| {
            checksums.checked_add(u64::from(trailer.footer_bytes) + TRAILER_BYTES as u64)
        })
        .filter(|tail| tail.checked_add(trailer.parts_bytes) == Some(file_bytes))
        .filter(|_| u64::from(trailer.footer_bytes) <= FOOTER_BYTES_MAX);
    tail.ok_or_else(|| {
        SplitError::Damaged(format!(
            "{file_bytes} bytes, its end speaks of another length"
        ))
    })
}

/// Reads a tail of exactly [`tail_bytes`].
///
/// # Errors
/// It is damaged or of another format version.
pub(crate) fn read_tail(tail: &[u8]) -> Result<Tail, SplitError> {
    let damaged = |what: &str| SplitError::Damaged(what.to_owned());
    let trailer_at = tail
        .len()
        .checked_sub(TRAILER_BYTES)
        .ok_or_else(|| damaged("no trailer"))?;
    let trailer = Trailer::parse(&tail[trailer_at..])?;
    let blocks = trailer.parts_bytes.div_ceil(BLOCK_BYTES as u64) as usize;
    if crc32fast::hash(&tail[..trailer_at + 16]) != trailer.crc {
        return Err(damaged("its footer's checksum differs"));
    }
    if trailer.format_version != FORMAT_VERSION {
        return Err(SplitError::Wrong {
            found: format!("format version {}", trailer.format_version),
            wanted: format!("format version {FORMAT_VERSION}"),
        });
    }
    let (checksums, footer) = tail[..trailer_at]
        .split_at_checked(blocks * 4)
        .ok_or_else(|| damaged("its checksums are cut off"))?;
    let footer: Footer =
        serde_json::from_slice(footer).map_err(|error| damaged(&error.to_string()))?;
    let mut next = 0;
    for part in &footer.parts {
        if part.offset != next {
            return Err(damaged("its parts have holes"));
        }
        next = next
            .checked_add(part.bytes)
            .ok_or_else(|| damaged("its parts are too long"))?;
    }
    if next != trailer.parts_bytes {
        return Err(damaged("its parts end elsewhere"));
    }
    let (words, _) = checksums.as_chunks::<4>();
    Ok(Tail {
        footer,
        checksums: words.iter().map(|word| u32::from_le_bytes(*word)).collect(),
        parts_bytes: trailer.parts_bytes,
        identity: trailer.crc,
    })
}

struct Trailer {
    parts_bytes: u64,
    footer_bytes: u32,
    format_version: u32,
    crc: u32,
}

impl Trailer {
    fn parse(trailer: &[u8]) -> Result<Self, SplitError> {
        let trailer: &[u8; TRAILER_BYTES] = trailer
            .try_into()
            .map_err(|_| SplitError::Damaged("shorter than a trailer".to_owned()))?;
        if trailer[24..] != MAGIC {
            return Err(SplitError::Damaged(
                "its last bytes are not a split's".to_owned(),
            ));
        }
        let word = |at: usize| {
            u32::from_le_bytes([
                trailer[at],
                trailer[at + 1],
                trailer[at + 2],
                trailer[at + 3],
            ])
        };
        Ok(Self {
            parts_bytes: u64::from(word(0)) | u64::from(word(4)) << 32,
            footer_bytes: word(8),
            format_version: word(12),
            crc: word(16),
        })
    }
}

/// Whether a split is the one that its segment gives when it is built anew: byte for byte, but for the filter of words, which
/// older ones have not.
#[must_use]
pub fn is_built_anew(split: &[u8], built: &[u8]) -> bool {
    split == built || without_words_filter(built).is_some_and(|older| split == older)
}

/// A split as it was written before there was a filter of words; nothing when it is damaged or has none.
pub(crate) fn without_words_filter(split: &[u8]) -> Option<Bytes> {
    let trailer = split.get(split.len().checked_sub(TRAILER_BYTES)?..)?;
    let tail = usize::try_from(tail_bytes(split.len() as u64, trailer).ok()?).ok()?;
    let mut footer = read_tail(split.get(split.len() - tail..)?).ok()?.footer;
    let filter = footer.parts.pop()?;
    if filter.name != WORDS_FILTER {
        return None;
    }
    let parts = split.get(..usize::try_from(filter.offset).ok()?)?;
    Some(seal(parts.to_vec(), &footer))
}

/// The same split, its terms made by another analyzer.
#[cfg(test)]
pub(crate) fn with_analyzer_version(mut bytes: Vec<u8>, analyzer_version: u32) -> Vec<u8> {
    let trailer_at = bytes.len() - TRAILER_BYTES;
    let tail_at =
        bytes.len() - tail_bytes(bytes.len() as u64, &bytes[trailer_at..]).unwrap() as usize;
    let mut footer = read_tail(&bytes[tail_at..]).unwrap().footer;
    footer.analyzer_version = analyzer_version;
    bytes.truncate(tail_at);
    seal(bytes, &footer).to_vec()
}
