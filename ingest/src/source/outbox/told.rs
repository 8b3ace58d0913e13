//! What the node is told: how far each origin is archived, so that it may delete rows and knows its backlog.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::database::Database;
use crate::clock;

/// Time between two attempts after one failed.
const AGAIN_AFTER: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Told {
    reader: String,
    waiting: BTreeMap<Arc<str>, i64>,
    told: BTreeMap<Arc<str>, i64>,
    not_before: Option<Instant>,
    /// What the last failure said: the same is said once.
    problem: Option<String>,
}

impl Told {
    /// `reader` is the archive's name among the outbox's readers.
    pub(super) fn new(reader: String) -> Self {
        Self {
            reader,
            waiting: BTreeMap::new(),
            told: BTreeMap::new(),
            not_before: None,
            problem: None,
        }
    }

    /// Something to tell, at the next chance, unless it was told.
    pub(super) fn add(&mut self, origin: &Arc<str>, through: i64) {
        if self.told.get(origin).is_none_or(|told| *told < through) {
            self.waiting.insert(Arc::clone(origin), through);
        }
    }

    /// Tells what waits. A failure holds nothing back: until it is told the node keeps more rows than it needs to.
    pub(super) fn tell(&mut self, database: &mut Database, now: Instant) {
        if self.not_before.is_some_and(|at| now < at) {
            return;
        }
        while let Some((origin, through)) = self.waiting.first_key_value() {
            match database.tell(&self.reader, origin, *through, clock::now_us()) {
                Ok(()) => {
                    self.not_before = None;
                    self.problem = None;
                    self.told.extend(self.waiting.pop_first());
                }
                Err(error) => {
                    self.not_before = Some(now + AGAIN_AFTER);
                    let problem = error.to_string();
                    if self.problem.as_ref() != Some(&problem) {
                        tracing::warn!(
                            problem,
                            "the outbox cannot be told how far it is archived; its rows are kept until it is"
                        );
                        self.problem = Some(problem);
                    }
                    return;
                }
            }
        }
    }
}
