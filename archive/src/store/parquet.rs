//! Parquet files in a store, read by ranges.

use std::ops::Range;
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

/// Bytes at a file's end read at once: the footer and the offset index of most.
const TAIL_BYTES: usize = 256 * 1024;

/// How every file's metadata is read.
pub(crate) fn options() -> ArrowReaderOptions {
    ArrowReaderOptions::new().with_offset_index_policy(PageIndexPolicy::Optional)
}

/// A file in a store, read by ranges.
#[derive(Debug, Clone)]
pub(crate) struct Ranged {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) path: Path,
    pub(crate) bytes: u64,
}

impl Ranged {
    pub(crate) async fn metadata(&self) -> ParquetResult<ArrowReaderMetadata> {
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

/// What went wrong with a file: its store did not answer, or it is no such Parquet file.
pub(crate) fn parquet_error(path: &str, source: ParquetError) -> ArchiveError {
    let path = path.to_owned();
    match source {
        ParquetError::External(error) => match error.downcast::<object_store::Error>() {
            Ok(source) => ArchiveError::Store {
                operation: "read",
                path,
                source: *source,
            },
            Err(error) => ArchiveError::Parquet {
                path,
                source: ParquetError::External(error),
            },
        },
        source => ArchiveError::Parquet { path, source },
    }
}
