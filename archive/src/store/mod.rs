//! The stores an archive can lie in, all rooted at the archive.

mod files;
mod local;
pub(crate) mod parquet;
mod remote;
mod staged;
#[cfg(test)]
mod synced;
mod upload;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use object_store::ObjectStore;

use crate::error::ArchiveError;
use crate::location::Location;

pub(crate) use files::{Leftover, leftovers, remove, sync_folder_of};
pub use staged::Staged;

use local::LocalStore;

/// A store rooted at an archive.
pub(crate) struct Rooted {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The folder, when there is one.
    pub(crate) local: Option<PathBuf>,
}

/// Builds the store of a location. With `create`, a local archive's folder is made; otherwise a missing one is
/// [`ArchiveError::NotFound`].
pub(crate) fn build(
    location: &Location,
    create: bool,
    fsync: bool,
) -> Result<Rooted, ArchiveError> {
    if let Some(path) = location.local_path() {
        let local = LocalStore::open(path, create, fsync)?;
        let root = local.root().to_path_buf();
        return Ok(Rooted {
            store: Arc::new(local),
            local: Some(root),
        });
    }
    let Some(url) = location.remote_url() else {
        return Err(ArchiveError::Invalid(format!(
            "{location} is neither a folder nor a URL"
        )));
    };
    Ok(Rooted {
        store: remote::build(url)?,
        local: None,
    })
}

/// Writes a new file for `path` and sends it on its way to the disk, without its name; nothing where that is in vain or fails:
/// with other threads to do it, a put is as good.
pub(crate) fn stage_early(path: PathBuf, bytes: &Bytes, fsync: bool) -> Option<Staged> {
    let staged = local::is_alone().then(|| Staged::write(path, [bytes], fsync));
    let staged = staged?.ok()?;
    staged.begin();
    Some(staged)
}

/// Whether an error, or what caused it, is that a disk is full, or what its owner may use of it: another try changes nothing
/// until somebody makes room.
#[must_use]
pub fn is_disk_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let full = |error: &(dyn std::error::Error + 'static)| {
        let io = error.downcast_ref::<std::io::Error>();
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
        io.is_some_and(|io| full.contains(&io.kind()))
    };
    causes(error).any(full)
}

/// An error and what caused it, the last cause last.
fn causes<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error), |error| (**error).source())
}

/// The answer of an object store or a folder that caused an error, if one did.
#[must_use]
pub fn store_answer<'a>(
    error: &'a (dyn std::error::Error + 'static),
) -> Option<&'a object_store::Error> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// What to look at after a store's answer: an object store is reached by settings in the environment, which its answers do not name.
#[must_use]
pub fn store_hint(answer: &object_store::Error) -> Option<&'static str> {
    use object_store::Error;
    match answer {
        Error::Generic {
            store: "S3" | "GCS" | "MicrosoftAzure",
            ..
        } => Some(
            "if nothing can be read or written there, check the bucket, and the endpoint and credentials in the environment (AWS_…, GOOGLE_… or AZURE_…)",
        ),
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Some(
            "check who may read and write there: the folder's owner, or the credentials in the environment (AWS_…, GOOGLE_… or AZURE_…)",
        ),
        _ => None,
    }
}

/// The store of a place that is no archive: of an anchor, for one. Local folders are synced and private as an archive's
/// are; with `create` a missing one is made.
///
/// # Errors
/// [`ArchiveError::NotFound`] for a missing folder; the store's errors.
pub fn store_at(location: &Location, create: bool) -> Result<Arc<dyn ObjectStore>, ArchiveError> {
    Ok(build(location, create, true)?.store)
}
