//! The database does what it was asked, and its answer is lost: what was asked for is done and acknowledged, or refused and not done.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use holdfast_chat_node::args;
use holdfast_chat_node::db::Db;
use holdfast_chat_node::settings::Limits;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Backend, Loss, Options, Proxy, World, eventually, postgres};

/// A node whose way to its database is cut again and again, and a way that is not.
struct Stage {
    world: World,
    category: String,
    room: String,
    looking: Db,
    proxy: Proxy,
    enough: AtomicBool,
}

impl Stage {
    async fn begin() -> Arc<Self> {
        Self::with(Options::default()).await
    }

    async fn with(options: Options) -> Arc<Self> {
        let direct = tokio::task::spawn_blocking(|| postgres().database().unwrap())
            .await
            .unwrap();
        let (address, folder) = direct.split_once("?host=").unwrap();
        let proxy = Proxy::to(folder).await;
        let database = proxy.url(address.rsplit('/').next().unwrap());
        let world = World::on(tempfile::tempdir().unwrap(), database, options).await;
        let category = world.category(json!({})).await;
        let room = world.room_in(&category, json!({"privacy": "open"})).await;
        let looking = Db::open(&direct.parse().unwrap(), 4).await.unwrap();
        Arc::new(Self {
            world,
            category,
            room,
            looking,
            proxy,
            enough: AtomicBool::new(false),
        })
    }

    fn goes_on(&self) -> bool {
        !self.enough.load(Ordering::SeqCst)
    }

    /// Cuts every connection in the middle of work, eight times; then loses commits, until some have been looked up that had happened and some
    /// that had not.
    async fn cut(&self) {
        let count = async || {
            let sql = "select count(*) from outbox";
            let row = self.looking.one(sql, args![]).await.unwrap();
            row.int(0).unwrap()
        };
        for _cut in 0..8 {
            let before = count().await;
            while count().await < before + 60 {
                tokio::task::yield_now().await;
            }
            self.proxy.cut();
        }
        // The node's own commits, which are not looked up, are lost among them.
        for loss in [Loss::Request, Loss::Answer].into_iter().cycle().take(100) {
            let (done, not_done) = self.settled();
            if done > 0 && not_done > 0 {
                break;
            }
            self.proxy.lose(loss);
            let lost = async || self.proxy.lost().then_some(());
            eventually("a commit is lost", lost).await;
        }
        let looked_up = async || {
            let (done, not_done) = self.settled();
            (done > 0 && not_done > 0).then_some(())
        };
        eventually("commits of both kinds are looked up", looked_up).await;
        self.enough.store(true, Ordering::SeqCst);
    }

    fn settled(&self) -> (u64, u64) {
        self.world.node().metrics.commits_settled()
    }

    /// Asks again until it is done; whether it is known to be.
    async fn until_done(&self, change: &Change) -> bool {
        loop {
            let method = change.method.clone();
            let request = self.world.request(method, &change.user, &change.path);
            let answer = self.world.send(request.json(&change.body)).await;
            match answer.status {
                200..300 => return true,
                503 if is_unknown(&answer.body) => return false,
                503 => {
                    let told = self.told(change).await;
                    assert_eq!(told, 0, "{} was refused: {}", change.path, answer.body);
                }
                other => panic!("{}: {other} {}", change.path, answer.body),
            }
        }
    }

