//! Threads of the node's own: what tells the pool that it lives, and what leads the outbox, does not queue behind its users.
//!
//! Tens of thousands of users who come at once keep a runtime busy for seconds. A beat that waited for its turn among them would tell the pool
//! that the node is dead, and send its users to nodes that are as busy. Whether users are served is what the health endpoint tells: it queues
//! behind them.

use std::io;

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// One for beats and the lease, one for what computes meanwhile: sequencing, relaying.
const THREADS: usize = 2;

/// The threads; they end when this is dropped.
#[derive(Debug)]
pub(super) struct OwnTime {
    handle: Handle,
    /// Taken when this is dropped.
    runtime: Option<Runtime>,
}

impl OwnTime {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("own-time")
            .enable_all()
            .build()?;
        Ok(Self {
            handle: runtime.handle().clone(),
            runtime: Some(runtime),
        })
    }

    /// Runs it there. What it opens is served there too, so the node's own connections are opened by this.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.handle.spawn(work)
    }
}

impl Drop for OwnTime {
    fn drop(&mut self) {
        // A runtime may not wait for its threads where other tasks run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
