//! One chat node as a process.

use std::time::{Duration, Instant};

use crate::program::{Daemon, Finished};

/// How long a node may take until it serves: the first one on a database makes its tables.
const START: Duration = Duration::from_secs(60);

/// A running `holdfast-chat serve`.
#[derive(Debug)]
pub struct ChatNode {
    /// Its name in the pool.
    pub name: String,
    /// Where clients connect: `http://127.0.0.1:PORT`.
    pub base: String,
    daemon: Daemon,
}

impl ChatNode {
    /// Starts a node and returns when it takes users. `arguments` come after `serve`; they must have it listen on a free port of its own choice.
    ///
    /// # Panics
    /// It does not start; the message holds what it printed.
    pub async fn start(name: &str, arguments: Vec<String>) -> Self {
        let begin = Instant::now();
        let arguments = std::iter::once("serve".to_owned()).chain(arguments);
        let mut daemon = Daemon::start("holdfast-chat", arguments);
        let base = loop {
            if let Some(address) = daemon
                .stdout()
                .lines()
                .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned))
            {
                break format!("http://{address}");
            }
            assert!(
                daemon.runs() && begin.elapsed() < START,
                "node {name} did not start\n{}",
                daemon.stderr()
            );
            // A file tells nobody that it has grown.
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let mut node = Self {
            name: name.to_owned(),
            base,
            daemon,
        };
        while !node.is_ready().await {
            assert!(
                node.daemon.runs() && begin.elapsed() < START,
                "node {name} takes no users\n{}",
                node.daemon.stderr()
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        node
    }

    /// Whether `/readyz` says that it takes users.
    pub async fn is_ready(&self) -> bool {
        self.text("/readyz").await.is_some()
    }

    /// What a path without token answers, when that is a success.
    pub async fn text(&self, path: &str) -> Option<String> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(5))
            .build()
            .expect("an HTTP client");
        let answer = client.get(format!("{}{path}", self.base)).send().await;
        let answer = answer.ok()?.error_for_status().ok()?;
        answer.text().await.ok()
    }

    /// SIGKILL.
    pub fn kill(self) -> Finished {
        self.daemon.kill()
    }

    /// SIGTERM, and waits for the orderly end.
    ///
    /// # Panics
    /// It takes more than a minute, or fails.
    pub fn stop(self) -> Finished {
        self.daemon.terminate(Duration::from_secs(60)).success()
    }

    /// Waits for an end of its own accord.
    ///
    /// # Panics
    /// It takes more than a minute.
    pub fn ended(self) -> Finished {
        self.daemon.finished(Duration::from_secs(60))
    }

    /// SIGSTOP: it keeps its connections and leases as far as it knows, and does nothing.
    pub fn pause(&self) {
        self.daemon.pause();
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.daemon.resume();
    }

    /// Whether the process still runs.
    pub fn runs(&mut self) -> bool {
        self.daemon.runs()
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.daemon.stderr()
    }
}
