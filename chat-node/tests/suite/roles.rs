//! Every role x operation x kind of room: by the pure rules, and by the node over HTTP and WebSocket. The table is the one thing both are held to.

use std::time::Duration;

use holdfast_chat_node::args;
use holdfast_chat_node::rules::{
    Decision, Operation, Privacy, Role, RoomFacts, RoomKind, Standing, decide,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, World};

/// `+` allowed, `-` refused with a reason, `.` not there. Columns, in the order of `Operation::ALL`:
/// See Join Post EditOwn EditOther DeleteOwn DeleteOther React ReadHistory Upload Download ListMembers ManageMembers Update Disable DeleteRoom.
const TABLE: &[(&str, &[(&str, &str)])] = &[
    (
        "normal open",
        &[
            ("outside", "................"),
            ("stranger", "++++-+-+++++----"),
            ("member", "++++-+-+++++----"),
            ("presenter", "++++-+-+++++----"),
            ("manager", "++++-+-++++++++-"),
            ("admin", "++++-+++++++++++"),
            ("admin-outside", "+----++----+++++"),
        ],
    ),
    (
        "normal closed",
        &[
            ("outside", "................"),
            ("stranger", "+---------------"),
            ("member", "++++-+-+++++----"),
            ("presenter", "++++-+-+++++----"),
            ("manager", "++++-+-++++++++-"),
            ("admin", "++++-+++++++++++"),
            ("admin-outside", "+----++----+++++"),
        ],
    ),
    (
        "normal secret",
        &[
            ("outside", "................"),
            ("stranger", "................"),
            ("member", "++++-+-+++++----"),
            ("presenter", "++++-+-+++++----"),
            ("manager", "++++-+-++++++++-"),
            ("admin", "++++-+++++++++++"),
            ("admin-outside", "+----++----+++++"),
        ],
    ),
    (
        "auditorium open",
        &[
            ("outside", "................"),
            ("stranger", "++---+-++-++----"),
            ("member", "++---+-++-++----"),
            ("presenter", "++++-+-+++++----"),
            ("manager", "++++-+-++++++++-"),
            ("admin", "++++-+++++++++++"),
            ("admin-outside", "+----++----+++++"),
        ],
    ),
    (
        "auditorium closed",
        &[
            ("outside", "................"),
            ("stranger", "+---------------"),
            ("member", "++---+-++-++----"),
            ("presenter", "++++-+-+++++----"),
            ("manager", "++++-+-++++++++-"),
            ("admin", "++++-+++++++++++"),
            ("admin-outside", "+----++----+++++"),
        ],
    ),
    (
        "auditorium secret",
        &[
            ("outside", "................"),
            ("stranger", "................"),
            ("member", "++---+-++-++----"),
            ("presenter", "++++-+-+++++----"),
            ("manager", "++++-+-++++++++-"),
            ("admin", "++++-+++++++++++"),
            ("admin-outside", "+----++----+++++"),
        ],
    ),
    (
        "normal open disabled",
        &[
            ("outside", "................"),
            ("stranger", "................"),
            ("member", "................"),
            ("presenter", "................"),
            ("manager", "+----------++++-"),
            ("admin", "+-----+----+++++"),
            ("admin-outside", "+-----+----+++++"),
        ],
    ),
];

fn facts(room: &str) -> RoomFacts {
    let words: Vec<&str> = room.split(' ').collect();
    RoomFacts {
        kind: RoomKind::parse(words[0]).unwrap(),
        privacy: Privacy::parse(words[1]).unwrap(),
        disabled: words.len() > 2,
        files: true,
        history: true,
    }
}

fn standing(actor: &str) -> Standing {
    Standing {
        administrator: actor.starts_with("admin"),
        admitted: !actor.contains("outside"),
        role: Role::parse(actor),
    }
}

