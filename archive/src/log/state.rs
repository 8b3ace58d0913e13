//! The state of the table at one version, and how an entry of the log changes it.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use delta_kernel::actions::{Metadata, Protocol};
use delta_kernel::snapshot::SnapshotRef;

use crate::error::ArchiveError;
use crate::log::action::Entry;
use crate::log::live::Live;
use crate::log::paths;
use crate::origins::OriginEntry;
use crate::segment::Segment;

/// Domain under which the kernel keeps the highest row id given out.
pub(crate) const ROW_TRACKING_DOMAIN: &str = "delta.rowTracking";

/// A file of the log, as the kernel wants to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LogFile {
    pub(crate) version: u64,
    pub(crate) bytes: u64,
}

/// The table at one version. Never changed once it is shared: the next version is a copy.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) version: u64,
    pub(crate) live: Live,
    pub(crate) txns: Arc<BTreeMap<String, i64>>,
    /// Every domain but the origins'.
    pub(crate) domains: Arc<BTreeMap<String, String>>,
    pub(crate) origins: Arc<BTreeMap<String, OriginEntry>>,
    pub(crate) table: Arc<Table>,
    /// The newest known checkpoint at or below `version`.
    pub(crate) checkpoint: Option<LogFile>,
    /// Entries above the checkpoint, ascending, up to `version`.
    pub(crate) tail: Arc<Vec<LogFile>>,
    /// SHA-256 of entry `version`; nothing when the state came from a checkpoint alone.
    pub(crate) sha256: Option<[u8; 32]>,
    /// When the log was last seen to end at `version`, milliseconds since 1970.
    pub(crate) seen_ms: i64,
    /// The kernel's view of this version, made when a transaction needs it.
    pub(crate) kernel: Arc<OnceLock<SnapshotRef>>,
    /// The live segments as a list, made when somebody asks.
    pub(crate) listed: Arc<OnceLock<Arc<[Arc<Segment>]>>>,
}

/// What changes with the table's metadata only.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    pub(crate) metadata: Metadata,
    pub(crate) protocol: Protocol,
    /// Materialised columns: row id, row commit version.
    pub(crate) row_columns: (String, String),
}

impl Table {
    pub(crate) fn new(metadata: Metadata, protocol: Protocol) -> Result<Self, ArchiveError> {
        let name =
            |key: &str| {
                metadata.configuration().get(key).cloned().ok_or_else(|| {
                    ArchiveError::Unsupported {
                        path: paths::LOG.to_owned(),
                        problem: format!("the table has no property {key}: row tracking is off"),
                    }
                })
            };
        let row_columns = (
            name("delta.rowTracking.materializedRowIdColumnName")?,
            name("delta.rowTracking.materializedRowCommitVersionColumnName")?,
        );
        Ok(Self {
            metadata,
            protocol,
            row_columns,
        })
    }
}

/// A state under construction: no metadata seen yet.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) segments: Vec<Segment>,
    pub(crate) txns: BTreeMap<String, i64>,
    pub(crate) domains: Vec<(String, String)>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) protocol: Option<Protocol>,
}

impl State {
    /// The state that a checkpoint, or the first entry, describes.
    pub(crate) fn new(
        version: u64,
        parts: Parts,
        path: &str,
        now_ms: i64,
    ) -> Result<Self, ArchiveError> {
        let (Some(metadata), Some(protocol)) = (parts.metadata, parts.protocol) else {
            return Err(ArchiveError::Corrupt {
                path: path.to_owned(),
                problem: "it holds no table metadata".to_owned(),
            });
        };
        let mut state = Self {
            version,
            live: Live::from_segments(parts.segments),
            txns: Arc::new(parts.txns),
            domains: Arc::default(),
            origins: Arc::default(),
            table: Arc::new(Table::new(metadata, protocol)?),
            checkpoint: None,
            tail: Arc::default(),
            sha256: None,
            seen_ms: now_ms,
            kernel: Arc::default(),
            listed: Arc::default(),
        };
        for (domain, configuration) in parts.domains {
            state.set_domain(domain, Some(configuration))?;
        }
        Ok(state)
    }

    /// The state of version 0.
    pub(crate) fn first(entry: Entry, path: &str, now_ms: i64) -> Result<Self, ArchiveError> {
        let file = LogFile {
            version: 0,
            bytes: entry.bytes,
        };
        let sha256 = entry.sha256;
        let parts = Parts {
            segments: entry.adds,
            txns: entry.txns.into_iter().collect(),
            domains: entry
                .domains
                .into_iter()
                .filter_map(|(d, c)| c.map(|c| (d, c)))
                .collect(),
            metadata: entry.metadata,
            protocol: entry.protocol,
        };
        let mut state = Self::new(0, parts, path, now_ms)?;
        state.tail = Arc::new(vec![file]);
        state.sha256 = Some(sha256);
        Ok(state)
    }

    /// The state after the next entry.
    pub(crate) fn next(&self, entry: Entry, now_ms: i64) -> Result<Self, ArchiveError> {
        let mut next = self.clone();
        next.apply(entry, now_ms)?;
        Ok(next)
    }

