//! Search in one's rooms: words, phrases, authors and dates, the same on both databases.

use serde_json::json;

use crate::on_both;
use crate::support::{Backend, World};

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
    search_finds_words_phrases_authors_and_dates,
    search_finds_words_whatever_joins_them,
);
