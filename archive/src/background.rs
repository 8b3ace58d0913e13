//! Threads for work beside the commits that nobody waits for: checkpoints, and the removal of old log entries.
//!
//! Writing a checkpoint takes as long as hundreds of commits on a large table, and commits go on meanwhile. On threads
//! of its own with a low priority it takes only the processor time that commits leave.

use std::sync::LazyLock;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::ArchiveError;
use crate::log::reader::task;

/// Threads for blocking calls, at most. A checkpoint blocks on reads of the log that run on these, one level deep, and
/// checkpoints of one process take turns: more than two are free at any time.
const BLOCKING_THREADS_MAX: usize = 8;
/// The threads' niceness: about a tenth of the weight of a thread that commits, so that they still come to an end beside
/// others that never rest.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

/// Lives as long as the process: see `table::RUNTIME`.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .thread_name("holdfast-log")
        .on_thread_start(step_back)
        .enable_all()
        .build()
});

/// Lowers the priority of the calling thread. Elsewhere than on Linux it would be the whole process's.
fn step_back() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        // Not added to what there is: a thread begins with the niceness of the one that started it, which may be one of these.
        let lowered = getpriority_process(None).and_then(|niceness| {
            if niceness < NICENESS {
                setpriority_process(None, NICENESS)
            } else {
                Ok(())
            }
        });
        if let Err(error) = lowered {
            tracing::debug!(%error, "the priority of a background thread stays as it is");
        }
    }
}

/// The threads.
///
/// # Errors
/// The operating system gives none.
pub(crate) fn threads() -> Result<Handle, ArchiveError> {
    let runtime = RUNTIME.as_ref().map_err(|e| ArchiveError::Task {
        operation: "start the log's threads",
        problem: e.to_string(),
    })?;
    Ok(runtime.handle().clone())
}

/// Runs blocking work on a thread of its own, with a low priority. Not on the pool: it may wait for what runs there.
///
/// # Errors
/// The operating system gives no thread, or the work panicked.
pub(crate) async fn run<T: Send + 'static>(
    operation: &'static str,
    work: impl FnOnce(Handle) -> T + Send + 'static,
) -> Result<T, ArchiveError> {
    let threads = threads()?;
    let failed = |problem: String| ArchiveError::Task { operation, problem };
    let (done, answer) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name("holdfast-checkpoint".to_owned())
        .spawn(move || {
            step_back();
            // Nobody may be there to hear it any more.
            let _ = done.send(work(threads));
        })
        .map_err(|e| failed(e.to_string()))?;
    answer.await.map_err(|_| failed("it panicked".to_owned()))
}

/// Starts a task on the threads. The caller's runtime, when it is shut down, waits for it: a process that lives for a few
/// commits only would never get a checkpoint done otherwise.
///
/// # Errors
/// The operating system gives no threads.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) -> Result<(), ArchiveError> {
    let threads = threads()?;
    let running = threads.spawn(work);
    tokio::task::spawn_blocking(move || {
        if let Err(error) = threads.block_on(running) {
            tracing::warn!(error = %task("maintain the log", &error), "log maintenance failed");
        }
    });
    Ok(())
}
