//! Files and folders of a local archive: private, and synced.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use object_store::PutPayload;

const FOLDER_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// A `name#<digits>` file that a killed put left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// The file.
    pub(crate) path: PathBuf,
    /// Its bytes.
    pub(crate) bytes: u64,
}

/// Every leftover of a killed put under `root` that was written last when `is_over` accepts, by path.
pub(crate) fn leftovers(
    root: &Path,
    is_over: impl Fn(SystemTime) -> bool,
) -> std::io::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            } else if kind.is_file() && is_leftover(&entry.file_name().to_string_lossy()) {
                let metadata = match entry.metadata() {
                    Ok(metadata) => metadata,
                    // The put it belongs to has just ended.
                    Err(e) if e.kind() == ErrorKind::NotFound => continue,
                    Err(e) => return Err(e),
                };
                if is_over(metadata.modified()?) {
                    found.push(Leftover {
                        path: entry.path(),
                        bytes: metadata.len(),
                    });
                }
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Removes a file and syncs its folder. A missing file is no error.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != ErrorKind::NotFound => Err(e),
        _ => sync_folder_if_there(path),
    }
}

fn is_leftover(name: &str) -> bool {
    name.split_once('#')
        .is_some_and(|(_, n)| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

fn sync_file(file: &File, path: &Path) -> std::io::Result<()> {
    file.sync_all()?;
    #[cfg(test)]
    super::synced::note(path);
    #[cfg(not(test))]
    let _ = path;
    Ok(())
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    sync_file(&File::open(folder)?, folder)
}

/// Brings the name of a file to the disk.
pub(crate) fn sync_folder_of(path: &Path) -> std::io::Result<()> {
    path.parent().map_or(Ok(()), sync_folder)
}

/// Brings the absence of a file to the disk. A missing folder holds nothing.
pub(super) fn sync_folder_if_there(path: &Path) -> std::io::Result<()> {
    match sync_folder_of(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(()),
        synced => synced,
    }
}

/// Makes a folder and its missing parents, private, each one's entry on disk.
pub(super) fn create_folders(folder: &Path, fsync: bool) -> std::io::Result<()> {
    let mut missing = Vec::new();
    let mut at = folder;
    while !at.is_dir() {
        missing.push(at);
        match at.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => at = parent,
            _ => break,
        }
    }
    for folder in missing.into_iter().rev() {
        match DirBuilder::new().mode(FOLDER_MODE).create(folder) {
            Ok(()) => {}
            // Somebody else made it at the same time.
            Err(e) if e.kind() == ErrorKind::AlreadyExists && folder.is_dir() => {}
            Err(e) => return Err(e),
        }
        if fsync {
            sync_folder_of(folder)?;
        }
    }
    Ok(())
}

/// Opens a new `path#<digits>`.
pub(super) fn stage(path: &Path, fsync: bool) -> std::io::Result<(File, PathBuf)> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let mut name = path.as_os_str().to_owned();
        // Two processes differ in the first number, two threads in the second.
        name.push(format!(
            "#{}{:06}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed) % 1_000_000
        ));
        let staged = PathBuf::from(name);
        match OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .open(&staged)
        {
            Ok(file) => return Ok((file, staged)),
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {
                let Some(parent) = path.parent() else {
                    return Err(e);
                };
                create_folders(parent, fsync)?;
            }
            Err(e) => return Err(e),
        }
    }
}

/// Writes a new file in its place. A process that is killed meanwhile leaves a part of it under its name: only for what nobody looks at before the
/// put has returned. What has the name already is not touched: the error's kind is `AlreadyExists`.
pub(super) fn put_in_place(path: &Path, payload: &PutPayload, fsync: bool) -> std::io::Result<()> {
    let mut file = open_in_place(path, fsync)?;
    let written = payload.iter().try_for_each(|part| file.write_all(part));
    let synced = written.and_then(|()| match fsync {
        true => sync_file(&file, path).and_then(|()| sync_folder_of(path)),
        false => Ok(()),
    });
    if synced.is_err() {
        // Best effort: what stays is swept.
        let _ = std::fs::remove_file(path);
    }
    synced
}

fn open_in_place(path: &Path, fsync: bool) -> std::io::Result<File> {
    let open = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        options.mode(FILE_MODE).open(path)
    };
    match (open(), path.parent()) {
        (Err(e), Some(parent)) if e.kind() == ErrorKind::NotFound => {
            create_folders(parent, fsync)?;
            open()
        }
        (opened, _) => opened,
    }
}

/// Brings a staged file to the disk, and links or renames it into its place.
pub(super) fn publish(
    file: &File,
    staged: &Path,
    path: &Path,
    create_only: bool,
    fsync: bool,
) -> std::io::Result<()> {
    if fsync {
        sync_file(file, staged)?;
    }
    if create_only {
        std::fs::hard_link(staged, path)?;
        std::fs::remove_file(staged)?;
    } else {
        std::fs::rename(staged, path)?;
    }
    if fsync { sync_folder_of(path) } else { Ok(()) }
}
