//! What the events say about users: `chat.user.created|updated|disabled|deleted`, and, of those whom none of these
//! speaks of, the actors of everything else.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_archive::Snapshot;
use holdfast_indexer::{Request, SearchError, Searcher};
use holdfast_query::Query;
use holdfast_query::analyzer::fold_keyword;
use holdfast_query::ast::Expr;
use holdfast_query::property::Property;
use holdfast_schemas::columns::Rows;
use holdfast_schemas::event_type;
use holdfast_schemas::json::Json;
use holdfast_schemas::ledger::person::{Identity, IdentityKind};
use holdfast_schemas::{Actor, Event};

const TYPES: [&str; 4] = [
    event_type::USER_CREATED,
    event_type::USER_UPDATED,
    event_type::USER_DISABLED,
    event_type::USER_DELETED,
];

/// A user of the chat system, over time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Their id.
    pub id: String,
    /// The id and everything they were called, each in its time.
    pub identities: BTreeSet<Identity>,
}

/// Every user that the events speak of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Users {
    /// By folded id.
    users: BTreeMap<String, User>,
}

/// A user as one event names them: id, and what they are called.
type Named<'n> = (&'n str, &'n [(IdentityKind, &'n str)]);

impl Users {
    /// Reads them out of an archive.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn read(searcher: &Searcher, snapshot: &Snapshot) -> Result<Self, SearchError> {
        let types = TYPES.map(|name| Expr::equals(Property::Type, name));
        let mut users = Self::default();
        // In order of time: each tells what was so until then, and what is from then on.
        let learn = |event: &Event<'_>| users.learn(event);
        each_event(searcher, snapshot, Expr::or(types.to_vec()), learn).await?;
        Ok(users)
    }

    /// Learns who acted under this id, URI, address or name: an archive need not hold the events of its users.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn meet(
        &mut self,
        searcher: &Searcher,
        snapshot: &Snapshot,
        given: &str,
    ) -> Result<(), SearchError> {
        let acted = Expr::equals(Property::From, given);
        each_event(searcher, snapshot, acted, |event| self.see(&event.actor)).await
    }

    /// Takes note of an actor. Since when they are called so is not known: what is known with its time stays as it is. Actors
    /// without an id are told apart by the best they have, and are nobody who has one.
    pub(super) fn see(&mut self, actor: &Actor<'_>) {
        let kinds = [
            (IdentityKind::Id, &actor.id),
            (IdentityKind::Uri, &actor.uri),
            (IdentityKind::Email, &actor.email),
            (IdentityKind::Name, &actor.name),
        ];
        let known = kinds.map(|(kind, value)| Some((kind, value.as_deref()?)));
        let mut known = known.into_iter().flatten().filter(|(_, v)| !v.is_empty());
        let Some((kind, best)) = known.next() else {
            return;
        };
        let folded = fold_keyword(best);
        let key = match kind {
            IdentityKind::Id => folded.into_owned(),
            // No id holds a control character.
            other => format!("{other:?}\0{folded}"),
        };
        let user = self.users.entry(key).or_insert_with(|| User {
            id: best.to_owned(),
            identities: BTreeSet::new(),
        });
        for (kind, value) in std::iter::once((kind, best)).chain(known) {
            let is = |i: &Identity| i.kind == kind && i.value == value;
            if !user.identities.iter().any(is) {
                insert(&mut user.identities, kind, value, None);
            }
        }
    }

    fn learn(&mut self, event: &Event<'_>) {
        let extra = event.extra.as_deref().and_then(|e| Json::parse(e).ok());
        let Some(data) = extra.as_ref().and_then(|extra| extra.get("data")) else {
            return;
        };
        let member = |name: &str| data.get(name).map(names);
        let (user, before, after) = (member("user"), member("before"), member("after"));
        let id = [&user, &after, &before]
            .into_iter()
            .flatten()
            .find_map(|(id, _)| *id);
        let Some(id) = id else {
            return;
        };
        self.note(
            event.time_us,
            user.as_ref().map(|(_, names)| (id, names.as_slice())),
            before.as_ref().map(|(_, names)| (id, names.as_slice())),
            after.as_ref().map(|(_, names)| (id, names.as_slice())),
        );
    }

    /// Takes note of one event, in the order of time: `before` was so until now, `user` and `after` are from now on.
    pub(super) fn note(
        &mut self,
        time_us: i64,
        user: Option<Named<'_>>,
        before: Option<Named<'_>>,
        after: Option<Named<'_>>,
    ) {
        let Some((id, _)) = user.or(after).or(before) else {
            return;
        };
        let known = self.users.entry(fold_keyword(id).into_owned());
        let known = known.or_insert_with(|| User {
            id: id.to_owned(),
            identities: BTreeSet::from([Identity {
                kind: IdentityKind::Id,
                value: id.to_owned(),
                from_us: None,
                until_us: None,
            }]),
        });
        for (kind, value) in before.into_iter().flat_map(|(_, names)| names) {
            // Since when is not known: since ever, unless an earlier event said it.
            if open(&known.identities, *kind, value).is_none() {
                insert(&mut known.identities, *kind, value, None);
            }
        }
        let now: Vec<_> = [after, user]
            .into_iter()
            .flatten()
            .flat_map(|(_, names)| names)
            .collect();
        for (kind, value) in &now {
            // Where both speak of a kind, the change is what counts.
            let first = now.iter().find(|(k, _)| k == kind);
            if first.is_some_and(|(_, v)| v != value) {
                continue;
            }
            end_others(&mut known.identities, *kind, value, time_us);
            if open(&known.identities, *kind, value).is_none() {
                insert(&mut known.identities, *kind, value, Some(time_us));
            }
        }
    }

    /// The user with this id.
    #[must_use]
    pub fn of_id(&self, id: &str) -> Option<&User> {
        self.users.get(fold_keyword(id).as_ref())
    }

    /// Users who are or were called so: by id, URI, address or name, folded.
    pub fn called<'u>(&'u self, folded: &'u str) -> impl Iterator<Item = &'u User> {
        self.users.values().filter(move |user| {
            user.identities
                .iter()
                .any(|identity| fold_keyword(&identity.value) == folded)
        })
    }

    /// All of them, by id.
    pub fn iter(&self) -> impl Iterator<Item = &User> {
        self.users.values()
    }
}

