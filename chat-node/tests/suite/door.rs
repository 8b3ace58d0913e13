//! The port of the pool: nodes' links and administration, and nothing for anybody else.

use std::time::Duration;

use holdfast_chat_node::rate::Rate;
use holdfast_chat_node::settings::Limits;
use reqwest::Method;
use serde_json::json;

use crate::pool::{pair, pair_with};
use crate::support::{Backend, Client, Options, World, eventually};

/// TCP 8011 joins the nodes and serves administration, and nobody but administrators.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_port_of_the_pool_serves_administrators_and_nobody_else() {
    let (first, second) = pair().await;
    let port = first.running.peer_address.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |method: Method, user: &str, path: &str, body: serde_json::Value| {
        let request = http.request(method, format!("http://{port}{path}"));
        let request = if user.is_empty() {
            request
        } else {
            request.bearer_auth(first.token(user))
        };
        first.send(request.json(&body)).await
    };
    let category = ask(
        Method::POST,
        "admin",
        "/v1/categories",
        json!({"name": "by the back door"}),
    )
    .await
    .expect(201);
    let path = format!("/v1/categories/{}", category["id"].as_str().unwrap());
    second.get("admin", &path).await.expect(200);
    let mut known = first.node().nodes.subscribe();
    let both = known.wait_for(|nodes| nodes.len() == 2).await;
    both.map(drop).unwrap();
    let nodes = ask(Method::GET, "admin", "/v1/admin/nodes", json!(null)).await;
    assert_eq!(nodes.expect(200).as_array().unwrap().len(), 2);
    // What users may do elsewhere, they may not do here.
    for path in [
        "/v1/admin/nodes",
        "/v1/rooms",
        "/v1/me",
        "/v1/ws",
        "/v1/none",
    ] {
        ask(Method::GET, "u-1", path, json!(null)).await.expect(403);
        ask(Method::GET, "", path, json!(null)).await.expect(401);
    }
    // Live too.
    let room = first.room().await;
    let mut live = Client::connect(&format!("http://{port}"), &first.token("admin")).await;
    live.subscribe(&room, None).await;
    first.say("u-1", &room, "by both doors").await;
    assert_eq!(live.next_of("message").await["body"], "by both doors");
    drop(live);
    ask(Method::GET, "", "/healthz", json!(null))
        .await
        .expect_status(200);
    // An act here is an event like any other.
    let events = first.events_of("chat.category.created").await;
    assert_eq!(events[0]["data"]["actor"]["id"], "admin");
    // Links go over the same port all the while, and keep no node from ending.
    assert_eq!(first.node().peers.linked(), ["chat-2"]);
    // Nodes that have more patience than this would wait for a link, if it kept them.
    tokio::time::timeout(Duration::from_secs(60), async {
        for world in [second, first] {
            let stopped = world.running.stop(Duration::from_secs(600)).await;
            stopped.unwrap();
        }
    })
    .await
    .expect("a node waited for its links");
}

/// Users whom this port refuses are counted, and refused more shortly when they go on; administrators count once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_refused_at_the_port_of_the_pool_are_counted() {
    let options = Options {
        peers: true,
        limits: Limits {
            // Twenty at once.
            requests: Rate::a_second(5),
            ..Limits::default()
        },
        ..Options::default()
    };
    let world = World::with(Backend::Postgres, options).await;
    let port = world.running.peer_address.unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let ask = async |user: &str, path: &str| {
        let request = http.get(format!("http://{port}{path}"));
        world.send(request.bearer_auth(world.token(user))).await
    };
    let mut refused = 0;
    for _request in 0..500 {
        match ask("u-1", "/v1/rooms").await.status {
            403 => refused += 1,
            429 => break,
            other => panic!("{other}"),
        }
    }
    assert!((20..500).contains(&refused), "{refused}");
    for _request in 0..20 {
        ask("admin", "/v1/rooms").await.expect(200);
    }
    let metrics = ask("admin", "/metrics").await;
    let text = String::from_utf8(metrics.bytes).unwrap();
    let counted = format!("holdfast_chat_requests_total{{status=\"403\"}} {refused}\n");
    assert!(text.contains(&counted), "{text}");
}

