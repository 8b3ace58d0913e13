//! Searches what was said in the caller's rooms, newest first. A search is an event.

use std::fmt::Write as _;

use holdfast_schemas::event_type;
use holdfast_schemas::limits::NAME_BYTES_MAX;
use serde_json::json;

use crate::db::{Dialect, Value};
use crate::error::{ChatError, Result};
use crate::limits::SEARCH_PAGE_MAX;
use crate::model::{Caller, Entry, SELECT_ROOM, Source, load_entries};
use crate::node::Node;
use crate::outbox::Draft;
use crate::rules::{Decision, Operation, Role, decide, search_terms, valid_text};

/// What to look for. At least one of `q`, `from`, `since_us` and `until_us` is there: a room alone is its history.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Words and "phrases", all of which must be in the message.
    pub q: Option<String>,
    /// Only this room.
    pub room: Option<String>,
    /// Only messages of this user.
    pub from: Option<String>,
    /// Only messages from this time on: microseconds.
    pub since_us: Option<i64>,
    /// Only messages before this time: microseconds.
    pub until_us: Option<i64>,
    /// How many, at most [`SEARCH_PAGE_MAX`].
    pub limit: Option<i64>,
}

impl Query {
    /// Whether nothing says which messages.
    fn is_empty(&self) -> bool {
        self.q.is_none()
            && self.from.is_none()
            && self.since_us.is_none()
            && self.until_us.is_none()
    }
}

struct Conditions {
    sql: String,
    args: Vec<Value>,
}

impl Conditions {
    fn push(&mut self, before: &str, value: impl Into<Value>, after: &str) {
        self.args.push(value.into());
        // Writing to a String cannot fail.
        let _infallible = write!(self.sql, "{before}${}{after}", self.args.len());
    }

    /// Words as FTS5 takes them: each term a quoted phrase, side by side means all of them.
    fn words_sqlite(&mut self, terms: &[Vec<String>]) {
        let phrases: Vec<String> = terms
            .iter()
            .map(|words| format!("\"{}\"", words.join(" ")))
            .collect();
        self.push(
            " and m.row_id in (select rowid from message_search where message_search match ",
            phrases.join(" "),
            ")",
        );
    }

    /// The expression is the one of the index `messages_by_words`, which is not used for any other.
    fn words_postgres(&mut self, terms: &[Vec<String>]) {
        for words in terms {
            self.push(
                " and to_tsvector('simple', searched_words(coalesce(m.title, '') || ' ' || coalesce(m.body, ''))) \
                 @@ phraseto_tsquery('simple', searched_words(",
                words.join(" "),
                "))",
            );
        }
    }
}

/// The newest matching messages.
///
/// # Errors
/// The query is wrong; the one room is hidden from the caller or keeps no history.
pub async fn search(node: &Node, caller: &Caller, query: Query) -> Result<Vec<Entry>> {
    let limit = query.limit.unwrap_or(50);
    if !(1..=SEARCH_PAGE_MAX).contains(&limit) {
        return Err(ChatError::invalid(
            "limit",
            format!("must be from 1 to {SEARCH_PAGE_MAX}"),
        ));
    }
    if query.is_empty() {
        return Err(ChatError::invalid(
            "q",
            "give words (q), an author (from) or a time (since, until)",
        ));
    }
    for (place, text) in [
        ("q", &query.q),
        ("from", &query.from),
        ("room", &query.room),
    ] {
        valid_text(place, text.as_deref().unwrap_or(""), NAME_BYTES_MAX)?;
    }
    let rooms = readable_rooms(node, caller, query.room.as_deref()).await?;
    let mut entries = Vec::new();
    // Few statements with many rooms each; each gives its newest, and the newest of all are kept.
    for chunk in rooms.chunks(256) {
        let mut conditions = Conditions {
            sql: "where m.action = 'posted'".into(),
            args: Vec::new(),
        };
        if let Some(q) = &query.q {
            let terms = search_terms("q", q)?;
            match node.db.dialect() {
                Dialect::Sqlite => conditions.words_sqlite(&terms),
                Dialect::Postgres => conditions.words_postgres(&terms),
            }
        } else {
            conditions.sql.push_str(" and not m.deleted");
        }
        if let Some(from) = &query.from {
            conditions.push(" and m.author_id = ", from, "");
        }
        if let Some(since_us) = query.since_us {
            conditions.push(" and m.time_us >= ", since_us, "");
        }
        if let Some(until_us) = query.until_us {
            conditions.push(" and m.time_us < ", until_us, "");
        }
        for (index, room) in chunk.iter().enumerate() {
            conditions.push(
                if index == 0 {
                    " and m.room_id in ("
                } else {
                    ", "
                },
                room,
                "",
            );
        }
        conditions.push(
            ") order by m.time_us desc, m.room_id, m.room_seq desc limit ",
            limit,
            "",
        );
        entries.extend(
            load_entries(&mut Source::Db(&node.db), &conditions.sql, conditions.args).await?,
        );
    }
    entries.sort_by(|a, b| {
        b.time
            .cmp(&a.time)
            .then_with(|| a.room.cmp(&b.room))
            .then(b.room_seq.cmp(&a.room_seq))
    });
    entries.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    note(node, caller, &query, entries.len()).await?;
    Ok(entries)
}

/// Rooms that the caller is in and may read: members' rooms, and the one that is asked for (it may be an open one).
async fn readable_rooms(node: &Node, caller: &Caller, only: Option<&str>) -> Result<Vec<String>> {
    let mut source = Source::Db(&node.db);
    if let Some(room) = only {
        crate::model::authorize(&mut source, caller, room, Operation::ReadHistory).await?;
        return Ok(vec![room.to_owned()]);
    }
    let select = SELECT_ROOM.replacen(" from rooms r", ", m.role as member_role from rooms r", 1);
    let sql = format!("{select}join room_members m on m.room_id = r.id where m.user_id = $1");
    let mut rooms = Vec::new();
    for row in source
        .all(sqlx::AssertSqlSafe(sql), vec![caller.id().into()])
        .await?
    {
        let room = crate::model::Room::from_row(&row)?;
        let standing = room.standing(caller, Role::parse(&row.text("member_role")?));
        if decide(Operation::ReadHistory, standing, room.facts()) == Decision::Allow {
            rooms.push(room.id);
        }
    }
    Ok(rooms)
}

async fn note(node: &Node, caller: &Caller, query: &Query, result_count: usize) -> Result<()> {
    let row = node.event(Draft {
        event_type: event_type::HISTORY_SEARCHED,
        time_us: node.clock.now_us(),
        room: None,
        actor: Some(&caller.person),
        data: json!({
            "query": query.q, "result_count": result_count, "in_room": query.room, "from": query.from,
            "since": query.since_us.map(crate::model::time_text), "until": query.until_us.map(crate::model::time_text),
        }),
    })?;
    node.writes.events(caller.id(), vec![row]).await
}
