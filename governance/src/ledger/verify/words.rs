//! The parameters of the entries.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use holdfast_schemas::ledger::{Entry, PARAMS_FOLDER, Params, RecordError};

use super::{Report, Tampering};
use crate::ledger::error::LedgerError;
use crate::ledger::load::READS_AT_ONCE;
use crate::ledger::objects::Objects;

/// Parameters, those that are what their entries say.
pub(super) async fn read(
    objects: &Objects,
    chain: &BTreeMap<u64, Entry>,
    report: &mut Report,
) -> Result<BTreeMap<u64, Params>, LedgerError> {
    let reads = chain.values().map(|entry| async move {
        let bytes = objects.get(&entry.params_path()).await;
        Ok::<_, LedgerError>((entry, bytes.map_err(|e| e.to_string())))
    });
    type Read<'e> = (&'e Entry, Result<Option<Bytes>, String>);
    let read: Vec<Read<'_>> = futures::stream::iter(reads)
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    let mut decoded: BTreeMap<u64, Params> = BTreeMap::new();
    for (entry, bytes) in &read {
        match bytes {
            Err(problem) => report.find(entry.seq, Tampering::Unreadable, problem),
            Ok(None) => {}
            Ok(Some(bytes)) => match Params::decode(bytes, &entry.params_digest) {
                Ok(params) if params.act.action() == entry.action && params.seq == entry.seq => {
                    decoded.insert(entry.seq, params);
                }
                Ok(_) => report.find(
                    entry.seq,
                    Tampering::ParamsEdited,
                    "its parameters belong to another entry",
                ),
                Err(RecordError::Hash { .. }) => report.find(
                    entry.seq,
                    Tampering::ParamsEdited,
                    "its parameters are not those that the entry was written with",
                ),
                Err(error @ RecordError::Shape { .. }) => {
                    report.find(entry.seq, Tampering::ParamsEdited, error.to_string());
                }
            },
        }
    }
    orphans(objects, chain, report).await?;
    Ok(decoded)
}

async fn orphans(
    objects: &Objects,
    chain: &BTreeMap<u64, Entry>,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let known: BTreeSet<String> = chain.values().map(Entry::params_path).collect();
    let listed = objects.list(PARAMS_FOLDER).await?;
    report.orphans = listed.iter().filter(|path| !known.contains(*path)).count() as u64;
    Ok(())
}
