//! The folder of an export: written under another name, renamed when whole.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::failure::Failure;

/// Files that the sums do not cover: themselves, and what differs from run to run.
pub const PROVENANCE: &str = "provenance.json";
const SUMS: &str = "SHA256SUMS";

/// A finished file of the folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// Path inside the folder.
    pub path: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
}

/// An export's folder while it is written.
#[derive(Debug)]
pub struct Folder {
    target: PathBuf,
    partial: PathBuf,
    /// Held until the rename: two exports into one place must not mix.
    _lock: File,
    files: Vec<FileEntry>,
    finished: bool,
}

impl Folder {
    /// Begins an export into `target`, which must not exist. What an earlier, killed export left is removed.
    ///
    /// # Errors
    /// The target exists, somebody else writes to it, or the folder cannot be created.
    pub fn begin(target: &Path) -> Result<Self, Failure> {
        let name = target.file_name().ok_or_else(|| {
            Failure::mistake(
                format!("`{}` is no folder to export into", target.display()),
                "name a folder that does not exist yet",
            )
        })?;
        if fs::symlink_metadata(target).is_ok() {
            return Err(Failure::mistake(
                format!("`{}` exists already", target.display()),
                "an export never overwrites: name another folder with `--out`, or remove this one",
            ));
        }
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
            _ => PathBuf::from("."),
        };
        fs::create_dir_all(&parent).map_err(Failure::file("create", &parent))?;
        let partial = parent.join(format!(".{}.partial", name.to_string_lossy()));
        let lock = lock(&partial, target)?;
        empty(&partial)?;
        Ok(Self {
            target: target.to_owned(),
            partial,
            _lock: lock,
            files: Vec::new(),
            finished: false,
        })
    }

    /// A new file in the folder; it counts once it was given back to [`Folder::add`].
    ///
    /// # Errors
    /// It cannot be created.
    pub fn create(&self, path: &str) -> Result<HashedFile, Failure> {
        let full = self.partial.join(path);
        if let Some(parent) = full.parent() {
            fs::create_dir_all(parent).map_err(Failure::file("create", parent))?;
        }
        let file = File::create_new(&full).map_err(Failure::file("create", &full))?;
        Ok(HashedFile {
            path: path.to_owned(),
            full,
            out: BufWriter::with_capacity(1 << 18, file),
            hash: Sha256::new(),
            bytes: 0,
        })
    }

    /// Ends a file: on disk, with its digest known.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn add(&mut self, file: HashedFile) -> Result<(), Failure> {
        let HashedFile {
            path,
            full,
            out,
            hash,
            bytes,
        } = file;
        let file = out
            .into_inner()
            .map_err(|e| Failure::file("write", &full)(e.into_error()))?;
        file.sync_all().map_err(Failure::file("write", &full))?;
        self.files.push(FileEntry {
            path,
            bytes,
            sha256: hex::encode(hash.finalize()),
        });
        Ok(())
    }

    /// A whole file at once.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&mut self, path: &str, bytes: &[u8]) -> Result<(), Failure> {
        let mut file = self.create(path)?;
        file.write_all(bytes)
            .map_err(Failure::file("write", &file.full))?;
        self.add(file)
    }

    /// The finished files so far, by path.
    #[must_use]
    pub fn files(&mut self) -> &[FileEntry] {
        self.files.sort_by(|a, b| a.path.cmp(&b.path));
        &self.files
    }

    /// Writes `SHA256SUMS` (the format of sha256sum) and the provenance, and gives the folder its name.
    ///
    /// # Errors
    /// A file cannot be written, or the target came into being meanwhile.
    pub fn finish(mut self, provenance: &[u8]) -> Result<(), Failure> {
        let mut sums = String::new();
        for file in self.files() {
            sums.push_str(&format!("{}  {}\n", file.sha256, file.path));
        }
        self.put(SUMS, sums.as_bytes())?;
        self.put(PROVENANCE, provenance)?;
        sync_folders(&self.partial)?;
        // Whole from here on: if only its name cannot be given, nobody should have to export again.
        self.finished = true;
        rename(&self.partial, &self.target).map_err(|error| {
            let partial = self.partial.display();
            let error = io::Error::new(
                error.kind(),
                format!("{error}; the export is whole and stays in `{partial}`"),
            );
            Failure::file("rename the finished export to", &self.target)(error)
        })?;
        if let Some(parent) = self.partial.parent() {
            sync_folder(parent)?;
        }
        Ok(())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: what stays behind is removed by the next export into the same place.
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Renames, but never onto something: renaming onto an empty folder would work; `begin` looked, and a folder that came since
/// is somebody else's.
fn rename(partial: &Path, target: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    let (here, flags) = (rustix::fs::CWD, rustix::fs::RenameFlags::NOREPLACE);
    match rustix::fs::renameat_with(here, partial, here, target, flags) {
        Ok(()) => Ok(()),
        // Network file systems and old kernels know no such rename: then looking must do.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => rename_looking(partial, target),
        Err(error) => Err(error.into()),
    }
}

/// As [`rename`], for file systems that cannot do both at once.
fn rename_looking(partial: &Path, target: &Path) -> io::Result<()> {
    match fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::rename(partial, target),
        Err(error) => Err(error),
        Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
    }
}

