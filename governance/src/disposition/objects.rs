//! Objects beside the ledger's entries: plans, certificates, what is kept. Named by their content, put whole.

use bytes::Bytes;
use holdfast_archive::Archive;
use holdfast_schemas::ledger::{Digest, canonical};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt};
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
    let path = path(folder, id, &digest);
    put_bytes(archive, &path, bytes.into()).await?;
    Ok((path, digest))
}

/// Where a record with this digest lies.
pub(crate) fn path(folder: &str, id: &str, digest: &Digest) -> String {
    format!("{folder}/{id}-{}.json", &digest.to_string()[..16])
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

/// Bytes as base64.
mod text {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn write<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(bytes))
    }

    pub(super) fn read<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD.decode(text).map_err(serde::de::Error::custom)
    }
}

/// Row ids as base64 of a Roaring treemap in its portable form.
pub(crate) mod rows {
    use roaring::RoaringTreemap;
    use serde::{Deserializer, Serializer};

    use super::text;

    pub(crate) fn serialize<S: Serializer>(
        rows: &RoaringTreemap,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut rows = rows.clone();
        rows.optimize();
        let mut bytes = Vec::with_capacity(rows.serialized_size());
        rows.serialize_into(&mut bytes)
            .map_err(serde::ser::Error::custom)?;
        text::write(&bytes, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RoaringTreemap, D::Error> {
        let bytes = text::read(deserializer)?;
        RoaringTreemap::deserialize_from(&bytes[..]).map_err(serde::de::Error::custom)
    }
}

/// Row numbers as base64 of a Roaring bitmap in its portable form.
pub(crate) mod bits {
    use roaring::RoaringBitmap;
    use serde::{Deserializer, Serializer};

    use super::text;

    pub(crate) fn serialize<S: Serializer>(
        rows: &RoaringBitmap,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut rows = rows.clone();
        rows.optimize();
        let mut bytes = Vec::with_capacity(rows.serialized_size());
        rows.serialize_into(&mut bytes)
            .map_err(serde::ser::Error::custom)?;
        text::write(&bytes, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<RoaringBitmap, D::Error> {
        let bytes = text::read(deserializer)?;
        RoaringBitmap::deserialize_from(&bytes[..]).map_err(serde::de::Error::custom)
    }
}

/// Domains and intervals of state records as base64 of little-endian 64-bit words: how many domains, the domains, from,
/// to. JSON has no exact numbers of that size.
pub(crate) mod records {
    use serde::{Deserializer, Serializer};

    use super::text;
    use crate::family::Interval;

    type Records = Vec<(Vec<u64>, Interval)>;

    pub(crate) fn serialize<S: Serializer>(
        records: &[(Vec<u64>, Interval)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut bytes = Vec::new();
        for (domains, (from_us, to_us)) in records {
            let ends = [from_us.cast_unsigned(), to_us.cast_unsigned()];
            let words = std::iter::once(domains.len() as u64)
                .chain(domains.iter().copied())
                .chain(ends);
            bytes.extend(words.flat_map(u64::to_le_bytes));
        }
        text::write(&bytes, serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Records, D::Error> {
        let bytes = text::read(deserializer)?;
        parse(&bytes).ok_or_else(|| serde::de::Error::custom("state records are cut off"))
    }

    fn parse(bytes: &[u8]) -> Option<Records> {
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return None;
        }
        let mut words = words.iter().map(|word| u64::from_le_bytes(*word));
        let mut records = Vec::new();
        while let Some(count) = words.next() {
            let count = usize::try_from(count).ok()?;
            let domains: Vec<u64> = words.by_ref().take(count).collect();
            let (from_us, to_us) = (words.next()?.cast_signed(), words.next()?.cast_signed());
            records.push((domains, (from_us, to_us)));
        }
        Some(records)
    }

    #[cfg(test)]
    mod tests {
        use base64::Engine;
        use base64::engine::general_purpose::STANDARD;

        use super::*;

        #[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
        struct Holder(#[serde(with = "super")] Records);

        #[test]
        fn records_come_back_as_they_were_and_cut_ones_not_at_all() {
            let holder = Holder(vec![
                (vec![u64::MAX, 1], (i64::MIN, i64::MAX)),
                (Vec::new(), (-5, 5)),
                (vec![7], (0, 1)),
            ]);
            let text = serde_json::to_string(&holder).unwrap();
            assert_eq!(serde_json::from_str::<Holder>(&text).unwrap(), holder);
            let whole = STANDARD.decode(text.trim_matches('"')).unwrap();
            // After whole records only: two words behind the domains.
            let ends = [0, 5 * 8, 8 * 8, 12 * 8];
            for cut in 0..=whole.len() {
                assert_eq!(parse(&whole[..cut]).is_some(), ends.contains(&cut), "{cut}");
            }
        }
    }
}
