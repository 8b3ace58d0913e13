//! Work that comes round: snapshots, pruning, gaps, the outbox.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::Node;
use crate::ops::{admin, rooms};
use crate::outbox::MarkFile;
use crate::pool::gaps;

const PRUNE: Duration = Duration::from_secs(300);

/// Starts all of it, but for what runs in the node's own time.
pub(super) fn spawn(
    node: &Arc<Node>,
    kafka: bool,
    mark: MarkFile,
    end: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(gaps::watch(Arc::clone(node), end.clone())),
        tokio::spawn(rooms::snapshot::watch(Arc::clone(node), end.clone())),
        tokio::spawn(crate::outbox::watch_backlog(
            Arc::clone(node),
            kafka,
            mark,
            end.clone(),
        )),
        tokio::spawn(prune(Arc::clone(node), end.clone())),
    ]
}

async fn prune(node: Arc<Node>, end: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(PRUNE) => {}
            () = end.cancelled() => return,
        }
        if let Err(error) = admin::prune(&node).await {
            tracing::warn!(error = %error, "messages of categories without history could not be deleted");
        }
    }
}
