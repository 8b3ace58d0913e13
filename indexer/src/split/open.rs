//! Opening splits, and what an open split answers.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, OnceLock};

use holdfast_archive::read::map_file;
use holdfast_archive::{Archive, ArchiveError, Segment};
use holdfast_query::analyzer::ANALYZER_VERSION;
use holdfast_query::plan::TextField;
use tantivy::columnar::ColumnValues;
use tantivy::columnar::column_values::{EmptyColumnValues, load_u64_based_column_values};
use tantivy::directory::error::{DeleteError, OpenReadError, OpenWriteError};
use tantivy::directory::{FileHandle, OwnedBytes, WatchCallback, WatchHandle, WritePtr};
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;
use tantivy::{Directory, Index, IndexMeta, InvertedIndexReader, SegmentReader};
use tokio::runtime::Handle;

use super::bundle::{
    SPLIT_FILES, TRAILER_BYTES, Tail, read_tail, split_file_name, tail_bytes, tantivy_segment_id,
};
use super::cache::{CacheOptions, ChunkCache};
use super::filter;
use super::source::{PartFile, Source};
use crate::error::SplitError;
use crate::invert::hashed;
use crate::schema::{EVENT_TIMES, Hashed, INGEST_TIMES, SPLIT_SCHEMA, WORDS_FILTER};

/// What a split must be to be used for a segment.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    /// Path inside the archive.
    pub(crate) path: String,
    pub(crate) segment: String,
    pub(crate) rows: u64,
}

impl Wanted {
    pub(crate) fn of(segment: &Segment) -> Self {
        Self {
            path: segment.split_path(ANALYZER_VERSION),
            segment: segment.id().to_owned(),
            rows: segment.rows,
        }
    }
}

/// Opens the splits of one archive.
pub(crate) struct Splits {
    pub(super) archive: Archive,
    pub(super) cache: Arc<ChunkCache>,
    pub(super) runtime: Handle,
}

impl fmt::Debug for Splits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Splits")
            .field("archive", &self.archive.url())
            .finish_non_exhaustive()
    }
}

impl Splits {
    pub(crate) fn new(archive: Archive, cache: Arc<ChunkCache>, runtime: Handle) -> Self {
        Self {
            archive,
            cache,
            runtime,
        }
    }

    /// Opens a split. Blocks: for worker threads.
    ///
    /// # Errors
    /// It cannot be used, and why. Never a reason to leave the segment out: it is scanned then.
    pub(crate) fn open(&self, wanted: &Wanted) -> Result<Split, SplitError> {
        let (source, tail) = match map_file(&self.archive, &wanted.path).map_err(map_error)? {
            Some(map) => open_bytes(OwnedBytes::new(map))?,
            None => self.open_ranged(wanted)?,
        };
        Split::new(source, tail, wanted)
    }
}

/// Looks at the ends of splits, for whoever wants to know which can be used and reads nothing else of them.
#[derive(Debug)]
pub(crate) struct Tails {
    splits: Arc<Splits>,
}

impl Tails {
    /// To be called inside a runtime.
    pub(crate) fn new(archive: Archive) -> Self {
        // Tails do not go through the cache.
        let cache = ChunkCache::new(CacheOptions {
            dir: None,
            bytes_max: 0,
        });
        Self {
            splits: Arc::new(Splits::new(archive, Arc::new(cache), Handle::current())),
        }
    }

    /// Whether a split opens and is the one that is wanted.
    ///
    /// # Errors
    /// It cannot be used, and why.
    pub(crate) async fn open(&self, wanted: &Wanted) -> Result<(), SplitError> {
        let (splits, wanted) = (Arc::clone(&self.splits), wanted.clone());
        tokio::task::spawn_blocking(move || splits.open(&wanted).map(|_| ()))
            .await
            .map_err(|error| SplitError::Io(io::Error::other(error)))?
    }
}

pub(super) fn store_error(error: object_store::Error) -> SplitError {
    match error {
        object_store::Error::NotFound { .. } => SplitError::Missing,
        other => SplitError::Io(io::Error::other(other)),
    }
}

fn map_error(error: ArchiveError) -> SplitError {
    match error {
        ArchiveError::Store { source, .. } => store_error(source),
        ArchiveError::Io { source, .. } => SplitError::Io(source),
        other => SplitError::Io(io::Error::other(other)),
    }
}

