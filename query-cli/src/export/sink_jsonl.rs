//! `--as jsonl`: each event's canonical JSON, the bytes that its hash covers, one a line.

use super::folder::{Folder, HashedFile};
use super::{Item, Place, Sink};
use crate::failure::Failure;

/// Responsive events in one file, context in another: a line as archived has no room for a mark.
pub(super) struct JsonlSink {
    events: HashedFile,
    events_rows: u64,
    context: Option<HashedFile>,
    context_rows: u64,
}

impl JsonlSink {
    pub(super) fn new(folder: &Folder, with_context: bool) -> Result<Self, Failure> {
        let context = if with_context {
            Some(folder.create("context.jsonl")?)
        } else {
            None
        };
        Ok(Self {
            events: folder.create("events.jsonl")?,
            events_rows: 0,
            context,
            context_rows: 0,
        })
    }
}

impl Sink for JsonlSink {
    fn write(&mut self, _folder: &mut Folder, item: Item<'_>) -> Result<Place, Failure> {
        let (file, rows) = match &mut self.context {
            Some(context) if item.standing.responsive == Some(false) => {
                (context, &mut self.context_rows)
            }
            Some(_) | None => (&mut self.events, &mut self.events_rows),
        };
        file.put(item.canonical)?;
        file.put(b"\n")?;
        *rows += 1;
        Ok(Place {
            file: file.path().to_owned(),
            row: *rows,
        })
    }

    fn finish(self: Box<Self>, folder: &mut Folder) -> Result<(), Failure> {
        folder.add(self.events)?;
        match self.context {
            Some(context) => folder.add(context),
            None => Ok(()),
        }
    }
}
