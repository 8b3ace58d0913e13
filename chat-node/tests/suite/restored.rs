//! A database that was restored: its origin begins a new incarnation, and no sequence is given twice.

use holdfast_chat_node::args;
use holdfast_schemas::outbox::COUNT_UNSEQUENCED;

use crate::on_both;
use crate::outbox::{origins, read};
use crate::support::{Backend, Options, World};

async fn ar2_a_restored_database_begins_a_new_incarnation(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    world.say("u-1", &room, "kept").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    assert_eq!(origins(&world).await.len(), 1);
    let (folder, database) = world.stop().await;
    let file = folder.path().join("chat.db");
    let backup = folder.path().join("backup.db");
    if backend == Backend::Sqlite {
        std::fs::copy(&file, &backup).unwrap();
    }
    // A restart alone goes on with the same one.
    let world = World::on(folder, database, Options::default()).await;
    world.say("u-1", &room, "lost").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    let before = origins(&world).await;
    assert_eq!(before.len(), 1);
    let (folder, database) = world.stop().await;
    match backend {
        // Into the same file: its inode stays, the mark beside it tells.
        Backend::Sqlite => {
            std::fs::write(&file, std::fs::read(&backup).unwrap()).unwrap();
        }
        Backend::Postgres => {
            // What a promoted standby or a restored cluster looks like: another system or timeline than the one that is stored.
            let db = holdfast_chat_node::db::Db::open(&database.parse().unwrap(), 2)
                .await
                .unwrap();
            db.execute(
                "update outbox_origins set identity = 'postgres/1/00000001/1/1'",
                args![],
            )
            .await
            .unwrap();
            db.close().await;
        }
    }
    let world = World::on(folder, database, Options::default()).await;
    world.until("select count(*) from outbox_origins", 2).await;
    world.say("u-1", &room, "after the restore").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    let after = origins(&world).await;
    assert_eq!(after[1].0, "main.2");
    let events = read(&world, "main.2").await;
    assert_eq!(events[0].0, 1, "from 1 again");
    assert!(
        events
            .iter()
            .any(|(_s, event)| event["data"]["message"]["body"] == "after the restore")
    );
}

/// A snapshot of the server's disk is the same system, timeline and tables: only what the nodes remember tells.
async fn ar2_a_database_whose_disk_was_put_back_begins_a_new_incarnation(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    world.say("u-1", &room, "kept").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    let sql = "select last_sequence, digest from outbox_origins";
    let row = world.db().one(sql, args![]).await.unwrap();
    let (kept, digest) = (row.int(0).unwrap(), row.text(1).unwrap());
    world.say("u-1", &room, "lost").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    let (folder, database) = world.stop().await;
    let db = holdfast_chat_node::db::Db::open(&database.parse().unwrap(), 2)
        .await
        .unwrap();
    db.execute("delete from outbox where sequence > $1", args![kept])
        .await
        .unwrap();
    let sql = "update outbox_origins set last_sequence = $1, digest = $2";
    db.execute(sql, args![kept, digest]).await.unwrap();
    db.close().await;
    let world = World::on(folder, database, Options::default()).await;
    world.until("select count(*) from outbox_origins", 2).await;
    world.say("u-1", &room, "after").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    assert_eq!(read(&world, "main.2").await[0].0, 1);
    // Remembered now is the new one: another start goes on with it.
    let (folder, database) = world.stop().await;
    let world = World::on(folder, database, Options::default()).await;
    world.say("u-1", &room, "again").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    assert_eq!(origins(&world).await.len(), 2);
}

on_both!(
    ar2_a_restored_database_begins_a_new_incarnation,
    ar2_a_database_whose_disk_was_put_back_begins_a_new_incarnation,
);
