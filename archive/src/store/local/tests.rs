//! Folders as stores: what is private, what is on the disk, what a killed process leaves.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use object_store::ObjectStoreExt;

use super::*;
use crate::store::files::leftovers;
use crate::store::{stage_early, synced};

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
async fn what_is_acknowledged_is_on_the_disk() {
    let home = tempfile::tempdir().unwrap();
    let home = std::fs::canonicalize(home.path()).unwrap();
    let root = home.join("archive");
    let payload = || PutPayload::from_static(b"1");
    let store = LocalStore::open(&root, true, true).unwrap();
    assert_eq!(synced::below(&home), [""], "the archive's name");
    let file = Path::from("x/file");
    store.put(&file, payload()).await.unwrap();
    // Its folder's name, its bytes before it has a name, its name.
    assert_eq!(synced::below(&root), ["", "x/file#", "x"]);
    store.put(&file, payload()).await.unwrap();
    assert_eq!(synced::below(&root), ["x/file#", "x"]);
    let slot = Path::from("x/slot");
    let create = async || {
        store
            .put_opts(&slot, payload(), PutMode::Create.into())
            .await
    };
    create().await.unwrap();
    assert_eq!(synced::below(&root), ["x/slot#", "x"]);
    create().await.unwrap_err();
    assert_eq!(synced::below(&root), ["x/slot#"]);
    let mut upload = store.put_multipart(&file).await.unwrap();
    upload.put_part(payload()).await.unwrap();
    assert!(synced::below(&root).is_empty());
    upload.complete().await.unwrap();
    assert_eq!(synced::below(&root), ["x/file#", "x"]);
    let early = stage_early(root.join("x/early"), &Bytes::from_static(b"1"), true);
    early.unwrap().create().unwrap();
    assert_eq!(synced::below(&root), ["x/early#", "x"]);
    let words = Path::from(format!("{PARAMS}/1.json"));
    store.put(&words, payload()).await.unwrap();
    let words = [
        String::new(),
        LEDGER.to_owned(),
        words.to_string(),
        PARAMS.to_owned(),
    ];
    assert_eq!(synced::below(&root), words);
    store.delete(&file).await.unwrap();
    assert_eq!(synced::below(&root), ["x"]);
    // Whoever removed it before may not have come so far.
    store.delete(&file).await.unwrap_err();
    assert_eq!(synced::below(&root), ["x"]);
    let hasty = LocalStore::open(&root, false, false).unwrap();
    hasty.put(&file, payload()).await.unwrap();
    hasty.delete(&file).await.unwrap();
    assert!(synced::below(&root).is_empty(), "nobody asked for it");
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
    let early =
        |bytes| crate::store::stage_early(path.clone(), &Bytes::from_static(bytes), true).unwrap();
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
