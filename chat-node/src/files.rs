//! Bytes of files, stored under their SHA-256: `<first two digits>/<sha256>`, as the archive lays its attachments out, so that ingest copies by
//! name.

use std::path::Path as FsPath;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload,
};
use sha2::{Digest, Sha256};

use crate::error::{ChatError, Result};
use crate::limits::UPLOAD_SILENCE;

/// Bytes that are gathered before they are put: files up to this size never touch a temporary name.
const PART_BYTES: usize = 8 * 1024 * 1024;

/// The store.
#[derive(Debug, Clone)]
pub struct FileStore {
    store: Arc<dyn ObjectStore>,
}

/// What was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// How many bytes.
    pub size: u64,
}

fn name_of(sha256: &str) -> Path {
    Path::from_iter([sha256.get(..2).unwrap_or(""), sha256])
}

impl FileStore {
    /// A folder, made private when it is not there.
    ///
    /// # Errors
    /// The folder cannot be made.
    pub fn local(folder: &FsPath) -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let failed = |error: std::io::Error| {
            ChatError::Internal(format!("the folder of files {}: {error}", folder.display()))
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        // Acknowledged means on disk.
        let store = LocalFileSystem::new_with_prefix(folder)?.with_fsync(true);
        Ok(Self {
            store: Arc::new(store),
        })
    }

    /// `s3://bucket/prefix`, `gs://…`, `az://…`; keys and regions come from the environment, under the providers' own names.
    ///
    /// # Errors
    /// The URL cannot be understood.
    pub fn remote(url: &url::Url) -> Result<Self> {
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((
                name.into_string().ok()?.to_ascii_lowercase(),
                value.into_string().ok()?,
            ))
        });
        let (store, prefix) = object_store::parse_url_opts(url, environment)?;
        Ok(Self {
            store: Arc::new(object_store::prefix::PrefixStore::new(store, prefix)),
        })
    }

    /// Stores a stream of bytes, up to `bytes_max`. The same bytes are stored once.
    ///
    /// # Errors
    /// [`ChatError::TooLarge`], what the stream says, what the store says. Then nothing is stored under a name that anybody looks for.
    pub async fn put<E>(
        &self,
        mut bytes: BoxStream<'_, std::result::Result<Bytes, E>>,
        bytes_max: u64,
    ) -> Result<Stored>
    where
        E: std::fmt::Display + Send,
    {
        let mut digest = Sha256::new();
        let mut size = 0_u64;
        let mut buffer: Vec<u8> = Vec::new();
        let mut upload: Option<(Path, Box<dyn MultipartUpload>)> = None;
        let outcome = async {
            while let Some(chunk) = in_time(bytes.next()).await? {
                let chunk = chunk.map_err(|error| ChatError::invalid("file", error.to_string()))?;
                size += chunk.len() as u64;
                if size > bytes_max {
                    return Err(ChatError::TooLarge {
                        what: "the file",
                        bytes_max,
                    });
                }
                digest.update(&chunk);
                buffer.extend_from_slice(&chunk);
                if buffer.len() >= PART_BYTES {
                    let part = PutPayload::from(std::mem::take(&mut buffer));
                    self.started(&mut upload).await?.put_part(part).await?;
                }
            }
            Ok(())
        }
        .await;
        if let Err(error) = outcome {
            abort(upload).await;
            return Err(error);
        }
        let stored = Stored {
            sha256: hex::encode(digest.finalize()),
            size,
        };
        self.finish(upload, buffer, &stored).await?;
        Ok(stored)
    }

    async fn started<'a>(
        &self,
        upload: &'a mut Option<(Path, Box<dyn MultipartUpload>)>,
    ) -> Result<&'a mut Box<dyn MultipartUpload>> {
        if upload.is_none() {
            let name = Path::from_iter(["incoming", &uuid::Uuid::now_v7().simple().to_string()]);
            let started = self.store.put_multipart(&name).await?;
            *upload = Some((name, started));
        }
        match upload {
            Some((_name, started)) => Ok(started),
            None => Err(ChatError::Internal(
                "an upload that was started is not there".into(),
            )),
        }
    }

    async fn finish(
        &self,
        upload: Option<(Path, Box<dyn MultipartUpload>)>,
        rest: Vec<u8>,
        stored: &Stored,
    ) -> Result<()> {
        let name = name_of(&stored.sha256);
        let known = self
            .store
            .head(&name)
            .await
            .is_ok_and(|meta| meta.size == stored.size);
        match upload {
            None if known => Ok(()),
            None => Ok(self
                .store
                .put(&name, PutPayload::from(rest))
                .await
                .map(|_put| ())?),
            Some(upload) if known => {
                abort(Some(upload)).await;
                Ok(())
            }
            Some((incoming, mut upload)) => {
                if !rest.is_empty() {
                    upload.put_part(PutPayload::from(rest)).await?;
                }
                upload.complete().await?;
                Ok(self.store.rename(&incoming, &name).await?)
            }
        }
    }

    /// The bytes of a file from `start` up to `end` (not included).
    ///
    /// # Errors
    /// [`ChatError::NotFound`] when the store does not have it.
    pub async fn get(
        &self,
        sha256: &str,
        start: u64,
        end: u64,
    ) -> Result<BoxStream<'static, std::io::Result<Bytes>>> {
        if start >= end {
            return Ok(futures::stream::empty().boxed());
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(start..end)),
            ..GetOptions::default()
        };
        match self.store.get_opts(&name_of(sha256), options).await {
            Ok(found) => Ok(found.into_stream().map_err(std::io::Error::other).boxed()),
            Err(object_store::Error::NotFound { .. }) => Err(ChatError::NotFound { what: "file" }),
            Err(error) => Err(error.into()),
        }
    }

    /// Deletes the bytes, if they are there.
    ///
    /// # Errors
    /// What the store says.
    pub async fn delete(&self, sha256: &str) -> Result<()> {
        match self.store.delete(&name_of(sha256)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a client sends, if it sends it in time: one that stalls would hold its place among the requests for ever.
///
/// # Errors
/// Nothing came for [`UPLOAD_SILENCE`].
pub async fn in_time<T>(next: impl Future<Output = T>) -> Result<T> {
    within(UPLOAD_SILENCE, next).await
}

async fn within<T>(silence: Duration, next: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(silence, next)
        .await
        .map_err(|_elapsed| {
            let seconds = silence.as_secs();
            ChatError::invalid("file", format!("nothing came for {seconds} seconds"))
        })
}

async fn abort(upload: Option<(Path, Box<dyn MultipartUpload>)>) {
    if let Some((name, mut upload)) = upload
        && let Err(error) = upload.abort().await
    {
        tracing::warn!(name = %name, error = %error, "an upload that failed left a part behind");
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    #[tokio::test]
    async fn a_client_that_stalls_is_given_up() {
        let silence = Duration::from_millis(5);
        assert!(
            super::within(silence, std::future::pending::<()>())
                .await
                .is_err()
        );
        assert_eq!(super::within(silence, async { 7 }).await.unwrap(), 7);
    }
}