/// Calls `learn` with every event that fits, in the order of time.
async fn each_event(
    searcher: &Searcher,
    snapshot: &Snapshot,
    expr: Expr,
    mut learn: impl FnMut(&Event<'_>),
) -> Result<(), SearchError> {
    let query = Query {
        text: expr.to_string(),
        expr,
        time_zone: "UTC".to_owned(),
    };
    let mut hits = searcher.search(snapshot, &Request::new(query)).await?;
    while let Some(batch) = hits.next().await? {
        let rows = Rows::new(&batch.rows)?;
        for index in 0..rows.len() {
            learn(&rows.event(index));
        }
    }
    Ok(())
}

/// The identity of this value that has not ended.
fn open<'i>(
    identities: &'i BTreeSet<Identity>,
    kind: IdentityKind,
    value: &str,
) -> Option<&'i Identity> {
    identities
        .iter()
        .find(|i| i.kind == kind && i.until_us.is_none() && i.value == value)
}

fn insert(
    identities: &mut BTreeSet<Identity>,
    kind: IdentityKind,
    value: &str,
    from_us: Option<i64>,
) {
    identities.insert(Identity {
        kind,
        value: value.to_owned(),
        from_us,
        until_us: None,
    });
}

/// Whatever else of this kind has not ended ends now.
fn end_others(identities: &mut BTreeSet<Identity>, kind: IdentityKind, value: &str, time_us: i64) {
    let ending: Vec<Identity> = identities
        .iter()
        .filter(|i| i.kind == kind && i.until_us.is_none() && i.value != value)
        .cloned()
        .collect();
    for mut identity in ending {
        identities.remove(&identity);
        identity.until_us = Some(time_us);
        identities.insert(identity);
    }
}

