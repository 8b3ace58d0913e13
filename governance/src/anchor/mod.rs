//! Anchors: what the archive says of itself, put where its owner cannot reach.
//!
//! The chain shows every change but one: a rewrite of all of it by whoever owns the store. An anchor holds the head's
//! hash at a moment. Kept in an Object-Lock bucket, with an authority's time stamp (RFC 3161), or on paper, it shows that
//! too, from that moment back. It says nothing about what came after it.

pub mod check;
mod error;
mod token;
mod tsa;

use futures::{StreamExt, TryStreamExt};
use holdfast_archive::read::SegmentReader;
use holdfast_archive::{Archive, LEDGER_APP_ID, Location};
use holdfast_schemas::ledger::Digest;
use holdfast_schemas::ledger::anchor::{Anchor, AnchorFile, AnchoredSegment};
use holdfast_schemas::merkle;

pub use error::AnchorError;
pub use token::{Stamped, verify as verify_token};
pub use tsa::stamp;

use crate::ledger::State;

/// Footers read at the same time.
const READS_AT_ONCE: usize = 8;
/// Where stamped anchors are kept, relative to the archive.
const FOLDER: &str = "ledger/anchors";
/// Format of the anchors that this version writes.
const FORMAT: u32 = 1;

/// What the archive says of itself now, after `state`.
///
/// # Errors
/// The archive cannot be read.
pub async fn make(
    archive: &Archive,
    state: &State,
    now_us: i64,
) -> Result<AnchorFile, AnchorError> {
    let snapshot = archive.snapshot().await?;
    let live = snapshot.segments().await?;
    let reads = live.iter().map(|segment| {
        let (archive, segment) = (archive.clone(), segment.clone());
        async move {
            let footer = SegmentReader::open(&archive, &segment).await?.footer()?;
            Ok::<_, AnchorError>(AnchoredSegment {
                path: segment.path.clone(),
                rows: footer.rows,
                merkle_root: Digest(footer.merkle_root),
            })
        }
    });
    let mut segments: Vec<AnchoredSegment> = futures::stream::iter(reads)
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    segments.sort_by(|a, b| a.path.cmp(&b.path));
    let fence = snapshot.position(LEDGER_APP_ID).await?;
    let commit = archive.commit_record(snapshot.version()).await?;
    let anchor = Anchor {
        holdfast_anchor: FORMAT,
        time_us: now_us,
        ledger_seq: state.head.seq,
        ledger_hash: state.head.hash,
        table_version: snapshot.version(),
        table_sha256: commit.map(|commit| Digest(commit.sha256)),
        ledger_fence: fence.and_then(|fence| u64::try_from(fence).ok()),
        segments: segments.len() as u64,
        segments_root: root(&segments)?,
    };
    Ok(AnchorFile {
        anchor,
        segments,
        stamp: None,
    })
}

/// Merkle root over segments, by path.
fn root(segments: &[AnchoredSegment]) -> Result<Digest, AnchorError> {
    let leaves: Result<Vec<[u8; 32]>, _> = segments
        .iter()
        .map(|s| s.leaf().map(|leaf| leaf.0))
        .collect();
    Ok(Digest(merkle::root(leaves?)))
}

/// Puts an anchor at a URI or path, where nothing may be. A URI that ends in `/` is a folder: the name is made of the
/// ledger's and the table's positions. Answers where it went.
///
/// # Errors
/// The place cannot be written, or something else is there.
pub async fn put(file: &AnchorFile, to: &str) -> Result<String, AnchorError> {
    use object_store::{ObjectStoreExt, PutMode};
    let to = match to.ends_with('/') {
        true => format!(
            "{to}{:020}-{:020}.json",
            file.anchor.ledger_seq, file.anchor.table_version
        ),
        false => to.to_owned(),
    };
    let (store, path) = place(&to, true)?;
    let bytes = file.encode()?;
    let put = store.put_opts(&path, bytes.clone().into(), PutMode::Create.into());
    let Err(source) = put.await else {
        return Ok(to);
    };
    // The store may have repeated our own request: only other bytes are somebody else's.
    let found = async { store.get(&path).await?.bytes().await };
    match found.await {
        Ok(found) if *found == *bytes => Ok(to),
        Ok(_) => Err(AnchorError::Taken { place: to }),
        Err(_) => Err(AnchorError::Place { place: to, source }),
    }
}

/// Keeps an anchor in the archive itself, below `ledger/anchors/`: for stamps, whose time does not depend on where they lie.
///
/// # Errors
/// It cannot be written.
pub async fn keep(archive: &Archive, file: &AnchorFile) -> Result<String, AnchorError> {
    use object_store::ObjectStoreExt;
    let path = format!(
        "{FOLDER}/{:020}-{:020}.json",
        file.anchor.ledger_seq, file.anchor.table_version
    );
    let at = object_store::path::Path::from(path.as_str());
    let put = archive.store().put(&at, file.encode()?.into());
    match put.await {
        Ok(_) => Ok(path),
        Err(source) => Err(AnchorError::Place {
            place: path,
            source,
        }),
    }
}

/// Reads an anchor from a URI or path.
///
/// # Errors
/// It cannot be read, or is no anchor.
pub async fn get(from: &str) -> Result<AnchorFile, AnchorError> {
    use object_store::ObjectStoreExt;
    let (store, path) = place(from, false)?;
    let read = async { store.get(&path).await?.bytes().await };
    let bytes = read.await.map_err(|source| AnchorError::Place {
        place: from.to_owned(),
        source,
    })?;
    Ok(AnchorFile::decode(&bytes)?)
}

type Place = (
    std::sync::Arc<dyn object_store::ObjectStore>,
    object_store::path::Path,
);

/// The store of a place's folder, and the name in it.
fn place(text: &str, create: bool) -> Result<Place, AnchorError> {
    let (folder, name) = match text.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some((folder, name)) => (folder, name),
        None => (".", text),
    };
    if name.is_empty() || folder.ends_with(":/") || folder.ends_with(':') {
        return Err(AnchorError::NoPlace {
            place: text.to_owned(),
        });
    }
    let location = Location::parse(folder).map_err(holdfast_archive::ArchiveError::from)?;
    let store = holdfast_archive::store_at(&location, create)?;
    Ok((store, object_store::path::Path::from(name)))
}
