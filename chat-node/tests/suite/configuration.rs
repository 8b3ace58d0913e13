//! Categories, rooms and members, written down without what was said, and taken in elsewhere.

use holdfast_chat_node::args;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, World};

/// All pages of the configuration.
async fn configuration(world: &World) -> Vec<Value> {
    let (mut pages, mut query) = (Vec::new(), String::new());
    loop {
        let path = format!("/v1/admin/configuration{query}");
        let page = world.get("admin", &path).await.expect(200);
        let after = page["next_after"].as_str().map(str::to_owned);
        pages.push(page);
        match after {
            Some(after) => query = format!("?after={}", after.replace(' ', "%20")),
            None => return pages,
        }
    }
}

async fn configurations_are_written_down_and_taken_in(backend: Backend) {
    let world = World::start(backend).await;
    let wall = json!({"name": "Research", "denied": ["group:trading"], "creators": ["u-1"], "files": false});
    let research = world.category(wall).await;
    let open = world
        .category(json!({"name": "Open", "history": false}))
        .await;
    let settings = json!({"name": "Findings", "description": "of the week", "privacy": "secret", "type": "auditorium",
                          "addin_url": "https://example.com/x", "invitations": "off"});
    let room = world.room_in(&research, settings).await;
    for (user, role) in [("u-1", "manager"), ("u-2", "presenter"), ("u-3", "member")] {
        let path = format!("/v1/rooms/{room}/members/{user}");
        world
            .put("admin", &path, json!({"role": role}))
            .await
            .expect(201);
    }
    let path = format!("/v1/rooms/{room}");
    world
        .patch("admin", &path, json!({"disabled": true}))
        .await
        .expect(200);
    for n in 0..105 {
        let name = format!("Room {n:03}");
        world.room_in(&open, json!({"name": name})).await;
    }
    let mut pages = configuration(&world).await;
    let counts = |page: &Value| {
        let count = |list: &str| page[list].as_array().unwrap().len();
        (count("categories"), count("rooms"))
    };
    assert_eq!(
        pages.iter().map(counts).collect::<Vec<_>>(),
        [(2, 100), (0, 6)]
    );
    world
        .get("u-1", "/v1/admin/configuration")
        .await
        .expect(403);

    // A wall drawn by hand since: who is outside of it is a name on the list, and does not come in.
    let mut categories = pages[0]["categories"].as_array_mut().unwrap().iter_mut();
    let wall = categories.find(|category| category["name"] == "Research");
    wall.unwrap()["denied"] = json!(["group:trading", "u-3"]);

    // Into another pool, by other hands, which leave no trace in it but the events.
    let other = World::start(backend).await;
    let path = "/v1/admin/configuration";
    // What ends in the middle leaves nobody in the room, and one who is deleted there is no obstacle.
    let mut page = pages[0].clone();
    page["rooms"][0]["members"][0]["role"] = json!("king");
    other.put("admin-2", path, page.clone()).await.expect(400);
    let rooms = &configuration(&other).await[0]["rooms"];
    assert_eq!(rooms[0]["members"], json!([]), "{rooms}");
    other.get("u-2", "/v1/me").await.expect(200);
    other
        .delete("admin-2", "/v1/admin/users/u-2")
        .await
        .expect(204);
    let mut taken = Vec::new();
    for page in &pages {
        taken.push(other.put("admin-2", path, page.clone()).await.expect(200));
    }
    assert_eq!(
        taken,
        [
            json!({"categories": 0, "rooms": 99, "members": 101, "refused": 2}),
            json!({"categories": 0, "rooms": 6, "members": 6, "refused": 0})
        ]
    );
    let mut expected = pages.clone();
    let members = expected[0]["rooms"][0]["members"].as_array_mut().unwrap();
    members.retain(|member| member["id"] != "u-2" && member["id"] != "u-3");
    assert_eq!(configuration(&other).await, expected);
    let events = other.events().await;
    let by_hand = |event: &&Value| event["data"]["actor"]["id"] == "admin-2";
    let of = |event_type: &str| {
        let events = events.iter().filter(by_hand);
        events.filter(|event| event["type"] == event_type).count()
    };
    assert_eq!(
        (
            of("chat.category.created"),
            of("chat.room.created"),
            of("chat.room.disabled")
        ),
        (2, 106, 1)
    );
    // Again it changes nothing, and what was changed since is brought back.
    let again = other.put("admin-2", path, expected[0].clone()).await;
    assert_eq!(
        again.expect(200),
        json!({"categories": 0, "rooms": 0, "members": 101, "refused": 0})
    );
    let since = other.events().await;
    assert_eq!(
        since.iter().filter(by_hand).count(),
        events.iter().filter(by_hand).count()
    );
    let rooms = other.get("admin", "/v1/rooms?q=Room%20007").await;
    let path_of = format!("/v1/rooms/{}", rooms.expect(200)[0]["id"].as_str().unwrap());
    let change = json!({"description": "changed", "privacy": "open"});
    other.patch("admin", &path_of, change).await.expect(200);
    let again = other.put("admin-2", path, expected[0].clone()).await;
    assert_eq!(again.expect(200)["rooms"], 1);
    assert_eq!(configuration(&other).await, expected);
    // What cannot be says so.
    for (member, value, status) in [
        ("surprise", json!(1), 400),
        ("rooms", json!([{"name": "x"}]), 400),
    ] {
        let mut page = expected[0].clone();
        page[member] = value;
        other.put("admin-2", path, page).await.expect(status);
    }
    let mut page = expected[0].clone();
    page["rooms"][0]["category"] = json!("None");
    other.put("admin-2", path, page).await.expect(404);
    other.put("u-1", path, json!({})).await.expect(403);
}

/// A page that were too large could not be taken in.
async fn rooms_of_many_members_end_a_page_early(backend: Backend) {
    let world = World::start(backend).await;
    let category = world.category(json!({})).await;
    for name in ["a", "b", "c"] {
        let room = world.room_in(&category, json!({"name": name})).await;
        if name == "b" {
            // Eighteen million bytes.
            let sql = "with recursive n(i) as (select 100000 union all select i + 1 from n where i < 159999) \
                       insert into room_members (room_id, user_id, role, added_us) select $1, $2 || i, 'member', 0 from n";
            let args = args![&room, "u".repeat(254)];
            assert_eq!(world.db().execute(sql, args).await.unwrap(), 60_000);
        }
    }
    let pages = configuration(&world).await;
    let names = |page: &Value| {
        let rooms = page["rooms"].as_array().unwrap().iter();
        rooms.map(|room| room["name"].clone()).collect::<Vec<_>>()
    };
    let names: Vec<_> = pages.iter().map(names).collect();
    assert_eq!(names, [vec![json!("a"), json!("b")], vec![json!("c")]]);
}

on_both!(
    configurations_are_written_down_and_taken_in,
    rooms_of_many_members_end_a_page_early,
);
