//! Rooms and members of a model, imported by SQL: 1.28 million memberships take seconds, and the statements are the same on both databases.

use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_chat_node::db::{DatabaseUrl, Db};
use sqlx::AssertSqlSafe;

use crate::load::{Class, Shape};

/// Far enough that no daily snapshot of a room falls into a measurement: 2100-01-01.
const NEVER_US: i64 = 4_102_444_800_000_000;
/// Connections of the import.
const CONNECTIONS: u32 = 2;

/// Opens the database as a node does, which brings its schema up to date.
pub(crate) async fn open(url: &str) -> Result<Db> {
    let url: DatabaseUrl = url.parse()?;
    Ok(Db::open(&url, CONNECTIONS).await?)
}

async fn run(db: &Db, statements: &[String]) -> Result<()> {
    let mut tx = db.begin().await?;
    for sql in statements {
        tx.execute(AssertSqlSafe(sql.clone()), Vec::new())
            .await
            .with_context(|| sql.clone())?;
    }
    Ok(tx.commit().await?)
}

fn numbers(name: &str, count: u32) -> String {
    format!("{name}(i) as (select 0 union all select i + 1 from {name} where i + 1 < {count})")
}

fn category() -> String {
    format!(
        "insert into categories (id, name, name_key, allowed, denied, creators, invitations, files, history, version, created_us, updated_us) \
         values ('c-bench', 'Bench', 'bench', '[\"*\"]', '[]', '[]', false, true, true, 1, {NEVER_US}, {NEVER_US})"
    )
}

fn users(count: u32) -> String {
    format!(
        "insert into users (id, uri, name, email, internal, kind, state, created_us, updated_us) with recursive {} \
         select 'u-' || i, null, 'User ' || i, null, true, 'user', 'active', 0, 0 from n",
        numbers("n", count)
    )
}

fn rooms(letter: &str, count: u32) -> String {
    format!(
        "insert into rooms (id, category_id, name, name_key, description, kind, privacy, invitations, addin_url, disabled, last_seq, epoch, version, \
         snapshot_due_us, created_us, updated_us) with recursive {} select '{letter}-' || i, 'c-bench', 'Room {letter}-' || i, 'room {letter}-' || i, \
         '', 'normal', 'closed', 'inherit', null, false, 0, 1, 1, {NEVER_US}, 0, 0 from n",
        numbers("n", count)
    )
}

fn members(letter: &str, users: u32, per_user: u32, rooms: u32) -> String {
    format!(
        "insert into room_members (room_id, user_id, role, added_us) with recursive {}, {} \
         select '{letter}-' || (({per_user} * n.i + k.i) % {rooms}), 'u-' || n.i, 'member', 0 from n cross join k",
        numbers("n", users),
        numbers("k", per_user)
    )
}

fn letter(class: Class) -> &'static str {
    match class {
        Class::Small => "s",
        Class::Medium => "m",
        Class::Large => "l",
        Class::Posts => "p",
    }
}

/// The user model's rooms and members.
pub(crate) async fn import_model(db: &Db, shape: Shape) -> Result<()> {
    let mut statements = vec![category(), users(shape.users)];
    for (class, count, per_user) in shape.classes() {
        statements.push(rooms(letter(class), count));
        statements.push(members(letter(class), shape.users, per_user, count));
    }
    run(db, &statements).await
}

/// Rooms for the rows that count posts: everybody is in all of them.
pub(crate) async fn import_posters(db: &Db, posters: u32, count: u32) -> Result<()> {
    let letter = letter(Class::Posts);
    run(
        db,
        &[
            category(),
            users(posters),
            rooms(letter, count),
            members(letter, posters, count, count),
        ],
    )
    .await
}

/// Rooms that were talked in, with their last places: what every subscriber must have seen.
pub(crate) async fn places(db: &Db) -> Result<Vec<(String, i64)>> {
    let mut places = Vec::new();
    for row in db
        .all(
            "select id, last_seq from rooms where last_seq > 0",
            Vec::new(),
        )
        .await?
    {
        places.push((row.text(0)?, row.int(1)?));
    }
    Ok(places)
}

/// Waits until the pool's leader has less left to sequence than one pass takes.
pub(crate) async fn sequenced(db: &Db) -> Result<()> {
    let sql =
        "select count(*) from (select 1 from outbox where sequence is null limit 2000) as waiting";
    while db.one(sql, Vec::new()).await?.int(0)? >= 2000 {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[tokio::test]
    async fn the_import_is_what_clients_subscribe() {
        let folder = tempfile::tempdir().unwrap();
        let db = open(&format!("sqlite://{}/chat.db", folder.path().display()))
            .await
            .unwrap();
        let shape = Shape::of(800);
        import_model(&db, shape).await.unwrap();
        let sql = "select room_id from room_members where user_id = 'u-37'";
        let stored = db.all(sql, Vec::new()).await.unwrap();
        let stored: BTreeSet<String> = stored.iter().map(|row| row.text(0).unwrap()).collect();
        assert_eq!(
            stored,
            shape
                .rooms_of(37)
                .into_iter()
                .map(|room| room.id())
                .collect()
        );
        let count = db
            .one(
                "select count(*) from room_members m join rooms r on r.id = m.room_id",
                Vec::new(),
            )
            .await
            .unwrap();
        assert_eq!(
            count.int(0).unwrap(),
            i64::try_from(shape.memberships()).unwrap()
        );
    }
}
