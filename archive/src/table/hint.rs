//! A state as a snapshot hint: what the kernel would otherwise read from the log.

use std::sync::Arc;

use delta_kernel::actions::DomainMetadata;
use delta_kernel::crc::{Crc, DomainMetadataState, FileStatsState, SetTransactionState};
use delta_kernel::snapshot::{PublicationWatermark, SnapshotHint, SnapshotHintFreshness};
use delta_kernel::{FileMeta, KernelError, KernelResult, LogPath};
use url::Url;

use crate::log::paths;
use crate::log::state::{ROW_TRACKING_DOMAIN, State};
use crate::table::TABLE_URL;

pub(super) fn of(state: &State) -> KernelResult<SnapshotHint> {
    let mut files = Vec::with_capacity(state.tail.len() + 1);
    if let Some(checkpoint) = state.checkpoint {
        files.push(log_path(
            &paths::checkpoint(checkpoint.version),
            checkpoint.bytes,
        )?);
    }
    for file in state.tail.iter() {
        files.push(log_path(&paths::entry(file.version), file.bytes)?);
    }
    // Partial knowledge is enough: the kernel asks for the highest row id alone, and would replay the log for it.
    let row_tracking = state.domains.get(ROW_TRACKING_DOMAIN).map(|configuration| {
        DomainMetadata::new(ROW_TRACKING_DOMAIN.to_owned(), configuration.clone())
    });
    let table = &state.table;
    let crc = Crc::try_from_parts(
        state.version,
        table.metadata.clone(),
        table.protocol.clone(),
        FileStatsState::Indeterminate,
        None,
        SetTransactionState::default(),
        DomainMetadataState::try_partial(row_tracking)?,
        None,
        None,
        None,
        None,
        None,
    )?;
    SnapshotHint::try_new(
        TABLE_URL,
        state.version,
        PublicationWatermark::PublishedThrough(state.version),
        files,
        table.protocol.clone(),
        table.metadata.clone(),
        None,
        Some(Arc::new(crc)),
        SnapshotHintFreshness::Latest,
    )
}

fn log_path(path: &object_store::path::Path, bytes: u64) -> KernelResult<LogPath> {
    let location = Url::parse(&format!("holdfast:///{path}"))
        .map_err(|e| KernelError::generic(e.to_string()))?;
    LogPath::try_new(FileMeta {
        location,
        last_modified: 0,
        size: bytes,
    })
}
