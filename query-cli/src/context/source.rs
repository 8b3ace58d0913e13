//! Windows read from the archive.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use holdfast_archive::Snapshot;
use holdfast_indexer::{HitBatch, Request, Searcher};
use holdfast_query::ast::Expr;
use holdfast_query::property::Property;
use holdfast_schemas::columns::Rows;
use holdfast_schemas::event_type;

use super::choice::{Line, Number, clusters, join, keep_by_count, keep_by_time, split};
use super::{Anchor, Context, Entry, HitKey, Window};
use crate::failure::Failure;
use crate::scope::from_program;

/// Where the search for N messages begins; each round reaches eight times as far.
const REACH_FIRST_US: i64 = 3_600_000_000;
/// From here on a round takes the whole room.
const REACH_MAX_US: i64 = 8_i64.pow(6) * REACH_FIRST_US;
/// Replies to replies that are followed to the root; producers may lie and make a circle.
const REPLIES_MAX: usize = 64;

/// Where windows are read from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The searcher.
    pub searcher: &'a Searcher,
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// Rows archived by later commits are left out.
    pub as_of: Option<u64>,
}

impl Source<'_> {
    /// The windows around hits with a room, ordered by their first event; windows of different rooms may interleave in time.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub async fn windows(&self, hits: &[HitKey], context: Context) -> Result<Vec<Window>, Failure> {
        let hit_ids: HashSet<&str> = hits.iter().map(|h| h.anchor.event_id.as_str()).collect();
        let mut rooms: BTreeMap<&str, Vec<Anchor>> = BTreeMap::new();
        for hit in hits {
            if let Some(room) = hit.room_id.as_deref() {
                let anchors = rooms.entry(room).or_default();
                anchors.push(hit.anchor.clone());
                anchors.extend(self.root(room, hit).await?);
            }
        }
        let mut windows = Vec::new();
        for (room, mut anchors) in rooms {
            anchors.sort();
            anchors.dedup();
            let mut entries: BTreeMap<Anchor, (Entry, Number)> = BTreeMap::new();
            for (number, cluster) in clusters(&anchors, context).into_iter().enumerate() {
                self.cluster(room, &anchors[cluster], context, number, &mut entries)
                    .await?;
            }
            let all = entries.into_values().map(|(mut entry, window)| {
                entry.is_hit = hit_ids.contains(entry.key.event_id.as_str());
                (entry, window)
            });
            windows.extend(split(all));
        }
        windows.sort_by(|a, b| a.first().cmp(&b.first()));
        Ok(windows)
    }

    /// The first message of the thread that a hit answers in, if it is archived.
    async fn root(&self, room: &str, hit: &HitKey) -> Result<Option<Anchor>, Failure> {
        let mut next = hit.reply_to.clone();
        let mut root = None;
        for _ in 0..REPLIES_MAX {
            let Some(message) = next.take() else { break };
            let Some(found) = self
                .searcher
                .message_events(self.snapshot, self.as_of, Some(room), &message)
                .await?
            else {
                break;
            };
            let rows = rows(&found)?;
            let posted = (0..rows.len())
                .map(|i| rows.event(i))
                .find(|e| e.event_type == event_type::MESSAGE_POSTED);
            let Some(posted) = posted else { break };
            root = Some(Anchor {
                time_us: posted.time_us,
                event_id: posted.id.to_string(),
            });
            next = posted
                .message
                .reply_to
                .as_deref()
                .filter(|r| *r != message)
                .map(str::to_owned);
        }
        Ok(root)
    }

    /// Adds the windows of anchors that lie close together.
    async fn cluster(
        &self,
        room: &str,
        anchors: &[Anchor],
        context: Context,
        number: usize,
        entries: &mut BTreeMap<Anchor, (Entry, Number)>,
    ) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (anchors.first(), anchors.last()) else {
            return Ok(());
        };
        let mut reach = match context {
            Context::Time(us) => us,
            Context::Messages(0) => 0,
            Context::Messages(_) => REACH_FIRST_US,
        };
        loop {
            let (from, to) = (
                first.time_us.saturating_sub(reach),
                last.time_us.saturating_add(reach),
            );
            let events = self.room(room, from, to).await?;
            let lines: Vec<Line> = events
                .iter()
                .map(|(entry, is_message)| Line {
                    key: &entry.key,
                    is_message: *is_message,
                })
                .collect();
            let keep = match context {
                Context::Time(us) => keep_by_time(&lines, anchors, us),
                Context::Messages(n) => {
                    let choice = keep_by_count(&lines, anchors, n as usize);
                    if !choice.whole && reach < REACH_MAX_US {
                        reach = reach.max(REACH_FIRST_US) * 8;
                        // Beyond the last step the whole room is taken, whatever its years.
                        reach = if reach >= REACH_MAX_US {
                            i64::MAX
                        } else {
                            reach
                        };
                        continue;
                    }
                    choice.keep
                }
            };
            let kept = events
                .into_iter()
                .zip(keep)
                .filter_map(|((entry, _), window)| Some((entry, window?)));
            join(entries, kept, number);
            return Ok(());
        }
    }

    /// Everything that happened in a room within a span, both ends included, and whether it is a message.
    async fn room(
        &self,
        room: &str,
        from_us: i64,
        to_us: i64,
    ) -> Result<Vec<(Entry, bool)>, Failure> {
        let span = Expr::between_us(Property::Date, Some(from_us), Some(to_us));
        let query = Expr::and(vec![Expr::equals(Property::Room, room), span]);
        let request = Request {
            as_of: self.as_of,
            ..Request::new(from_program(query))
        };
        let mut hits = self.searcher.search(self.snapshot, &request).await?;
        let mut out = Vec::new();
        while let Some(batch) = hits.next().await? {
            let batch = Arc::new(batch);
            let rows = rows(&batch)?;
            for index in 0..rows.len() {
                let event = rows.event(index);
                // `room=` also finds names, and ignores case.
                if event.room.id.as_deref() != Some(room) {
                    continue;
                }
                let key = Anchor {
                    time_us: event.time_us,
                    event_id: event.id.to_string(),
                };
                let is_message = event.event_type == event_type::MESSAGE_POSTED;
                out.push((
                    Entry {
                        batch: Arc::clone(&batch),
                        index,
                        key,
                        is_hit: false,
                    },
                    is_message,
                ));
            }
        }
        Ok(out)
    }
}

fn rows(batch: &HitBatch) -> Result<Rows<'_>, Failure> {
    Rows::new(&batch.rows).map_err(|e| Failure::Damaged {
        place: "search result".to_owned(),
        message: e.to_string(),
    })
}
