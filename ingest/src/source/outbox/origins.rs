//! The origins of an outbox, against what the archive knows of them. No I/O: a wrong decision here loses or skips events silently.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_schemas::time::format_us;

use super::error::OutboxSourceError;
use crate::source::Moved;

/// What the position of an origin begins with: `outbox/<origin>` is the last sequence archived.
pub(super) const POSITION_PREFIX: &str = "outbox/";
/// What the mark of an origin begins with: `outbox-origin/<origin>` is the time at which it began, microseconds since 1970. Another database may
/// have an origin of the same name, and only this tells the two apart.
const MARK_PREFIX: &str = "outbox-origin/";

/// An origin as the outbox has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) name: String,
    pub(super) last_sequence: i64,
    pub(super) created_us: i64,
}

/// An origin that is read.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) name: Arc<str>,
    pub(super) app_id: Arc<str>,
    mark: Arc<str>,
    created_us: i64,
    /// Whether the archive has its mark, or will with what was handed on.
    marked: bool,
    /// Last sequence handed on, or the table's position before any was.
    from: Option<i64>,
    /// Last sequence committed to the table, as far as this process knows.
    pub(super) committed: i64,
    /// Last sequence that the outbox is known to hold.
    pub(super) last_sequence: i64,
}

impl Origin {
    /// Last sequence handed on.
    pub(super) fn position(&self) -> i64 {
        self.from.unwrap_or(0)
    }

    /// Whether the outbox holds more than was handed on.
    pub(super) fn unread(&self) -> bool {
        self.last_sequence > self.position()
    }

    /// Moves the position to `to`, and answers what moves in the table with it.
    pub(super) fn advance(&mut self, to: i64) -> Vec<Moved> {
        let mut moved = vec![Moved {
            app_id: Arc::clone(&self.app_id),
            from: self.from,
            to,
        }];
        if !std::mem::replace(&mut self.marked, true) {
            moved.push(Moved {
                app_id: Arc::clone(&self.mark),
                from: None,
                to: self.created_us,
            });
        }
        self.from = Some(to);
        self.last_sequence = self.last_sequence.max(to);
        moved
    }
}

/// The origins of an outbox, oldest incarnation first, and the positions that the table has.
#[derive(Debug, Default)]
pub(super) struct Origins {
    table: BTreeMap<String, i64>,
    origins: Vec<Origin>,
}

/// The pool of an origin: its name without the incarnation's number.
fn pool(origin: &str) -> &str {
    origin.rsplit_once('.').map_or(origin, |(pool, _)| pool)
}

impl Origins {
    /// Nothing is known but what the table says.
    pub(super) fn new(positions: BTreeMap<String, i64>) -> Self {
        Self {
            table: positions,
            origins: Vec::new(),
        }
    }

    /// Compares what the outbox has with what is archived, and takes over what is new in it.
    pub(super) fn look(
        &mut self,
        found: Vec<Found>,
        database: &str,
    ) -> Result<(), OutboxSourceError> {
        let names: Vec<String> = found.iter().map(|found| found.name.clone()).collect();
        for (n, found) in found.into_iter().enumerate() {
            let newer = names[n + 1..]
                .iter()
                .any(|later| pool(later) == pool(&found.name));
            let at = match self.origins.iter().position(|o| *o.name == *found.name) {
                Some(at) => at,
                None => {
                    self.origins
                        .insert(n.min(self.origins.len()), self.begin(&found));
                    n.min(self.origins.len() - 1)
                }
            };
            let origin = &mut self.origins[at];
            let known = self.table.get(&*origin.mark).copied();
            let known = known.unwrap_or(origin.created_us);
            if known != found.created_us {
                return Err(OutboxSourceError::OtherOrigin {
                    database: database.to_owned(),
                    origin: found.name,
                    found: format_us(found.created_us),
                    known: format_us(known),
                });
            }
            let (last, position) = (found.last_sequence, origin.position());
            if last < position && !newer {
                return Err(OutboxSourceError::Behind {
                    database: database.to_owned(),
                    origin: found.name,
                    last,
                    position,
                });
            }
            // One that ends below the position and has a successor was restored: what is archived beyond its end came from the database that was
            // lost, and nothing more will come.
            origin.last_sequence = last;
        }
        Ok(())
    }

    fn begin(&self, found: &Found) -> Origin {
        let app_id = format!("{POSITION_PREFIX}{}", found.name);
        let mark = format!("{MARK_PREFIX}{}", found.name);
        let from = self.table.get(&app_id).copied();
        Origin {
            name: Arc::from(&*found.name),
            marked: self.table.contains_key(&mark),
            created_us: found.created_us,
            from,
            committed: from.unwrap_or(0),
            last_sequence: found.last_sequence,
            app_id: Arc::from(app_id),
            mark: Arc::from(mark),
        }
    }

    /// The oldest origin that has something unread.
    pub(super) fn first_unread(&mut self) -> Option<&mut Origin> {
        self.origins.iter_mut().find(|origin| origin.unread())
    }

