//! Who makes this request: enters a user who was never seen, and notes what changed about one who was.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_schemas::event_type;
use serde_json::json;

use crate::args;
use crate::auth::Claims;
use crate::db::{Row, Tx, Value};
use crate::error::{ChatError, Result};
use crate::model::{Caller, Person, Source, lock_rooms};
use crate::node::Node;
use crate::outbox::Draft;
use crate::rules::Principal;

/// The caller that a token's claims tell of.
#[must_use]
pub fn caller_of(claims: Claims) -> Caller {
    Caller {
        administrator: claims.administrator(),
        principal: Principal {
            user_id: claims.sub.clone(),
            groups: claims.groups.into_iter().collect(),
        },
        expires_us: i64::try_from(claims.exp)
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000_000),
        person: Person {
            name: claims
                .name
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| claims.sub.clone()),
            id: claims.sub,
            uri: claims.uri,
            email: claims.email,
            internal: claims.internal.unwrap_or(true),
            kind: claims.kind.unwrap_or_else(|| "user".into()),
        },
    }
}

/// A user, of a row with these columns.
pub(in crate::ops) fn person_from(row: &Row) -> Result<Person> {
    Ok(Person {
        id: row.text("id")?,
        uri: row.text_opt("uri")?,
        name: row.text("name")?,
        email: row.text_opt("email")?,
        internal: row.bool("internal")?,
        kind: row.text("kind")?,
    })
}

/// What is stored about a user; somebody unknown is known by the id only.
///
/// # Errors
/// What the database says.
pub async fn load_person(source: &mut Source<'_>, id: &str) -> Result<Person> {
    let row = source
        .first(
            "select id, uri, name, email, internal, kind from users where id = $1",
            args![id],
        )
        .await?;
    row.as_ref()
        .map_or_else(|| Ok(Person::unknown(id)), person_from)
}

/// A user with the groups that the last token named.
///
/// # Errors
/// What the database says.
pub async fn load_principal(source: &mut Source<'_>, id: &str) -> Result<Principal> {
    let rows = source
        .all(
            "select group_id from user_groups where user_id = $1",
            args![id],
        )
        .await?;
    let groups = rows
        .iter()
        .map(|row| row.text(0))
        .collect::<Result<BTreeSet<String>>>()?;
    Ok(Principal {
        user_id: id.to_owned(),
        groups,
    })
}

/// The caller, entered or brought up to date in SQL.
///
/// # Errors
/// The user is disabled or deleted; what the database says.
pub async fn seen(node: &Node, claims: Claims) -> Result<Arc<Caller>> {
    let caller = caller_of(claims);
    let now_us = node.clock.now_us();
    if let Some(known) = node.users.get(&caller, now_us) {
        return Ok(known);
    }
    if is_current(node, &caller).await? {
        let caller = Arc::new(caller);
        node.users.put(&caller, now_us);
        return Ok(caller);
    }
    enter(node, &caller, now_us).await?;
    let caller = Arc::new(caller);
    node.users.put(&caller, now_us);
    Ok(caller)
}

fn check_state(state: &str) -> Result<()> {
    let reason = match state {
        "active" => return Ok(()),
        "deleted" => "this user was deleted",
        _disabled => "this user is disabled",
    };
    Err(ChatError::Forbidden { reason })
}

async fn is_current(node: &Node, caller: &Caller) -> Result<bool> {
    let sql = "select id, uri, name, email, internal, kind, state from users where id = $1";
    let Some(row) = node.db.first(sql, args![caller.id()]).await? else {
        return Ok(false);
    };
    check_state(&row.text("state")?)?;
    if person_from(&row)? != caller.person {
        return Ok(false);
    }
    Ok(load_principal(&mut Source::Db(&node.db), caller.id()).await? == caller.principal)
}

