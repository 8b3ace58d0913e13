//! Objects beside the ledger's entries: plans, certificates, what is kept. Named by their content, put whole.

use bytes::Bytes;
use holdfast_archive::Archive;
use holdfast_schemas::ledger::{Digest, canonical};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
use roaring::RoaringTreemap;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::DispositionError;

/// Puts a record as canonical JSON under a name that its content gives; answers path and digest. Putting it again is
/// no error: the name tells the content.
pub(crate) async fn put<T: Serialize>(
    archive: &Archive,
    folder: &str,
    id: &str,
    record: &T,
) -> Result<(String, Digest), DispositionError> {
    let bytes = canonical(record, "object of a disposition")?;
    let digest = Digest::of(&bytes);
    let path = format!("{folder}/{id}-{}.json", &digest.to_string()[..16]);
    put_bytes(archive, &path, bytes.into()).await?;
    Ok((path, digest))
}

pub(crate) async fn put_bytes(
    archive: &Archive,
    path: &str,
    bytes: Bytes,
) -> Result<(), DispositionError> {
    let put = archive.store().put(&Path::from(path), bytes.into()).await;
    put.map(|_| ()).map_err(|source| DispositionError::Store {
        operation: "write",
        path: path.to_owned(),
        source,
    })
}

pub(crate) async fn bytes(
    archive: &Archive,
    path: &str,
) -> Result<Option<Bytes>, DispositionError> {
    let read = async { archive.store().get(&Path::from(path)).await?.bytes().await };
    match read.await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(DispositionError::Store {
            operation: "read",
            path: path.to_owned(),
            source,
        }),
    }
}

/// Reads a record, its bytes held against the digest that somebody wrote down.
pub(crate) async fn get<T: DeserializeOwned>(
    archive: &Archive,
    path: &str,
    digest: &Digest,
) -> Result<T, DispositionError> {
    let corrupt = |problem: String| DispositionError::Corrupt {
        path: path.to_owned(),
        problem,
    };
    let Some(bytes) = bytes(archive, path).await? else {
        return Err(corrupt("it is gone".to_owned()));
    };
    let found = Digest::of(&bytes);
    if found != *digest {
        return Err(corrupt(format!(
            "its SHA-256 is {found}, {digest} was written down"
        )));
    }
    serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))
}

/// Row ids as base64 of a Roaring treemap in its portable form.
pub(crate) mod rows {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    use super::RoaringTreemap;

    pub(crate) fn serialize<S: Serializer>(
        rows: &RoaringTreemap,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut rows = rows.clone();
        rows.optimize();
        let mut bytes = Vec::with_capacity(rows.serialized_size());
        rows.serialize_into(&mut bytes)
            .map_err(serde::ser::Error::custom)?;
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RoaringTreemap, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
        RoaringTreemap::deserialize_from(&bytes[..]).map_err(serde::de::Error::custom)
    }
}
