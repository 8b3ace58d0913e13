//! What a segment's Parquet footer repeats of its commit, as key-value metadata: `holdfast.commit_id`,
//! `holdfast.positions` (JSON: application id to position), `holdfast.rows`, `holdfast.merkle_root` (hexadecimal).

use std::collections::BTreeMap;

use parquet::file::metadata::KeyValue;
use uuid::Uuid;

use crate::error::ArchiveError;
use crate::segment::SegmentFooter;

const COMMIT_ID: &str = "holdfast.commit_id";
const POSITIONS: &str = "holdfast.positions";
const ROWS: &str = "holdfast.rows";
const MERKLE_ROOT: &str = "holdfast.merkle_root";

pub(crate) fn to_metadata(footer: &SegmentFooter) -> Vec<KeyValue> {
    let positions: serde_json::Map<_, _> = footer
        .positions
        .iter()
        .map(|(id, at)| (id.clone(), (*at).into()))
        .collect();
    let pair = |key: &str, value: String| KeyValue::new(key.to_owned(), value);
    vec![
        pair(COMMIT_ID, footer.commit_id.to_string()),
        pair(POSITIONS, serde_json::Value::Object(positions).to_string()),
        pair(ROWS, footer.rows.to_string()),
        pair(MERKLE_ROOT, hex::encode(footer.merkle_root)),
    ]
}

/// Reads the footer back; `path` is for messages.
pub(crate) fn from_metadata(
    metadata: Option<&Vec<KeyValue>>,
    path: &str,
) -> Result<SegmentFooter, ArchiveError> {
    let corrupt = |problem: String| ArchiveError::Corrupt {
        path: path.to_owned(),
        problem,
    };
    let value = |key: &str| {
        let pair = metadata.and_then(|pairs| pairs.iter().find(|pair| pair.key == key));
        pair.and_then(|pair| pair.value.clone())
            .ok_or_else(|| corrupt(format!("its footer has no {key}")))
    };
    let broken = |key: &str| corrupt(format!("its footer's {key} is broken"));
    let positions: BTreeMap<String, i64> =
        serde_json::from_str(&value(POSITIONS)?).map_err(|_| broken(POSITIONS))?;
    let mut merkle_root = [0; 32];
    hex::decode_to_slice(value(MERKLE_ROOT)?, &mut merkle_root).map_err(|_| broken(MERKLE_ROOT))?;
    Ok(SegmentFooter {
        commit_id: Uuid::parse_str(&value(COMMIT_ID)?).map_err(|_| broken(COMMIT_ID))?,
        positions: positions.into_iter().collect(),
        rows: value(ROWS)?.parse().map_err(|_| broken(ROWS))?,
        merkle_root,
    })
}