/// Opens a split whose bytes are at hand.
pub(crate) fn open_bytes(bytes: OwnedBytes) -> Result<(Source, Tail), SplitError> {
    let trailer = bytes
        .len()
        .checked_sub(TRAILER_BYTES)
        .map_or(&[][..], |at| &bytes[at..]);
    let tail_len = tail_bytes(bytes.len() as u64, trailer)? as usize;
    let tail = read_tail(&bytes[bytes.len() - tail_len..])?;
    let source = Source::mapped(bytes, tail.parts_bytes, tail.checksums.clone());
    Ok((source, tail))
}

/// An open split. What it answers is by document, and document `n` is row `n` of its segment.
pub(crate) struct Split {
    source: Arc<Source>,
    tail: Tail,
    /// Opened when first asked: most splits of a search have none of its words, as their filters tell.
    reader: OnceLock<SegmentReader>,
    /// Absent in splits from before there were filters.
    words: OnceLock<Option<OwnedBytes>>,
}

impl fmt::Debug for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Split")
            .field("footer", &self.tail.footer)
            .finish_non_exhaustive()
    }
}

impl Split {
    pub(crate) fn new(source: Source, tail: Tail, wanted: &Wanted) -> Result<Self, SplitError> {
        let footer = &tail.footer;
        if footer.segment != wanted.segment || footer.rows != wanted.rows {
            return Err(SplitError::Wrong {
                found: format!("segment {} with {} rows", footer.segment, footer.rows),
                wanted: format!("segment {} with {} rows", wanted.segment, wanted.rows),
            });
        }
        if footer.analyzer_version != ANALYZER_VERSION {
            return Err(SplitError::Wrong {
                found: format!("analyzer version {}", footer.analyzer_version),
                wanted: format!("analyzer version {ANALYZER_VERSION}"),
            });
        }
        Ok(Self {
            source: Arc::new(source),
            tail,
            reader: OnceLock::new(),
            words: OnceLock::new(),
        })
    }

    fn reader(&self) -> Result<&SegmentReader, SplitError> {
        if let Some(reader) = self.reader.get() {
            return Ok(reader);
        }
        let directory = BundleDirectory {
            parts: parts(&self.source, &self.tail)?.into(),
        };
        let index = Index::open(directory)?;
        let id = tantivy_segment_id().map_err(|error| SplitError::Damaged(error.to_string()))?;
        let segment = index.segment(index.new_segment_meta(id, self.rows()));
        let reader = SegmentReader::open(&segment)?;
        Ok(self.reader.get_or_init(|| reader))
    }

    /// Compares every block with its checksum.
    pub(crate) fn check(&self) -> Result<(), SplitError> {
        self.source.read(0..self.tail.parts_bytes as usize)?;
        Ok(())
    }

    /// Documents, and rows of the segment.
    pub(crate) fn rows(&self) -> u32 {
        self.tail.footer.rows as u32
    }

    /// Attachments that the segment's events refer to.
    pub(crate) fn attachments(&self) -> u64 {
        self.tail.footer.attachments
    }

    /// Whether a word may be among the terms of a text field. False is certain, and costs far less than to look it up.
    pub(crate) fn may_have(&self, field: TextField, word: &str) -> Result<bool, SplitError> {
        let Some(filter) = self.words()? else {
            return Ok(true);
        };
        let field = SPLIT_SCHEMA.text(field);
        Ok(filter::may_have(filter, field, word.as_bytes()).unwrap_or(true))
    }

    fn words(&self) -> Result<Option<&OwnedBytes>, SplitError> {
        if let Some(words) = self.words.get() {
            return Ok(words.as_ref());
        }
        let part = self.find_part(WORDS_FILTER);
        let words = part.map(|part| part.read_bytes(0..part.range.len()));
        let words = words.transpose()?;
        Ok(self.words.get_or_init(|| words).as_ref())
    }

    /// Terms and postings of a text field.
    pub(crate) fn text(&self, field: TextField) -> Result<Arc<InvertedIndexReader>, SplitError> {
        Ok(self.reader()?.inverted_index(SPLIT_SCHEMA.text(field))?)
    }

    /// Terms and postings of whole values.
    pub(crate) fn keys(&self) -> Result<Arc<InvertedIndexReader>, SplitError> {
        Ok(self.reader()?.inverted_index(SPLIT_SCHEMA.keys)?)
    }