#[test]
fn the_rules_follow_the_table() {
    for (room, rows) in TABLE {
        for (actor, cells) in *rows {
            assert_eq!(cells.chars().count(), Operation::ALL.len());
            for (operation, cell) in Operation::ALL.into_iter().zip(cells.chars()) {
                let told = match decide(operation, standing(actor), facts(room)) {
                    Decision::Allow => '+',
                    Decision::Deny(_reason) => '-',
                    Decision::Hide => '.',
                };
                assert_eq!(told, cell, "{operation:?} by {actor} in a {room} room");
            }
        }
    }
}

#[test]
fn the_categorys_switches_bind_everybody() {
    let facts = |files, history| RoomFacts {
        files,
        history,
        ..facts("normal closed")
    };
    for actor in ["member", "presenter", "manager", "admin"] {
        let may = |operation, files, history| {
            decide(operation, standing(actor), facts(files, history)) == Decision::Allow
        };
        assert!(
            may(Operation::Upload, true, true) && !may(Operation::Upload, false, true),
            "{actor}"
        );
        assert!(
            may(Operation::ReadHistory, true, true) && !may(Operation::ReadHistory, true, false),
            "{actor}"
        );
        assert!(
            may(Operation::Post, false, false) && may(Operation::Download, false, false),
            "{actor}"
        );
    }
}

struct Stage<'a> {
    world: &'a World,
    room: String,
    actor: &'static str,
    own: Vec<String>,
    other: Vec<String>,
    file: String,
}

/// A message by anybody, whatever the rules say: straight into SQL.
async fn plant(world: &World, room: &str, author: &str) -> String {
    let id = format!("m-{}", uuid::Uuid::now_v7().simple());
    let mut tx = world.db().begin().await.unwrap();
    let sql = "update rooms set last_seq = last_seq + 1 where id = $1 returning last_seq";
    let seq = tx.one(sql, args![room]).await.unwrap().int(0).unwrap();
    let sql = "insert into messages (room_id, room_seq, id, action, author_id, kind, body, attachments, mentions, time_us, deleted) \
               values ($1, $2, $3, 'posted', $4, 'plain', 'planted', '[]', '[]', 1, $5)";
    tx.execute(sql, args![room, seq, &id, author, false])
        .await
        .unwrap();
    tx.commit().await.unwrap();
    id
}

