//! What tells families, and the chains of state records, apart.

use std::borrow::Cow;
use std::hash::{DefaultHasher, Hash, Hasher};

use holdfast_query::analyzer::fold_keyword as folded;
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

/// A state record, and what its overlay says, which is read once.
#[derive(Debug)]
pub struct Told<'e> {
    subject: Subject,
    event: &'e Event<'e>,
    extra: Option<Json<'e>>,
}

impl<'e> Told<'e> {
    /// Reads a record about a subject.
    #[must_use]
    pub fn of(subject: Subject, event: &'e Event<'e>) -> Self {
        let extra = event.extra.as_deref();
        Self {
            subject,
            event,
            extra: extra.and_then(|extra| Json::parse(extra).ok()),
        }
    }

    fn data(&self, name: &str) -> Option<&Json<'e>> {
        self.extra.as_ref()?.get("data")?.get(name)
    }

    /// Its chain. What cannot be read of the record makes the chain wider, never narrower.
    #[must_use]
    pub fn chain(&self) -> Chain {
        let event = self.event;
        let room = event.room.id.as_deref().unwrap_or_default();
        let actor = event.actor.id.as_deref().unwrap_or_default();
        let of_room = |id: u64| Chain {
            id,
            domains: vec![domain::room(room)],
            reach: Reach::Neighbours,
        };
        match self.subject {
            Subject::Room => of_room(hashed(&(10u8, folded(room)))),
            Subject::Snapshot => of_room(hashed(&(11u8, folded(room)))),
            Subject::Member => {
                let member = self.data("member").map(id_of).unwrap_or_default();
                of_room(hashed(&(12u8, folded(room), folded(member))))
            }
            Subject::Session => {
                let session = self.data("session").and_then(Json::as_str);
                let session = session.unwrap_or_default();
                of_room(hashed(&(13u8, folded(room), folded(actor), session)))
            }
            // Follows no other one.
            Subject::Viewed => Chain {
                reach: Reach::Backward,
                ..of_room(hashed(&(14u8, &event.origin, event.sequence)))
            },
            // Under which names a category's other records go is not told: what ends its time cannot be found.
            Subject::Category => Chain {
                id: hashed(&15u8),
                domains: self.categories(),
                reach: Reach::Everything,
            },
            Subject::User => {
                let user = self.data("user").map(id_of).unwrap_or_default();
                // Whoever wrote the record down is explained by records of their own.
                let whose = if user.is_empty() { actor } else { user };
                Chain {
                    id: hashed(&(16u8, folded(user))),
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

    /// Every name that a category's record gives it.
    fn categories(&self) -> Vec<u64> {
        let mut names: Vec<Cow<'_, str>> = ["category", "before", "after"]
            .iter()
            .filter_map(|name| self.data(name))
            .flat_map(|value| [Some(value), value.get("name"), value.get("id")])
            .flatten()
            .filter_map(Json::as_str)
            .map(folded)
            .collect();
        names.extend(self.event.room.category.as_deref().map(folded));
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| domain::category(name)).collect()
    }

    /// Users whom it names: whoever caused it, whom it is about, the members it lists. Who they were then is told by their
    /// own records, which name nobody: they would keep one another for ever.
    #[must_use]
    pub fn users(&self) -> Vec<u64> {
        if self.subject == Subject::User {
            return Vec::new();
        }
        let actor = self.event.actor.id.as_deref();
        let named = ["member", "user", "by"].into_iter();
        let named = named.filter_map(|name| self.data(name)).map(id_of);
        let members = match self.data("members") {
            Some(Json::Array(members)) => members.as_slice(),
            _ => &[],
        };
        let all = actor.into_iter().chain(named);
        all.chain(members.iter().map(id_of))
            .filter(|id| !id.is_empty())
            .map(domain::actor)
            .collect()
    }
}

fn id_of<'j>(value: &'j Json<'_>) -> &'j str {
    let id = value
        .as_str()
        .or_else(|| value.get("id").and_then(Json::as_str));
    id.unwrap_or_default()
}

/// SipHash with fixed keys: the same in every process.
fn hashed(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
