//! Whether events that came after a plan alter it: a family that goes was touched, or something that goes explains an
//! event that is there now. Anything else an ingest does may go on beside a run.

use std::sync::Arc;

use holdfast_archive::{Archive, Recheck, Segment, Snapshot};

use crate::plan::{Basis, Plan, Touches};

/// The question that the archive asks after a true conflict.
pub(super) fn recheck(archive: &Archive, plan: &Plan, basis: &Arc<Basis>) -> Recheck {
    let (archive, basis) = (archive.clone(), Arc::clone(basis));
    let touches = Arc::new(Touches::new(&archive, plan, &basis));
    Arc::new(move |_: Snapshot, newer: Vec<Arc<Segment>>| {
        let touches = Arc::clone(&touches);
        Box::pin(async move {
            let altered = touches.altered_by(&newer).await;
            altered
                .map(|reason| reason.map_or(Ok(()), Err))
                .map_err(|error| holdfast_archive::ArchiveError::Invalid(error.to_string()))
        })
    })
}