    /// How often the outbox tells of this change.
    async fn told(&self, change: &Change) -> usize {
        let sql = "select event from outbox where event like $1";
        let pattern = format!("%{}%", change.mark);
        let rows = self.looking.all(sql, args![pattern]).await.unwrap();
        rows.iter()
            .map(|row| serde_json::from_str::<Value>(&row.text(0).unwrap()).unwrap())
            .filter(|event| {
                event["type"] == change.event_type
                    && event["data"].pointer(change.place) == Some(&json!(change.mark))
            })
            .count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ch1_commits_that_are_not_answered_leave_no_post_in_doubt() {
    let stage = Stage::begin().await;
    let writers = (0..16).map(|writer| {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move {
            let mut outcomes: Vec<(String, u16, Value)> = Vec::new();
            while stage.goes_on() {
                let n = outcomes.len();
                let body = format!("c-{writer}-{n}");
                // Without a client's id a post that is tried again is a second one.
                let post = match n % 2 {
                    0 => json!({"body": body, "client_id": body}),
                    _ => json!({"body": body}),
                };
                let path = format!("/v1/rooms/{}/messages", stage.room);
                let answer = stage.world.post(&format!("u-{writer}"), &path, post).await;
                outcomes.push((body, answer.status, answer.body));
            }
            outcomes
        })
    });
    let writers: Vec<_> = writers.collect();
    stage.cut().await;
    let mut outcomes = Vec::new();
    for writer in writers {
        outcomes.extend(writer.await.unwrap());
    }
    let sql = "select body, id, room_seq from messages";
    let rows = stage.looking.all(sql, args![]).await.unwrap();
    let stored: BTreeMap<String, (String, i64)> = rows
        .iter()
        .map(|row| {
            (
                row.text(0).unwrap(),
                (row.text(1).unwrap(), row.int(2).unwrap()),
            )
        })
        .collect();
    assert_eq!(stored.len(), rows.len(), "nothing was posted twice");
    let mut unknown = 0;
    for (text, status, answer) in &outcomes {
        let found = stored.get(text);
        match status {
            200 | 201 => {
                let told = (
                    answer["id"].as_str().unwrap().to_owned(),
                    answer["room_seq"].as_i64().unwrap(),
                );
                assert_eq!(found, Some(&told), "{text} was acknowledged");
            }
            503 if is_unknown(answer) => unknown += 1,
            503 => assert_eq!(
                found, None,
                "{text} was refused ({answer}), and is there all the same"
            ),
            other => panic!("{text}: {other} {answer}"),
        }
    }
    assert!(unknown < outcomes.len(), "nothing is known of any post");
}

/// On a machine that is loaded, requests and looking up take too long, and the answer says that nothing is known.
fn is_unknown(answer: &Value) -> bool {
    let detail = answer["detail"].as_str();
    detail.is_some_and(|detail| detail.contains("not known"))
}

/// A change that can be found again: by the type of its event, and a text that stands at one place of it.
struct Change {
    event_type: &'static str,
    place: &'static str,
    mark: String,
    user: String,
    method: Method,
    path: String,
    body: Value,
}

/// One of the kinds of changes, with the message that it needs.
async fn change(stage: &Stage, writer: usize, n: usize) -> Change {
    let user = format!("u-{writer}");
    let mark = format!("mark-{writer}-{n}-");
    let room = format!("/v1/rooms/{}", stage.room);
    let own = async || {
        let post = json!({"body": "to be changed", "client_id": mark});
        loop {
            let path = format!("{room}/messages");
            let answer = stage.world.post(&user, &path, post.clone()).await;
            match answer.status {
                200 | 201 => return answer.body["id"].as_str().unwrap().to_owned(),
                status => assert_eq!(status, 503, "{}", answer.body),
            }
        }
    };
    let (event_type, place, user, method, path, body) = match n % 7 {
        0 => {
            let path = format!("/v1/messages/{}", own().await);
            let body = json!({"body": mark});
            let place = "/message/body";
            (
                "chat.message.edited",
                place,
                user,
                Method::PATCH,
                path,
                body,
            )
        }
        1 => {
            let id = own().await;
            return Change {
                event_type: "chat.message.deleted",
                place: "/message/id",
                path: format!("/v1/messages/{id}"),
                mark: id,
                user,
                method: Method::DELETE,
                body: json!({}),
            };
        }
        2 => {
            let path = format!("/v1/messages/{}/reactions/{mark}", own().await);
            let place = "/value";
            (
                "chat.reaction.added",
                place,
                user,
                Method::PUT,
                path,
                json!({}),
            )
        }
        3 => {
            let body = json!({"description": mark});
            let (place, admin) = ("/after/description", "admin".to_owned());
            ("chat.room.updated", place, admin, Method::PATCH, room, body)
        }
        4 => {
            let path = format!("{room}/members/{mark}");
            let (place, body) = ("/member/id", json!({"role": "member"}));
            let admin = "admin".to_owned();
            (
                "chat.room.member_added",
                place,
                admin,
                Method::PUT,
                path,
                body,
            )
        }
        5 => {
            let path = format!("/v1/categories/{}", stage.category);
            let (place, body) = ("/after/denied/0", json!({"denied": [mark]}));
            let admin = "admin".to_owned();
            (
                "chat.category.updated",
                place,
                admin,
                Method::PATCH,
                path,
                body,
            )
        }
        _ => {
            let path = "/v1/categories".to_owned();
            let (place, admin) = ("/after/name", "admin".to_owned());
            let body = json!({"name": mark});
            (
                "chat.category.created",
                place,
                admin,
                Method::POST,
                path,
                body,
            )
        }
    };
    Change {
        event_type,
        place,
        mark,
        user,
        method,
        path,
        body,
    }
}

/// Edits, deletions, reactions, changes of rooms, members and categories: refused is not done, and asking again until it is done does it once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ch1_changes_whose_commits_are_not_answered_are_done_once_or_refused() {
    let stage = Stage::begin().await;
    let writers = (0..12).map(|writer| {
        let stage = Arc::clone(&stage);
        tokio::spawn(async move {
            let (mut done, mut begun) = (Vec::new(), 0);
            while stage.goes_on() {
                let change = change(&stage, writer, writer + begun).await;
                begun += 1;
                if stage.until_done(&change).await {
                    done.push(change);
                }
            }
            done
        })
    });
    let writers: Vec<_> = writers.collect();
    stage.cut().await;
    let mut kinds = BTreeMap::new();
    for writer in writers {
        for change in writer.await.unwrap() {
            assert_eq!(
                stage.told(&change).await,
                1,
                "{} {}",
                change.event_type,
                change.mark
            );
            *kinds.entry(change.event_type).or_insert(0) += 1;
        }
    }
    assert_eq!(kinds.len(), 7, "{kinds:?}");
}

