//! The sets of sequences ever archived, one an origin.
//!
//! Domain metadata `holdfast.origin.<origin>` holds one of
//! - `{"count":N,"set":"<base64>"}`: a Roaring treemap in its portable form, runs included;
//! - `{"count":N,"object":"origins/<ulid>.roaring","bytes":B,"sha256":"<hex>"}`: the same bytes in an object of their
//!   own, once they are longer than 64 KiB.
//!
//! Sets grow only. They are written by the commit that adds the rows and outlive the rows' disposal, so that nothing
//! that was disposed of comes back.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;
use ulid::Ulid;

use crate::error::ArchiveError;

/// Prefix of the domains' names.
pub(crate) const DOMAIN_PREFIX: &str = "holdfast.origin.";
/// Folder of sets that are too large for the log.
pub(crate) const FOLDER: &str = "origins";
/// A set's bytes that still fit into the log.
const INLINE_BYTES_MAX: usize = 64 * 1024;

/// An origin's entry in the table.
#[derive(Debug, Clone)]
pub(crate) struct OriginEntry {
    configuration: Arc<Configuration>,
    decoded: Arc<OnceCell<Arc<RoaringTreemap>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Configuration {
    count: u64,
    #[serde(flatten)]
    place: Place,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Place {
    Inline {
        set: String,
    },
    Object {
        object: String,
        bytes: u64,
        sha256: String,
    },
}

/// A set ready for a commit: its entry, and the object to put first, if it needs one.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) domain: String,
    pub(crate) configuration: String,
    pub(crate) object: Option<(Path, Bytes)>,
    pub(crate) set: Arc<RoaringTreemap>,
}

impl OriginEntry {
    pub(crate) fn parse(origin: &str, configuration: &str) -> Result<Self, ArchiveError> {
        let configuration =
            serde_json::from_str(configuration).map_err(|e| corrupt(origin, e.to_string()))?;
        Ok(Self {
            configuration: Arc::new(configuration),
            decoded: Arc::default(),
        })
    }

    /// Whether two entries say the same, without reading the sets.
    pub(crate) fn same(&self, other: &Self) -> bool {
        self.configuration == other.configuration
    }

    /// Sequences in the set, without reading it.
    pub(crate) fn count(&self) -> u64 {
        self.configuration.count
    }

    /// The object that holds the set, if it is not in the log.
    pub(crate) fn object(&self) -> Option<&str> {
        match &self.configuration.place {
            Place::Inline { .. } => None,
            Place::Object { object, .. } => Some(object),
        }
    }

    /// The set; read once.
    pub(crate) async fn set(
        &self,
        origin: &str,
        store: &Arc<dyn ObjectStore>,
    ) -> Result<Arc<RoaringTreemap>, ArchiveError> {
        let set = self
            .decoded
            .get_or_try_init(|| self.read(origin, store))
            .await?;
        Ok(Arc::clone(set))
    }

    /// Keeps a set that is known already, when it is the one of this entry.
    pub(crate) fn remember(&self, written: &Written) {
        if serde_json::to_string(&*self.configuration)
            .is_ok_and(|text| text == written.configuration)
        {
            // Filled already: it is the same set.
            let _ = self.decoded.set(Arc::clone(&written.set));
        }
    }

