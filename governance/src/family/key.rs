//! What tells families, and the chains of state records, apart.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::Event;
use holdfast_schemas::json::Json;

use super::{Class, Reach, Subject, class_of};

/// A message's family.
#[must_use]
pub fn message_key(room: Option<&str>, message: &str) -> u64 {
    hashed(&(0u8, room, message))
}

/// The family of a file's uploads and downloads, before messages that carry it join it.
#[must_use]
pub fn file_key(file: &str) -> u64 {
    hashed(&(1u8, file))
}

/// Every family that an event speaks of, which thereby are one: of its files, and last of its message. None for what stands
/// for itself.
#[must_use]
pub fn keys_of(event: &Event<'_>) -> Vec<u64> {
    let files = event
        .attachments
        .iter()
        .filter_map(|file| file.id.as_deref());
    let mut keys: Vec<u64> = files.map(file_key).collect();
    if let (Class::Message { .. }, Some(id)) =
        (class_of(&event.event_type), event.message.id.as_deref())
    {
        keys.push(message_key(event.room.id.as_deref(), id));
    }
    keys
}

/// Events that a state record of a subject explains: those that share this value.
pub mod domain {
    use super::{folded, hashed};

    /// Events of a room.
    #[must_use]
    pub fn room(id: &str) -> u64 {
        hashed(&(2u8, folded(id)))
    }
    /// Events of a category's rooms, under the category's name.
    #[must_use]
    pub fn category(name: &str) -> u64 {
        hashed(&(3u8, folded(name)))
    }
    /// Events that somebody caused.
    #[must_use]
    pub fn actor(id: &str) -> u64 {
        hashed(&(4u8, folded(id)))
    }
    /// Events that a node emitted.
    #[must_use]
    pub fn source(source: &str) -> u64 {
        hashed(&(5u8, source))
    }
    /// Events of an origin.
    #[must_use]
    pub fn origin(origin: &str) -> u64 {
        hashed(&(6u8, origin))
    }
}

/// Where a state record belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    /// Records with the same value follow one another: each holds until the next.
    pub id: u64,
    /// What it explains; an event of any of these counts.
    pub domains: Vec<u64>,
    /// Which times of them.
    pub reach: Reach,
}

/// The chain of a state record. What cannot be read of it makes the chain wider, never narrower.
#[must_use]
pub fn chain_of(subject: Subject, event: &Event<'_>) -> Chain {
    let room = event.room.id.as_deref().unwrap_or_default();
    let actor = event.actor.id.as_deref().unwrap_or_default();
    let extra = event
        .extra
        .as_deref()
        .and_then(|extra| Json::parse(extra).ok());
    let data = extra.as_ref().and_then(|extra| extra.get("data"));
    let text = |name: &str| {
        data.and_then(|data| data.get(name))
            .and_then(Json::as_str)
            .unwrap_or_default()
    };
    let of_room = |id: u64| Chain {
        id,
        domains: vec![domain::room(room)],
        reach: Reach::Neighbours,
    };
    match subject {
        Subject::Room => of_room(hashed(&(10u8, folded(room)))),
        Subject::Snapshot => of_room(hashed(&(11u8, folded(room)))),
        Subject::Member => {
            let member = data
                .and_then(|data| data.get("member"))
                .map(id_of)
                .unwrap_or_default();
            of_room(hashed(&(12u8, folded(room), folded(&member))))
        }
        Subject::Session => of_room(hashed(&(
            13u8,
            folded(room),
            folded(actor),
            text("session"),
        ))),
        Subject::Viewed => Chain {
            reach: Reach::Backward,
            ..of_room(hashed(&(14u8, &event.id)))
        },
        Subject::Category => {
            let mut names: Vec<String> = ["category", "before", "after"]
                .iter()
                .filter_map(|name| data.and_then(|data| data.get(name)))
                .flat_map(|value| [Some(value), value.get("name"), value.get("id")])
                .flatten()
                .filter_map(Json::as_str)
                .map(folded)
                .collect();
            names.extend(event.room.category.as_deref().map(folded));
            names.sort_unstable();
            names.dedup();
            // Under which names a category's other records go is not told: what ends its time cannot be found.
            Chain {
                id: hashed(&15u8),
                domains: names.iter().map(|name| domain::category(name)).collect(),
                reach: Reach::Everything,
            }
        }
        Subject::User => {
            let user = data
                .and_then(|data| data.get("user"))
                .map(id_of)
                .unwrap_or_default();
            // Whoever wrote the record down is explained by records of their own.
            let whose = if user.is_empty() { actor } else { &user };
            Chain {
                id: hashed(&(16u8, folded(&user))),
                domains: vec![domain::actor(whose)],
                reach: Reach::Neighbours,
            }
        }
        Subject::Node => Chain {
            id: hashed(&(17u8, &event.source)),
            domains: vec![domain::source(&event.source)],
            reach: Reach::Neighbours,
        },
        Subject::Origin => Chain {
            id: hashed(&(18u8, &event.origin)),
            domains: vec![domain::origin(&event.origin)],
            reach: Reach::Neighbours,
        },
    }
}

/// Users whom a state record names: whoever caused it, whom it is about, the members it lists. Who they were then is told
/// by their own records, which name nobody: they would keep one another for ever.
#[must_use]
pub fn users_of(subject: Subject, event: &Event<'_>) -> Vec<u64> {
    if subject == Subject::User {
        return Vec::new();
    }
    let mut named: Vec<String> = event.actor.id.iter().map(ToString::to_string).collect();
    let extra = event
        .extra
        .as_deref()
        .and_then(|extra| Json::parse(extra).ok());
    let data = extra.as_ref().and_then(|extra| extra.get("data"));
    let of = |name: &str| data.and_then(|data| data.get(name));
    named.extend(
        ["member", "user", "by"]
            .into_iter()
            .filter_map(of)
            .map(id_of),
    );
    if let Some(Json::Array(members)) = of("members") {
        named.extend(members.iter().map(id_of));
    }
    named.retain(|id| !id.is_empty());
    named.iter().map(|id| domain::actor(id)).collect()
}

fn id_of(value: &Json<'_>) -> String {
    let id = value
        .as_str()
        .or_else(|| value.get("id").and_then(Json::as_str));
    id.unwrap_or_default().to_owned()
}

fn folded(text: &str) -> String {
    match fold_keyword(text) {
        Cow::Borrowed(text) => text.to_owned(),
        Cow::Owned(text) => text,
    }
}

/// SipHash with fixed keys: the same in every process.
fn hashed(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
