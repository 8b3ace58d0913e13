//! A folder as a store: private, and on disk before it is acknowledged.
//!
//! Reads and listings are `object_store`'s, but for the entries of logs. Puts and deletes are ours, for three reasons:
//! files and folders are created 0600 and 0700 whatever the umask says (an archive holds other people's conversations),
//! a delete syncs the folder (`object_store` does not, and what was disposed of must not come back after a power cut),
//! and large uploads take the same path.
//!
//! A put writes `name#<digits>` next to its target, syncs it, links or renames it into place and syncs the folder.
//! A process killed in between leaves the `#` file; listings hide it and garbage collection removes it. Parameters of the
//! ledger's entries are written in their place: their names are never used twice, no entry speaks of them before they are
//! on the disk, and the commit of the file system that brings a new file there brings its name along.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::ops::Range;
use std::path::{Path as FsPath, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use holdfast_schemas::ledger::{FOLDER as LEDGER, PARAMS_FOLDER as PARAMS};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult,
    RenameOptions, Result,
};
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::error::ArchiveError;
use crate::log::paths::LOG;
use crate::store::files::{create_folders, put_in_place, sync_folder_if_there};
use crate::store::staged::Staged;
use crate::store::upload::Upload;

const STORE: &str = "folder";
/// Entries of logs up to this size are read by the task that asks. Every command reads the table's log and the ledger, up to
/// a hundred entries of a few kilobytes and the empty slots behind them; `object_store` hands each to another thread, twice,
/// and the first sixteen start sixteen threads, which takes longer than the whole search of a rare word. So are the
/// ledger's written, where nobody else is served.
const HERE_BYTES_MAX: u64 = 64 * 1024;

/// See the module's text.
#[derive(Debug, Clone)]
pub(crate) struct LocalStore {
    inner: Arc<LocalFileSystem>,
    root: PathBuf,
    fsync: bool,
}

impl LocalStore {
    /// Opens a folder; with `create` it is made when missing.
    pub(crate) fn open(
        path: &FsPath,
        create: bool,
        fsync: bool,
    ) -> std::result::Result<Self, ArchiveError> {
        let io = |operation, source| ArchiveError::Io {
            operation,
            path: path.display().to_string(),
            source,
        };
        if create {
            create_folders(path, fsync).map_err(|e| io("create the folder", e))?;
        } else if !path.is_dir() {
            return Err(ArchiveError::NotFound {
                location: path.display().to_string(),
            });
        }
        let root = std::fs::canonicalize(path).map_err(|e| io("resolve", e))?;
        let inner =
            LocalFileSystem::new_with_prefix(&root).map_err(|source| ArchiveError::Store {
                operation: "open the folder",
                path: root.display().to_string(),
                source,
            })?;
        Ok(Self {
            inner: Arc::new(inner.with_fsync(fsync)),
            root,
            fsync,
        })
    }

    /// The folder, without symbolic links.
    pub(crate) fn root(&self) -> &FsPath {
        &self.root
    }

    /// The file of an object. Names of ours are what a path is; others go by a URL, as the inner store's do, which takes a while.
    fn file(&self, location: &Path) -> Result<PathBuf> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-_.=".contains(&byte);
        match !location.as_ref().is_empty() && location.as_ref().bytes().all(plain) {
            true => Ok(self.root.join(location.as_ref())),
            false => self.inner.path_to_filesystem(location),
        }
    }

    fn is_missing(&self, location: &Path) -> bool {
        let path = self.file(location);
        path.is_ok_and(|path| matches!(path.try_exists(), Ok(false)))
    }

    /// A small file, read at once; nothing when it is large, or no file.
    fn read_here(&self, location: &Path) -> Result<Option<GetResult>> {
        let failed = |source| error_of(source, location.as_ref());
        let file = File::open(self.file(location)?).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        if !metadata.is_file() || metadata.len() > HERE_BYTES_MAX {
            return Ok(None);
        }
        let mut bytes = Vec::with_capacity(metadata.len() as usize);
        // Nothing is written to a file that has its name, an overwrite puts another in its place: the end need not be looked for. But for parameters,
        // which nobody asks for until their put has returned.
        file.take(metadata.len())
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let size = bytes.len() as u64;
        let bytes = stream::once(std::future::ready(Ok(Bytes::from(bytes))));
        Ok(Some(GetResult {
            payload: GetResultPayload::Stream(bytes.boxed()),
            meta: ObjectMeta {
                location: location.clone(),
                last_modified: metadata.modified().map_err(failed)?.into(),
                size,
                e_tag: None,
                version: None,
            },
            range: 0..size,
            attributes: object_store::Attributes::default(),
            extensions: object_store::Extensions::default(),
        }))
    }
}

