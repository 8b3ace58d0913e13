//! What is kept and shown: categories, rooms, edits and deletions, reactions, history and search.

use reqwest::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, World};

async fn categories_are_flat_named_once_and_deleted_when_empty(backend: Backend) {
    let world = World::start(backend).await;
    world
        .post("u-1", "/v1/categories", json!({"name": "mine"}))
        .await
        .expect(403);
    let made = world
        .post("admin", "/v1/categories", json!({"name": "Legal"}))
        .await;
    assert_eq!(made.headers["etag"], "\"1\"");
    let made = made.expect(201);
    assert_eq!(
        (&made["allowed"], &made["denied"], &made["history"]),
        (&json!(["*"]), &json!([]), &json!(true))
    );
    let id = made["id"].as_str().unwrap();
    world
        .post("admin", "/v1/categories", json!({"name": "LEGAL"}))
        .await
        .expect(409);
    let path = format!("/v1/categories/{id}");
    let room = world.room_in(id, json!({})).await;
    world.delete("admin", &path).await.expect(409);
    world
        .delete("admin", &format!("/v1/rooms/{room}"))
        .await
        .expect(204);

    // Two administrators: the second finds out that the first was there.
    let change = |version: &str, change: Value| {
        world
            .request(Method::PATCH, "admin", &path)
            .header("if-match", version.to_owned())
            .json(&change)
    };
    let files = || json!({"files": false});
    let changed = world.send(change("\"1\"", files())).await;
    assert_eq!(changed.headers["etag"], "\"2\"");
    let other = json!({"files": true});
    world.send(change("\"1\"", other)).await.expect(412);
    // Whoever did not hear the answer may ask for the same again.
    let again = world.send(change("\"1\"", files())).await;
    assert_eq!(
        (again.status, &again.headers["etag"]),
        (200, &changed.headers["etag"])
    );
    let unchanged = world
        .request(Method::GET, "admin", &path)
        .header("if-none-match", "\"2\"");
    assert_eq!(world.send(unchanged).await.status, 304);
    world.delete("admin", &path).await.expect(204);
    world.get("admin", &path).await.expect(404);
    let updated = world
        .events_of("chat.category.updated")
        .await
        .pop()
        .unwrap();
    assert_eq!(
        (&updated["data"]["before"], &updated["data"]["after"]),
        (&json!({"files": true}), &json!({"files": false}))
    );
}

async fn rooms_have_unique_names_and_versions(backend: Backend) {
    let world = World::start(backend).await;
    let category = world.category(json!({"creators": ["u-1"]})).await;
    let new = |name: &str| json!({"name": name, "category": category, "addin_url": "https://example.com/board"});
    world
        .post("u-2", "/v1/rooms", new("Review"))
        .await
        .expect(403);
    let room = world
        .post("u-1", "/v1/rooms", new("Review"))
        .await
        .expect(201);
    assert_eq!(
        (&room["privacy"], &room["type"], &room["role"]),
        (&json!("closed"), &json!("normal"), &json!("manager"))
    );
    world
        .post("u-1", "/v1/rooms", new("REVIEW"))
        .await
        .expect(409);
    world
        .post("u-1", "/v1/rooms", new(&"x".repeat(257)))
        .await
        .expect(400);
    world
        .post(
            "u-1",
            "/v1/rooms",
            json!({"name": "Bad", "category": category, "addin_url": "javascript:alert(1)"}),
        )
        .await
        .expect(400);
    let path = format!("/v1/rooms/{}", room["id"].as_str().unwrap());
    let stale = world
        .request(Method::PATCH, "u-1", &path)
        .header("if-match", "\"7\"")
        .json(&json!({"description": "x"}));
    world.send(stale).await.expect(412);
    let as_it_is = world
        .request(Method::PATCH, "u-1", &path)
        .header("if-match", "\"7\"")
        .json(&json!({"description": ""}));
    world.send(as_it_is).await.expect(200);
    let renamed = world
        .patch(
            "u-1",
            &path,
            json!({"name": "Post-mortem", "addin_url": null}),
        )
        .await
        .expect(200);
    assert_eq!(
        (&renamed["name"], &renamed["addin_url"]),
        (&json!("Post-mortem"), &Value::Null)
    );
    let found = world.get("u-2", "/v1/rooms?q=MORTEM").await.expect(200);
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(
        world.get("u-2", "/v1/rooms?q=%25").await.expect(200),
        json!([]),
        "what is typed is text, not a pattern"
    );
}

