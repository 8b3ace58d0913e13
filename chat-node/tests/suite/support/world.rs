use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use holdfast_chat_node::args;
use holdfast_chat_node::auth::{Claims, Secret};
use holdfast_chat_node::clock::{SharedClock, SystemClock};
use holdfast_chat_node::db::Db;
use holdfast_chat_node::node::{Node, Running, start};
use holdfast_chat_node::outbox::relay::KafkaSettings;
use holdfast_chat_node::rate::Rate;
use holdfast_chat_node::settings::{Limits, Settings, TlsFiles};
use holdfast_fixtures::Postgres;
use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{Client, eventually};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// One server for all tests of this program; each has a database of its own.
pub(crate) fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(|| Postgres::start(&[]).unwrap_or_else(|error| panic!("{error}")))
}

pub(crate) struct Options {
    pub(crate) clock: SharedClock,
    pub(crate) limits: Limits,
    pub(crate) kafka: Option<KafkaSettings>,
    pub(crate) node: &'static str,
    pub(crate) peers: bool,
    pub(crate) standby: bool,
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) files: Option<PathBuf>,
    /// With a certificate of its own.
    pub(crate) tls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            // Users of tests are faster than people.
            limits: Limits {
                requests: Rate::a_second(1_000_000),
                ..Limits::default()
            },
            kafka: None,
            node: "chat-1",
            peers: false,
            standby: false,
            secret_file: None,
            files: None,
            tls: false,
        }
    }
}

pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) running: Running,
    pub(crate) base: String,
    pub(crate) database: String,
    secret: Secret,
    http: reqwest::Client,
}

/// A certificate for this machine, signed by itself.
fn certificate(folder: &Path) -> (TlsFiles, reqwest::Certificate) {
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
    let files = TlsFiles {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    std::fs::write(&files.cert, made.cert.pem()).unwrap();
    std::fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
    let root = reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    (files, root)
}

#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Value,
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        if status >= 400 {
            assert_eq!(
                self.headers["content-type"], "application/problem+json",
                "{}",
                self.body
            );
            assert_eq!(self.body["status"], status);
        }
        self.body
    }
}

