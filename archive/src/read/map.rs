//! Segments of a local archive as memory maps.

use std::path::Path;

use bytes::Bytes;

use crate::error::ArchiveError;

/// Maps a file of a local archive. `path` is for messages.
#[allow(unsafe_code)]
pub(super) fn map(file: &Path, path: &str) -> Result<Bytes, ArchiveError> {
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
