//! Archives to dispose of: built quickly, governed for real.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use holdfast_archive::segment::{self, SegmentFooter};
use holdfast_archive::{Append, Archive, CommitKind, Counts, Location, NewSegment, Outcome};
use holdfast_fixtures::{Generator, Profile};
use holdfast_governance::actor::By;
use holdfast_governance::ledger::{Context, Judged, Ledger};
use holdfast_schemas::columns::{RowBuilder, event_year};
use holdfast_schemas::decode::decode;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::config::ConfigSet;
use holdfast_schemas::ledger::hold::RoomRef;
use holdfast_schemas::ledger::policy::{PolicyAction, PolicyScope, PolicySet};
use holdfast_schemas::{EventHash, Intake, Row as EventRow, merkle};
use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::process;

/// Who does it all.
pub(super) fn by() -> By {
    By::claim("bench")
}

/// An archive of a source's events.
pub(super) fn ingested(source: &str, folder: &Path) -> Result<()> {
    process::ingest(source, folder).map(drop)
}

/// An archive and its ledger, by which what was ingested just now may go.
pub(super) async fn governed(folder: &Path) -> Result<(Archive, Ledger)> {
    let archive = Archive::open(&Location::local(folder)).await?;
    let ledger = Ledger::open(&archive).await?;
    let config = ConfigSet {
        key: "retention.ingest_grace".to_owned(),
        value: "0d".to_owned(),
    };
    write(&ledger, Act::ConfigSet(config)).await?;
    Ok((archive, ledger))
}

/// Appends an act and fences it.
pub(super) async fn write(ledger: &Ledger, act: Act) -> Result<()> {
    ledger
        .append_fenced(&by(), Context::default(), |_| {
            Ok(Judged::Write(act.clone()))
        })
        .await?;
    Ok(())
}

/// Everything in these rooms (everywhere, if none is named) goes after so many days.
pub(super) fn policy(rooms: &[String], days: i64) -> Act {
    let room = |id: &String| RoomRef {
        id: id.clone(),
        name: None,
    };
    Act::PolicySet(PolicySet {
        name: "bench".to_owned(),
        scope: PolicyScope {
            rooms: rooms.iter().map(room).collect(),
            ..PolicyScope::default()
        },
        period: format!("{days}d"),
        time_zone: None,
        action: PolicyAction::Delete,
        explicit: false,
        reason: None,
    })
}

/// Appends segments of generated events to a new archive: one commit for all of them, nothing synced, no splits.
pub(super) struct Builder {
    archive: Archive,
    commit_id: Uuid,
    segments: Vec<NewSegment>,
    archived: BTreeMap<String, RoaringTreemap>,
    hashes: Vec<(u64, EventHash)>,
}

const ORIGIN: &str = "generated.1";

impl Builder {
    pub(super) async fn new(folder: &Path) -> Result<Self> {
        let quick = holdfast_archive::OpenOptions {
            fsync: false,
            ..holdfast_archive::OpenOptions::default()
        };
        Ok(Self {
            archive: Archive::create_with(&Location::local(folder), quick).await?,
            commit_id: Uuid::now_v7(),
            segments: Vec::new(),
            archived: BTreeMap::new(),
            hashes: Vec::new(),
        })
    }

    /// Puts the events of a profile as one segment; they lie within one year.
    pub(super) async fn segment(&mut self, profile: Profile) -> Result<()> {
        let mut builder = RowBuilder::with_capacity(usize::try_from(profile.events)?);
        let (mut hashes, mut scratch) = (Vec::new(), Vec::new());
        let year = event_year(profile.start_us);
        let sequences = self.archived.entry(ORIGIN.to_owned()).or_default();
        for generated in Generator::new(profile) {
            let event = decode(&generated.json)?;
            let hash = event_hash(&event, &mut scratch);
            hashes.push((event.sequence, hash));
            sequences.insert(event.sequence);
            builder.append(&EventRow {
                event,
                intake: Intake::default(),
            });
        }
        let footer = SegmentFooter {
            commit_id: self.commit_id,
            positions: Vec::new(),
            rows: hashes.len() as u64,
            merkle_root: root(&hashes),
        };
        let encoded = segment::encode(segment::new_id(), year, &builder.finish()?, &footer, None)?;
        self.archive.put_segment(&encoded).await?;
        self.segments.push(encoded.segment);
        self.hashes.extend(hashes);
        Ok(())
    }

    /// Commits them all.
    pub(super) async fn commit(self) -> Result<()> {
        let archived = self.hashes.len() as u64;
        let append = Append {
            commit_id: self.commit_id,
            kind: CommitKind::Append,
            segments: self.segments,
            positions: Vec::new(),
            archived: self.archived,
            counts: Counts {
                consumed: archived,
                archived,
                ..Counts::default()
            },
            merkle_root: root(&self.hashes),
        };
        let base = self.archive.snapshot().await?;
        match self.archive.append(&base, append).await? {
            Outcome::Committed(_) => Ok(()),
            Outcome::Conflicted(conflict) => bail!("{conflict}"),
            Outcome::Unknown(uncertain) => bail!("{uncertain:?}"),
        }
    }
}

fn root(hashes: &[(u64, EventHash)]) -> EventHash {
    merkle::rows_root(hashes.iter().map(|(seq, hash)| (ORIGIN, *seq, *hash)))
}

/// Copies a folder and everything below it.
pub(super) fn copy(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The files of an archive's live segments, in the order of their paths.
pub(super) async fn files(archive: &Archive, folder: &Path) -> Result<Vec<PathBuf>> {
    let segments = archive.snapshot().await?.segments().await?;
    let file = |path: &str| folder.join("events").join(path);
    Ok(segments.iter().map(|one| file(&one.path)).collect())
}
