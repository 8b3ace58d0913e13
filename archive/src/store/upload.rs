//! A large file in parts: each is written to its place in a staged file as it comes, so that memory holds no more than the parts on their way.
//! Until the upload is completed nothing is visible, and what is aborted or dropped leaves nothing.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use object_store::{Error, MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use crate::store::files::{publish, stage};

/// See the module.
#[derive(Debug)]
pub(super) struct Upload {
    path: PathBuf,
    staged: PathBuf,
    fsync: bool,
    /// Nothing once it was completed or aborted.
    file: Option<Arc<File>>,
    /// Where the next part begins.
    end: u64,
}

fn failed(source: std::io::Error) -> Error {
    Error::Generic {
        store: "folder",
        source: source.into(),
    }
}

fn over() -> Error {
    failed(std::io::Error::other("the upload has ended already"))
}

impl Upload {
    pub(super) async fn begin(path: PathBuf, fsync: bool) -> std::io::Result<Self> {
        let target = path.clone();
        let (file, staged) = tokio::task::spawn_blocking(move || stage(&target, fsync)).await??;
        Ok(Self {
            path,
            staged,
            fsync,
            file: Some(Arc::new(file)),
            end: 0,
        })
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    /// The part's place follows from the order of the calls; the writes may then happen in any.
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let Some(file) = self.file.clone() else {
            return Box::pin(std::future::ready(Err(over())));
        };
        let mut at = self.end;
        self.end += data.content_length() as u64;
        Box::pin(async move {
            let write = move || {
                for part in data.iter() {
                    file.write_all_at(part, at)?;
                    at += part.len() as u64;
                }
                Ok(())
            };
            tokio::task::spawn_blocking(write).await?.map_err(failed)
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let file = self.file.take().ok_or_else(over)?;
        let (staged, path, fsync) = (self.staged.clone(), self.path.clone(), self.fsync);
        let publish = move || {
            let published = publish(&file, &staged, &path, false, fsync);
            if published.is_err() {
                // Best effort: what stays is found by garbage collection.
                let _ = std::fs::remove_file(&staged);
            }
            published
        };
        let published = tokio::task::spawn_blocking(publish).await?;
        published.map_err(failed)?;
        Ok(PutResult {
            e_tag: None,
            version: None,
            extensions: object_store::Extensions::default(),
        })
    }

    async fn abort(&mut self) -> Result<()> {
        match self.file.take() {
            Some(_) => std::fs::remove_file(&self.staged).map_err(failed),
            None => Ok(()),
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if self.file.take().is_some() {
            // Best effort: what stays is found by garbage collection.
            let _ = std::fs::remove_file(&self.staged);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn names(folder: &std::path::Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[tokio::test]
    async fn parts_end_up_in_the_order_of_their_calls_private_and_all_at_once() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("folder/big");
        let mut upload = Upload::begin(path.clone(), false).await.unwrap();
        let (first, second) = (
            upload.put_part(PutPayload::from_static(b"ab")),
            upload.put_part(PutPayload::from_static(b"cd")),
        );
        second.await.unwrap();
        first.await.unwrap();
        assert!(!path.exists(), "not complete");
        upload.complete().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abcd");
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(names(path.parent().unwrap()), ["big"]);
        assert!(upload.complete().await.is_err(), "once only");
    }

    #[tokio::test]
    async fn what_is_aborted_or_dropped_leaves_nothing() {
        let home = tempfile::tempdir().unwrap();
        for abort in [true, false] {
            let path = home.path().join("big");
            let mut upload = Upload::begin(path, false).await.unwrap();
            let part = upload.put_part(PutPayload::from_static(b"ab"));
            part.await.unwrap();
            assert_eq!(names(home.path()).len(), 1);
            if abort {
                upload.abort().await.unwrap();
            }
            drop(upload);
            assert!(names(home.path()).is_empty(), "abort: {abort}");
        }
    }
}