/// Whether all of a log's file is wanted, whatever it holds.
fn is_plain_log_read(location: &Path, options: &GetOptions) -> bool {
    (is_in(LOG, location) || is_in(LEDGER, location))
        && !options.head
        && options.range.is_none()
        && options.version.is_none()
        && options.if_match.is_none()
        && options.if_none_match.is_none()
        && options.if_modified_since.is_none()
        && options.if_unmodified_since.is_none()
}

fn is_in(folder: &str, location: &Path) -> bool {
    let rest = location.as_ref().strip_prefix(folder);
    rest.is_some_and(|rest| rest.starts_with('/'))
}

/// Whether the runtime has one thread: a command's, whose next step is what it waits for (or a test's). An entry of the
/// ledger stands before every answer: handed to another thread, its two files would wait for that one to wake up, and this
/// one for them, as long as for the disk.
pub(crate) fn is_alone() -> bool {
    Handle::try_current()
        .is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::CurrentThread)
}

pub(super) fn error_of(source: std::io::Error, path: &str) -> Error {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::AlreadyExists => Error::AlreadyExists {
            path,
            source: source.into(),
        },
        ErrorKind::NotFound => Error::NotFound {
            path,
            source: source.into(),
        },
        ErrorKind::PermissionDenied => Error::PermissionDenied {
            path,
            source: source.into(),
        },
        _ => Error::Generic {
            store: STORE,
            source: source.into(),
        },
    }
}

impl std::fmt::Display for LocalStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "folder {}", self.root.display())
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        let create_only = match opts.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return Err(Error::NotImplemented {
                    operation: "conditional overwrite".to_owned(),
                    implementer: self.to_string(),
                });
            }
        };
        let path = self.file(location)?;
        let fsync = self.fsync;
        let small = payload.content_length() as u64 <= HERE_BYTES_MAX;
        let here = small && is_in(LEDGER, location) && is_alone();
        // Nothing names an entry's parameters before they are on the disk.
        let in_place = is_in(PARAMS, location) && !create_only;
        let write = move || {
            if in_place {
                match put_in_place(&path, &payload, fsync) {
                    Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                    done => return done,
                }
            }
            Staged::write(path, payload.iter(), fsync)?.publish(create_only)
        };
        let written = if here {
            // Others of this thread may go first.
            tokio::task::yield_now().await;
            write()
        } else {
            tokio::task::spawn_blocking(write).await?
        };
        written.map_err(|e| error_of(e, location.as_ref()))?;
        Ok(PutResult {
            e_tag: None,
            version: None,
            extensions: object_store::Extensions::default(),
        })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.file(location)?;
        let upload = Upload::begin(path, self.fsync).await;
        Ok(Box::new(
            upload.map_err(|e| error_of(e, location.as_ref()))?,
        ))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if is_plain_log_read(location, &options)
            && let Some(result) = self.read_here(location)?
        {
            return Ok(result);
        }
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let inner = Arc::clone(&self.inner);
        let fsync = self.fsync;
        locations
            .map(move |location| {
                let inner = Arc::clone(&inner);
                async move {
                    let location = location?;
                    let path = inner.path_to_filesystem(&location)?;
                    let removed = tokio::task::spawn_blocking(move || {
                        let removed = std::fs::remove_file(&path);
                        // Where it is gone already, whoever removed it may have been killed before that was on the disk.
                        match &removed {
                            Err(e) if e.kind() != ErrorKind::NotFound => {}
                            _ if fsync => sync_folder_if_there(&path)?,
                            _ => {}
                        }
                        removed
                    })
                    .await?;
                    removed.map_err(|e| error_of(e, location.as_ref()))?;
                    Ok(location)
                }
            })
            .buffered(4)
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        // No thread is asked for what is not there when the listing begins: each search looks for attachments on their way.
        if prefix.is_some_and(|prefix| self.is_missing(prefix)) {
            return stream::empty().boxed();
        }
        self.inner.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests;
