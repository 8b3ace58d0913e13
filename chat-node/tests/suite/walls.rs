//! Ethical walls, secret rooms and categories without history: what somebody must not see, they do not see anywhere.

use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, World};

async fn members(world: &World, room: &str) -> Vec<Value> {
    let members = world
        .get("admin", &format!("/v1/rooms/{room}/members"))
        .await;
    members.expect(200).as_array().unwrap().clone()
}

async fn nobody_outside_of_the_wall_can_be_a_member(backend: Backend) {
    let world = World::start(backend).await;
    let category = world
        .category(json!({"allowed": ["group:research"], "denied": ["group:sales"]}))
        .await;
    let room = world.room_in(&category, json!({})).await;
    let with_groups = async |sub: &str, groups: &[&str], path: &str| {
        let mut claims = world.claims(sub);
        claims.groups = groups.iter().map(|group| (*group).to_owned()).collect();
        let request = world
            .anonymous(reqwest::Method::GET, path)
            .bearer_auth(world.sign(&claims));
        world.send(request).await
    };
    let me = "/v1/me";
    with_groups("u-1", &["research"], me).await.expect(200);
    with_groups("u-2", &["research", "sales"], me)
        .await
        .expect(200);
    with_groups("u-3", &[], me).await.expect(200);
    let member = |user: &str| format!("/v1/rooms/{room}/members/{user}");
    world
        .put("admin", &member("u-1"), json!({"role": "member"}))
        .await
        .expect(201);
    world
        .put("admin", &member("u-2"), json!({"role": "member"}))
        .await
        .expect(403);
    world
        .put("admin", &member("u-3"), json!({"role": "member"}))
        .await
        .expect(403);
    // A member who changes sides is out, though the list still names them.
    let path = format!("/v1/rooms/{room}");
    with_groups("u-1", &["research"], &path).await.expect(200);
    with_groups("u-1", &["research", "sales"], &path)
        .await
        .expect(404);
    with_groups("u-1", &["research", "sales"], &format!("{path}/messages"))
        .await
        .expect(404);
    assert!(
        with_groups("u-1", &["research", "sales"], "/v1/rooms")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(
        with_groups("u-1", &["research", "sales"], "/v1/categories")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .is_empty()
    );
    let member = json!({"id": "u-1", "name": "Name of u-1", "role": "member", "admitted": false});
    assert!(members(&world, &room).await.contains(&member));
    // And back.
    with_groups("u-1", &["research"], &path).await.expect(200);
    let member = json!({"id": "u-1", "name": "Name of u-1", "role": "member", "admitted": true});
    assert!(members(&world, &room).await.contains(&member));
    let lists = with_groups("u-1", &["research"], &format!("/v1/categories/{category}"))
        .await
        .expect(200);
    assert_eq!(
        (&lists["allowed"], &lists["denied"]),
        (&json!([]), &json!([])),
        "who is walled off is not for users"
    );
}

async fn ch2_a_wall_that_is_moved_is_felt_at_once(backend: Backend) {
    let world = World::start(backend).await;
    let category = world.category(json!({})).await;
    let room = world.room_in(&category, json!({"privacy": "open"})).await;
    let (mut inside, mut outside) = (world.connect("u-1").await, world.connect("u-2").await);
    inside.subscribe(&room, None).await;
    outside.subscribe(&room, None).await;
    world.say("u-1", &room, "before").await;
    assert_eq!(outside.next_of("message").await["body"], "before");
    world
        .patch(
            "admin",
            &format!("/v1/categories/{category}"),
            json!({"denied": ["u-2"]}),
        )
        .await
        .expect(200);
    loop {
        let event = outside.next_of("event").await;
        if event["kind"] == "removed" {
            assert_eq!(event["room"], room.as_str());
            break;
        }
    }
    world.say("u-1", &room, "after").await;
    assert_eq!(inside.next_of("message").await["body"], "before");
    assert_eq!(inside.next_of("message").await["body"], "after");
    // Nothing of the room comes any more: the next answer on this connection is the refusal.
    outside.send(json!({"subscribe": {"room": room}})).await;
    let frame = outside.next().await;
    assert_eq!(frame["error"]["status"], 404, "{frame}");
}

async fn members_whom_a_moved_wall_keeps_out_are_removed(backend: Backend) {
    let world = World::start(backend).await;
    let category = world.category(json!({})).await;
    let (first, second) = (
        world.room_in(&category, json!({})).await,
        world.room_in(&category, json!({})).await,
    );
    for (room, user, role) in [
        (&first, "u-1", "member"),
        (&first, "u-2", "manager"),
        (&second, "u-2", "member"),
    ] {
        let path = format!("/v1/rooms/{room}/members/{user}");
        let added = world.put("admin", &path, json!({"role": role})).await;
        added.expect(201);
    }
    let lists = async |lists: Value| {
        let path = format!("/v1/categories/{category}");
        world.patch("admin", &path, lists).await.expect(200);
    };
    lists(json!({"denied": ["u-2"]})).await;
    let ids = async |room: &str| -> Vec<Value> {
        let members = members(&world, room).await;
        members.iter().map(|member| member["id"].clone()).collect()
    };
    assert_eq!(ids(&first).await, ["admin", "u-1"]);
    assert_eq!(ids(&second).await, ["admin"]);
    let removed = world.events_of("chat.room.member_removed").await;
    let mut told: Vec<_> = removed
        .iter()
        .map(|event| {
            let data = &event["data"];
            (
                &data["room"]["id"],
                &data["member"]["id"],
                &data["role"],
                &data["actor"]["id"],
            )
        })
        .collect();
    told.sort_by_key(|told| told.2.to_string());
    let (u_2, admin) = (json!("u-2"), json!("admin"));
    assert_eq!(
        told,
        [
            (&json!(first), &u_2, &json!("manager"), &admin),
            (&json!(second), &u_2, &json!("member"), &admin)
        ]
    );
    assert_eq!(
        removed[0]["data"]["reason"],
        "the category's lists forbid this member"
    );
    // Who is let in again is no member of old.
    lists(json!({"denied": []})).await;
    assert_eq!(ids(&first).await, ["admin", "u-1"]);
}

/// Whom their groups put outside is on the list until the groups change back: other changes of the lists are not about them.
async fn who_is_outside_already_is_not_removed(backend: Backend) {
    let world = World::start(backend).await;
    let wall = json!({"denied": ["group:sales"]});
    let category = world.category(wall).await;
    let room = world.room_in(&category, json!({})).await;
    let path = format!("/v1/rooms/{room}/members/u-1");
    let added = world.put("admin", &path, json!({"role": "member"})).await;
    added.expect(201);
    let mut claims = world.claims("u-1");
    claims.groups = vec!["sales".to_owned()];
    let request = world.anonymous(reqwest::Method::GET, "/v1/me");
    let request = request.bearer_auth(world.sign(&claims));
    world.send(request).await.expect(200);
    for lists in [
        json!({"creators": ["u-7"]}),
        json!({"denied": ["group:sales", "u-8"]}),
        json!({"allowed": ["*", "u-1"]}),
    ] {
        let path = format!("/v1/categories/{category}");
        world.patch("admin", &path, lists).await.expect(200);
        let listed = members(&world, &room).await;
        let own = listed.iter().find(|member| member["id"] == "u-1");
        assert_eq!(own.unwrap()["admitted"], false);
    }
    let removed = world.events_of("chat.room.member_removed").await;
    assert_eq!(removed, Vec::<Value>::new());
}

/// Whatever waits for a room while it moves, or while its category's wall does, is judged by what is true afterwards.
async fn who_waits_for_a_moving_room_finds_it_and_its_wall(backend: Backend) {
    let world = World::start(backend).await;
    let categories = [
        world.category(json!({})).await,
        world.category(json!({})).await,
    ];
    let room = world.room_in(&categories[0], json!({})).await;
    let path = format!("/v1/rooms/{room}");
    let moves = async {
        for turn in 0..40 {
            let to = json!({"category": categories[(turn + 1) % 2]});
            world.patch("admin", &path, to).await.expect(200);
        }
    };
    let posts = async {
        for turn in 0..40 {
            world.say("admin", &room, &format!("post {turn}")).await;
        }
    };
    tokio::join!(moves, posts);
    let member = format!("{path}/members/u-2");
    for _turn in 0..20 {
        let wall = format!("/v1/categories/{}", categories[0]);
        let open = world.patch("admin", &wall, json!({"denied": []})).await;
        open.expect(200);
        let added = world.put("admin", &member, json!({"role": "member"})).await;
        added.expect(201);
        // A member has a post on its way while the wall closes.
        let post = format!("{path}/messages");
        let (closed, added, posted) = tokio::join!(
            world.patch("admin", &wall, json!({"denied": ["u-2"]})),
            world.put("admin", &member, json!({"role": "member"})),
            world.post("u-2", &post, json!({"body": "through the wall?"})),
        );
        closed.expect(200);
        assert!([201, 204, 403].contains(&added.status), "{}", added.body);
        assert!([201, 404].contains(&posted.status), "{}", posted.body);
        let listed = members(&world, &room).await;
        assert!(
            listed.iter().all(|member| member["admitted"] == true),
            "{listed:?}"
        );
    }
    // In the order of what happened, nobody said anything from behind the wall.
    let mut is_closed = false;
    for event in world.events().await {
        let data = &event["data"];
        match event["type"].as_str().unwrap() {
            "chat.category.updated" => is_closed = data["after"]["denied"] == json!(["u-2"]),
            "chat.message.posted" if data["actor"]["id"] == "u-2" => assert!(!is_closed, "{event}"),
            _ => {}
        }
    }
}

async fn moves_and_moved_walls_do_not_wait_for_each_other_in_a_circle(backend: Backend) {
    let world = World::start(backend).await;
    let categories = [
        world.category(json!({})).await,
        world.category(json!({})).await,
    ];
    let rooms = [
        world.room_in(&categories[0], json!({})).await,
        world.room_in(&categories[1], json!({})).await,
    ];
    for turn in 0..40 {
        let moved = async |which: usize| {
            let path = format!("/v1/rooms/{}", rooms[which]);
            let to = json!({"category": categories[(turn + 1 + which) % 2]});
            world.patch("admin", &path, to).await
        };
        let walled = async |which: usize| {
            let path = format!("/v1/categories/{}", categories[which]);
            let wall = json!({"denied": [format!("somebody-{turn}")]});
            world.patch("admin", &path, wall).await
        };
        let answers = tokio::join!(moved(0), moved(1), walled(0), walled(1));
        for answer in <[_; 4]>::from(answers) {
            answer.expect(200);
        }
    }
}

async fn secret_rooms_look_like_rooms_that_are_not_there(backend: Backend) {
    let world = World::start(backend).await;
    let category = world.category(json!({})).await;
    let secret = world
        .room_in(
            &category,
            json!({"privacy": "secret", "name": "The Merger"}),
        )
        .await;
    let message = world.say("admin", &secret, "we buy them").await;
    let id = message["id"].as_str().unwrap();
    // Whatever is asked: the answers about this room and about none are the same, but for the ids in the question.
    let questions = |room: &str, message: &str| {
        vec![
            ("GET", format!("/v1/rooms/{room}"), Value::Null),
            ("GET", format!("/v1/rooms/{room}/messages"), Value::Null),
            ("GET", format!("/v1/rooms/{room}/members"), Value::Null),
            (
                "POST",
                format!("/v1/rooms/{room}/messages"),
                json!({"body": "x"}),
            ),
            (
                "POST",
                format!("/v1/rooms/{room}/messages"),
                json!({"body": "x", "reply_to": message}),
            ),
            (
                "POST",
                format!("/v1/rooms/{room}/messages"),
                json!({"body": "x", "attachments": ["f-1"]}),
            ),
            ("PATCH", format!("/v1/rooms/{room}"), json!({"name": "x"})),
            ("DELETE", format!("/v1/rooms/{room}"), Value::Null),
            (
                "DELETE",
                format!("/v1/rooms/{room}/members/u-1"),
                Value::Null,
            ),
            (
                "PUT",
                format!("/v1/rooms/{room}/members/u-1"),
                json!({"role": "member"}),
            ),
            (
                "PATCH",
                format!("/v1/messages/{message}"),
                json!({"body": "x"}),
            ),
            ("DELETE", format!("/v1/messages/{message}"), Value::Null),
            (
                "PUT",
                format!("/v1/messages/{message}/reactions/x"),
                Value::Null,
            ),
            (
                "GET",
                format!("/v1/messages/{message}/reactions"),
                Value::Null,
            ),
            ("GET", format!("/v1/search?q=buy&room={room}"), Value::Null),
        ]
    };
    for ((method, path, body), (_, none, _)) in questions(&secret, id)
        .into_iter()
        .zip(questions("r-none", "m-none"))
    {
        let ask = async |path: &str| {
            let request = world.request(method.parse().unwrap(), "u-1", path);
            world
                .send(if body.is_null() {
                    request
                } else {
                    request.json(&body)
                })
                .await
        };
        let (about_it, about_none) = (ask(&path).await, ask(&none).await);
        assert_eq!(about_it.status, 404, "{method} {path}: {}", about_it.body);
        assert_eq!(
            (about_it.status, about_it.body),
            (about_none.status, about_none.body),
            "{method} {path}"
        );
    }
    assert!(
        world
            .get("u-1", "/v1/rooms?q=merger")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert!(
        world
            .get("u-1", "/v1/search?q=buy")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .is_empty()
    );
    world
        .put(
            "admin",
            &format!("/v1/rooms/{secret}/members/u-1"),
            json!({"role": "member"}),
        )
        .await
        .expect(201);
    assert_eq!(
        world
            .get("u-1", "/v1/rooms?q=merger")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        world
            .get("u-1", "/v1/search?q=buy")
            .await
            .expect(200)
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

async fn a_category_without_history_is_archived_all_the_same(backend: Backend) {
    let world = World::start(backend).await;
    let category = world.category(json!({"history": false})).await;
    let room = world.room_in(&category, json!({"privacy": "open"})).await;
    world.say("u-1", &room, "for the moment").await;
    world
        .get("u-1", &format!("/v1/rooms/{room}/messages"))
        .await
        .expect(403);
    let mut late = world.connect("u-2").await;
    assert_eq!(late.subscribe(&room, None).await["history"], false);
    world.say("u-1", &room, "for who is here").await;
    assert_eq!(
        late.next_of("message").await["body"],
        "for who is here",
        "nothing from before"
    );
    assert_eq!(world.events_of("chat.message.posted").await.len(), 2);
}

on_both!(
    nobody_outside_of_the_wall_can_be_a_member,
    ch2_a_wall_that_is_moved_is_felt_at_once,
    members_whom_a_moved_wall_keeps_out_are_removed,
    who_is_outside_already_is_not_removed,
    who_waits_for_a_moving_room_finds_it_and_its_wall,
    moves_and_moved_walls_do_not_wait_for_each_other_in_a_circle,
    secret_rooms_look_like_rooms_that_are_not_there,
    a_category_without_history_is_archived_all_the_same,
);
