//! Where a segment's bytes come from: a memory map, or ranged reads.

use std::ops::Range;
use std::path::Path as FsPath;
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result as ParquetResult};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};

use crate::error::ArchiveError;

/// Bytes at a remote file's end read at once: the footer and the offset index of most segments.
const TAIL_BYTES: usize = 256 * 1024;

/// Maps a file of a local archive. `path` is for messages.
#[allow(unsafe_code)]
pub(super) fn map(file: &FsPath, path: &str) -> Result<Bytes, ArchiveError> {
    let open = std::fs::File::open(file).map_err(|source| io("open", path, source))?;
    // SAFETY: a map is sound while nobody changes the mapped bytes. A segment is written under another name, synced
    // and linked into place; it is never written to again, only unlinked, which leaves the mapped pages alone.
    let map = unsafe { memmap2::Mmap::map(&open) }.map_err(|source| io("map", path, source))?;
    Ok(Bytes::from_owner(map))
}

fn io(operation: &'static str, path: &str, source: std::io::Error) -> ArchiveError {
    if source.kind() == std::io::ErrorKind::NotFound {
        let source = object_store::Error::NotFound {
            path: path.to_owned(),
            source: source.into(),
        };
        return ArchiveError::Store {
            operation,
            path: path.to_owned(),
            source,
        };
    }
    ArchiveError::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

pub(super) fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional)
}

/// A file in a store, read by ranges.
#[derive(Debug, Clone)]
pub(super) struct Ranged {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) path: Path,
    pub(super) bytes: u64,
}

impl Ranged {
    pub(super) async fn metadata(&self) -> ParquetResult<ArrowReaderMetadata> {
        let mut file = self.clone();
        let metadata = file.get_metadata(None).await?;
        ArrowReaderMetadata::try_new(metadata, options())
    }
}

impl AsyncFileReader for Ranged {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, ParquetResult<Bytes>> {
        async move {
            self.store
                .get_range(&self.path, range)
                .await
                .map_err(external)
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, ParquetResult<Vec<Bytes>>> {
        // The store joins ranges that lie close together.
        async move {
            self.store
                .get_ranges(&self.path, &ranges)
                .await
                .map_err(external)
        }
        .boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        _options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, ParquetResult<Arc<ParquetMetaData>>> {
        async move {
            let bytes = self.bytes;
            let reader = ParquetMetaDataReader::new()
                .with_offset_index_policy(PageIndexPolicy::Optional)
                .with_prefetch_hint(Some(TAIL_BYTES));
            Ok(Arc::new(reader.load_and_finish(self, bytes).await?))
        }
        .boxed()
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