/// Id and names of `{"id": …, "uri": …}`, or of the id itself.
fn names<'j>(json: &'j Json<'_>) -> (Option<&'j str>, Vec<(IdentityKind, &'j str)>) {
    if let Some(id) = json.as_str() {
        return (Some(id), Vec::new());
    }
    let text = |name: &str| {
        json.get(name)
            .and_then(Json::as_str)
            .filter(|t| !t.is_empty())
    };
    let kinds = [
        (IdentityKind::Uri, "uri"),
        (IdentityKind::Email, "email"),
        (IdentityKind::Name, "name"),
    ];
    let names = kinds
        .into_iter()
        .filter_map(|(kind, name)| Some((kind, text(name)?)));
    (text("id"), names.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renames_are_known_with_their_times() {
        let name = |value| [(IdentityKind::Name, value)];
        let mut users = Users::default();
        users.note(10, Some(("u-1", &name("Ana"))), None, None);
        users.note(
            20,
            Some(("U-1", &[])),
            Some(("U-1", &name("Ana"))),
            Some(("U-1", &name("Anne"))),
        );
        users.note(
            30,
            Some(("u-1", &[])),
            Some(("u-1", &name("Anne"))),
            Some(("u-1", &name("Ana"))),
        );
        let user = users.of_id("u-1").unwrap();
        let spans: Vec<_> = user
            .identities
            .iter()
            .filter(|i| i.kind == IdentityKind::Name)
            .map(|i| (i.value.as_str(), i.from_us, i.until_us))
            .collect();
        assert_eq!(
            spans,
            [
                ("Ana", Some(10), Some(20)),
                ("Ana", Some(30), None),
                ("Anne", Some(20), Some(30))
            ]
        );
        assert_eq!(users.called("anne").count(), 1);
        assert_eq!(users.called("bea").count(), 0);
    }

    #[test]
    fn who_only_ever_acted_is_known_by_what_their_events_call_them() {
        let actor = |id: Option<&'static str>, name: &'static str| Actor {
            id: id.map(Into::into),
            email: Some("a@x".into()),
            name: Some(name.into()),
            ..Actor::default()
        };
        let mut users = Users::default();
        users.see(&actor(Some("u-1"), "Ana"));
        users.see(&actor(Some("U-1"), "Anne"));
        users.see(&actor(None, "Ana"));
        users.see(&Actor::default());
        assert_eq!(users.of_id("u-1").unwrap().identities.len(), 5);
        // Without an id nobody knows whether the address is the same person's.
        assert_eq!(users.called("a@x").count(), 2);
        assert_eq!(users.called("anne").count(), 1);
        // What is somebody's id is another's name.
        let named = Actor {
            name: Some("u-1".into()),
            ..Actor::default()
        };
        users.see(&named);
        assert_eq!(users.called("u-1").count(), 2);
        assert!(
            users
                .of_id("u-1")
                .unwrap()
                .identities
                .iter()
                .all(|i| i.value != "u-1" || i.kind == IdentityKind::Id)
        );
    }

    #[test]
    fn a_rename_of_somebody_never_seen_before_reaches_back_for_ever() {
        let mut users = Users::default();
        let (before, after) = (
            [(IdentityKind::Email, "a@x")],
            [(IdentityKind::Email, "b@x")],
        );
        users.note(20, None, Some(("u-1", &before)), Some(("u-1", &after)));
        let user = users.of_id("u-1").unwrap();
        let spans: Vec<_> = user
            .identities
            .iter()
            .filter(|i| i.kind == IdentityKind::Email)
            .map(|i| (i.value.as_str(), i.from_us, i.until_us))
            .collect();
        assert_eq!(spans, [("a@x", None, Some(20)), ("b@x", Some(20), None)]);
    }
}