    /// Applies the next entry in place.
    pub(crate) fn apply(&mut self, entry: Entry, now_ms: i64) -> Result<(), ArchiveError> {
        if entry.version != self.version + 1 {
            return Err(ArchiveError::Corrupt {
                path: paths::entry(entry.version).to_string(),
                problem: format!(
                    "version {} cannot follow version {}",
                    entry.version, self.version
                ),
            });
        }
        // Removes first: a rewrite may remove a path and add it again with other statistics.
        for removed in &entry.removes {
            self.live.remove(&removed.path);
        }
        for segment in entry.adds {
            self.live.add(segment);
        }
        self.live.settle();
        if !entry.txns.is_empty() {
            Arc::make_mut(&mut self.txns).extend(entry.txns);
        }
        for (domain, configuration) in entry.domains {
            self.set_domain(domain, configuration)?;
        }
        if entry.metadata.is_some() || entry.protocol.is_some() {
            let metadata = entry
                .metadata
                .unwrap_or_else(|| self.table.metadata.clone());
            let protocol = entry
                .protocol
                .unwrap_or_else(|| self.table.protocol.clone());
            self.table = Arc::new(Table::new(metadata, protocol)?);
        }
        self.version = entry.version;
        Arc::make_mut(&mut self.tail).push(LogFile {
            version: entry.version,
            bytes: entry.bytes,
        });
        self.sha256 = Some(entry.sha256);
        self.seen_ms = now_ms;
        self.kernel = Arc::default();
        self.listed = Arc::default();
        Ok(())
    }

    /// The same version, knowing a newer checkpoint.
    pub(crate) fn with_checkpoint(&self, checkpoint: LogFile) -> Self {
        let mut state = self.clone();
        if checkpoint.version <= self.version
            && self
                .checkpoint
                .is_none_or(|c| c.version < checkpoint.version)
        {
            state.checkpoint = Some(checkpoint);
            state.tail = Arc::new(
                self.tail
                    .iter()
                    .copied()
                    .filter(|f| f.version > checkpoint.version)
                    .collect(),
            );
            state.kernel = Arc::default();
        }
        state
    }

    fn set_domain(
        &mut self,
        domain: String,
        configuration: Option<String>,
    ) -> Result<(), ArchiveError> {
        if let Some(origin) = domain.strip_prefix(crate::origins::DOMAIN_PREFIX) {
            let origins = Arc::make_mut(&mut self.origins);
            match configuration {
                Some(configuration) => {
                    origins.insert(
                        origin.to_owned(),
                        OriginEntry::parse(origin, &configuration)?,
                    );
                }
                None => {
                    origins.remove(origin);
                }
            }
            return Ok(());
        }
        let domains = Arc::make_mut(&mut self.domains);
        match configuration {
            Some(configuration) => domains.insert(domain, configuration),
            None => domains.remove(&domain),
        };
        Ok(())
    }

    pub(crate) fn txn(&self, app_id: &str) -> Option<i64> {
        self.txns.get(app_id).copied()
    }

    /// The garbage collection horizon, milliseconds since 1970.
    pub(crate) fn horizon_ms(&self) -> Option<i64> {
        self.txn(crate::GC_APP_ID)
    }

    /// The moment to name a new file after: now, but never below the horizon. Where a clock is behind the one that
    /// raised the horizon, a file named after it would be garbage from the start.
    pub(crate) fn naming_ms(&self, now_ms: i64) -> i64 {
        self.horizon_ms()
            .map_or(now_ms, |horizon_ms| horizon_ms.max(now_ms))
    }

    pub(crate) fn segments(&self) -> Arc<[Arc<Segment>]> {
        Arc::clone(
            self.listed
                .get_or_init(|| self.live.iter().cloned().collect()),
        )
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use url::Url;

    use crate::Archive;
    use crate::log::action::parse_entry;

    const PATH: &str = "event_year=2026/01ARZ3NDEKTSV4RRFFQ69G5FAV.parquet";

    fn add(version: u64, bytes: u64) -> String {
        let stats = r#"{\"numRecords\":3,\"minValues\":{\"event_time\":\"2026-01-01T00:00:00.000Z\",\"ingest_time\":\"2026-01-01T00:00:00.000Z\",\"origin\":\"a\",\"origin_seq\":1},\"maxValues\":{\"event_time\":\"2026-01-01T00:00:00.001Z\",\"ingest_time\":\"2026-01-01T00:00:00.001Z\",\"origin\":\"b\",\"origin_seq\":9}}"#;
        format!(
            r#"{{"add":{{"path":"{PATH}","partitionValues":{{"event_year":"2026"}},"size":{bytes},"modificationTime":1,"dataChange":true,"stats":"{stats}","baseRowId":7,"defaultRowCommitVersion":{version}}}}}"#
        )
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_path_removed_and_added_by_one_entry_is_live_as_it_was_added() {
        let url = Url::parse("memory:///").unwrap();
        let archive = Archive::create_in(std::sync::Arc::new(InMemory::new()), url)
            .await
            .unwrap();
        let state = archive.shared.latest();
        let entry = |version, text: &str| parse_entry(version, "x", text.as_bytes()).unwrap();
        let state = state.next(entry(1, &add(1, 10)), 0).unwrap();
        assert_eq!(state.live.get(PATH).unwrap().bytes, 10);
        let remove = format!(r#"{{"remove":{{"path":"{PATH}","dataChange":false}}}}"#);
        for text in [
            format!("{}\n{remove}\n", add(2, 20)),
            format!("{remove}\n{}\n", add(2, 20)),
        ] {
            let next = state.next(entry(2, &text), 0).unwrap();
            assert_eq!(next.live.get(PATH).unwrap().bytes, 20);
            assert_eq!((next.live.len(), next.live.iter().count()), (1, 1));
        }
        let gone = state.next(entry(2, &remove), 0).unwrap();
        assert_eq!((gone.live.len(), gone.live.get(PATH)), (0, None));
    }
}
