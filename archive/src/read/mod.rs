//! Reading segments: some columns, some rows, with row ids and commit versions.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::stream::BoxStream;

use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::segment::{Segment, SegmentFooter};

/// Name under which a row's stable id is returned (Int64).
pub const ROW_ID: &str = "_row_id";
/// Name under which the version of the commit that archived a row is returned (Int64).
pub const COMMIT_VERSION: &str = "_commit_version";

/// What to read of a segment.
#[derive(Debug, Clone, Copy)]
pub struct ReadOptions<'a> {
    /// Names of the columns, in any order; they come in the segment's order. All when nothing is said.
    pub columns: Option<&'a [&'a str]>,
    /// Row numbers within the segment, ascending and distinct. All when nothing is said.
    pub rows: Option<&'a [u32]>,
    /// Whether to append [`ROW_ID`] and [`COMMIT_VERSION`].
    pub with_row_versions: bool,
    /// Rows of a batch, at most.
    pub batch_rows: usize,
}

impl Default for ReadOptions<'_> {
    fn default() -> Self {
        Self {
            columns: None,
            rows: None,
            with_row_versions: false,
            batch_rows: 8192,
        }
    }
}

/// An open segment: its metadata is read, its pages are not.
#[derive(Debug, Clone)]
pub struct SegmentReader {}

#[allow(clippy::unused_async, clippy::missing_errors_doc)]
impl SegmentReader {
    /// Reads the segment's metadata: by memory map on local archives, by ranged reads elsewhere.
    pub async fn open(_archive: &Archive, _segment: &Segment) -> Result<Self, ArchiveError> {
        todo!()
    }
    /// The footer that the writer left.
    pub fn footer(&self) -> Result<SegmentFooter, ArchiveError> {
        todo!()
    }
    /// Rows in the segment.
    #[must_use]
    pub fn rows(&self) -> u64 {
        todo!()
    }
    /// Schema of what [`SegmentReader::read`] returns for these options.
    pub fn schema(&self, _options: &ReadOptions<'_>) -> Result<SchemaRef, ArchiveError> {
        todo!()
    }
    /// Whether every row was archived by the commit that added this file (no row carries another version).
    #[must_use]
    pub fn is_original(&self) -> bool {
        todo!()
    }
    /// Streams the rows.
    pub fn read(
        &self,
        _options: &ReadOptions<'_>,
    ) -> Result<BoxStream<'static, Result<RecordBatch, ArchiveError>>, ArchiveError> {
        todo!()
    }
    /// Reads without a runtime: local archives only (elsewhere an error says so). For worker threads.
    pub fn read_blocking(
        &self,
        _options: &ReadOptions<'_>,
    ) -> Result<Box<dyn Iterator<Item = Result<RecordBatch, ArchiveError>> + Send>, ArchiveError>
    {
        todo!()
    }
}
