//! A reader at work: reads pages, hands them on, and keeps table and outbox in step.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::collect::PageSize;
use super::database::Database;
use super::lag::LagWatch;
use super::origins::{Origins, of_outboxes};
use super::read::Step;
use super::standby::Standby;
use super::told::Told;
use super::url::OutboxUrl;
use crate::settings::OutboxSettings;
use crate::source::{Draft, Feed, Pushed, SourceError};

/// How long one offer of a draft waits for room.
const OFFER_TIME: Duration = Duration::from_millis(200);
/// Shortest and longest time between two looks at an outbox that has nothing new. The shortest lets rows gather to pages worth handing on.
const LOOKS: (Duration, Duration) = (Duration::from_millis(40), Duration::from_millis(250));
/// Time between two looks at what another process does.
const STANDBY_LOOK: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Reader {
    pub(super) database: Database,
    pub(super) settings: OutboxSettings,
    until_idle: bool,
    pub(super) feed: Feed,
    pub(super) origins: Origins,
    /// Generation of what is handed on. The gate may be ahead of it for a moment: what is handed on until this is noticed is refused.
    pub(super) generation: u64,
    pub(super) page_size: PageSize,
    /// A draft that found the pipeline full.
    waiting: Option<Draft>,
    standby: Option<Standby>,
    pub(super) told: Told,
    lag: LagWatch,
    /// Whether the database has answered once.
    pub(super) contacted: bool,
    pub(super) said_waiting: Option<Instant>,
}

impl Reader {
    /// Takes the positions from the table; the database is connected to when it is asked first.
    pub(super) fn new(
        url: OutboxUrl,
        settings: OutboxSettings,
        until_idle: bool,
        feed: Feed,
    ) -> Result<Self, SourceError> {
        let reader = format!("holdfast-ingest/{}", feed.archive_id()?);
        let database = Database::new(url, feed.runtime.clone());
        tracing::info!(outbox = database.name(), reader, "reading the outbox");
        Ok(Self {
            database,
            settings,
            until_idle,
            origins: Origins::new(of_outboxes(feed.positions()?)),
            generation: feed.gate().generation(),
            feed,
            page_size: PageSize::default(),
            waiting: None,
            standby: None,
            told: Told::new(reader),
            lag: LagWatch::default(),
            contacted: false,
            said_waiting: None,
        })
    }

    /// Reads until told to stop, or until nothing is left when it is to end there.
    pub(super) fn run(mut self) -> Result<(), SourceError> {
        let done = self.read_on();
        self.database.close();
        done
    }

    fn read_on(&mut self) -> Result<(), SourceError> {
        let mut pause = LOOKS.0;
        while !self.feed.aborted() {
            self.serve()?;
            if self.feed.stopping() {
                return self.finish().map(drop);
            }
            if let Some(draft) = self.waiting.take() {
                self.offer(draft);
                continue;
            }
            if let Some(standby) = self.standby.take() {
                if self.stand_by(standby)? {
                    return Ok(());
                }
                continue;
            }
            match self.step()? {
                Step::More => {}
                Step::Last => {
                    pause = LOOKS.0;
                    let _stopping = self.feed.stop.wait(pause);
                }
                Step::Nothing => {
                    if self.until_idle && self.ended()? {
                        return Ok(());
                    }
                    let _stopping = self.feed.stop.wait(pause);
                    pause = (pause * 2).min(LOOKS.1);
                }
            }
        }
        Ok(())
    }

    /// What the committer has to say, and what the node is to know.
    fn serve(&mut self) -> Result<(), SourceError> {
        self.note_commits();
        if let Some(reason) = self.feed.feedback().take_reset() {
            self.reset(&reason)?;
        }
        let now = Instant::now();
        self.told.tell(&mut self.database, now);
        if self.contacted {
            let metrics = self.feed.metrics();
            self.lag
                .look(&self.origins, &mut self.database, metrics, now);
        }
        Ok(())
    }