/// Creates the partial folder and locks it for this process.
fn lock(partial: &Path, target: &Path) -> Result<File, Failure> {
    match fs::create_dir(partial) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => {
            return Err(Failure::file("create", partial)(e));
        }
        Ok(()) | Err(_) => {}
    }
    let folder = File::open(partial).map_err(Failure::file("open", partial))?;
    rustix::fs::flock(
        &folder,
        rustix::fs::FlockOperation::NonBlockingLockExclusive,
    )
    .map_err(|_| {
        Failure::mistake(
            format!(
                "another export into `{}` is being written",
                target.display()
            ),
            "wait for it, or name another folder with `--out`",
        )
    })?;
    Ok(folder)
}

/// Removes what a killed export left inside its folder; the folder itself stays, it carries the lock.
fn empty(partial: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(partial).map_err(Failure::file("read", partial))? {
        let path = entry.map_err(Failure::file("read", partial))?.path();
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else {
            fs::remove_file(&path)
        };
        removed.map_err(Failure::file("remove", &path))?;
    }
    Ok(())
}

fn sync_folders(folder: &Path) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(Failure::file("read", folder))? {
        let path = entry.map_err(Failure::file("read", folder))?.path();
        if path.is_dir() {
            sync_folders(&path)?;
        }
    }
    sync_folder(folder)
}

fn sync_folder(folder: &Path) -> Result<(), Failure> {
    File::open(folder)
        .and_then(|f| f.sync_all())
        .map_err(Failure::file("sync", folder))
}

/// A file that is hashed while it is written.
#[derive(Debug)]
pub struct HashedFile {
    path: String,
    full: PathBuf,
    out: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl HashedFile {
    /// Path inside the export's folder.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// The file does not take them.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.write_all(bytes)
            .map_err(Failure::file("write", &self.full))
    }
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_only_when_whole() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        let mut folder = Folder::begin(&target).unwrap();
        folder.put("a.txt", b"abc").unwrap();
        assert!(!target.exists());
        folder.finish(b"{}").unwrap();
        let sums = fs::read_to_string(target.join("SHA256SUMS")).unwrap();
        assert_eq!(
            sums,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  a.txt\n"
        );
        assert!(
            Folder::begin(&target).is_err(),
            "an export never overwrites"
        );
    }

    #[test]
    fn what_a_killed_export_left_is_not_part_of_the_next() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        let left = home.path().join(".out.partial");
        fs::create_dir_all(left.join("attachments")).unwrap();
        fs::write(left.join("events.jsonl"), "half").unwrap();
        let mut folder = Folder::begin(&target).unwrap();
        assert!(
            Folder::begin(&target).is_err(),
            "one export into a place at a time"
        );
        folder.put("events.jsonl", b"whole").unwrap();
        folder.finish(b"{}").unwrap();
        assert_eq!(
            fs::read_to_string(target.join("events.jsonl")).unwrap(),
            "whole"
        );
        assert!(!target.join("attachments").exists() && !left.exists());
    }

    #[test]
    fn a_whole_export_that_cannot_get_its_name_is_kept() {
        let home = tempfile::tempdir().unwrap();
        let target = home.path().join("out");
        let mut folder = Folder::begin(&target).unwrap();
        folder.put("a.txt", b"abc").unwrap();
        fs::create_dir(&target).unwrap();
        let error = folder.finish(b"{}").unwrap_err().to_string();
        assert!(error.contains(".out.partial"), "{error}");
        let partial = home.path().join(".out.partial");
        assert!(partial.join("SHA256SUMS").exists());
        assert!(rename_looking(&partial, &target).is_err());
        assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
        fs::remove_dir(&target).unwrap();
        rename_looking(&partial, &target).unwrap();
        assert!(target.join("a.txt").exists());
    }

    #[test]
    fn a_failed_export_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        let mut folder = Folder::begin(&home.path().join("out")).unwrap();
        folder.put("a", b"a").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }
}
