//! Asking one segment: its split, or its rows.

use arrow::array::{Array, AsArray, RecordBatch};
use holdfast_archive::Segment;
use holdfast_archive::read::ReadOptions;
use holdfast_schemas::columns::{Rows, name};
use roaring::RoaringBitmap;
use tokio::runtime::Handle;

use super::engine::{Asked, Engine, JUDGE_ROWS, Want};
use super::question::{Answer, FindError};
use super::read;
use super::times::event_time;
use super::visible::Visible;
use crate::error::SearchError;

/// Rows found in one segment.
pub(super) struct Found {
    pub(super) count: u64,
    pub(super) rows: RoaringBitmap,
    pub(super) from_us: Option<i64>,
    pub(super) attachments: u64,
    pub(super) scanned: bool,
}

/// One segment being asked.
pub(super) struct Task<'a> {
    pub(super) engine: &'a Engine,
    pub(super) runtime: &'a Handle,
    pub(super) segment: &'a Segment,
    pub(super) asked: &'a Asked,
    pub(super) visible: &'a Visible,
}

impl Task<'_> {
    pub(super) fn by_split(&self) -> Result<Found, FindError> {
        let split = self.engine.split(self.runtime, self.segment)?;
        let attachments = match self.visible {
            Visible::All => split.attachments(),
            Visible::None => 0,
            Visible::Some(rows) if split.attachments() > 0 => self.attachments(Some(rows))?,
            Visible::Some(_) => 0,
        };
        let found = |count, rows: RoaringBitmap, from_us| Found {
            count,
            rows,
            from_us,
            attachments,
            scanned: false,
        };
        if *self.visible == Visible::None {
            return Ok(found(0, RoaringBitmap::new(), None));
        }
        let Answer { within, certain } = self.asked.question.find(&split)?;
        if self.asked.want == Want::Count && certain.is_none() && *self.visible == Visible::All {
            return Ok(found(
                within.count(split.rows())?,
                RoaringBitmap::new(),
                None,
            ));
        }
        let mut rows = within.collect(split.rows())?;
        self.visible.restrict(&mut rows);
        if let Some(certain) = certain {
            let certain = certain.collect(split.rows())?;
            let doubtful = &rows - &certain;
            if !doubtful.is_empty() {
                let refused = &doubtful - &self.judge(Some(&doubtful))?.0;
                rows -= refused;
            }
        }
        let from_us = match rows.min() {
            Some(first) if self.asked.want == Want::Rows => Some(event_time(&split, first)?),
            _ => None,
        };
        Ok(found(rows.len(), rows, from_us))
    }

    pub(super) fn by_scan(&self) -> Result<Found, SearchError> {
        let visible = match self.visible {
            Visible::All => None,
            Visible::None => {
                let rows = RoaringBitmap::new();
                return Ok(Found {
                    count: 0,
                    rows,
                    from_us: None,
                    attachments: 0,
                    scanned: true,
                });
            }
            Visible::Some(rows) => Some(rows),
        };
        let (rows, attachments) = self.judge(visible)?;
        Ok(Found {
            count: rows.len(),
            rows,
            from_us: None,
            attachments,
            scanned: true,
        })
    }

    /// Judges some rows, or all: the wanted ones, and the number of attachments of all judged.
    fn judge(&self, rows: Option<&RoaringBitmap>) -> Result<(RoaringBitmap, u64), SearchError> {
        let mut columns = self.asked.question.columns();
        if let Some(columns) = columns
            .as_mut()
            .filter(|columns| !columns.contains(&name::ATTACHMENTS))
        {
            columns.push(name::ATTACHMENTS);
        }
        let mut judge = self.asked.question.judge();
        let mut wanted = RoaringBitmap::new();
        let mut attachments = 0;
        self.each_batch(columns.as_deref(), rows, |numbers, batch| {
            attachments += attachments_of(batch);
            let rows = Rows::new(batch)?;
            for (at, row) in numbers.iter().enumerate() {
                if judge(&rows.row(at)) {
                    wanted.insert(*row);
                }
            }
            Ok(())
        })?;
        Ok((wanted, attachments))
    }

    fn attachments(&self, rows: Option<&RoaringBitmap>) -> Result<u64, SearchError> {
        let mut attachments = 0;
        self.each_batch(Some(&[name::ATTACHMENTS]), rows, |_, batch| {
            attachments += attachments_of(batch);
            Ok(())
        })?;
        Ok(attachments)
    }

    /// Reads rows, all or some, and calls `each` with their numbers and columns.
    fn each_batch(
        &self,
        columns: Option<&[&str]>,
        rows: Option<&RoaringBitmap>,
        mut each: impl FnMut(&[u32], &RecordBatch) -> Result<(), SearchError>,
    ) -> Result<(), SearchError> {
        let numbers: Vec<u32> = match rows {
            Some(rows) => rows.iter().collect(),
            None => (0..self.segment.rows as u32).collect(),
        };
        let reader = read::open(&self.engine.archive, self.segment, self.runtime)?;
        let rows = rows.map(|_| numbers.as_slice());
        let options = ReadOptions {
            columns,
            rows,
            batch_rows: JUDGE_ROWS,
            ..ReadOptions::default()
        };
        let mut numbers = numbers.as_slice();
        for batch in read::read(&self.engine.archive, &reader, &options, self.runtime)? {
            let batch = batch?;
            let (here, rest) = numbers
                .split_at_checked(batch.num_rows())
                .ok_or_else(|| self.rows_differ())?;
            each(here, &batch)?;
            numbers = rest;
        }
        if numbers.is_empty() {
            Ok(())
        } else {
            Err(self.rows_differ())
        }
    }

    fn rows_differ(&self) -> SearchError {
        let problem = "it has another number of rows than its log entry says".to_owned();
        SearchError::Segment {
            segment: self.segment.path.clone(),
            problem,
        }
    }
}

fn attachments_of(batch: &RecordBatch) -> u64 {
    let list = batch
        .column_by_name(name::ATTACHMENTS)
        .and_then(|array| array.as_list_opt::<i32>());
    list.map_or(0, |list| {
        (0..list.len())
            .filter(|row| list.is_valid(*row))
            .map(|row| list.value_length(row) as u64)
            .sum()
    })
}
