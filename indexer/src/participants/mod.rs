//! Who could see what when: `participants:x` told from the membership and join events of a snapshot.
//!
//! Where the archive leaves something open, it is read as membership: a custodian's hold must not miss a room because an
//! event was never emitted. So somebody whose first record is leaving was there since ever; somebody in a room's
//! snapshot was there since the last moment at which the archive says they were not; and who never left still is. Who is removed
//! under one of several ids stays under the others; what gives no id counts for all.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_query::ast::{Expr, ParticipantsExpansion, Test};
use holdfast_query::property::Property;
use holdfast_schemas::event_type;

mod follow;
mod history;
mod person;
mod persons;
mod roster;
mod stays;

pub use follow::Follower;
pub(crate) use history::History;
pub use person::Person;
pub(crate) use person::{Meant, from};
pub(crate) use roster::Gathered;
pub use roster::{Member, PersonNumber, Roster, Rosters};
pub use stays::merged;

/// Types that say who belongs to a room, or who a person is.
pub(crate) const PEOPLE: [&str; 7] = [
    event_type::ROOM_MEMBER_ADDED,
    event_type::ROOM_MEMBER_REMOVED,
    event_type::ROOM_SNAPSHOT,
    event_type::USER_CREATED,
    event_type::USER_UPDATED,
    event_type::USER_DISABLED,
    event_type::USER_DELETED,
];

/// Types that say who is in a room at the moment.
pub(crate) const SESSIONS: [&str; 2] = [event_type::ROOM_JOINED, event_type::ROOM_LEFT];

/// A span of time, UTC microseconds, both ends included; `i64::MIN` and `i64::MAX` are open ends.
pub type SpanUs = (i64, i64);

/// What one `participants` test means in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participation {
    /// What was asked.
    pub test: Test,
    /// By folded room id: when one of the persons meant could see the room. Spans ascend and do not touch.
    pub rooms: BTreeMap<String, Vec<SpanUs>>,
    /// Every id, URI and address of the persons meant, folded.
    pub persons: BTreeSet<String>,
}

/// The expansion of every `participants` test of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Participations {
    /// One for each test.
    pub of: Vec<Participation>,
}

impl ParticipantsExpansion for Participations {
    /// `from:x`, or an event of a room while one of the persons was in it.
    fn expand(&self, test: &Test) -> Expr {
        let mut any = vec![from(test)];
        let rooms = self
            .of
            .iter()
            .filter(|one| one.test == *test)
            .flat_map(|one| &one.rooms);
        for (room, spans) in rooms {
            let open = |end: i64, none: i64| Some(end).filter(|end| *end != none);
            let times = spans
                .iter()
                .map(|(from, to)| {
                    Expr::between_us(Property::Date, open(*from, i64::MIN), open(*to, i64::MAX))
                })
                .collect();
            any.push(Expr::and(vec![
                Expr::equals(Property::Room, room.clone()),
                Expr::or(times),
            ]));
        }
        Expr::or(any)
    }
}
