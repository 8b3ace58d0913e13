//! The archive at the end of the way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::archived::Archived;
use crate::kafka::Topic;
use crate::program::{Daemon, run};

/// A dead member of the group is noticed after two seconds, so that tests are short; production settings wait longer and do the same.
const SETTINGS: &str = "
[flush]
ms = 150
[upkeep]
seconds = 1
[kafka]
\"session.timeout.ms\" = \"2000\"
\"heartbeat.interval.ms\" = \"300\"
";

/// An archive, and how it is filled.
#[derive(Debug)]
pub struct Sink {
    folder: TempDir,
    source: String,
    attachments: Option<PathBuf>,
}

impl Sink {
    /// A new archive that is filled from `source`.
    ///
    /// # Panics
    /// `holdfast init` fails.
    #[must_use]
    pub fn new(source: String) -> Self {
        let folder = TempDir::new().expect("a folder");
        std::fs::write(folder.path().join("ingest.toml"), SETTINGS).expect("a file");
        let sink = Self {
            folder,
            source,
            attachments: None,
        };
        let archive = sink.archive().display().to_string();
        let _ = run("holdfast", ["init", "--archive", &archive]).success();
        sink
    }

    /// A new archive that is filled from a topic.
    #[must_use]
    pub fn of(topic: &Topic) -> Self {
        // Sinks of one group would wait for each other's members.
        Self::new(topic.source(&topic.name))
    }

    /// The same, with attachments copied from this folder.
    #[must_use]
    pub fn with_attachments(self, files: &Path) -> Self {
        Self {
            attachments: Some(files.to_owned()),
            ..self
        }
    }

    /// The archive's folder.
    #[must_use]
    pub fn archive(&self) -> PathBuf {
        self.folder.path().join("archive")
    }

    fn arguments(&self) -> Vec<String> {
        let path = |path: PathBuf| path.display().to_string();
        let mut arguments = vec!["run".to_owned()];
        let mut add = |flag: &str, value: &str| {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        };
        add("--source", &self.source);
        add("--archive", &path(self.archive()));
        add("--config", &path(self.folder.path().join("ingest.toml")));
        if let Some(files) = &self.attachments {
            add("--attachments", &path(files.clone()));
        }
        arguments
    }

    /// Starts an ingest process; any number may run.
    #[must_use]
    pub fn start(&self) -> Daemon {
        Daemon::start("holdfast-ingest", self.arguments())
    }

    /// Takes what is left, in peace, and ends; its report.
    ///
    /// # Panics
    /// It fails.
    #[must_use]
    pub fn drain(&self) -> serde_json::Value {
        let mut arguments = self.arguments();
        arguments.push("--until-idle".to_owned());
        Daemon::start("holdfast-ingest", arguments)
            .finished(Duration::from_secs(180))
            .success()
            .json()
    }

    /// Everything that is archived, and `holdfast verify` has nothing to say about it.
    ///
    /// # Panics
    /// The archive cannot be read, or is not sound.
    pub async fn archived(&self) -> Archived {
        let archive = self.archive().display().to_string();
        let _ = run("holdfast", ["verify", "--archive", &archive]).success();
        Archived::at(&self.archive()).await
    }

    /// What `holdfast` prints for a command on this archive.
    ///
    /// # Panics
    /// It fails.
    #[must_use]
    pub fn ask(&self, arguments: &[&str]) -> String {
        let archive = self.archive().display().to_string();
        let arguments = arguments.iter().copied().chain(["--archive", &archive]);
        run("holdfast", arguments).success().stdout
    }

    /// What a search finds; nothing found is exit code 1, as in grep.
    ///
    /// # Panics
    /// The search fails.
    #[must_use]
    pub fn hits(&self, query: &str) -> Vec<serde_json::Value> {
        let archive = self.archive().display().to_string();
        let asked = ["--format", "jsonl", "search", query, "--archive", &archive];
        let found = run("holdfast", asked);
        let code = found.status.code();
        assert!(matches!(code, Some(0 | 1)), "{query}: {}", found.stderr);
        let lines = found.stdout.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// Attachments whose bytes have not come.
    ///
    /// # Panics
    /// The archive cannot be asked.
    #[must_use]
    pub fn pending(&self) -> usize {
        let status = self.ask(&["--format", "json", "status"]);
        let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        status["attachments_pending"].as_array().map_or(0, Vec::len)
    }
}
