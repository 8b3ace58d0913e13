//! From the global options to an open archive.

use holdfast_archive::{Archive, Location, Snapshot};
use holdfast_indexer::{SearchOptions, Searcher};

use crate::cli::Global;
use crate::failure::Failure;

/// Threads for blocking work beside two for each core: searches and proofs hold one a core while they wait for reads, which
/// need threads of their own; with fewer they would wait for each other.
const BLOCKING_THREADS_SPARE: usize = 6;

/// The runtime of one command: this thread, and as few others as do the work, since `search --count` pays for each.
///
/// # Errors
/// The system gives no event queue.
pub fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2 * cores() + BLOCKING_THREADS_SPARE)
        .build()
        .map_err(Failure::Output)
}

/// Cores that this process may use. Asked once: the system's answer takes a dozen reads of control groups.
#[must_use]
pub fn cores() -> usize {
    static CORES: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *CORES.get_or_init(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get))
}

/// What `--archive` says, as given.
///
/// # Errors
/// Nothing says which archive.
pub fn archive_name(global: &Global) -> Result<&str, Failure> {
    global.archive.as_deref().filter(|a| !a.is_empty()).ok_or_else(|| {
        Failure::mistake(
            "no archive was named",
            "name it with `--archive URI`, `HOLDFAST_ARCHIVE`, or `archive = \"…\"` in the settings file",
        )
    })
}

/// The archive's location.
///
/// # Errors
/// Nothing says which, or it is neither a path nor a URI we can open.
pub fn location(global: &Global) -> Result<Location, Failure> {
    let name = archive_name(global)?;
    Location::parse(name).map_err(|e| Failure::Archive(e.into()))
}

/// An archive that was opened, with the snapshot that the command works on.
pub struct Opened {
    /// The archive.
    pub archive: Archive,
    /// Its newest version when the command began.
    pub snapshot: Snapshot,
}

/// Opens the archive that the options name.
///
/// # Errors
/// There is none, or it cannot be read.
pub async fn open(global: &Global) -> Result<Opened, Failure> {
    let archive = Archive::open(&location(global)?).await?;
    let snapshot = archive.known_snapshot();
    tracing::info!(version = snapshot.version(), "opened the archive");
    Ok(Opened { archive, snapshot })
}

/// The searcher over an archive.
#[must_use]
pub fn searcher(archive: &Archive, global: &Global) -> Searcher {
    let cache_dir = global.cache_dir.clone().or_else(default_cache_dir);
    let parallelism = cores();
    Searcher::new(
        archive.clone(),
        SearchOptions {
            cache_dir,
            parallelism,
        },
    )
}

fn default_cache_dir() -> Option<std::path::PathBuf> {
    let folder = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(std::path::PathBuf::from)
    };
    let cache =
        folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("holdfast"))
}

/// Who is acting: `--actor`, or the operating system's user.
#[must_use]
pub fn actor(global: &Global) -> String {
    match &global.actor {
        Some(actor) => actor.clone(),
        None => whoami::username().unwrap_or_else(|_| "unknown".to_owned()),
    }
}

/// The clock, UTC microseconds. Read once a command, so that all its ages agree.
#[must_use]
pub fn now_us() -> i64 {
    jiff::Timestamp::now().as_microsecond()
}
