//! What a node counts, in Prometheus' text format.

use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use super::Node;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Status {
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Settled {
    outcome: &'static str,
}

/// The counters of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    requests: Family<Status, Counter>,
    posts: Counter,
    batches: Counter,
    settled: Family<Settled, Counter>,
    post_seconds: Histogram,
    connections: Gauge,
    ended: Family<Reason, Counter>,
    sequenced: Counter,
    delivered: Counter,
    backlog_rows: Gauge,
    backlog_seconds: Gauge,
    leading: Gauge,
    blocked: Gauge,
    peers: Gauge,
    peers_refused: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("holdfast_chat");
        let metrics = Self {
            requests: Family::default(),
            posts: Counter::default(),
            batches: Counter::default(),
            settled: Family::default(),
            post_seconds: Histogram::new(exponential_buckets(0.000_5, 2.0, 16)),
            connections: Gauge::default(),
            ended: Family::default(),
            sequenced: Counter::default(),
            delivered: Counter::default(),
            backlog_rows: Gauge::default(),
            backlog_seconds: Gauge::default(),
            leading: Gauge::default(),
            blocked: Gauge::default(),
            peers: Gauge::default(),
            peers_refused: Counter::default(),
            registry: Registry::default(),
        };
        registry.register(
            "requests",
            "HTTP requests by status",
            metrics.requests.clone(),
        );
        registry.register("posts", "Messages posted", metrics.posts.clone());
        registry.register(
            "post_batches",
            "Transactions that posted them",
            metrics.batches.clone(),
        );
        registry.register(
            "commits_settled",
            "Commits that the database did not answer, by what was found out about them",
            metrics.settled.clone(),
        );
        registry.register_with_unit(
            "post",
            "From accepting a post to its commit",
            Unit::Seconds,
            metrics.post_seconds.clone(),
        );
        registry.register(
            "connections",
            "WebSocket connections now",
            metrics.connections.clone(),
        );
        registry.register(
            "connections_ended",
            "WebSocket connections ended by the node",
            metrics.ended.clone(),
        );
        registry.register(
            "outbox_sequenced",
            "Events that this node gave a sequence",
            metrics.sequenced.clone(),
        );
        registry.register(
            "outbox_delivered",
            "Events that this node delivered to Kafka",
            metrics.delivered.clone(),
        );
        registry.register(
            "outbox_backlog_rows",
            "Events of the pool not delivered or not archived",
            metrics.backlog_rows.clone(),
        );
        registry.register_with_unit(
            "outbox_backlog_age",
            "Age of the oldest of them",
            Unit::Seconds,
            metrics.backlog_seconds.clone(),
        );
        registry.register(
            "outbox_leading",
            "1 when this node is the pool's relay",
            metrics.leading.clone(),
        );
        registry.register(
            "outbox_blocked",
            "1 when the relay cannot deliver",
            metrics.blocked.clone(),
        );
        registry.register(
            "peers",
            "Links to other nodes that are up",
            metrics.peers.clone(),
        );
        registry.register(
            "peers_refused",
            "Links that were refused because the other end proved nothing",
            metrics.peers_refused.clone(),
        );
        Self {
            registry,
            ..metrics
        }
    }
}

impl Metrics {
    pub(crate) fn request(&self, status: u16) {
        self.requests.get_or_create(&Status { status }).inc();
    }

    pub(crate) fn batch_written(&self, posts: usize) {
        if posts > 0 {
            self.batches.inc();
            self.posts.inc_by(posts as u64);
        }
    }

    /// A commit was not answered and has been looked up; `None`: it stays unknown whether it happened.
    pub(crate) fn settled(&self, happened: Option<bool>) {
        let outcome = match happened {
            Some(true) => "done",
            Some(false) => "not_done",
            None => "unknown",
        };
        self.settled.get_or_create(&Settled { outcome }).inc();
    }

    /// Commits that were looked up so far: those that had happened, and those that had not.
    #[must_use]
    pub fn commits_settled(&self) -> (u64, u64) {
        let count = |outcome| self.settled.get_or_create(&Settled { outcome }).get();
        (count("done"), count("not_done"))
    }

    pub(crate) fn post_took(&self, time: Duration) {
        self.post_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn connected(&self) {
        self.connections.inc();
    }

    pub(crate) fn disconnected(&self, reason: Option<&'static str>) {
        self.connections.dec();
        if let Some(reason) = reason {
            self.ended.get_or_create(&Reason { reason }).inc();
        }
    }

    pub(crate) fn sequenced(&self, events: u64) {
        self.sequenced.inc_by(events);
    }

    pub(crate) fn delivered(&self, events: u64) {
        self.delivered.inc_by(events);
    }

    pub(crate) fn peer_refused(&self) {
        self.peers_refused.inc();
    }

    /// Links refused so far, dialed or accepted, because the other end proved nothing.
    #[must_use]
    pub fn peers_refused(&self) -> u64 {
        self.peers_refused.get()
    }

    pub(crate) fn peer_link(&self, up: bool) {
        if up {
            self.peers.inc();
        } else {
            self.peers.dec();
        }
    }

    /// WebSocket connections now.
    #[must_use]
    pub fn connections(&self) -> i64 {
        self.connections.get()
    }

    /// The text of `/metrics`.
    ///
    /// # Errors
    /// Formatting failed, which it does not.
    pub fn render(&self, node: &Node) -> Result<String, std::fmt::Error> {
        let backlog = &node.backlog;
        self.backlog_rows.set(backlog.rows.load(Ordering::Relaxed));
        let oldest = backlog.oldest_us.load(Ordering::Relaxed);
        let age_us = if oldest == 0 {
            0
        } else {
            node.clock.now_us().saturating_sub(oldest).max(0)
        };
        self.backlog_seconds.set(age_us / 1_000_000);
        self.leading
            .set(i64::from(backlog.leading.load(Ordering::Relaxed)));
        self.blocked
            .set(i64::from(backlog.blocked.load(Ordering::Relaxed)));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
