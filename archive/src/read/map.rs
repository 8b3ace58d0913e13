//! Segments and splits of a local archive as memory maps.

use std::path::Path;

use memmap2::Mmap;

use crate::archive::Archive;
use crate::error::ArchiveError;

/// A segment or split of a local archive by its path in it; nothing where the archive is elsewhere. Blocks.
///
/// # Errors
/// The file is missing, or cannot be mapped.
pub fn map_file(archive: &Archive, path: &str) -> Result<Option<Mmap>, ArchiveError> {
    let root = archive.local_root();
    root.map(|root| map(&root.join(path), path)).transpose()
}

/// Maps a file of a local archive. `path` is for messages.
#[allow(unsafe_code)]
pub(super) fn map(file: &Path, path: &str) -> Result<Mmap, ArchiveError> {
    let open = std::fs::File::open(file).map_err(|source| io("open", path, source))?;
    // SAFETY: a map is sound while nobody changes the mapped bytes. A segment or split is written under another name,
    // synced and linked or renamed into place; it is never written to again, only unlinked, which leaves the mapped
    // pages alone.
    unsafe { Mmap::map(&open) }.map_err(|source| io("map", path, source))
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