    async fn read(
        &self,
        origin: &str,
        store: &Arc<dyn ObjectStore>,
    ) -> Result<Arc<RoaringTreemap>, ArchiveError> {
        let bytes = match &self.configuration.place {
            Place::Inline { set } => Bytes::from(
                STANDARD
                    .decode(set)
                    .map_err(|e| corrupt(origin, e.to_string()))?,
            ),
            Place::Object { object, sha256, .. } => {
                let failed = |source| ArchiveError::Store {
                    operation: "read",
                    path: object.clone(),
                    source,
                };
                let answer = store
                    .get(&Path::from(object.as_str()))
                    .await
                    .map_err(failed)?;
                let bytes = answer.bytes().await.map_err(failed)?;
                if hex::encode(Sha256::digest(&bytes)) != *sha256 {
                    return Err(ArchiveError::Corrupt {
                        path: object.clone(),
                        problem: format!("its SHA-256 is not {sha256}"),
                    });
                }
                bytes
            }
        };
        let set = RoaringTreemap::deserialize_from(&bytes[..])
            .map_err(|e| corrupt(origin, e.to_string()))?;
        if set.len() != self.configuration.count {
            return Err(corrupt(
                origin,
                format!(
                    "{} sequences, {} expected",
                    set.len(),
                    self.configuration.count
                ),
            ));
        }
        Ok(Arc::new(set))
    }
}

/// Encodes a set for the next commit. `id` names the object when one is needed.
pub(crate) fn write(
    origin: &str,
    mut set: RoaringTreemap,
    id: Ulid,
) -> Result<Written, ArchiveError> {
    set.optimize();
    let mut bytes = Vec::with_capacity(set.serialized_size());
    set.serialize_into(&mut bytes).map_err(|e| {
        ArchiveError::Invalid(format!("the set of origin {origin} cannot be encoded: {e}"))
    })?;
    let (place, object) = if bytes.len() <= INLINE_BYTES_MAX {
        (
            Place::Inline {
                set: STANDARD.encode(&bytes),
            },
            None,
        )
    } else {
        let path = Path::from(format!("{FOLDER}/{id}.roaring"));
        let place = Place::Object {
            object: path.to_string(),
            bytes: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(&bytes)),
        };
        (place, Some((path, Bytes::from(bytes))))
    };
    let configuration = serde_json::to_string(&Configuration {
        count: set.len(),
        place,
    })
    .map_err(|e| {
        ArchiveError::Invalid(format!("the set of origin {origin} cannot be encoded: {e}"))
    })?;
    Ok(Written {
        domain: format!("{DOMAIN_PREFIX}{origin}"),
        configuration,
        object,
        set: Arc::new(set),
    })
}

/// Whether a set could not be read because its object is not there (any more).
pub(crate) fn is_gone(error: &ArchiveError) -> bool {
    matches!(error, ArchiveError::Store { path, source: object_store::Error::NotFound { .. }, .. }
        if path.starts_with(FOLDER))
}

fn corrupt(origin: &str, problem: String) -> ArchiveError {
    ArchiveError::Corrupt {
        path: format!("{}/{DOMAIN_PREFIX}{origin}", crate::log::paths::LOG),
        problem,
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use proptest::prelude::*;

    use super::*;

    async fn round_trip(set: &RoaringTreemap) -> (RoaringTreemap, bool) {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let written = write("main", set.clone(), Ulid::from_parts(1, 2)).unwrap();
        let in_object = written.object.is_some();
        if let Some((path, bytes)) = &written.object {
            store.put(path, bytes.clone().into()).await.unwrap();
        }
        let entry = OriginEntry::parse("main", &written.configuration).unwrap();
        assert_eq!(entry.count(), set.len());
        assert_eq!(entry.object().is_some(), in_object);
        (
            (*entry.set("main", &store).await.unwrap()).clone(),
            in_object,
        )
    }

    #[tokio::test]
    async fn dense_sets_stay_in_the_log_and_sparse_ones_move_out() {
        let dense: RoaringTreemap = (1..=3_000_000).collect();
        assert_eq!(round_trip(&dense).await, (dense.clone(), false));
        let sparse: RoaringTreemap = (1..=200_000u64).map(|n| n * 7).collect();
        assert_eq!(round_trip(&sparse).await, (sparse.clone(), true));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn sets_come_back_as_they_were(values in proptest::collection::vec(any::<u64>(), 0..500), run in 0u64..100_000) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let set: RoaringTreemap = values.into_iter().chain(run..run * 2).collect();
            prop_assert_eq!(runtime.block_on(round_trip(&set)).0, set);
        }
    }

    #[tokio::test]
    async fn a_changed_object_is_refused() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let sparse: RoaringTreemap = (1..=200_000u64).map(|n| n * 7).collect();
        let written = write("main", sparse, Ulid::from_parts(1, 2)).unwrap();
        let (path, bytes) = written.object.unwrap();
        let mut changed = bytes.to_vec();
        changed[50_000] ^= 1;
        store.put(&path, changed.into()).await.unwrap();
        let entry = OriginEntry::parse("main", &written.configuration).unwrap();
        assert!(matches!(
            entry.set("main", &store).await,
            Err(ArchiveError::Corrupt { .. })
        ));
    }
}