impl World {
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::with(backend, Options::default()).await
    }

    pub(crate) async fn with(backend: Backend, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = match backend {
            Backend::Sqlite => format!("sqlite://{}", folder.path().join("chat.db").display()),
            Backend::Postgres => tokio::task::spawn_blocking(|| postgres().database().unwrap())
                .await
                .unwrap(),
        };
        Self::on(folder, database, options).await
    }

    /// A node on a folder and database that are there already.
    pub(crate) async fn on(folder: TempDir, database: String, options: Options) -> Self {
        let secret_file = options
            .secret_file
            .clone()
            .unwrap_or_else(|| folder.path().join("secret"));
        let certificate = options.tls.then(|| certificate(folder.path()));
        let settings = Settings {
            data: folder.path().to_owned(),
            listen: ([127, 0, 0, 1], 0).into(),
            database: database.parse().unwrap(),
            database_connections: 8,
            kafka: options.kafka,
            pool: "main".into(),
            node: options.node.into(),
            peer_listen: options.peers.then_some(([127, 0, 0, 1], 0).into()),
            peer_advertise: None,
            client_url: None,
            standby: options.standby,
            secret_file: secret_file.clone(),
            jwks: None,
            files: options
                .files
                .unwrap_or_else(|| folder.path().join("files"))
                .display()
                .to_string(),
            tls: certificate.as_ref().map(|(files, _root)| files.clone()),
            limits: options.limits,
            safety_period: Duration::from_secs(30 * 86_400),
            drain: Duration::from_secs(5),
        };
        let running = start(settings, options.clock)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let scheme = if certificate.is_some() {
            "https"
        } else {
            "http"
        };
        let base = format!("{scheme}://{}", running.address);
        let mut http = reqwest::Client::builder().no_proxy();
        if let Some((_files, root)) = certificate {
            http = http.tls_certs_only([root]);
        }
        let http = http.build().unwrap();
        Self {
            folder,
            running,
            base,
            database,
            secret: Secret::load(&secret_file).unwrap(),
            http,
        }
    }

    pub(crate) async fn stop(self) -> (TempDir, String) {
        self.running.stop(Duration::from_secs(5)).await.unwrap();
        (self.folder, self.database)
    }

    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.running.node
    }

    pub(crate) fn db(&self) -> &Db {
        &self.running.node.db
    }

    pub(crate) fn secret_file(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    pub(crate) fn files(&self) -> PathBuf {
        Path::new(self.folder.path()).join("files")
    }

    pub(crate) fn claims(&self, sub: &str) -> Claims {
        Claims {
            sub: sub.into(),
            name: Some(format!("Name of {sub}")),
            email: Some(format!("{sub}@example.com")),
            uri: None,
            roles: if sub.starts_with("admin") {
                vec!["admin".into()]
            } else {
                Vec::new()
            },
            groups: Vec::new(),
            internal: None,
            kind: None,
            exp: 4_000_000_000,
        }
    }

    pub(crate) fn sign(&self, claims: &Claims) -> String {
        claims.sign(&self.secret).unwrap()
    }

    pub(crate) fn token(&self, sub: &str) -> String {
        self.sign(&self.claims(sub))
    }

    pub(crate) async fn send(&self, request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let bytes = response.bytes().await.unwrap().to_vec();
        Answer {
            status,
            headers,
            body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            bytes,
        }
    }

    pub(crate) fn request(
        &self,
        method: Method,
        user: &str,
        path: &str,
    ) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(self.token(user))
    }

    /// A request to another port of this node.
    pub(crate) fn at(
        &self,
        method: Method,
        address: SocketAddr,
        path: &str,
    ) -> reqwest::RequestBuilder {
        let (scheme, _rest) = self.base.split_once(':').unwrap();
        self.http
            .request(method, format!("{scheme}://{address}{path}"))
    }

    pub(crate) fn anonymous(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub(crate) async fn get(&self, user: &str, path: &str) -> Answer {
        self.send(self.request(Method::GET, user, path)).await
    }

    pub(crate) async fn post(&self, user: &str, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::POST, user, path).json(&body))
            .await
    }

    pub(crate) async fn put(&self, user: &str, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PUT, user, path).json(&body))
            .await
    }

    pub(crate) async fn patch(&self, user: &str, path: &str, body: Value) -> Answer {
        self.send(self.request(Method::PATCH, user, path).json(&body))
            .await
    }

    pub(crate) async fn delete(&self, user: &str, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, user, path)).await
    }

    /// A category; its id.
    pub(crate) async fn category(&self, settings: Value) -> String {
        let mut body = json!({"name": format!("category {}", uuid::Uuid::now_v7())});
        body.as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        self.post("admin", "/v1/categories", body).await.expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// A room of a category; its id. `admin` is its manager.
    pub(crate) async fn room_in(&self, category: &str, settings: Value) -> String {
        let mut body =
            json!({"name": format!("room {}", uuid::Uuid::now_v7()), "category": category});
        body.as_object_mut()
            .unwrap()
            .extend(settings.as_object().unwrap().clone());
        self.post("admin", "/v1/rooms", body).await.expect(201)["id"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// An open room of a category of its own; its id.
    pub(crate) async fn room(&self) -> String {
        let category = self.category(json!({})).await;
        self.room_in(&category, json!({"privacy": "open"})).await
    }

    /// Posts a plain message; the answer's body.
    /// From now on only members may be in the room.
    pub(crate) async fn close(&self, room: &str) {
        let (path, closed) = (format!("/v1/rooms/{room}"), json!({"privacy": "closed"}));
        self.patch("admin", &path, closed).await.expect(200);
    }

    pub(crate) async fn disable(&self, user: &str) {
        let (path, disabled) = (
            format!("/v1/admin/users/{user}"),
            json!({"state": "disabled"}),
        );
        self.patch("admin", &path, disabled).await.expect(204);
    }

    pub(crate) async fn say(&self, user: &str, room: &str, body: &str) -> Value {
        self.post(
            user,
            &format!("/v1/rooms/{room}/messages"),
            json!({"body": body}),
        )
        .await
        .expect(201)
    }

    /// All events in the outbox, in the order of their insertion.
    pub(crate) async fn events(&self) -> Vec<Value> {
        let rows = self
            .db()
            .all("select event from outbox order by id", args![])
            .await
            .unwrap();
        rows.iter()
            .map(|row| serde_json::from_str(&row.text(0).unwrap()).unwrap())
            .collect()
    }

    /// Events of one type.
    pub(crate) async fn events_of(&self, event_type: &str) -> Vec<Value> {
        self.events()
            .await
            .into_iter()
            .filter(|event| event["type"] == event_type)
            .collect()
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        self.db().one(sql, args![]).await.unwrap().int(0).unwrap()
    }

    /// Waits until a statement counts `expected`.
    pub(crate) async fn until(&self, sql: &'static str, expected: i64) {
        let counted = async || (self.count(sql).await == expected).then_some(());
        eventually(&format!("{sql}: {expected}"), counted).await;
    }

    pub(crate) async fn connect(&self, user: &str) -> Client {
        Client::connect(&self.base, &self.token(user)).await
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect_success(self) -> Value {
        assert!(
            (200..300).contains(&self.status),
            "{}: {}",
            self.status,
            self.body
        );
        self.body
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn expect_status(self, status: u16) {
        assert_eq!(self.status, status, "{}", self.body);
    }
}
