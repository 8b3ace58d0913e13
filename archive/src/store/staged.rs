//! A file that is written before it has its name.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use bytes::Bytes;

use crate::store::files::{publish, stage};

/// A new object of a folder, written beside its place. Removed unless it gets its name.
#[derive(Debug)]
pub struct Staged {
    file: File,
    staged: PathBuf,
    path: PathBuf,
    fsync: bool,
    /// It has its name.
    published: bool,
}

impl Staged {
    /// Writes a file for `path`.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn write<'a>(
        path: PathBuf,
        parts: impl IntoIterator<Item = &'a Bytes>,
        fsync: bool,
    ) -> std::io::Result<Self> {
        let (file, staged) = stage(&path, fsync)?;
        let mut this = Self {
            file,
            staged,
            path,
            fsync,
            published: false,
        };
        for part in parts {
            this.file.write_all(part)?;
        }
        Ok(this)
    }

    /// Sends it on its way to the disk and does not wait: whatever is synced next takes it along.
    pub(crate) fn begin(&self) {
        // Told that nobody will read it, Linux begins to write it out. That this fails costs time only.
        #[cfg(target_os = "linux")]
        if self.fsync {
            let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
        }
    }

    /// Brings it to the disk and gives it its name; where `create_only`, only if nothing has it.
    ///
    /// # Errors
    /// What the system says; of kind `AlreadyExists` when something has the name.
    pub(super) fn publish(mut self, create_only: bool) -> std::io::Result<()> {
        publish(
            &self.file,
            &self.staged,
            &self.path,
            create_only,
            self.fsync,
        )?;
        self.published = true;
        Ok(())
    }

    /// Brings it to the disk and gives it its name, which nothing may have, as a put that creates does.
    ///
    /// # Errors
    /// [`object_store::Error::AlreadyExists`] when something has it; what the system says.
    pub fn create(self) -> object_store::Result<()> {
        let name = self.path.display().to_string();
        self.publish(true)
            .map_err(|source| super::local::error_of(source, &name))
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.published {
            // Best effort: what stays is found by garbage collection.
            let _ = std::fs::remove_file(&self.staged);
        }
    }
}
