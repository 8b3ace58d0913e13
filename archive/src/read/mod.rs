//! Reading segments: some columns, some rows, with row ids and commit versions.

mod map;
mod shape;

pub use map::map_file;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, stream};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::arrow::ParquetRecordBatchStreamBuilder;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderBuilder, ArrowReaderMetadata, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::errors::ParquetError;

use crate::archive::Archive;
use crate::error::ArchiveError;
use crate::log::paths;
use crate::log::reader::task;
use crate::read::shape::Shape;
use crate::segment::{Segment, SegmentFooter, footer};
use crate::store::parquet::{Ranged, options as parquet_options, parquet_error};

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

/// Batches, one after the other.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch, ArchiveError>> + Send>;

/// An open segment: its metadata is read, its pages are not. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SegmentReader {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: String,
    base_row_id: i64,
    commit_version: i64,
    /// Names of the materialised row-tracking columns of the table: row id, commit version.
    row_columns: (String, String),
    metadata: ArrowReaderMetadata,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Mapped(Bytes),
    Ranged(Ranged),
}

/// A segment's file as it lies in the archive, whole: a memory map on local archives, one request elsewhere.
///
/// # Errors
/// The file is missing; the store's errors.
pub async fn whole_file(archive: &Archive, segment: &Segment) -> Result<Bytes, ArchiveError> {
    let path = format!("{}/{}", paths::TABLE, segment.path);
    if let Some(root) = archive.local_root() {
        let file = root.join(&path);
        let mapped = tokio::task::spawn_blocking(move || map::map(&file, &path)).await;
        let mapped = mapped.map_err(|e| task("open a segment", &e))?;
        return mapped.map(Bytes::from_owner);
    }
    let failed = |source| ArchiveError::Store {
        operation: "read",
        path: path.clone(),
        source,
    };
    let answer = archive.store().get(&Path::from(path.as_str())).await;
    answer.map_err(failed)?.bytes().await.map_err(failed)
}

impl SegmentReader {
    /// Reads the segment's metadata: by memory map on local archives, by ranged reads elsewhere.
    ///
    /// # Errors
    /// The file is missing or no Parquet file of the size that the log says.
    pub async fn open(archive: &Archive, segment: &Segment) -> Result<Self, ArchiveError> {
        if archive.local_root().is_some() {
            let (archive, segment) = (archive.clone(), segment.clone());
            let opened =
                tokio::task::spawn_blocking(move || Self::open_blocking(&archive, &segment)).await;
            return opened.map_err(|e| task("open a segment", &e))?;
        }
        let path = format!("{}/{}", paths::TABLE, segment.path);
        let store = Arc::clone(archive.store());
        let ranged = Ranged {
            store,
            path: Path::from(path.as_str()),
            bytes: segment.bytes,
        };
        let metadata = ranged
            .metadata()
            .await
            .map_err(|e| parquet_error(&path, e))?;
        Self::new(archive, segment, path, metadata, Source::Ranged(ranged))
    }

    /// Opens a segment of a local archive without a runtime: for worker threads.
    ///
    /// # Errors
    /// As [`SegmentReader::open`]; the archive is not local.
    pub fn open_blocking(archive: &Archive, segment: &Segment) -> Result<Self, ArchiveError> {
        let path = format!("{}/{}", paths::TABLE, segment.path);
        let Some(root) = archive.local_root() else {
            return Err(ArchiveError::Invalid(format!(
                "{path} is not in a local archive: open it with `open`"
            )));
        };
        let mapped = map::map(&root.join(&path), &path)?;
        Self::open_bytes(archive, segment, Bytes::from_owner(mapped))
    }

    /// Opens a segment whose file was read whole ([`whole_file`]).
    ///
    /// # Errors
    /// As [`SegmentReader::open`].
    pub fn open_bytes(
        archive: &Archive,
        segment: &Segment,
        bytes: Bytes,
    ) -> Result<Self, ArchiveError> {
        let path = format!("{}/{}", paths::TABLE, segment.path);
        if bytes.len() as u64 != segment.bytes {
            let problem = format!(
                "it has {} bytes, the log says {}",
                bytes.len(),
                segment.bytes
            );
            return Err(ArchiveError::Corrupt { path, problem });
        }
        let metadata = ArrowReaderMetadata::load(&bytes, parquet_options())
            .map_err(|e| parquet_error(&path, e))?;
        Self::new(archive, segment, path, metadata, Source::Mapped(bytes))
    }

