//! One chat node as a process.

use std::time::Duration;

use holdfast_fixtures::eventually;

use crate::program::{Daemon, Finished};

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
        let arguments = std::iter::once("serve".to_owned()).chain(arguments);
        let mut daemon = Daemon::start("holdfast-chat", arguments);
        let listening = async || {
            let printed = daemon.stdout();
            let address = printed
                .lines()
                .find_map(|line| line.strip_prefix("listening on "));
            let ended = address.is_none() && !daemon.runs();
            assert!(!ended, "node {name} did not start\n{}", daemon.stderr());
            address.map(|address| format!("http://{address}"))
        };
        let base = eventually("its address", listening).await;
        let mut node = Self {
            name: name.to_owned(),
            base,
            daemon,
        };
        let ready = async || {
            let ready = node.is_ready().await;
            let ended = !ready && !node.runs();
            assert!(!ended, "node {name} takes no users\n{}", node.log());
            ready.then_some(())
        };
        eventually("a node that takes users", ready).await;
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
