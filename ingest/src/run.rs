//! One run: everything around the pipeline.

use std::sync::Arc;
use std::time::Instant;

use holdfast_archive::{Archive, ArchiveError, Location};
use serde::Serialize;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::attachments::{self, Attachments};
use crate::error::IngestError;
use crate::http;
use crate::metrics::Metrics;
use crate::pipeline::{self, Budget, Done, Stop, Surroundings};
use crate::settings::Settings;
use crate::source::jsonl::JsonlSource;
use crate::source::kafka::KafkaSource;
use crate::source::outbox::OutboxSource;
use crate::source::{Source, SourceSpec};
use crate::upkeep::{Running, Upkeep};

/// What a run did: the JSON line at its end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Report {
    /// Records taken from the source; the sum of the next three.
    pub consumed: u64,
    /// Events archived.
    pub archived: u64,
    /// Records quarantined.
    pub quarantined: u64,
    /// Records dropped: their events are archived already, or were disposed of.
    pub duplicates: u64,
    /// Commits made.
    pub commits: u64,
    /// Seconds from the start of reading to the last commit.
    pub seconds: f64,
}

impl Report {
    fn new(done: &Done, seconds: f64) -> Self {
        let counts = done.committed.counts;
        Self {
            consumed: counts.consumed + done.void.duplicates,
            archived: counts.archived,
            quarantined: counts.quarantined,
            duplicates: counts.duplicates + done.void.duplicates,
            commits: done.committed.commits,
            // Milliseconds are as exact as this can be.
            seconds: (seconds * 1000.0).round() / 1000.0,
        }
    }
}

/// Opens the archive and runs the source into it, until it ends or the process is told to.
///
/// # Errors
/// The archive or the source cannot be opened, or a stage failed. What was committed stays.
pub async fn run(settings: Settings) -> Result<Report, IngestError> {
    let archive =
        Archive::open(&Location::parse(&settings.archive).map_err(ArchiveError::from)?).await?;
    archive.expect_whole_log().await?;
    let stop = Arc::new(Stop::default());
    ask_on_signal(&stop)?;
    run_in(settings, archive, stop).await
}

/// Runs the source into an open archive, until it ends or `stop` says so. What tests call, with any store below the archive.
///
/// # Errors
/// As [`run`].
pub async fn run_in(
    settings: Settings,
    archive: Archive,
    stop: Arc<Stop>,
) -> Result<Report, IngestError> {
    let metrics = Arc::new(Metrics::new());
    let budget = Budget::new(settings.in_flight_bytes_max);
    let ended = CancellationToken::new();
    // Whatever way the run ends, the endpoint and the background tasks end with it.
    let _ended = ended.clone().drop_guard();
    if let Some(address) = settings.metrics {
        let served = http::Served {
            metrics: Arc::clone(&metrics),
            stop: Arc::clone(&stop),
            budget: Arc::clone(&budget),
        };
        let bound = http::serve(address, served, ended.clone()).await?;
        tracing::info!(%bound, "metrics, health and readiness are served");
    }
    let file_store = settings
        .attachments
        .as_deref()
        .map(attachments::open_source)
        .transpose()?;
    let attachments =
        Arc::new(Attachments::open(archive.clone(), file_store, Arc::clone(&metrics)).await?);
    let around = Surroundings {
        archive: archive.clone(),
        runtime: Handle::current(),
        attachments: Arc::clone(&attachments),
        metrics: Arc::clone(&metrics),
        stop,
        budget,
    };
    let upkeep = in_background(&settings, &around, &ended);
    let source = open(&settings);
    tracing::info!(
        source = settings.source.kind(),
        archive = archive.url(),
        "started"
    );
    let started = Instant::now();
    let until_idle = settings.until_idle;
    let result =
        tokio::task::spawn_blocking(move || pipeline::run(&settings, &around, source)).await;
    let seconds = started.elapsed().as_secs_f64();
    metrics.set_ready(false);
    if let Some(upkeep) = upkeep {
        upkeep.end().await;
    }
    let done = match result.map_err(|error| IngestError::Machine {
        what: "the pipeline",
        problem: error.to_string(),
    }) {
        Ok(Ok(done)) => done,
        Ok(Err(error)) | Err(error) => {
            metrics.set_dead();
            return Err(error);
        }
    };
    if until_idle {
        // What was announced last has not had its turn in the background.
        attachments.copy_due(Instant::now()).await;
    }
    let report = Report::new(&done, seconds);
    tracing::info!(
        ?report,
        pending_attachments = attachments.pending(),
        "ended"
    );
    Ok(report)
}

fn open(settings: &Settings) -> Box<dyn Source> {
    match &settings.source {
        SourceSpec::JsonlFile(path) => Box::new(JsonlSource::file(path.clone())),
        SourceSpec::JsonlStdin => Box::new(JsonlSource::stdin()),
        SourceSpec::Outbox(url) => Box::new(OutboxSource::new(
            url.clone(),
            settings.outbox.clone(),
            settings.until_idle,
        )),
        SourceSpec::Kafka {
            brokers,
            topic,
            group,
        } => Box::new(KafkaSource::new(
            brokers,
            topic,
            group,
            settings.kafka.clone(),
            settings.until_idle,
        )),
    }
}

fn in_background(
    settings: &Settings,
    around: &Surroundings,
    ended: &CancellationToken,
) -> Option<Running> {
    let (attachments, interval, token) = (
        Arc::clone(&around.attachments),
        settings.upkeep.interval,
        ended.clone(),
    );
    around
        .runtime
        .spawn(async move { token.run_until_cancelled(attachments.run(interval)).await });
    settings.upkeep.enabled.then(|| {
        let upkeep = Upkeep {
            archive: around.archive.clone(),
            settings: settings.upkeep,
            budget: Arc::clone(&around.budget),
            held_bytes_max: settings.in_flight_bytes_max,
            metrics: Arc::clone(&around.metrics),
            holder: format!("holdfast-ingest/{}", uuid::Uuid::new_v4()),
        };
        upkeep.start(ended.child_token())
    })
}

/// SIGTERM and SIGINT ask for a graceful end: what was read is committed. A second one ends at once, which loses nothing either.
fn ask_on_signal(stop: &Arc<Stop>) -> Result<(), IngestError> {
    let failed = |error: std::io::Error| IngestError::Machine {
        what: "listening for signals",
        problem: error.to_string(),
    };
    let mut term = signal(SignalKind::terminate()).map_err(failed)?;
    let mut int = signal(SignalKind::interrupt()).map_err(failed)?;
    let stop = Arc::clone(stop);
    tokio::spawn(async move {
        let mut told = async || tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} };
        told().await;
        tracing::info!("ending: what was read is committed first");
        stop.ask();
        told().await;
        tracing::warn!("told twice: ending at once; what was not committed is read again");
        std::process::exit(130);
    });
    Ok(())
}
