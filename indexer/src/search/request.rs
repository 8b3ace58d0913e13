//! Searching and counting by a query.

use std::sync::Arc;

use holdfast_archive::{Segment, Snapshot, attachments};
use holdfast_query::plan::{KeywordField, TextField, TimeColumn};
use holdfast_query::{Expr, Matcher, Plan, Query, lower};
use holdfast_schemas::columns::name;

use super::coverage::Coverage;
use super::engine::{Asked, Resolved, Want};
use super::expand::Expansions;
use super::find::find;
use super::hits::Hits;
use super::prune::Bounds;
use super::question::{Answer, FindError, Judge, Question};
use super::searcher::Searcher;
use crate::error::SearchError;
use crate::split::Split;

/// What to search for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The query; `participants` in it is expanded over the same version of the archive.
    pub query: Query,
    /// Only rows archived by commits up to this version; the snapshot's own when nothing is said.
    pub as_of: Option<u64>,
    /// Most hits returned; the count is of all.
    pub limit: Option<usize>,
    /// Words must occur with the diacritics they are written with.
    pub exact_diacritics: bool,
}

impl Request {
    /// A request for all hits of a query in a snapshot's version.
    #[must_use]
    pub fn new(query: Query) -> Self {
        Self {
            query,
            as_of: None,
            limit: None,
            exact_diacritics: false,
        }
    }
}

/// A query's meaning, asked of segments.
pub(crate) struct Planned {
    plan: Plan,
    matcher: Matcher,
    expansions: Expansions,
}

impl Planned {
    pub(crate) fn new(query: &Expr, exact_diacritics: bool) -> Result<Self, SearchError> {
        let plan = lower(query, exact_diacritics)?;
        let matcher = Matcher::from_plan(&plan);
        Ok(Self {
            plan,
            matcher,
            expansions: Expansions::default(),
        })
    }
}

impl Question for Planned {
    fn find(&self, split: &Split) -> Result<Answer, FindError> {
        find(&self.plan, split, &self.expansions)
    }

    fn judge(&self) -> Judge<'_> {
        let mut matcher = self.matcher.clone();
        Box::new(move |row| matcher.matches(row))
    }

    fn columns(&self) -> Option<Vec<&'static str>> {
        let mut columns = Vec::new();
        columns_of(&self.plan, &mut columns);
        columns.sort_unstable();
        columns.dedup();
        Some(columns)
    }
}

/// The columns that a plan looks at.
fn columns_of(plan: &Plan, columns: &mut Vec<&'static str>) {
    match plan {
        Plan::All(plans) | Plan::Any(plans) => {
            plans.iter().for_each(|plan| columns_of(plan, columns));
        }
        Plan::Not(plan) => columns_of(plan, columns),
        Plan::Text { fields, .. } | Plan::Whole { fields, .. } => {
            columns.extend(fields.iter().map(|field| text_column(*field)));
        }
        Plan::Near(near) => columns.extend(near.fields.iter().map(|field| text_column(*field))),
        Plan::Keyword { fields, .. } => fields
            .iter()
            .for_each(|field| columns.extend(keyword_columns(*field))),
        Plan::Time {
            column: TimeColumn::Event,
            ..
        } => columns.push(name::EVENT_TIME),
        Plan::Time {
            column: TimeColumn::Ingest,
            ..
        } => columns.push(name::INGEST_TIME),
        Plan::Size { .. } | Plan::HasAttachment(_) => columns.push(name::ATTACHMENTS),
    }
}

fn text_column(field: TextField) -> &'static str {
    match field {
        TextField::Title => name::TITLE,
        TextField::Body => name::BODY,
        TextField::AttachmentName => name::ATTACHMENTS,
        TextField::ActorName => name::ACTOR_NAME,
    }
}

/// Target and reaction are told by other columns than those of their names: that is where the matcher reads them.
fn keyword_columns(field: KeywordField) -> &'static [&'static str] {
    match field {
        KeywordField::EventId => &[name::EVENT_ID],
        KeywordField::EventType => &[name::EVENT_TYPE],
        KeywordField::Origin => &[name::ORIGIN],
        KeywordField::RoomId => &[name::ROOM_ID],
        KeywordField::RoomName => &[name::ROOM_NAME],
        KeywordField::Category => &[name::CATEGORY],
        KeywordField::ActorId => &[name::ACTOR_ID],
        KeywordField::ActorUri => &[name::ACTOR_URI],
        KeywordField::ActorEmail => &[name::ACTOR_EMAIL],
        KeywordField::ActorKind => &[name::ACTOR_KIND],
        KeywordField::TargetId => &[name::EXTRA],
        KeywordField::MessageId => &[name::MESSAGE_ID],
        KeywordField::MessageKind => &[name::MESSAGE_KIND],
        KeywordField::ReplyTo => &[name::REPLY_TO],
        KeywordField::Reaction => &[name::EVENT_TYPE, name::EXTRA],
    }
}

