//! The lines of a log entry, as far as Holdfast needs them.
//! Source: the Delta transaction log protocol, "Actions" (delta-io/delta, PROTOCOL.md).

use std::collections::HashMap;

use delta_kernel::actions::{Metadata, Protocol};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use ulid::Ulid;
use uuid::Uuid;

use crate::error::ArchiveError;
use crate::log::stats::parse_stats;
use crate::segment::{Segment, id_of};

/// The tag of an add action that holds the SHA-256 of its file, hexadecimal.
pub(crate) const SHA256_TAG: &str = "holdfast.sha256";

/// One log entry, parsed.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) version: u64,
    pub(crate) info: Info,
    pub(crate) adds: Vec<Segment>,
    pub(crate) removes: Vec<Removed>,
    pub(crate) txns: Vec<(String, i64)>,
    /// (domain, configuration), or nothing when the domain was removed.
    pub(crate) domains: Vec<(String, Option<String>)>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) protocol: Option<Protocol>,
    /// Bytes of the entry.
    pub(crate) bytes: u64,
    /// SHA-256 of the entry's bytes.
    pub(crate) sha256: [u8; 32],
}

/// A file that a commit took out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removed {
    pub(crate) path: String,
    /// Milliseconds since 1970.
    pub(crate) at_ms: i64,
}

/// What commitInfo says; all absent when another program made the commit.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Info {
    /// Milliseconds since 1970.
    pub(crate) timestamp: Option<i64>,
    /// The kernel's own id of the transaction.
    #[serde(rename = "txnId")]
    pub(crate) txn_id: Option<String>,
    pub(crate) commit_id: Option<Uuid>,
    pub(crate) kind: Option<String>,
    pub(crate) counts: Option<InfoCounts>,
    pub(crate) merkle_root: Option<String>,
    pub(crate) previous_commit_sha256: Option<String>,
    pub(crate) operation: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(crate) struct InfoCounts {
    pub(crate) consumed: u64,
    pub(crate) archived: u64,
    pub(crate) quarantined: u64,
    pub(crate) duplicates: u64,
}