    /// The origin of this name.
    pub(super) fn named(&mut self, name: &str) -> Option<&mut Origin> {
        self.origins.iter_mut().find(|origin| &*origin.name == name)
    }

    /// All of them, oldest incarnation first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Origin> {
        self.origins.iter()
    }

    /// Takes over what was committed; the origins whose positions moved.
    pub(super) fn note_commits(
        &mut self,
        committed: &BTreeMap<Arc<str>, i64>,
    ) -> Vec<(Arc<str>, i64)> {
        let mut moved = Vec::new();
        for origin in &mut self.origins {
            if let Some(through) = committed.get(&origin.app_id) {
                origin.committed = *through;
                moved.push((Arc::clone(&origin.name), *through));
            }
        }
        moved
    }

    /// Whether the table has other positions than this process has committed or found there.
    pub(super) fn differs(&self, positions: &BTreeMap<String, i64>) -> bool {
        self.origins
            .iter()
            .any(|origin| positions.get(&*origin.app_id).copied().unwrap_or(0) != origin.committed)
    }
}

/// Only what is about outboxes.
pub(super) fn of_outboxes(positions: BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    positions
        .into_iter()
        .filter(|(app_id, _)| {
            app_id.starts_with(POSITION_PREFIX) || app_id.starts_with(MARK_PREFIX)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, last_sequence: i64) -> Found {
        Found {
            name: name.into(),
            last_sequence,
            created_us: 77,
        }
    }

    fn origins(positions: &[(&str, i64)]) -> Origins {
        let positions = positions.iter().map(|(id, at)| ((*id).to_owned(), *at));
        Origins::new(of_outboxes(positions.collect()))
    }

    #[test]
    fn ar2_positions_and_the_mark_continue_the_table() {
        let mut origins = origins(&[("outbox/main.1", 5), ("kafka/c/t/0", 9)]);
        origins
            .look(vec![found("main.1", 8), found("main.2", 3)], "db")
            .unwrap();
        let first = origins.first_unread().unwrap();
        assert_eq!((&*first.name, first.position()), ("main.1", 5));
        let moved = |app_id: &str, from, to| Moved {
            app_id: Arc::from(app_id),
            from,
            to,
        };
        assert_eq!(
            first.advance(7),
            [
                moved("outbox/main.1", Some(5), 7),
                moved("outbox-origin/main.1", None, 77)
            ]
        );
        assert_eq!(first.advance(8), [moved("outbox/main.1", Some(7), 8)]);
        let second = origins.first_unread().unwrap();
        assert_eq!((&*second.name, second.position()), ("main.2", 0));
        assert_eq!(second.advance(3)[0], moved("outbox/main.2", None, 3));
        assert!(origins.first_unread().is_none());
        // What was handed on beyond what was known counts as known.
        origins
            .look(vec![found("main.1", 8), found("main.2", 3)], "db")
            .unwrap();
        assert!(origins.first_unread().is_none());
    }

    #[test]
    fn ar2_an_origin_below_the_position_is_an_error_until_a_newer_incarnation_explains_it() {
        let mut known = origins(&[("outbox/main.1", 5)]);
        let error = known.look(vec![found("main.1", 4)], "db").unwrap_err();
        assert!(matches!(
            error,
            OutboxSourceError::Behind {
                last: 4,
                position: 5,
                ..
            }
        ));
        let other_pool = known.look(vec![found("main.1", 4), found("other.1", 1)], "db");
        assert!(matches!(other_pool, Err(OutboxSourceError::Behind { .. })));
        known
            .look(vec![found("main.1", 4), found("main.2", 1)], "db")
            .unwrap();
        assert_eq!(&*known.first_unread().unwrap().name, "main.2");
    }

    #[test]
    fn ar2_another_database_under_the_same_name_is_an_error() {
        let mut known = origins(&[("outbox/main.1", 5), ("outbox-origin/main.1", 76)]);
        let error = known.look(vec![found("main.1", 500)], "db").unwrap_err();
        assert!(
            matches!(error, OutboxSourceError::OtherOrigin { .. }),
            "{error}"
        );
        // The same while running: the file was replaced.
        let mut known = origins(&[]);
        known.look(vec![found("main.1", 5)], "db").unwrap();
        let replaced = Found {
            created_us: 78,
            ..found("main.1", 6)
        };
        assert!(known.look(vec![replaced], "db").is_err());
    }

    #[test]
    fn positions_that_another_process_moved_are_noticed() {
        let mut known = origins(&[("outbox/main.1", 5)]);
        known
            .look(vec![found("main.1", 8), found("main.2", 3)], "db")
            .unwrap();
        let at = |at: i64| BTreeMap::from([("outbox/main.1".to_owned(), at)]);
        assert!(!known.differs(&at(5)) && known.differs(&at(6)));
        let committed = BTreeMap::from([(Arc::from("outbox/main.1"), 6)]);
        assert_eq!(known.note_commits(&committed), [(Arc::from("main.1"), 6)]);
        assert!(!known.differs(&at(6)));
    }
}
