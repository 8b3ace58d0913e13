//! Splits of an object store, where nothing can be mapped: their ends tell what to read.

use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt};

use super::bundle::{TRAILER_BYTES, Tail, read_tail, tail_bytes};
use super::cache::RangedFile;
use super::open::{Splits, Wanted, store_error};
use super::source::Source;
use crate::error::SplitError;

/// Read at once from the end of a split: nearly always the whole tail and the small parts.
const TAIL_GUESS_BYTES: u64 = 128 * 1024;

impl Splits {
    /// Opens a split of an object store: its tail is read, the rest when it is asked for.
    ///
    /// # Errors
    /// It cannot be used, and why.
    pub(super) fn open_ranged(&self, wanted: &Wanted) -> Result<(Source, Tail), SplitError> {
        let path = Path::from(wanted.path.as_str());
        let store = self.archive.store();
        let (size, mut end) = self
            .runtime
            .block_on(read_end(store, &path, TAIL_GUESS_BYTES))
            .map_err(store_error)?;
        let trailer = end
            .len()
            .checked_sub(TRAILER_BYTES)
            .and_then(|at| end.get(at..));
        let tail = tail_bytes(size, trailer.unwrap_or_default())?;
        if tail > end.len() as u64 {
            end = self
                .runtime
                .block_on(store.get_range(&path, size.saturating_sub(tail)..size))
                .map_err(store_error)?;
        }
        let from = end
            .len()
            .checked_sub(tail as usize)
            .ok_or_else(|| SplitError::Damaged("its end is cut off".to_owned()))?;
        let tail = read_tail(&end[from..])?;
        let name = wanted.path.rsplit('/').next().unwrap_or(&wanted.path);
        let file = RangedFile {
            store: Arc::clone(store),
            path,
            cache_key: format!("{name}-{:08x}", tail.identity),
            bytes: tail.parts_bytes as usize,
            cache: Arc::clone(&self.cache),
            runtime: self.runtime.clone(),
        };
        Ok((
            Source::ranged(file, tail.parts_bytes, tail.checksums.clone()),
            tail,
        ))
    }
}

/// An object's size and its last bytes, at most `bytes`.
async fn read_end(
    store: &dyn ObjectStore,
    path: &Path,
    bytes: u64,
) -> object_store::Result<(u64, Bytes)> {
    let read = async |range: GetRange| {
        let options = GetOptions::new().with_range(Some(range));
        let result = store.get_opts(path, options).await?;
        Ok((result.meta.size, result.bytes().await?))
    };
    match read(GetRange::Suffix(bytes)).await {
        // Azure has no ranges that count from the end (the Range header of its Get Blob), and no store one of no bytes.
        Err(Error::NotSupported { .. }) => match store.head(path).await?.size {
            0 => Ok((0, Bytes::new())),
            size => read(GetRange::Bounded(size.saturating_sub(bytes)..size)).await,
        },
        answer => answer,
    }
}