#[derive(Deserialize)]
struct Line {
    add: Option<Add>,
    remove: Option<Remove>,
    txn: Option<Txn>,
    #[serde(rename = "domainMetadata")]
    domain_metadata: Option<Domain>,
    #[serde(rename = "commitInfo")]
    commit_info: Option<Info>,
    #[serde(rename = "metaData")]
    metadata: Option<Metadata>,
    protocol: Option<Protocol>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Add {
    path: String,
    partition_values: HashMap<String, Option<String>>,
    size: u64,
    stats: Option<String>,
    base_row_id: Option<i64>,
    default_row_commit_version: Option<u64>,
    deletion_vector: Option<serde::de::IgnoredAny>,
    tags: Option<HashMap<String, Option<String>>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Remove {
    path: String,
    deletion_timestamp: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

#[derive(Deserialize)]
struct Domain {
    domain: String,
    configuration: String,
    removed: bool,
}

/// Parses the bytes of log entry `version`; `path` is for messages.
pub(crate) fn parse_entry(version: u64, path: &str, bytes: &[u8]) -> Result<Entry, ArchiveError> {
    let corrupt = |problem: String| ArchiveError::Corrupt {
        path: path.to_owned(),
        problem,
    };
    let mut entry = Entry {
        version,
        info: Info::default(),
        adds: Vec::new(),
        removes: Vec::new(),
        txns: Vec::new(),
        domains: Vec::new(),
        metadata: None,
        protocol: None,
        bytes: bytes.len() as u64,
        sha256: Sha256::digest(bytes).into(),
    };
    for (number, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        let line: Line = serde_json::from_slice(line)
            .map_err(|e| corrupt(format!("line {}: {e}", number + 1)))?;
        if let Some(add) = line.add {
            if add.deletion_vector.is_some() {
                return Err(ArchiveError::Unsupported {
                    path: path.to_owned(),
                    problem: format!("{} has a deletion vector", add.path),
                });
            }
            let year = add
                .partition_values
                .get("event_year")
                .and_then(Option::as_deref);
            entry.adds.push(segment_of(
                path,
                &add.path,
                year,
                add.size,
                add.stats.as_deref(),
                (add.base_row_id, add.default_row_commit_version),
                sha256_tag(add.tags.as_ref()),
            )?);
        }
        if let Some(remove) = line.remove {
            let path = decode_path(path, &remove.path)?;
            entry.removes.push(Removed {
                path,
                at_ms: remove.deletion_timestamp.unwrap_or(0),
            });
        }
        if let Some(txn) = line.txn {
            entry.txns.push((txn.app_id, txn.version));
        }
        if let Some(domain) = line.domain_metadata {
            entry.domains.push((
                domain.domain,
                (!domain.removed).then_some(domain.configuration),
            ));
        }
        if let Some(info) = line.commit_info {
            entry.info = info;
        }
        entry.metadata = line.metadata.or(entry.metadata);
        entry.protocol = line.protocol.or(entry.protocol);
    }
    Ok(entry)
}

/// The segment that an add action describes. `log_path` is for messages.
pub(crate) fn segment_of(
    log_path: &str,
    path: &str,
    event_year: Option<&str>,
    bytes: u64,
    stats: Option<&str>,
    row_tracking: (Option<i64>, Option<u64>),
    sha256: Option<&str>,
) -> Result<Segment, ArchiveError> {
    let corrupt = |problem: String| ArchiveError::Corrupt {
        path: log_path.to_owned(),
        problem,
    };
    let path = decode_path(log_path, path)?;
    let event_year = event_year
        .and_then(|year| year.parse().ok())
        .ok_or_else(|| corrupt(format!("{path} was added without an event_year")))?;
    let (Some(base_row_id), Some(commit_version)) = row_tracking else {
        return Err(corrupt(format!("{path} was added without row tracking")));
    };
    let stats = stats.ok_or_else(|| corrupt(format!("{path} was added without statistics")))?;
    let (rows, mut stats) =
        parse_stats(stats).map_err(|e| corrupt(format!("statistics of {path}: {e}")))?;
    let sha256 = sha256
        .map(|hex| digest(hex).ok_or_else(|| corrupt(format!("{SHA256_TAG} of {path} is broken"))))
        .transpose()?;
    if Ulid::from_string(id_of(&path)).is_err() {
        // Another program's compaction: its maxima are truncated, a row may lie up to a millisecond above them.
        stats.event_time_us.1 = stats.event_time_us.1.saturating_add(999);
        stats.ingest_time_us.1 = stats.ingest_time_us.1.saturating_add(999);
    }
    Ok(Segment {
        path,
        event_year,
        rows,
        bytes,
        base_row_id,
        commit_version,
        sha256,
        stats,
    })
}

fn sha256_tag(tags: Option<&HashMap<String, Option<String>>>) -> Option<&str> {
    tags?.get(SHA256_TAG)?.as_deref()
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest).ok()?;
    Some(digest)
}

/// Paths in the log are percent-encoded (ours need no encoding; another program's compaction may).
pub(crate) fn decode_path(log_path: &str, path: &str) -> Result<String, ArchiveError> {
    if path.contains("://") || path.starts_with('/') {
        return Err(ArchiveError::Unsupported {
            path: log_path.to_owned(),
            problem: format!("{path} lies outside the archive"),
        });
    }
    if !path.contains('%') {
        return Ok(path.to_owned());
    }
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next().unwrap_or(0), bytes.next().unwrap_or(0)];
        let value = hex::decode(digits).ok().and_then(|v| v.first().copied());
        out.push(value.ok_or_else(|| ArchiveError::Corrupt {
            path: log_path.to_owned(),
            problem: format!("`{path}` is no encoded path"),
        })?);
    }
    String::from_utf8(out).map_err(|_| ArchiveError::Corrupt {
        path: log_path.to_owned(),
        problem: format!("`{path}` is not UTF-8"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: &str = r#"{"add":{"path":"event_year=2026/01ARZ3NDEKTSV4RRFFQ69G5FAV.parquet","partitionValues":{"event_year":"2026"},"size":10,"modificationTime":1,"dataChange":true,"stats":"{\"numRecords\":3,\"nullCount\":{},\"minValues\":{\"event_time\":\"2026-01-01T00:00:00.000Z\",\"ingest_time\":\"2026-01-01T00:00:00.000Z\",\"origin\":\"a\",\"origin_seq\":1},\"maxValues\":{\"event_time\":\"2026-01-01T00:00:00.001Z\",\"ingest_time\":\"2026-01-01T00:00:00.001Z\",\"origin\":\"b\",\"origin_seq\":9}}","baseRowId":7,"defaultRowCommitVersion":4}}"#;

    #[test]
    fn an_entry_is_read_line_by_line() {
        let text = format!(
            "{}\n{ADD}\n{}\n{}\n{}\n",
            r#"{"commitInfo":{"timestamp":5,"txnId":"t","commit_id":"6a6a4f1c-9a3b-4b5a-8f3e-0c3a3d1d2f10","kind":"append"}}"#,
            r#"{"txn":{"appId":"kafka/c/t/0","version":12,"lastUpdated":1}}"#,
            r#"{"domainMetadata":{"domain":"d","configuration":"{}","removed":false}}"#,
            r#"{"remove":{"path":"event_year=2026/x%20y.parquet","deletionTimestamp":9,"dataChange":false}}"#,
        );
        let entry = parse_entry(4, "x", text.as_bytes()).unwrap();
        assert_eq!(entry.info.kind.as_deref(), Some("append"));
        assert_eq!(entry.adds[0].rows, 3);
        assert_eq!(entry.adds[0].base_row_id, 7);
        assert_eq!(entry.adds[0].commit_version, 4);
        assert_eq!(entry.adds[0].stats.origin_seq, (1, 9));
        assert_eq!(entry.adds[0].sha256, None);
        assert_eq!(entry.txns, [("kafka/c/t/0".to_owned(), 12)]);
        assert_eq!(entry.domains, [("d".to_owned(), Some("{}".to_owned()))]);
        assert_eq!(
            entry.removes,
            [Removed {
                path: "event_year=2026/x y.parquet".to_owned(),
                at_ms: 9
            }]
        );
    }

    #[test]
    fn the_digest_is_read_from_the_tag_and_must_be_one() {
        let tagged = |digest: &str| {
            let tag = format!(r#""size":10,"tags":{{"other":null,"holdfast.sha256":"{digest}"}}"#);
            parse_entry(0, "x", ADD.replace(r#""size":10"#, &tag).as_bytes())
        };
        let entry = tagged(&"0a".repeat(32)).unwrap();
        assert_eq!(entry.adds[0].sha256, Some([10; 32]));
        for bad in ["", "0a", &"0x".repeat(32)] {
            assert!(
                matches!(tagged(bad), Err(ArchiveError::Corrupt { .. })),
                "{bad}"
            );
        }
    }

    #[test]
    fn deletion_vectors_and_foreign_paths_are_refused() {
        let with_vector = ADD.replace(
            r#""size":10"#,
            r#""size":10,"deletionVector":{"storageType":"u"}"#,
        );
        assert!(matches!(
            parse_entry(0, "x", with_vector.as_bytes()),
            Err(ArchiveError::Unsupported { .. })
        ));
        let outside = ADD.replace("event_year=2026/01", "s3://other/01");
        assert!(matches!(
            parse_entry(0, "x", outside.as_bytes()),
            Err(ArchiveError::Unsupported { .. })
        ));
        assert!(matches!(
            parse_entry(0, "x", b"{\"add\":"),
            Err(ArchiveError::Corrupt { .. })
        ));
    }
}
