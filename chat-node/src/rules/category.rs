//! A category's lists: who may be in its rooms at all (an ethical wall), and who may create rooms.

use std::collections::BTreeSet;

/// A user with the groups they are in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Principal {
    /// The user's id.
    pub user_id: String,
    /// Ids of the user's groups.
    pub groups: BTreeSet<String>,
}

/// The three lists. An entry is `*` (everyone), `group:ID`, or a user's id, also spelled `user:ID`.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Lists {
    /// Who may be in the category's rooms.
    pub allowed: Vec<String>,
    /// Who may not, whatever `allowed` says.
    pub denied: Vec<String>,
    /// Who may create rooms, if allowed.
    pub creators: Vec<String>,
}

fn names(list: &[String], who: &Principal) -> bool {
    list.iter().any(|entry| match entry.split_once(':') {
        Some(("group", group)) => who.groups.contains(group),
        Some(("user", user)) => user == who.user_id,
        // Ids may hold colons of their own (sip:ana@example.com).
        Some(_) | None => entry == "*" || *entry == who.user_id,
    })
}

impl Lists {
    /// Whether the wall lets this user into the category's rooms. Denied wins.
    #[must_use]
    pub fn admits(&self, who: &Principal) -> bool {
        names(&self.allowed, who) && !names(&self.denied, who)
    }

    /// Whether this user is a creator in the category.
    #[must_use]
    pub fn makes_creator(&self, who: &Principal) -> bool {
        names(&self.creators, who) && self.admits(who)
    }

    /// Ids of the groups that any list names: a change of one of these changes who may read.
    #[must_use]
    pub fn groups(&self) -> BTreeSet<&str> {
        [&self.allowed, &self.denied, &self.creators]
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.strip_prefix("group:"))
            .collect()
    }
}

/// Creators of the category create rooms, and administrators.
#[must_use]
pub fn may_create_room(lists: &Lists, who: &Principal, administrator: bool) -> bool {
    administrator || lists.makes_creator(who)
}

/// Only administrators make, change and delete categories.
#[must_use]
pub fn may_manage_categories(administrator: bool) -> bool {
    administrator
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(user: &str, groups: &[&str]) -> Principal {
        Principal {
            user_id: user.into(),
            groups: groups.iter().map(|g| (*g).to_owned()).collect(),
        }
    }

    fn lists(allowed: &[&str], denied: &[&str], creators: &[&str]) -> Lists {
        let own = |list: &[&str]| list.iter().map(|e| (*e).to_owned()).collect();
        Lists {
            allowed: own(allowed),
            denied: own(denied),
            creators: own(creators),
        }
    }

    #[test]
    fn denied_wins_over_allowed() {
        let walls = lists(&["*"], &["group:research"], &["*"]);
        assert!(walls.admits(&who("u-1", &["sales"])));
        assert!(!walls.admits(&who("u-2", &["sales", "research"])));
        assert!(
            !walls.makes_creator(&who("u-2", &["research"])),
            "somebody outside of the wall cannot create inside"
        );
        assert!(!lists(&["u-3"], &["u-3"], &[]).admits(&who("u-3", &[])));
        assert!(!lists(&["u-3"], &["*"], &[]).admits(&who("u-3", &[])));
    }

    #[test]
    fn entries_are_users_groups_or_everyone() {
        let named = lists(
            &["u-1", "user:u-2", "group:legal", "sip:ben@example.com"],
            &[],
            &[],
        );
        for (user, groups, admitted) in [
            ("u-1", &[][..], true),
            ("u-2", &[][..], true),
            ("u-3", &[][..], false),
            ("u-3", &["legal"][..], true),
            ("legal", &[][..], false),
            ("u-3", &["u-1"][..], false),
            ("sip:ben@example.com", &[][..], true),
            ("*", &[][..], false),
        ] {
            assert_eq!(
                named.admits(&who(user, groups)),
                admitted,
                "{user} {groups:?}"
            );
        }
        assert!(
            !lists(&[], &[], &["*"]).admits(&who("u-1", &[])),
            "an empty list allows nobody"
        );
    }

    #[test]
    fn creators_and_administrators_create_rooms() {
        let walls = lists(&["*"], &[], &["u-1"]);
        assert!(may_create_room(&walls, &who("u-1", &[]), false));
        assert!(!may_create_room(&walls, &who("u-2", &[]), false));
        assert!(may_create_room(&walls, &who("u-2", &[]), true));
    }
}