/// What a query found, segment by segment.
struct Asking {
    version: u64,
    found: Vec<Resolved>,
    coverage: Coverage,
}

impl Searcher {
    /// Searches a snapshot. The hits come as they are read; what they cover and how many there are is known at once.
    ///
    /// # Errors
    /// The query has no meaning or a wildcard stands for too many terms, the version is not there yet, a segment cannot be
    /// read.
    pub async fn search(
        &self,
        snapshot: &Snapshot,
        request: &Request,
    ) -> Result<Hits, SearchError> {
        let Asking {
            version,
            found,
            coverage,
        } = self.asking(snapshot, request, Want::Rows).await?;
        self.hits(snapshot, version, found, request.limit, coverage)
            .await
    }

    /// Counts the hits of a search, from postings alone where they decide.
    ///
    /// # Errors
    /// As [`Searcher::search`].
    pub async fn count(
        &self,
        snapshot: &Snapshot,
        request: &Request,
    ) -> Result<(u64, Coverage), SearchError> {
        let Asking {
            found, coverage, ..
        } = self.asking(snapshot, request, Want::Count).await?;
        Ok((found.iter().map(|one| one.count).sum(), coverage))
    }

    async fn asking(
        &self,
        snapshot: &Snapshot,
        request: &Request,
        want: Want,
    ) -> Result<Asking, SearchError> {
        let version = version(snapshot, request.as_of)?;
        let query = self
            .expanded(snapshot, request.as_of, &request.query.expr)
            .await?;
        let planned = Planned::new(&query, request.exact_diacritics)?;
        let bounds = Bounds::of(&planned.plan);
        let segments = snapshot.segments().await?;
        if let Err(error) = self.engine.trim(snapshot.version(), &segments) {
            // The search is right all the same; a purge tells it as an error.
            tracing::warn!(%error, "what is cached of segments that are gone stays");
        }
        let (kept, pruned): (Vec<_>, Vec<_>) = segments
            .iter()
            .cloned()
            .partition(|segment| bounds.may_hold(segment));
        let considered = self.visible_rows(&pruned, version).await?;
        let asked = Asked {
            question: Arc::new(planned),
            version,
            want,
        };
        let found = self.engine.ask(kept, asked).await?;
        let scanned = found.iter().filter(|one| one.scanned).count() as u64;
        let coverage = Coverage {
            exact_diacritics: request.exact_diacritics,
            version,
            segments_searched: found.len() as u64 - scanned,
            segments_scanned: scanned,
            segments_damaged: found.iter().filter(|one| one.damaged).count() as u64,
            segments_pruned: pruned.len() as u64,
            events_considered: considered + found.iter().map(|one| one.considered).sum::<u64>(),
            attachments_not_searchable: found.iter().map(|one| one.attachments).sum(),
            attachments_pending: self.engine.archive.pending_attachments().await?.len() as u64,
            attachments_undigested: attachments::undigested(snapshot).await?,
            time_zone: request.query.time_zone.clone(),
            query: query.to_string(),
        };
        Ok(Asking {
            version,
            found,
            coverage,
        })
    }

    /// Rows of a version in segments that need not be searched: their statistics were considered.
    async fn visible_rows(
        &self,
        segments: &[Arc<Segment>],
        version: u64,
    ) -> Result<u64, SearchError> {
        let mut rows = 0;
        for segment in segments {
            rows += if segment.commit_version <= version {
                segment.rows
            } else {
                self.engine.visible_rows(segment, version).await?
            };
        }
        Ok(rows)
    }
}

/// The version that a request speaks of.
pub(super) fn version(snapshot: &Snapshot, as_of: Option<u64>) -> Result<u64, SearchError> {
    match as_of {
        Some(wanted) if wanted > snapshot.version() => Err(SearchError::VersionAhead {
            wanted,
            newest: snapshot.version(),
        }),
        Some(wanted) => Ok(wanted),
        None => Ok(snapshot.version()),
    }
}