    fn note_commits(&mut self) {
        let committed = self.feed.feedback().take_committed();
        for (origin, through) in self.origins.note_commits(&committed) {
            self.told.add(&origin, through);
        }
    }

    /// The table is not as this process thought. When another process moved the positions, it reads this outbox, and this one stands by.
    fn reset(&mut self, reason: &str) -> Result<(), SourceError> {
        // Waits for the commit in flight: after it the positions are final as far as this process goes.
        self.generation = self.feed.gate().close();
        self.note_commits();
        let positions = of_outboxes(self.feed.positions()?);
        if self.origins.differs(&positions) {
            tracing::warn!(
                reason,
                "another process reads this outbox into this archive; standing by"
            );
            self.feed.metrics().standing_by(true);
            let patience = self.settings.take_over_after;
            self.standby = Some(Standby::new(positions.clone(), patience, Instant::now()));
        } else {
            tracing::warn!(reason, "starting over from the table's positions");
        }
        self.begin(positions);
        Ok(())
    }

    /// Goes on behind these positions, dropping whatever was read before.
    fn begin(&mut self, positions: BTreeMap<String, i64>) {
        self.origins = Origins::new(positions);
        self.waiting = None;
        self.feed.metrics().paused(false);
    }

    /// Looks what another process has done; true when the run is over. Whatever it is about to commit beside this process the table refuses to
    /// one of the two.
    fn stand_by(&mut self, mut standby: Standby) -> Result<bool, SourceError> {
        match self.feed.positions() {
            Ok(positions) => {
                let positions = of_outboxes(positions);
                self.begin(positions.clone());
                if !self.look()? {
                    return Ok(false);
                }
                let unread = self.origins.first_unread().is_some();
                if self.until_idle && !unread && self.all_sequenced()? {
                    return Ok(true);
                }
                if standby.rests(positions, unread, Instant::now()) {
                    tracing::info!("the other process rests although events wait; taking over");
                    self.feed.metrics().standing_by(false);
                    return Ok(false);
                }
            }
            Err(error) => tracing::warn!(%error, "standing by; the archive cannot be read for now"),
        }
        self.standby = Some(standby);
        let _stopping = self.feed.stop.wait(STANDBY_LOOK);
        Ok(false)
    }

    pub(super) fn offer(&mut self, draft: Draft) {
        // A pipeline that has ended takes nothing; the loop sees that it has.
        self.waiting = match self.feed.push(draft, OFFER_TIME) {
            Pushed::Taken | Pushed::Closed => None,
            Pushed::Full(draft) => Some(draft),
        };
        self.feed.metrics().paused(self.waiting.is_some());
    }

    /// Whether nothing is left: everything has a sequence, is read, and is committed.
    fn ended(&mut self) -> Result<bool, SourceError> {
        // In this order: what is sequenced after the first question is seen by the second.
        if !self.all_sequenced()? || !self.look()? || self.origins.first_unread().is_some() {
            return Ok(false);
        }
        self.finish()
    }

    /// Hands on what was read and waits until it is committed; false when the table was found to be otherwise and there is more to do.
    pub(super) fn finish(&mut self) -> Result<bool, SourceError> {
        let generation = self.generation;
        let waiting = self.waiting.take();
        for draft in waiting.into_iter().chain([Draft::flush(generation)]) {
            if !self.feed.push_waiting(draft) {
                return Ok(true);
            }
        }
        let pushed = self.feed.pushed_chunks();
        while !self.feed.feedback().wait(pushed, OFFER_TIME) && !self.feed.aborted() {}
        // A batch that was refused counts as settled too: only the reset tells that its rows have to be read again.
        if self.feed.stopping() {
            self.note_commits();
            self.told.tell(&mut self.database, Instant::now());
            return Ok(true);
        }
        self.serve()?;
        Ok(self.generation == generation)
    }
}