/// Inserts or updates, with the event that tells it. Two requests at a time: the row's lock lets one wait, and it then finds nothing to change.
async fn enter(node: &Node, caller: &Caller, now_us: i64) -> Result<()> {
    let person = &caller.person;
    let mut tx = node.db.begin().await?;
    let inserted = tx
        .execute(
            "insert into users (id, uri, name, email, internal, kind, state, created_us, updated_us) \
             values ($1, $2, $3, $4, $5, $6, 'active', $7, $7) on conflict (id) do nothing",
            args![&person.id, person.uri.clone(), &person.name, person.email.clone(), person.internal, &person.kind, now_us],
        )
        .await?;
    let (event_type, before) = if inserted == 1 {
        (event_type::USER_CREATED, None)
    } else {
        let lock = tx.dialect().for_update();
        let sql = sqlx::AssertSqlSafe(format!(
            "select id, uri, name, email, internal, kind, state from users where id = $1{lock}"
        ));
        let row = tx.one(sql, args![&person.id]).await?;
        check_state(&row.text("state")?)?;
        let groups = load_principal(&mut Source::Tx(&mut tx), &person.id)
            .await?
            .groups;
        (event_type::USER_UPDATED, Some((person_from(&row)?, groups)))
    };
    let described = |person: &Person, groups: &BTreeSet<String>| json!({"name": person.name, "email": person.email, "uri": person.uri, "internal": person.internal, "kind": person.kind, "groups": groups});
    let groups = &caller.principal.groups;
    let after = described(person, groups);
    let data = match &before {
        None => json!({"user": person.as_target(), "after": after}),
        Some((old, old_groups)) => {
            let (was, is) = crate::ops::changes(&described(old, old_groups), &after);
            if is.as_object().is_none_or(serde_json::Map::is_empty) {
                return Ok(());
            }
            json!({"user": person.as_target(), "before": was, "after": is})
        }
    };
    if before.is_some() {
        tx.execute(
            "update users set uri = $2, name = $3, email = $4, internal = $5, kind = $6, updated_us = $7 where id = $1",
            args![&person.id, person.uri.clone(), &person.name, person.email.clone(), person.internal, &person.kind, now_us],
        )
        .await?;
    }
    let old_groups = before.map(|(_person, groups)| groups).unwrap_or_default();
    if old_groups != *groups {
        replace_groups(&mut tx, &person.id, &old_groups, groups, now_us).await?;
    }
    let draft = Draft {
        event_type,
        time_us: now_us,
        room: None,
        actor: Some(person),
        data,
    };
    node.commit(tx, vec![node.event(draft)?]).await
}

/// A group's change decides who may read: rooms of categories that name it, and the user's own, tell their members anew.
async fn replace_groups(
    tx: &mut Tx,
    user: &str,
    old: &BTreeSet<String>,
    new: &BTreeSet<String>,
    now_us: i64,
) -> Result<()> {
    tx.execute("delete from user_groups where user_id = $1", args![user])
        .await?;
    for group in new {
        tx.execute(
            "insert into user_groups (user_id, group_id) values ($1, $2)",
            args![user, group],
        )
        .await?;
    }
    let changed: Vec<Value> = old
        .symmetric_difference(new)
        // As the entry stands in the stored JSON list.
        .map(|group| {
            serde_json::Value::from(format!("group:{group}"))
                .to_string()
                .into()
        })
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let naming: Vec<String> = (1..=changed.len())
        .map(|n| format!("replace(allowed || denied, ${n}, '') <> allowed || denied"))
        .collect();
    let rooms = format!(
        "category_id in (select id from categories where {})",
        naming.join(" or ")
    );
    lock_rooms(tx, &rooms, changed.clone()).await?;
    let sql = format!(
        "update rooms set snapshot_due_us = ${}, epoch = epoch + 1 where {rooms}",
        changed.len() + 1
    );
    let args = changed.into_iter().chain([now_us.into()]).collect();
    tx.execute(sqlx::AssertSqlSafe(sql), args).await?;
    Ok(())
}
