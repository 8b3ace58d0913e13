//! Windows read from the archive.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use holdfast_archive::Snapshot;
use holdfast_indexer::{Conversation, HitBatch, Place, Searcher};
use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::columns::Rows;
use holdfast_schemas::event_type;

use super::{Anchor, Context, Entry, HitKey, Window};
use crate::failure::Failure;

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
        let mut rooms: BTreeMap<String, Vec<Place>> = BTreeMap::new();
        for hit in hits {
            if let Some(room) = hit.room_id.as_deref() {
                let root = self.root(room, hit).await?;
                let places = rooms.entry(fold_keyword(room).into_owned()).or_default();
                places.push(place(&hit.anchor));
                places.extend(root);
            }
        }
        let window = match context {
            Context::Messages(n) => holdfast_indexer::Window::Messages(n as usize),
            Context::Time(us) => holdfast_indexer::Window::Microseconds(us),
        };
        let mut windows = Vec::new();
        for (room, places) in rooms {
            let conversation = self
                .searcher
                .around(self.snapshot, self.as_of, &room, &places, window)
                .await?;
            read(conversation, &hit_ids, &mut windows).await?;
        }
        windows.sort_by(|a, b| a.first().cmp(&b.first()));
        Ok(windows)
    }

    /// The first message of the thread that a hit answers in, if it is archived.
    async fn root(&self, room: &str, hit: &HitKey) -> Result<Option<Place>, Failure> {
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
            root = Some(Place {
                event_time_us: posted.time_us,
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
}

fn place(anchor: &Anchor) -> Place {
    Place {
        event_time_us: anchor.time_us,
        event_id: anchor.event_id.clone(),
    }
}

/// Reads a room's windows, one after another.
async fn read(
    mut conversation: Conversation,
    hit_ids: &HashSet<&str>,
    windows: &mut Vec<Window>,
) -> Result<(), Failure> {
    let mut sizes = conversation.windows.into_iter().filter(|size| *size > 0);
    let mut size = sizes.next();
    let mut entries = Vec::new();
    while let Some(batch) = conversation.hits.next().await? {
        let batch = Arc::new(batch);
        let rows = rows(&batch)?;
        for index in 0..rows.len() {
            let event = rows.event(index);
            entries.push(Entry {
                batch: Arc::clone(&batch),
                index,
                is_hit: hit_ids.contains(event.id.as_ref()),
                key: Anchor {
                    time_us: event.time_us,
                    event_id: event.id.to_string(),
                },
            });
            if size == Some(entries.len() as u64) {
                let entries = std::mem::take(&mut entries);
                windows.push(Window { entries });
                size = sizes.next();
            }
        }
    }
    Ok(())
}

fn rows(batch: &HitBatch) -> Result<Rows<'_>, Failure> {
    Rows::new(&batch.rows).map_err(|e| Failure::Damaged {
        place: "search result".to_owned(),
        message: e.to_string(),
    })
}
