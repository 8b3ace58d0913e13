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
    /// Where it is; nothing once it has its name.
    staged: Option<PathBuf>,
    path: PathBuf,
    fsync: bool,
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
            staged: Some(staged),
            path,
            fsync,
        };
        for part in parts {
            this.file.write_all(part)?;
        }
        Ok(this)
    }

    /// Sends it on its way to the disk and does not wait: whatever is synced next takes it along.
    pub(crate) fn begin(&self) {
        // The pages are not to be forgotten; that they will be asked for no more is how a file is told to begin. It need not.
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }

    /// Brings it to the disk and gives it its name; where `create_only`, only if nothing has it.
    ///
    /// # Errors
    /// What the system says; of kind `AlreadyExists` when something has the name.
    pub(super) fn publish(mut self, create_only: bool) -> std::io::Result<()> {
        let Some(staged) = &self.staged else {
            return Ok(());
        };
        publish(&self.file, staged, &self.path, create_only, self.fsync)?;
        self.staged = None;
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
        if let Some(staged) = self.staged.take() {
            // Best effort: what stays is found by garbage collection.
            let _ = std::fs::remove_file(staged);
        }
    }
}