async fn moving_a_room_purges_whom_the_category_forbids(backend: Backend) {
    let world = World::start(backend).await;
    let (from, to) = (
        world.category(json!({})).await,
        world.category(json!({"denied": ["u-2"]})).await,
    );
    let room = world.room_in(&from, json!({})).await;
    for user in ["u-1", "u-2"] {
        world
            .put(
                "admin",
                &format!("/v1/rooms/{room}/members/{user}"),
                json!({"role": "member"}),
            )
            .await
            .expect(201);
    }
    world
        .patch(
            "admin",
            &format!("/v1/rooms/{room}"),
            json!({"category": to}),
        )
        .await
        .expect(200);
    let members = world
        .get("admin", &format!("/v1/rooms/{room}/members"))
        .await
        .expect(200);
    let ids: Vec<&str> = members
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["admin", "u-1"]);
    world
        .get("u-2", &format!("/v1/rooms/{room}"))
        .await
        .expect(404);
    let removed = world.events_of("chat.room.member_removed").await;
    assert_eq!(
        (removed.len(), &removed[0]["data"]["member"]["id"]),
        (1, &json!("u-2"))
    );
}

async fn edits_keep_versions_and_deletions_take_the_text(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let message = world.say("u-1", &room, "frist").await;
    let path = format!("/v1/messages/{}", message["id"].as_str().unwrap());
    let edited = world.patch("u-1", &path, json!({"body": "first"})).await;
    assert_eq!(edited.headers["etag"], "\"2\"");
    world
        .patch("u-2", &path, json!({"body": "mine"}))
        .await
        .expect(403);
    let stale = world
        .request(Method::PATCH, "u-1", &path)
        .header("if-match", "\"1\"")
        .json(&json!({"body": "again"}));
    world.send(stale).await.expect(412);
    // Asked for again, by whoever did not hear the answer, it is the same edit.
    let again = world
        .request(Method::PATCH, "u-1", &path)
        .header("if-match", "\"1\"")
        .json(&json!({"body": "first"}));
    assert_eq!(world.send(again).await.expect(200), edited.body);
    assert_eq!(world.events_of("chat.message.edited").await.len(), 1);
    assert_eq!(
        world
            .count("select count(*) from message_versions where body = 'frist'")
            .await,
        1
    );
    let history = world
        .get("u-2", &format!("/v1/rooms/{room}/messages"))
        .await
        .expect(200);
    assert_eq!(
        (
            &history[0]["body"],
            &history[0]["edited_seq"],
            &history[1]["action"]
        ),
        (&json!("first"), &json!(2), &json!("edited"))
    );

    world
        .put("u-2", &format!("{path}/reactions/👍"), Value::Null)
        .await
        .expect(204);
    world
        .put("u-2", &format!("{path}/reactions/👍"), Value::Null)
        .await
        .expect(204);
    let reactions = world
        .get("u-1", &format!("{path}/reactions"))
        .await
        .expect(200);
    assert_eq!(reactions, json!([{"user": "u-2", "value": "👍"}]));
    assert_eq!(
        world.events_of("chat.reaction.added").await.len(),
        1,
        "the second time nothing happened"
    );

    world
        .delete("u-1", &format!("{path}?reason=oops"))
        .await
        .expect(204);
    world.delete("u-1", &path).await.expect(404);
    world
        .patch("u-1", &path, json!({"body": "back"}))
        .await
        .expect(409);
    let history = world
        .get("u-2", &format!("/v1/rooms/{room}/messages"))
        .await
        .expect(200);
    assert_eq!(
        (
            &history[0]["deleted"],
            &history[0]["body"],
            &history[2]["reason"]
        ),
        (&json!(true), &Value::Null, &json!("oops"))
    );
    assert_eq!(
        world
            .count("select count(*) from messages where body is not null")
            .await,
        0
    );
    assert_eq!(
        world.count("select count(*) from message_versions").await,
        0
    );
    let event = world.events_of("chat.message.edited").await.pop().unwrap();
    // SHA-256 of "frist".
    let expected = {
        use sha2::{Digest, Sha256};
        hex::encode(Sha256::digest(b"frist"))
    };
    assert_eq!(event["data"]["previous_sha256"], expected);
    let event = world.events_of("chat.message.deleted").await.pop().unwrap();
    assert_eq!(
        (&event["data"]["by"]["id"], &event["data"]["reason"]),
        (&json!("u-1"), &json!("oops"))
    );
}