/// With certificates administrators come by TLS only, at this port too; the nodes' own links, which prove what they are themselves, go over it as ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_certificates_the_port_of_the_pool_takes_tls_and_links() {
    let (first, second) = pair_with(true).await;
    let port = first.running.peer_address.unwrap();
    let nodes = first
        .at(Method::GET, port, "/v1/admin/nodes")
        .bearer_auth(first.token("admin"));
    let nodes = first.send(nodes).await.expect(200);
    let urls: Vec<&str> = nodes
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|node| node["url"].as_str())
        .collect();
    assert_eq!(urls, [&first.base, &second.base]);
    let user = first
        .at(Method::GET, port, "/v1/rooms")
        .bearer_auth(first.token("u-1"));
    first.send(user).await.expect(403);
    // The certificate is checked, and without TLS nobody is heard.
    let stranger = reqwest::Client::builder().no_proxy().build().unwrap();
    for scheme in ["https", "http"] {
        let asked = stranger.get(format!("{scheme}://{port}/healthz")).send();
        assert!(asked.await.is_err(), "{scheme}");
    }
    assert_eq!(first.node().peers.linked(), ["chat-2"]);
    second.stop().await;
    first.stop().await;
}

/// So many may speak HTTP at this port at a time; one more is hung up on, and taken when another has gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn visitors_of_the_port_of_the_pool_are_limited() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    const AT_ONCE: usize = 256;
    let options = Options {
        peers: true,
        ..Options::default()
    };
    let world = World::with(Backend::Postgres, options).await;
    let address = world.running.peer_address.unwrap();
    // Whoever is answered stays; `None`: hung up on.
    let visit = async || {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = b"GET /healthz HTTP/1.1\r\nhost: pool\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = [0; 12];
        let read = stream.read_exact(&mut answer);
        match tokio::time::timeout(Duration::from_secs(30), read)
            .await
            .unwrap()
        {
            Ok(_twelve) => {
                assert_eq!(&answer, b"HTTP/1.1 200");
                Some(stream)
            }
            Err(_hung_up) => None,
        }
    };
    let mut visitors = Vec::new();
    for number in 1..=AT_ONCE {
        visitors.push(visit().await.unwrap_or_else(|| panic!("visitor {number}")));
    }
    assert!(visit().await.is_none(), "one too many");
    visitors.pop();
    eventually("there is room again", async || visit().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_gets_no_link() {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    let first = World::with(
        Backend::Postgres,
        Options {
            peers: true,
            ..Options::default()
        },
    )
    .await;
    let address = first.running.peer_address.unwrap();
    for attempt in [
        "{\"challenge\": \"x\", \"proof\": \"a.b.c\"}\n",
        "{\"challenge\": \"x\"}\n",
        "{}\n",
        "not json\n",
        "{\"publish\": {\"room\": \"r\", \"room_seq\": 1, \"epoch\": 1, \"frame\": {}}}\n",
    ] {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let mut reader = BufReader::new(reader);
        let mut challenge = String::new();
        writer.write_all(b"{}\n").await.unwrap();
        reader.read_line(&mut challenge).await.unwrap();
        assert!(challenge.contains("challenge"));
        writer.write_all(attempt.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // Hung up, politely or not.
        let read = tokio::time::timeout(Duration::from_secs(30), reader.read_line(&mut answer))
            .await
            .unwrap();
        assert!(matches!(read, Ok(0) | Err(_)), "{attempt}: {answer}");
    }
    // A node with another secret on the same database is no peer.
    let other = {
        let options = Options {
            node: "chat-2",
            peers: true,
            ..Options::default()
        };
        World::on(
            tempfile::tempdir().unwrap(),
            first.database.clone(),
            options,
        )
        .await
    };
    // Each dials the other, and neither believes what it hears.
    let before = first.node().metrics.peers_refused();
    let refused = async || {
        let (here, there) = (&first.node().metrics, &other.node().metrics);
        (here.peers_refused() >= before + 2 && there.peers_refused() >= 2).then_some(())
    };
    eventually("links are refused", refused).await;
    assert!(first.node().peers.linked().is_empty() && other.node().peers.linked().is_empty());
    other.stop().await;
    first.stop().await;
}
