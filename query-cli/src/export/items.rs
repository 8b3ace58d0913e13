//! The lists beside the data: items, summary by room, and what could not be included.

use std::collections::BTreeMap;

use holdfast_schemas::{Row, time};

use super::Place;
use super::folder::{Folder, HashedFile};
use crate::failure::Failure;
use crate::hit::{Standing, status_name};
use crate::output::csv as safe;

/// `responsive` or `context`.
#[must_use]
pub fn relevance(standing: Standing) -> &'static str {
    if standing.responsive == Some(false) {
        "context"
    } else {
        "responsive"
    }
}

/// `items.csv` while it is written, with the sums that `summary.csv` shows.
pub struct Items {
    out: csv::Writer<HashedFile>,
    rooms: BTreeMap<String, RoomSum>,
}

struct RoomSum {
    name: String,
    responsive: u64,
    context: u64,
    first_us: i64,
    last_us: i64,
}

impl Items {
    /// Begins the list.
    ///
    /// # Errors
    /// The file cannot be created.
    pub fn new(folder: &Folder) -> Result<Self, Failure> {
        let mut out = safe::writer(folder.create("items.csv")?);
        out.write_record([
            "event_id",
            "event_hash",
            "file",
            "row",
            "relevance",
            "status",
        ])
        .map_err(failure)?;
        Ok(Self {
            out,
            rooms: BTreeMap::new(),
        })
    }

    /// Enters one event.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn add(
        &mut self,
        row: &Row<'_>,
        hash: &[u8; 32],
        place: &Place,
        standing: Standing,
    ) -> Result<(), Failure> {
        let event = &row.event;
        let number = place.row.to_string();
        let hash = hex::encode(hash);
        let cells = [
            &*safe::defuse(&event.id),
            &hash,
            &place.file,
            &number,
            relevance(standing),
            status_name(standing.status),
        ];
        self.out.write_record(cells).map_err(failure)?;
        let id = event.room.id.as_deref().unwrap_or_default();
        if !self.rooms.contains_key(id) {
            let sum = RoomSum {
                name: String::new(),
                responsive: 0,
                context: 0,
                first_us: event.time_us,
                last_us: event.time_us,
            };
            self.rooms.insert(id.to_owned(), sum);
        }
        if let Some(sum) = self.rooms.get_mut(id) {
            // Events come in time order: the last name seen is the newest.
            if let Some(name) = &event.room.name {
                name.as_ref().clone_into(&mut sum.name);
            }
            sum.last_us = event.time_us;
            match standing.responsive {
                Some(false) => sum.context += 1,
                Some(true) | None => sum.responsive += 1,
            }
        }
        Ok(())
    }

    /// Ends `items.csv` and writes `summary.csv`.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn finish(self, folder: &mut Folder) -> Result<(), Failure> {
        let file = self
            .out
            .into_inner()
            .map_err(|e| failure(e.into_error().into()))?;
        folder.add(file)?;
        let mut out = safe::writer(Vec::new());
        out.write_record([
            "room_id",
            "room_name",
            "responsive",
            "context",
            "first",
            "last",
        ])
        .map_err(failure)?;
        for (id, sum) in &self.rooms {
            let (responsive, context) = (sum.responsive.to_string(), sum.context.to_string());
            let (first, last) = (time::format_us(sum.first_us), time::format_us(sum.last_us));
            out.write_record([
                &*safe::defuse(id),
                &*safe::defuse(&sum.name),
                &responsive,
                &context,
                &first,
                &last,
            ])
            .map_err(failure)?;
        }
        let bytes = out
            .into_inner()
            .map_err(|e| failure(e.into_error().into()))?;
        folder.put("summary.csv", &bytes)
    }
}

/// Something an event refers to that the export could not include.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// The first event that refers to it.
    pub event_id: String,
    /// What: the attachment's digest, or its name when it has none.
    pub what: String,
    /// Why it is not there.
    pub reason: String,
}

/// Writes `errors.csv` when there is anything to tell.
///
/// # Errors
/// The file cannot be written.
pub fn write_errors(folder: &mut Folder, missing: &[Missing]) -> Result<(), Failure> {
    if missing.is_empty() {
        return Ok(());
    }
    let mut out = safe::writer(Vec::new());
    out.write_record(["event_id", "what", "reason"])
        .map_err(failure)?;
    for entry in missing {
        let cells = [
            &*safe::defuse(&entry.event_id),
            &*safe::defuse(&entry.what),
            &*safe::defuse(&entry.reason),
        ];
        out.write_record(cells).map_err(failure)?;
    }
    let bytes = out
        .into_inner()
        .map_err(|e| failure(e.into_error().into()))?;
    folder.put("errors.csv", &bytes)
}

fn failure(error: csv::Error) -> Failure {
    Failure::file("write", std::path::Path::new("items.csv"))(safe::io_error(error))
}