    /// Rows whose id may be `folded`, ascending.
    pub(crate) fn hashed(&self, id: Hashed, folded: &str) -> Result<Vec<u32>, SplitError> {
        let part = self.part(id.file())?;
        let found = hashed::candidates(folded, |from, to| part.read_bytes(from..to))?;
        if found.iter().any(|row| *row >= self.rows()) {
            return Err(SplitError::Damaged(
                "a hashed column names a row past the end".to_owned(),
            ));
        }
        Ok(found)
    }

    /// Event times, ascending.
    pub(crate) fn event_times(&self) -> Result<Arc<dyn ColumnValues<i64>>, SplitError> {
        self.times(EVENT_TIMES)
    }

    /// Ingest times.
    pub(crate) fn ingest_times(&self) -> Result<Arc<dyn ColumnValues<i64>>, SplitError> {
        self.times(INGEST_TIMES)
    }

    fn times(&self, name: &str) -> Result<Arc<dyn ColumnValues<i64>>, SplitError> {
        let part = self.part(name)?;
        if part.range.is_empty() {
            return Ok(Arc::new(EmptyColumnValues));
        }
        Ok(load_u64_based_column_values(
            part.read_bytes(0..part.range.len())?,
        )?)
    }

    fn part(&self, name: &str) -> Result<PartFile, SplitError> {
        let part = self.find_part(name);
        part.ok_or_else(|| SplitError::Damaged(format!("it has no part {name}")))
    }

    fn find_part(&self, name: &str) -> Option<PartFile> {
        let part = self.tail.footer.parts.iter().find(|part| part.name == name);
        part.map(|part| PartFile::of(&self.source, part))
    }
}

/// Postings of a term, decoded as far as `option` says.
pub(crate) fn postings(
    reader: &InvertedIndexReader,
    info: &TermInfo,
    option: IndexRecordOption,
) -> Result<tantivy::postings::SegmentPostings, SplitError> {
    Ok(reader.read_postings_from_terminfo(info, option)?)
}

/// Tantivy's names of the parts.
fn parts(source: &Arc<Source>, tail: &Tail) -> Result<Vec<(PathBuf, PartFile)>, SplitError> {
    let stem = tantivy_segment_id()
        .map_err(|error| SplitError::Damaged(error.to_string()))?
        .uuid_string();
    SPLIT_FILES
        .iter()
        .map(split_file_name)
        .map(|name| {
            let part = tail.footer.parts.iter().find(|part| part.name == name);
            let part = part.ok_or_else(|| SplitError::Damaged(format!("it has no part {name}")))?;
            let file = PartFile::of(source, part);
            Ok((PathBuf::from(format!("{stem}.{name}")), file))
        })
        .collect()
}

/// The parts of a bundle as a Tantivy directory that cannot be written.
#[derive(Debug, Clone)]
struct BundleDirectory {
    parts: Arc<[(PathBuf, PartFile)]>,
}

/// The schema follows from the format version, so the bundle holds no `meta.json`.
static META_JSON: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let meta = IndexMeta {
        index_settings: tantivy::IndexSettings::default(),
        persisted_custom_extensions: Vec::new(),
        segments: Vec::new(),
        schema: SPLIT_SCHEMA.schema.clone(),
        opstamp: 0,
        payload: None,
    };
    // Serialising a schema into memory cannot fail; empty bytes would make every split unusable, and be scanned.
    serde_json::to_vec(&meta).unwrap_or_default()
});

fn read_only() -> io::Error {
    io::Error::new(
        io::ErrorKind::ReadOnlyFilesystem,
        "a split is never written in place",
    )
}

impl Directory for BundleDirectory {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        let part = self.parts.iter().find(|(name, _)| name == path);
        let part = part.ok_or_else(|| OpenReadError::FileDoesNotExist(path.to_owned()))?;
        Ok(Arc::new(part.1.clone()))
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        Err(DeleteError::IoError {
            io_error: Arc::new(read_only()),
            filepath: path.to_owned(),
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        Ok(self.parts.iter().any(|(name, _)| name == path))
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        Err(OpenWriteError::IoError {
            io_error: Arc::new(read_only()),
            filepath: path.to_owned(),
        })
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        if path == Path::new("meta.json") {
            return Ok(META_JSON.clone());
        }
        Err(OpenReadError::FileDoesNotExist(path.to_owned()))
    }

    fn atomic_write(&self, _path: &Path, _data: &[u8]) -> io::Result<()> {
        Err(read_only())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }

    fn watch(&self, _callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        Ok(WatchHandle::empty())
    }
}