    fn new(
        archive: &Archive,
        segment: &Segment,
        path: String,
        metadata: ArrowReaderMetadata,
        source: Source,
    ) -> Result<Self, ArchiveError> {
        let rows = metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(segment.rows) {
            let problem = format!("it has {rows} rows, the log says {}", segment.rows);
            return Err(ArchiveError::Corrupt { path, problem });
        }
        let row_columns = archive.shared.latest().table.row_columns.clone();
        let inner = Inner {
            path,
            base_row_id: segment.base_row_id,
            commit_version: i64::try_from(segment.commit_version).unwrap_or(i64::MAX),
            row_columns,
            metadata,
            source,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// The footer that the writer left.
    ///
    /// # Errors
    /// [`ArchiveError::Corrupt`] when another program wrote the file, or it was changed.
    pub fn footer(&self) -> Result<SegmentFooter, ArchiveError> {
        let metadata = self
            .inner
            .metadata
            .metadata()
            .file_metadata()
            .key_value_metadata();
        footer::from_metadata(metadata, &self.inner.path)
    }

    /// Rows in the segment.
    #[must_use]
    pub fn rows(&self) -> u64 {
        u64::try_from(self.inner.metadata.metadata().file_metadata().num_rows()).unwrap_or(0)
    }

    /// Bytes of the segment's pages before compression: what reading all of it holds at least.
    #[must_use]
    pub fn uncompressed_bytes(&self) -> u64 {
        let groups = self.inner.metadata.metadata().row_groups();
        let bytes = groups.iter().map(|group| group.total_byte_size());
        bytes.map(|bytes| u64::try_from(bytes).unwrap_or(0)).sum()
    }

    /// Whether every row was archived by the commit that added this file (no row carries another version).
    #[must_use]
    pub fn is_original(&self) -> bool {
        self.inner
            .metadata
            .schema()
            .column_with_name(&self.inner.row_columns.1)
            .is_none()
    }

    /// Schema of what [`SegmentReader::read`] returns for these options.
    ///
    /// # Errors
    /// A column that is not in the segment.
    pub fn schema(&self, options: &ReadOptions<'_>) -> Result<SchemaRef, ArchiveError> {
        Ok(self.shape(options)?.schema())
    }

    /// Streams the rows.
    ///
    /// # Errors
    /// A column or row that is not in the segment; later the store's errors, in the stream.
    pub fn read(
        &self,
        options: &ReadOptions<'_>,
    ) -> Result<BoxStream<'static, Result<RecordBatch, ArchiveError>>, ArchiveError> {
        match &self.inner.source {
            // Mapped, or read whole.
            Source::Mapped(_) => {
                let batches = self.read_blocking(options)?;
                // Pages are decompressed, and may have to come from the disk: not on the runtime's threads.
                Ok(stream::try_unfold(Some(batches), |batches| async move {
                    let Some(mut batches) = batches else {
                        return Ok(None);
                    };
                    let next =
                        tokio::task::spawn_blocking(move || batches.next().map(|b| (b, batches)))
                            .await;
                    match next.map_err(|e| task("read a segment", &e))? {
                        Some((batch, batches)) => Ok(Some((batch?, Some(batches)))),
                        None => Ok(None),
                    }
                })
                .boxed())
            }
            Source::Ranged(ranged) => {
                let mut shape = self.shape(options)?;
                let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(
                    ranged.clone(),
                    self.inner.metadata.clone(),
                );
                let batches = self
                    .narrowed(builder, options, &shape)?
                    .build()
                    .map_err(|e| self.error(e))?;
                let path = self.inner.path.clone();
                Ok(batches
                    .map(move |batch| shape.finish(&batch.map_err(|e| parquet_error(&path, e))?))
                    .boxed())
            }
        }
    }

    /// Reads without a runtime what is mapped or was read whole. For worker threads.
    ///
    /// # Errors
    /// As [`SegmentReader::read`]; the segment was opened to be read by ranges.
    pub fn read_blocking(&self, options: &ReadOptions<'_>) -> Result<Batches, ArchiveError> {
        let Source::Mapped(bytes) = &self.inner.source else {
            return Err(ArchiveError::Invalid(format!(
                "{} was opened to be read by ranges: read it with `read`",
                self.inner.path
            )));
        };
        let mut shape = self.shape(options)?;
        let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(
            bytes.clone(),
            self.inner.metadata.clone(),
        );
        let batches = self
            .narrowed(builder, options, &shape)?
            .build()
            .map_err(|e| self.error(e))?;
        let read = |source| ArchiveError::Arrow {
            operation: "read a segment",
            source,
        };
        Ok(Box::new(
            batches.map(move |batch| shape.finish(&batch.map_err(read)?)),
        ))
    }

    fn shape(&self, options: &ReadOptions<'_>) -> Result<Shape, ArchiveError> {
        let inner = &self.inner;
        let schema = inner.metadata.schema();
        let rows = self.rows();
        if let Some(selected) = options.rows {
            let ascending = selected.windows(2).all(|pair| pair[0] < pair[1]);
            let inside = selected.last().is_none_or(|last| u64::from(*last) < rows);
            if !ascending || !inside {
                return Err(ArchiveError::Invalid(format!(
                    "{}: row numbers must be ascending, distinct and below {rows}",
                    inner.path
                )));
            }
        }
        let hidden = [inner.row_columns.0.as_str(), inner.row_columns.1.as_str()];
        if let Some(missing) = options.columns.and_then(|names| {
            names
                .iter()
                .find(|name| hidden.contains(name) || schema.column_with_name(name).is_none())
        }) {
            return Err(ArchiveError::Invalid(format!(
                "{}: there is no column {missing}",
                inner.path
            )));
        }
        let wanted = |name: &str| match options.columns {
            _ if hidden.contains(&name) => options.with_row_versions,
            Some(names) => names.contains(&name),
            None => true,
        };
        let roots: Vec<usize> = (0..schema.fields().len())
            .filter(|index| wanted(schema.field(*index).name()))
            .collect();
        let visible = roots
            .iter()
            .map(|index| Arc::clone(&schema.fields()[*index]));
        let visible = visible
            .filter(|field| !hidden.contains(&field.name().as_str()))
            .collect();
        Ok(Shape::new(
            roots,
            visible,
            options.with_row_versions.then(|| shape::RowVersions {
                columns: inner.row_columns.clone(),
                base_row_id: inner.base_row_id,
                commit_version: inner.commit_version,
                rows: options.rows.map(<[u32]>::to_vec),
                next: 0,
            }),
        ))
    }

    fn narrowed<T>(
        &self,
        builder: ArrowReaderBuilder<T>,
        options: &ReadOptions<'_>,
        shape: &Shape,
    ) -> Result<ArrowReaderBuilder<T>, ArchiveError> {
        let mask = ProjectionMask::roots(builder.parquet_schema(), shape.roots().iter().copied());
        let builder = builder
            .with_projection(mask)
            .with_batch_size(options.batch_rows.max(1));
        let Some(rows) = options.rows else {
            return Ok(builder);
        };
        let total = usize::try_from(self.rows())
            .map_err(|_| ArchiveError::Invalid(format!("{} is too large", self.inner.path)))?;
        Ok(
            builder.with_row_selection(RowSelection::from_consecutive_ranges(
                runs(rows).into_iter(),
                total,
            )),
        )
    }

    fn error(&self, source: ParquetError) -> ArchiveError {
        parquet_error(&self.inner.path, source)
    }
}

/// Ascending row numbers as ranges.
fn runs(rows: &[u32]) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    for row in rows.iter().map(|row| *row as usize) {
        match runs.last_mut() {
            Some(run) if run.end == row => run.end = row + 1,
            _ => runs.push(row..row + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_numbers_become_ranges() {
        assert_eq!(runs(&[]), Vec::<Range<usize>>::new());
        assert_eq!(runs(&[0, 1, 2, 5, 7, 8]), [0..3, 5..6, 7..9]);
    }
}