/// SQLite undoes by itself what it could not commit. The next transaction must begin all the same, and find out that nothing was done.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ch1_a_commit_that_sqlite_does_not_take_stops_no_other() {
    let world = World::start(Backend::Sqlite).await;
    let room = world.room().await;
    // Known from here on: entering somebody is a commit too, and is not tried again.
    world.say("u-1", &room, "before").await;
    let Db::Sqlite { writer, .. } = world.db() else {
        panic!("no SQLite");
    };
    let failed = Arc::new(AtomicUsize::new(0));
    let mut connection = writer.acquire().await.unwrap();
    let mut handle = connection.lock_handle().await.unwrap();
    let count = Arc::clone(&failed);
    // As a full disk would: this connection commits nothing any more.
    handle.set_commit_hook(move || {
        count.fetch_add(1, Ordering::SeqCst);
        false
    });
    drop(handle);
    drop(connection);
    world.say("u-1", &room, "all the same").await;
    assert!(failed.load(Ordering::SeqCst) > 0);
    assert_eq!(world.count("select count(*) from messages").await, 2);
}

/// A database that takes a commit and says nothing any more, on connections that stay open: nobody waits for it for ever, and what happened is found out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ch1_commits_that_hang_are_looked_up_and_hold_up_nobody() {
    let stage = Stage::with(Options {
        limits: Limits {
            database_answer: Duration::from_secs(1),
            ..Options::default().limits
        },
        ..Options::default()
    })
    .await;
    let mut posted = 0;
    let mut say = async || {
        let body = json!({"body": format!("c-{posted}")});
        let path = format!("/v1/rooms/{}/messages", stage.room);
        let answer = stage.world.post("u-1", &path, body).await;
        answer.expect(201);
        posted += 1;
    };
    say().await;
    for (loss, happened) in [(Loss::AnswerSilently, true), (Loss::RequestSilently, false)] {
        // The node's own commits may be lost instead; they hold up nobody either.
        for _loss in 0..20 {
            let (done, not_done) = stage.settled();
            if (if happened { done } else { not_done }) > 0 {
                break;
            }
            stage.proxy.lose(loss);
            while !stage.proxy.lost() {
                say().await;
            }
            say().await;
        }
    }
    let (done, not_done) = stage.settled();
    assert!(
        done > 0 && not_done > 0,
        "{done} and {not_done} were looked up"
    );
    let sql = "select count(*), count(distinct body) from messages";
    let row = stage.looking.one(sql, args![]).await.unwrap();
    assert_eq!((row.int(0).unwrap(), row.int(1).unwrap()), (posted, posted));
    // The outbox goes on too, whoever's commit was lost.
    let sequenced = async || {
        let sql = "select count(*) from outbox where sequence is null";
        let row = stage.looking.one(sql, args![]).await.unwrap();
        (row.int(0).unwrap() == 0).then_some(())
    };
    eventually("everything is sequenced", sequenced).await;
}