async fn history_is_paged_by_place(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    for n in 1..=40 {
        world.say("u-1", &room, &format!("message {n}")).await;
    }
    let seqs = async |query: &str| -> Vec<i64> {
        let page = world
            .get("u-2", &format!("/v1/rooms/{room}/messages{query}"))
            .await
            .expect(200);
        page.as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["room_seq"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(seqs("").await, (11..=40).collect::<Vec<i64>>());
    assert_eq!(seqs("?before_seq=11&limit=3").await, [8, 9, 10]);
    assert_eq!(seqs("?after_seq=38").await, [39, 40]);
    assert_eq!(seqs("?after_seq=2&before_seq=6&limit=2").await, [3, 4]);
    assert_eq!(seqs("?after_seq=40").await, [0_i64; 0]);
    for wrong in ["?limit=0", "?limit=501", "?limit=x", "?surprise=1"] {
        world
            .get("u-2", &format!("/v1/rooms/{room}/messages{wrong}"))
            .await
            .expect(400);
    }
    let viewed = world.events_of("chat.history.viewed").await;
    assert_eq!(viewed.len(), 4, "an empty page shows nothing");
    assert_eq!(
        (&viewed[1]["data"]["from_seq"], &viewed[1]["data"]["to_seq"]),
        (&json!(8), &json!(10))
    );
}

async fn search_finds_words_phrases_authors_and_dates(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    for user in ["u-1", "u-2"] {
        world
            .put(
                "admin",
                &format!("/v1/rooms/{room}/members/{user}"),
                json!({"role": "member"}),
            )
            .await
            .expect(201);
    }
    let first = world.say("u-1", &room, "We should keep this").await;
    world.say("u-2", &room, "keep calm; this is a drill").await;
    world
        .say("u-1", &room, "Überraschung: e-mail für René")
        .await;
    let bodies = async |user: &str, query: &str| -> Vec<String> {
        let found = world
            .get(user, &format!("/v1/search?{query}"))
            .await
            .expect(200);
        found
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["body"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(
        bodies("u-1", "q=keep").await,
        ["keep calm; this is a drill", "We should keep this"],
        "newest first"
    );
    assert_eq!(bodies("u-1", "q=KEEP+this").await.len(), 2);
    assert_eq!(
        bodies("u-1", "q=%22keep+this%22").await,
        ["We should keep this"]
    );
    assert_eq!(
        bodies("u-1", "q=keep&from=u-2").await,
        ["keep calm; this is a drill"]
    );
    assert_eq!(
        bodies("u-1", "q=&from=u-2").await,
        ["keep calm; this is a drill"],
        "no words"
    );
    assert_eq!(bodies("u-1", "q=%C3%BCberraschung").await.len(), 1);
    assert_eq!(bodies("u-1", "q=e-mail").await.len(), 1);
    assert_eq!(
        bodies("u-1", "q=rene").await.len(),
        0,
        "words as they are written"
    );
    assert_eq!(bodies("u-1", "q=drill&limit=1").await.len(), 1);
    let time = first["time"].as_str().unwrap();
    assert_eq!(
        bodies("u-1", &format!("q=keep&until={time}")).await.len(),
        0
    );
    assert_eq!(
        bodies("u-1", &format!("q=keep&since={time}")).await.len(),
        2
    );
    // A time alone says which messages, too.
    let later = format!("since={time}&until=2100-01-01T00:00:00Z");
    assert_eq!(bodies("u-1", &later).await.len(), 3);
    assert_eq!(
        bodies("u-1", &format!("since={time}&limit=2")).await.len(),
        2
    );
    assert_eq!(bodies("u-1", &format!("until={time}")).await.len(), 0);
    assert_eq!(bodies("stranger", &later).await.len(), 0);
    assert_eq!(
        bodies("stranger", "q=keep").await.len(),
        0,
        "only in one's rooms"
    );
    assert_eq!(
        bodies("stranger", &format!("q=keep&room={room}"))
            .await
            .len(),
        2,
        "an open room may be named"
    );
    for odd in [
        "q=%22",
        "q=",
        "",
        &format!("room={room}"),
        "limit=10",
        "since=2026-11-20T00:00:00Z&limit=1000",
        "q=keep&limit=1000",
        "q=keep&since=yesterday",
    ] {
        world
            .get("u-1", &format!("/v1/search?{odd}"))
            .await
            .expect(400);
    }
    // Operators of the databases' own query languages are words here.
    for odd in [
        "q=keep+AND+this",
        "q=keep*",
        "q=title%3Akeep",
        "q=keep+%7C+drill",
        "q=%28keep",
        "q=%27keep%27",
        "q=NEAR%28keep%29",
    ] {
        world
            .get("u-1", &format!("/v1/search?{odd}"))
            .await
            .expect(200);
    }
    let message = format!("/v1/messages/{}", first["id"].as_str().unwrap());
    world
        .patch("u-1", &message, json!({"body": "changed entirely"}))
        .await
        .expect(200);
    assert_eq!(
        bodies("u-1", "q=keep").await.len(),
        1,
        "the current text is searched"
    );
    assert_eq!(bodies("u-1", "q=entirely").await.len(), 1);
    world.delete("u-1", &message).await.expect(204);
    assert_eq!(bodies("u-1", "q=entirely").await.len(), 0);
    let searched = world.events_of("chat.history.searched").await;
    assert_eq!(
        (
            &searched[0]["data"]["query"],
            &searched[0]["data"]["result_count"]
        ),
        (&json!("keep"), &json!(2))
    );
}

/// What is said, what finds it, and what does not.
type Said = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
);

const SAID: &[Said] = &[
    (
        "COVID-19 cases",
        &["covid", "19", "COVID-19", "\"19 cases\"", "cases 19"],
        &["covid1", "\"cases covid\"", "-1"],
    ),
    (
        "version 3.5 is out",
        &["3", "5", "3.5", "\"3 5 is\"", "version.3"],
        &["35", "5.3"],
    ),
    (
        "write to ana@example.com",
        &[
            "ana",
            "example",
            "com",
            "ana@example.com",
            "example.com",
            "\"to ana\"",
        ],
        &["com.example", "anaexample"],
    ),
    (
        "see https://docs.rs/tokio/latest",
        &[
            "https",
            "docs",
            "rs",
            "tokio",
            "latest",
            "docs.rs",
            "tokio/latest",
            "\"rs tokio\"",
        ],
        &["rs.docs", "\"docs tokio\""],
    ),
    (
        "due 2026-11-20",
        &["2026", "11", "20", "2026-11-20", "11-20", "\"due 2026\""],
        &["20-11", "2026-20"],
    ),
    (
        "Ticket-4711",
        &["ticket", "4711", "TICKET 4711", "ticket-4711"],
        &["ticket4711", "4711-ticket"],
    ),
    (
        "a snake_case name",
        &["snake", "case", "snake_case", "\"case name\""],
        &["snakecase"],
    ),
    (
        "/var/log/syslog.1 <b>bold</b> R&amp;D -7 +8 v1.2.3-rc.4",
        &[
            "var",
            "log/syslog",
            "syslog.1",
            "bold",
            "r",
            "amp",
            "d",
            "7",
            "8",
            "v1.2.3",
            "rc.4",
        ],
        &["var/syslog", "1.2.3"],
    ),
    (
        "(don't), \"quoted\"; really?yes!no",
        &["don't", "don", "t", "quoted", "really", "yes", "\"yes no\""],
        &["dont"],
    ),
    (
        "Привет, МИР! Санкт-Петербург",
        &["привет", "мир", "\"ПРИВЕТ мир\"", "петербург"],
        &["приве"],
    ),
    (
        "会議は、明日です。",
        &["会議は", "明日です", "会議は、明日です"],
        &["会議", "明日です会議は"],
    ),
    ("Café René", &["café", "RENÉ", "\"café rené\""], &["cafe"]),
    (
        "Zoe\u{308} and rene\u{301}",
        &["zoe\u{308}", "RENE\u{301}"],
        &["zoe", "rene"],
    ),
    (
        "ΟΔΟΣ, 5 µm, m² and 1e10x",
        &["οδος", "οδοσ", "μm", "µm", "m²", "1e10x"],
        &[],
    ),
    ("हिन्दी भाषा", &["हिन्दी", "\"हिन्दी भाषा\""], &[]),
    (
        "zero\u{200b}width up—down… fine👍",
        &["zero", "width", "up", "\"up down\""],
        &["zerowidth"],
    ),
];

/// Words are runs of letters and digits, whatever stands between them, and the same on both databases.
async fn search_finds_words_whatever_joins_them(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    for (said, _finds, _does_not) in SAID {
        world.say("u-1", &room, said).await;
    }
    let finds = async |query: &str, said: &str| {
        let escaped: String = query.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let path = format!("/v1/search?room={room}&limit=100&q={escaped}");
        let found = world.get("u-1", &path).await.expect(200);
        let mut found = found.as_array().unwrap().iter();
        found.any(|entry| entry["body"] == said)
    };
    let mut wrong = Vec::new();
    for (said, finding, others) in SAID {
        let queries = finding.iter().map(|query| (query, true));
        for (query, expected) in queries.chain(others.iter().map(|query| (query, false))) {
            if finds(query, said).await != expected {
                wrong.push(format!("{query:?} in {said:?}: expected {expected}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

on_both!(
    search_finds_words_whatever_joins_them,
    categories_are_flat_named_once_and_deleted_when_empty,
    rooms_have_unique_names_and_versions,
    moving_a_room_purges_whom_the_category_forbids,
    edits_keep_versions_and_deletions_take_the_text,
    history_is_paged_by_place,
    search_finds_words_phrases_authors_and_dates,
);
