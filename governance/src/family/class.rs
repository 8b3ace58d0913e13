//! What each event type is to disposal.

use holdfast_schemas::event_type as t;

/// What an event is part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Part of a message.
    Message {
        /// A version of its text: the family's life counts from the newest of these.
        content: bool,
    },
    /// An upload or download of a file that messages carry.
    File,
    /// Says what something was from then on; lives at least as long as the events it explains.
    State(Subject),
    /// Stands for itself.
    Alone,
    /// Could not be read: no hold can be judged on it, so every hold keeps it.
    Quarantined,
}

/// What a state record is about, and so which events it explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A room's name, category and existence.
    Room,
    /// Somebody's membership of a room.
    Member,
    /// Somebody's presence in a room.
    Session,
    /// All members of a room.
    Snapshot,
    /// Which part of a room's history somebody read.
    Viewed,
    /// A category.
    Category,
    /// A person.
    User,
    /// A chat node.
    Node,
    /// How far an origin had come.
    Origin,
}

/// The class of a type of the contract; nothing for a foreign type.
#[must_use]
pub fn contract_class(event_type: &str) -> Option<Class> {
    use Class::{Alone, File, Message, Quarantined, State};
    Some(match event_type {
        t::MESSAGE_POSTED | t::MESSAGE_EDITED | t::MESSAGE_REPLACED => Message { content: true },
        t::MESSAGE_DELETED | t::REACTION_ADDED | t::REACTION_REMOVED => Message { content: false },
        t::FILE_UPLOADED | t::FILE_DOWNLOADED => File,
        t::ROOM_CREATED
        | t::ROOM_UPDATED
        | t::ROOM_DISABLED
        | t::ROOM_ENABLED
        | t::ROOM_DELETED
        | t::ROOM_PURGED => State(Subject::Room),
        t::ROOM_MEMBER_ADDED | t::ROOM_MEMBER_REMOVED => State(Subject::Member),
        t::ROOM_JOINED | t::ROOM_LEFT => State(Subject::Session),
        t::ROOM_SNAPSHOT => State(Subject::Snapshot),
        t::HISTORY_VIEWED => State(Subject::Viewed),
        t::CATEGORY_CREATED | t::CATEGORY_UPDATED | t::CATEGORY_DELETED => State(Subject::Category),
        t::USER_CREATED | t::USER_UPDATED | t::USER_DISABLED | t::USER_DELETED => {
            State(Subject::User)
        }
        t::NODE_STARTED | t::NODE_STOPPED | t::NODE_FAILED_OVER => State(Subject::Node),
        t::ORIGIN_HEARTBEAT => State(Subject::Origin),
        t::HISTORY_SEARCHED => Alone,
        t::QUARANTINED => Quarantined,
        _ => return None,
    })
}

/// The class of any type: a foreign one stands for itself.
#[must_use]
pub fn class_of(event_type: &str) -> Class {
    contract_class(event_type).unwrap_or(Class::Alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_of_the_contract_has_a_class() {
        for known in t::KNOWN {
            let class = contract_class(known.name);
            assert!(
                class.is_some(),
                "{} is new: say what it is to disposal",
                known.name
            );
            assert_eq!(matches!(class, Some(Class::Message { .. })), {
                known.name.starts_with("chat.message.") || known.name.starts_with("chat.reaction.")
            });
        }
        assert_eq!(class_of("com.example.poll"), Class::Alone);
    }
}
