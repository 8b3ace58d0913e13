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
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, SystemTime};

    use futures::TryStreamExt;
    use object_store::ObjectStoreExt;

    use super::*;
    use crate::store::files::leftovers;

    fn mode(path: &FsPath) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[tokio::test]
    async fn files_and_folders_are_private() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("a/b");
        let store = LocalStore::open(&root, true, true).unwrap();
        store
            .put(&Path::from("x/y/file"), PutPayload::from_static(b"1"))
            .await
            .unwrap();
        for folder in ["a", "a/b", "a/b/x", "a/b/x/y"] {
            assert_eq!(mode(&home.path().join(folder)), 0o700, "{folder}");
        }
        assert_eq!(mode(&root.join("x/y/file")), 0o600);
        let names: Vec<_> = std::fs::read_dir(root.join("x/y")).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing staged stays");
    }

    #[tokio::test]
    async fn create_never_overwrites() {
        let home = tempfile::tempdir().unwrap();
        let store = LocalStore::open(home.path(), true, false).unwrap();
        let path = Path::from("slot");
        store
            .put_opts(&path, PutPayload::from_static(b"1"), PutMode::Create.into())
            .await
            .unwrap();
        let again = store
            .put_opts(&path, PutPayload::from_static(b"2"), PutMode::Create.into())
            .await;
        assert!(
            matches!(again, Err(Error::AlreadyExists { .. })),
            "{again:?}"
        );
        assert_eq!(
            store
                .get(&path)
                .await
                .unwrap()
                .bytes()
                .await
                .unwrap()
                .as_ref(),
            b"1"
        );
        assert!(leftovers(home.path(), |_| true).unwrap().is_empty());
    }

    /// Entries of the ledger are put by this thread on a runtime of one, by another one elsewhere: it makes no difference.
    async fn entries_are_put_like_any_file() {
        let home = tempfile::tempdir().unwrap();
        let store = LocalStore::open(home.path(), true, true).unwrap();
        let large = vec![b'7'; HERE_BYTES_MAX as usize + 1];
        for (name, bytes) in [("1.json", b"one".to_vec()), ("large", large)] {
            let path = Path::from(format!("{LEDGER}/params/{name}"));
            let put = async |bytes: &[u8], mode: PutMode| {
                let payload = PutPayload::from(bytes.to_vec());
                store.put_opts(&path, payload, mode.into()).await
            };
            put(&bytes, PutMode::Create).await.unwrap();
            let again = put(b"other", PutMode::Create).await;
            assert!(
                matches!(again, Err(Error::AlreadyExists { .. })),
                "{again:?}"
            );
            let read = async || store.get(&path).await.unwrap().bytes().await.unwrap();
            assert_eq!(read().await, bytes);
            put(b"two", PutMode::Overwrite).await.unwrap();
            assert_eq!(read().await, b"two".as_ref());
            assert_eq!(mode(&home.path().join(path.as_ref())), 0o600, "{name}");
        }
        assert!(leftovers(home.path(), |_| true).unwrap().is_empty());
    }

    #[tokio::test]
    async fn entries_are_put_by_the_only_thread() {
        assert!(is_alone());
        entries_are_put_like_any_file().await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn entries_are_put_by_another_thread() {
        assert!(!is_alone());
        entries_are_put_like_any_file().await;
    }

    #[tokio::test]
    async fn parameters_are_written_in_their_place_where_nothing_is() {
        let home = tempfile::tempdir().unwrap();
        let store = LocalStore::open(home.path(), true, true).unwrap();
        let path = home.path().join(format!("{PARAMS}/1.json"));
        let payload = PutPayload::from_static(b"words");
        put_in_place(&path, &payload, true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"words");
        assert_eq!(mode(&path), 0o600);
        let again = put_in_place(&path, &PutPayload::from_static(b"other"), true);
        assert_eq!(again.unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"words");
        // Neither is a link followed: what is put takes its place.
        let (linked, target) = (
            home.path().join(format!("{PARAMS}/2.json")),
            home.path().join("target"),
        );
        std::fs::write(&target, b"untouched").unwrap();
        std::os::unix::fs::symlink(&target, &linked).unwrap();
        let location = Path::from(format!("{PARAMS}/2.json"));
        store.put(&location, "put".into()).await.unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"untouched");
        assert_eq!(std::fs::read(&linked).unwrap(), b"put");
    }

    #[tokio::test]
    async fn what_was_written_early_is_named_once_or_goes() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger/1.json");
        let early = |bytes| {
            crate::store::stage_early(path.clone(), &Bytes::from_static(bytes), true).unwrap()
        };
        let (one, two) = (early(b"one"), early(b"two"));
        assert!(!path.exists());
        one.create().unwrap();
        let taken = two.create();
        assert!(
            matches!(taken, Err(Error::AlreadyExists { .. })),
            "{taken:?}"
        );
        assert_eq!(std::fs::read(&path).unwrap(), b"one");
        assert_eq!(mode(&path), 0o600);
        drop(early(b"three"));
        assert!(leftovers(home.path(), |_| true).unwrap().is_empty());
        // Collected meanwhile: whoever waits for its name is told.
        let four = early(b"four");
        std::fs::remove_file(&leftovers(home.path(), |_| true).unwrap()[0].path).unwrap();
        assert!(matches!(four.create(), Err(Error::NotFound { .. })));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nothing_is_written_early_where_others_write() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("ledger/1.json");
        assert!(crate::store::stage_early(path, &Bytes::new(), true).is_none());
        assert!(!home.path().join("ledger").exists());
    }

    #[test]
    fn files_are_where_object_store_has_them() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("a b#%41ü");
        let store = LocalStore::open(&root, true, false).unwrap();
        for name in [
            "events/_delta_log/0.json",
            "a=1/b-c.d_e",
            "a b",
            "x%2E",
            "ü",
            "%",
            "a..b/.c",
            "..",
            "a//b",
        ] {
            let path = Path::from(name);
            assert_eq!(
                store.file(&path).unwrap(),
                store.inner.path_to_filesystem(&path).unwrap(),
                "{name}"
            );
        }
        assert!(store.file(&Path::from("")).is_err());
        assert!(store.file(&Path::parse("x#1").unwrap()).is_err());
    }

    #[tokio::test]
    async fn what_is_not_there_lists_as_it_always_did() {
        let home = tempfile::tempdir().unwrap();
        let store = LocalStore::open(home.path(), true, false).unwrap();
        let file = Path::from("there/file");
        store.put(&file, "1".into()).await.unwrap();
        std::os::unix::fs::symlink("nowhere", home.path().join("broken")).unwrap();
        for prefix in [
            "missing",
            "there/missing/deep",
            "there/file",
            "broken",
            "there",
        ] {
            let prefix = Path::from(prefix);
            let ours: Vec<_> = store.list(Some(&prefix)).try_collect().await.unwrap();
            let theirs: Vec<_> = store.inner.list(Some(&prefix)).try_collect().await.unwrap();
            assert_eq!(ours, theirs, "{prefix}");
        }
    }

    /// Entries read at once and files left to `object_store` are the same to a caller.
    #[tokio::test]
    async fn log_entries_read_as_other_files_do() {
        let home = tempfile::tempdir().unwrap();
        let store = LocalStore::open(home.path(), true, false).unwrap();
        let entry = |name: &str| Path::from(format!("{LOG}/{name}"));
        let large = vec![7; HERE_BYTES_MAX as usize + 1];
        for (path, bytes) in [
            (entry("0.json"), b"entry".to_vec()),
            (entry("large.json"), large),
            (entry("empty"), Vec::new()),
            (
                Path::from(format!("{LEDGER}/params/1.json")),
                b"words".to_vec(),
            ),
        ] {
            let name = path.as_ref();
            store.put(&path, bytes.clone().into()).await.unwrap();
            let ours = store.get(&path).await.unwrap();
            let theirs = store.inner.get(&path).await.unwrap();
            assert_eq!(ours.meta.size, theirs.meta.size, "{name}");
            assert_eq!(ours.meta.location, theirs.meta.location, "{name}");
            assert_eq!(ours.meta.last_modified, theirs.meta.last_modified, "{name}");
            assert_eq!(ours.range, theirs.range, "{name}");
            let is_stream = matches!(ours.payload, GetResultPayload::Stream(_));
            assert_eq!(is_stream, !name.ends_with("large.json"), "{name}");
            assert_eq!(ours.bytes().await.unwrap(), bytes, "{name}");
        }
        assert_eq!(
            store.get_range(&entry("0.json"), 1..3).await.unwrap(),
            "nt".as_bytes()
        );
        assert_eq!(store.head(&entry("0.json")).await.unwrap().size, 5);
        for missing in [entry("1.json"), Path::from(LOG)] {
            let error = store.get(&missing).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{error:?}");
        }
    }

    #[tokio::test]
    async fn leftovers_of_killed_puts_are_found_and_hidden() {
        let home = tempfile::tempdir().unwrap();
        let store = LocalStore::open(home.path(), true, false).unwrap();
        store
            .put(&Path::from("events/whole"), PutPayload::from_static(b"1"))
            .await
            .unwrap();
        std::fs::write(home.path().join("events/half#12"), b"22").unwrap();
        let listed: Vec<_> = store.list(None).try_collect().await.unwrap();
        assert_eq!(listed.len(), 1);
        let found = leftovers(home.path(), |_| true).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].bytes, 2);
        let minute_ago = SystemTime::now() - Duration::from_secs(60);
        let young = leftovers(home.path(), |written| written < minute_ago);
        assert!(young.unwrap().is_empty(), "a put on its way is left alone");
    }
}
