//! The user model's rooms and who is in them: pure arithmetic, so that load processes need no list of 1.28 million memberships.

use serde::{Deserialize, Serialize};

/// Classes of rooms: how many of each a user is in.
const SMALL_A_USER: u32 = 12;
const MEDIUM_A_USER: u32 = 2;
const LARGE_A_USER: u32 = 2;
/// Users of the model's pool, and its rooms.
pub(crate) const MODEL_USERS: u32 = 80_000;
const MODEL_SMALL: u32 = 32_000;
const MODEL_MEDIUM: u32 = 1_067;
const MODEL_LARGE: u32 = 10;

/// A room's class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// 30 users.
    Small,
    /// 150 users.
    Medium,
    /// A fifth of all users.
    Large,
    /// A room of the row that counts posts: nobody listens.
    Posts,
}

/// A room, small enough to be kept sixteen times by each of 80,000 clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Room(u32);

const CLASS_SHIFT: u32 = 28;

impl Room {
    pub(crate) fn new(class: Class, number: u32) -> Self {
        Self(((class as u32) << CLASS_SHIFT) | number)
    }

    /// Its class.
    pub(crate) fn class(self) -> Class {
        match self.0 >> CLASS_SHIFT {
            0 => Class::Small,
            1 => Class::Medium,
            2 => Class::Large,
            _ => Class::Posts,
        }
    }

    /// Its id in SQL.
    pub(crate) fn id(self) -> String {
        let letter = match self.class() {
            Class::Small => 's',
            Class::Medium => 'm',
            Class::Large => 'l',
            Class::Posts => 'p',
        };
        format!("{letter}-{}", self.0 & ((1 << CLASS_SHIFT) - 1))
    }

    pub(crate) fn parse(id: &str) -> Option<Self> {
        let (letter, number) = id.split_once('-')?;
        let class = match letter {
            "s" => Class::Small,
            "m" => Class::Medium,
            "l" => Class::Large,
            "p" => Class::Posts,
            _ => return None,
        };
        Some(Self::new(class, number.parse().ok()?))
    }
}

/// So many users in the model's proportions: each in 12 small, 2 medium and 2 large rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shape {
    pub(crate) users: u32,
    pub(crate) small: u32,
    pub(crate) medium: u32,
    pub(crate) large: u32,
}

impl Shape {
    /// Rooms of a class shrink with the users; there are always ten large ones.
    pub(crate) fn of(users: u32) -> Self {
        let share = |rooms: u32| {
            u32::try_from(u64::from(rooms) * u64::from(users) / u64::from(MODEL_USERS))
                .unwrap_or(rooms)
        };
        Self {
            users,
            small: share(MODEL_SMALL).max(SMALL_A_USER),
            medium: share(MODEL_MEDIUM).max(MEDIUM_A_USER),
            large: MODEL_LARGE,
        }
    }

    /// Rooms in all.
    pub(crate) fn rooms(self) -> u32 {
        self.small + self.medium + self.large
    }

    /// Memberships in all.
    pub(crate) fn memberships(self) -> u64 {
        u64::from(self.users) * u64::from(SMALL_A_USER + MEDIUM_A_USER + LARGE_A_USER)
    }

    /// Class, rooms of it, and how many of them a user is in: what [`Shape::rooms_of`] and the SQL of the import both follow.
    pub(crate) fn classes(self) -> [(Class, u32, u32); 3] {
        [
            (Class::Small, self.small, SMALL_A_USER),
            (Class::Medium, self.medium, MEDIUM_A_USER),
            (Class::Large, self.large, LARGE_A_USER),
        ]
    }

    /// The rooms of a user: number `(per_user * user + k) mod rooms` of each class.
    pub(crate) fn rooms_of(self, user: u32) -> Vec<Room> {
        let classes = self.classes().into_iter();
        let rooms = classes.flat_map(|(class, rooms, per_user)| {
            (0..per_user).map(move |k| Room::new(class, (per_user * user + k) % rooms))
        });
        rooms.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn the_whole_model_has_the_published_rooms() {
        let shape = Shape::of(MODEL_USERS);
        assert_eq!((shape.rooms(), shape.memberships()), (33_077, 1_280_000));
        let mut members: HashMap<Room, u32> = HashMap::new();
        for user in 0..shape.users {
            let mut rooms = shape.rooms_of(user);
            rooms
                .iter()
                .for_each(|room| *members.entry(*room).or_default() += 1);
            rooms.sort_unstable_by_key(|room| room.0);
            rooms.dedup();
            assert_eq!(rooms.len(), 16, "user {user} is in sixteen different rooms");
        }
        assert_eq!(members.len(), 33_077);
        for (room, count) in members {
            let expected = match room.class() {
                Class::Small => 30..=30,
                Class::Medium => 149..=150,
                Class::Large => 16_000..=16_000,
                Class::Posts => 0..=0,
            };
            assert!(expected.contains(&count), "{}: {count}", room.id());
        }
    }

    #[test]
    fn ids_come_back() {
        for room in Shape::of(400).rooms_of(37) {
            assert_eq!(Room::parse(&room.id()), Some(room));
        }
        assert_eq!(Room::parse("x-1"), None);
    }
}