impl<'a> Stage<'a> {
    async fn set(world: &'a World, category: &str, kind: &str, actor: &'static str) -> Stage<'a> {
        let words: Vec<&str> = kind.split(' ').collect();
        let room = world
            .room_in(category, json!({"type": words[0], "privacy": words[1]}))
            .await;
        if Role::parse(actor).is_some() {
            world
                .put(
                    "admin",
                    &format!("/v1/rooms/{room}/members/{actor}"),
                    json!({"role": actor}),
                )
                .await
                .expect_success();
        }
        // `admin` made the room and is its manager by that; here only the administrator counts.
        world
            .delete("admin", &format!("/v1/rooms/{room}/members/admin"))
            .await
            .expect_success();
        let form = reqwest::multipart::Form::new().part(
            "file",
            reqwest::multipart::Part::bytes(b"bytes".to_vec()).file_name("plan.txt"),
        );
        let upload = world
            .request(Method::POST, "admin", &format!("/v1/rooms/{room}/files"))
            .multipart(form);
        let file = world.send(upload).await.expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let (mut own, mut other) = (Vec::new(), Vec::new());
        for _each in 0..2 {
            own.push(plant(world, &room, actor).await);
            other.push(plant(world, &room, "somebody").await);
        }
        if words.len() > 2 {
            world
                .patch(
                    "admin",
                    &format!("/v1/rooms/{room}"),
                    json!({"disabled": true}),
                )
                .await
                .expect_success();
        }
        Stage {
            world,
            room,
            actor,
            own,
            other,
            file,
        }
    }

    async fn do_it(&self, operation: Operation) -> u16 {
        let (world, actor, room) = (self.world, self.actor, &self.room);
        let at = |path: &str| format!("/v1/rooms/{room}{path}");
        match operation {
            Operation::See => world.get(actor, &at("")).await.status,
            Operation::Join => self.join().await,
            Operation::Post => {
                world
                    .post(actor, &at("/messages"), json!({"body": "hello"}))
                    .await
                    .status
            }
            Operation::EditOwn => {
                world
                    .patch(
                        actor,
                        &format!("/v1/messages/{}", self.own[0]),
                        json!({"body": "edited"}),
                    )
                    .await
                    .status
            }
            Operation::EditOther => {
                world
                    .patch(
                        actor,
                        &format!("/v1/messages/{}", self.other[0]),
                        json!({"body": "edited"}),
                    )
                    .await
                    .status
            }
            Operation::DeleteOwn => {
                world
                    .delete(actor, &format!("/v1/messages/{}", self.own[1]))
                    .await
                    .status
            }
            Operation::DeleteOther => {
                world
                    .delete(actor, &format!("/v1/messages/{}", self.other[1]))
                    .await
                    .status
            }
            Operation::React => {
                world
                    .put(
                        actor,
                        &format!("/v1/messages/{}/reactions/👍", self.other[0]),
                        Value::Null,
                    )
                    .await
                    .status
            }
            Operation::ReadHistory => world.get(actor, &at("/messages")).await.status,
            Operation::Upload => {
                let form = reqwest::multipart::Form::new().part(
                    "file",
                    reqwest::multipart::Part::bytes(b"more".to_vec()).file_name("more.txt"),
                );
                world
                    .send(
                        world
                            .request(Method::POST, actor, &at("/files"))
                            .multipart(form),
                    )
                    .await
                    .status
            }
            Operation::Download => {
                world
                    .get(actor, &format!("/v1/files/{}", self.file))
                    .await
                    .status
            }
            Operation::ListMembers => world.get(actor, &at("/members")).await.status,
            Operation::ManageMembers => {
                world
                    .put(actor, &at("/members/newcomer"), json!({"role": "member"}))
                    .await
                    .status
            }
            Operation::Update => {
                world
                    .patch(actor, &at(""), json!({"description": "new"}))
                    .await
                    .status
            }
            Operation::Disable => {
                let disabled = world.get("admin", &at("")).await.expect(200)["disabled"]
                    .as_bool()
                    .unwrap();
                let status = world
                    .patch(actor, &at(""), json!({"disabled": !disabled}))
                    .await
                    .status;
                world
                    .patch("admin", &at(""), json!({"disabled": disabled}))
                    .await
                    .expect_success();
                status
            }
            Operation::DeleteRoom => world.delete(actor, &at("")).await.status,
        }
    }

    async fn join(&self) -> u16 {
        let mut client = self.world.connect(self.actor).await;
        client.send(json!({"subscribe": {"room": self.room}})).await;
        loop {
            let frame = client.next().await;
            if frame.get("joined").is_some() {
                return 200;
            }
            if let Some(error) = frame.get("error") {
                return u16::try_from(error["status"].as_u64().unwrap()).unwrap();
            }
        }
    }
}

async fn the_node_follows_the_table(backend: Backend) {
    let world = World::start(backend).await;
    // Without their walls `outside` would be inside.
    let category = world
        .category(json!({"denied": ["outside", "admin-outside"]}))
        .await;
    for (kind, rows) in TABLE {
        for (actor, cells) in *rows {
            let stage = Stage::set(&world, &category, kind, actor).await;
            for (operation, cell) in Operation::ALL.into_iter().zip(cells.chars()) {
                let status = stage.do_it(operation).await;
                let told = match status {
                    200..=299 => '+',
                    403 => '-',
                    404 => '.',
                    other => panic!("{operation:?} by {actor} in a {kind} room: {other}"),
                };
                assert_eq!(
                    told, cell,
                    "{operation:?} by {actor} in a {kind} room: {status}"
                );
            }
        }
    }
    let stopped = tokio::time::timeout(Duration::from_secs(30), world.stop()).await;
    assert!(stopped.is_ok());
}

on_both!(the_node_follows_the_table);
