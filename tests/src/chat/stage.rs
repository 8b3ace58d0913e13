//! What the nodes of a pool share.

use std::path::PathBuf;

use holdfast_chat_node::db::{DatabaseUrl, Db};
use holdfast_fixtures::chat::Person;
use holdfast_fixtures::{Postgres, eventually};
use tempfile::TempDir;

use super::{ChatNode, Truth};
use crate::kafka::Topic;
use crate::program::run;

/// Where nodes relay to.
#[derive(Debug, Clone)]
pub struct Kafka {
    /// `host:port`.
    pub bootstrap: String,
    /// The topic.
    pub topic: String,
    /// Settings of librdkafka: `name=value`.
    pub properties: Vec<String>,
}

impl From<&Topic> for Kafka {
    fn from(topic: &Topic) -> Self {
        Self {
            bootstrap: topic.bootstrap().to_owned(),
            topic: topic.name.clone(),
            properties: Vec::new(),
        }
    }
}

/// A pool's folder, secret, database, file store and topic.
#[derive(Debug)]
pub struct Stage {
    /// Holds a folder for each node, the secret and the files.
    pub folder: TempDir,
    /// The content database's URL.
    pub database: String,
    /// Where nodes relay to, when they do.
    pub kafka: Option<Kafka>,
}

impl Stage {
    /// One node on SQLite.
    ///
    /// # Panics
    /// No folder can be made.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = TempDir::new().expect("a folder");
        let database = format!("sqlite://{}", folder.path().join("chat.db").display());
        Self {
            folder,
            database,
            kafka: None,
        }
    }

    /// Any number of nodes on a new database of this server.
    ///
    /// # Panics
    /// The server makes no database.
    #[must_use]
    pub fn postgres(server: &Postgres) -> Self {
        Self {
            folder: TempDir::new().expect("a folder"),
            database: server.database().expect("a database"),
            kafka: None,
        }
    }

    /// The same, with a relay to this topic.
    #[must_use]
    pub fn relayed(self, kafka: impl Into<Kafka>) -> Self {
        Self {
            kafka: Some(kafka.into()),
            ..self
        }
    }

    /// The pool's secret: made by the first node that starts.
    #[must_use]
    pub fn secret(&self) -> PathBuf {
        self.folder.path().join("secret")
    }

    /// The file store that the nodes share.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// Arguments of `serve` for a node of this pool.
    #[must_use]
    pub fn arguments(&self, name: &str) -> Vec<String> {
        let path = |path: PathBuf| path.display().to_string();
        let mut arguments = Vec::new();
        let mut add = |flag: &str, value: &str| {
            arguments.extend([flag.to_owned(), value.to_owned()]);
        };
        add("--data", &path(self.folder.path().join(name)));
        add("--listen", "127.0.0.1:0");
        add("--node", name);
        add("--database", &self.database);
        add("--database-connections", "8");
        add("--secret-file", &path(self.secret()));
        add("--files", &path(self.files()));
        // Users of tests are faster than people.
        add("--requests-a-second", "1000000");
        if !self.database.starts_with("sqlite") {
            add("--peer-listen", "127.0.0.1:0");
        }
        if let Some(kafka) = &self.kafka {
            add("--kafka", &kafka.bootstrap);
            add("--kafka-topic", &kafka.topic);
            for property in &kafka.properties {
                add("--kafka-property", property);
            }
        }
        arguments
    }

    /// Starts a node of this pool; it takes users when this returns.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(&self, name: &str) -> ChatNode {
        ChatNode::start(name, self.arguments(name)).await
    }

    /// A bearer token; ids that begin with `admin` are of administrators. A node must have been started once.
    ///
    /// # Panics
    /// `holdfast-chat token` fails.
    #[must_use]
    pub fn token(&self, sub: &str) -> String {
        let secret = self.secret().display().to_string();
        let mut arguments = vec!["token", "--secret-file", &secret, "--sub", sub];
        let name = format!("Name of {sub}");
        arguments.extend(["--name", &name]);
        if sub.starts_with("admin") {
            arguments.extend(["--role", "admin"]);
        }
        run("holdfast-chat", arguments)
            .success()
            .stdout
            .trim()
            .to_owned()
    }

    /// Somebody at a node.
    ///
    /// # Panics
    /// There is no token for them.
    #[must_use]
    pub fn person(&self, node: &ChatNode, sub: &str) -> Person {
        Person::new(&node.base, &self.token(sub)).expect("an HTTP client")
    }

    /// A connection to the content database, for looking.
    ///
    /// # Panics
    /// The database cannot be opened.
    pub async fn db(&self) -> Db {
        let url: DatabaseUrl = self.database.parse().expect("a database's URL");
        Db::open(&url, 2).await.expect("the content database")
    }

    /// Content and outbox as SQL holds them now.
    ///
    /// # Panics
    /// The database cannot be read.
    pub async fn truth(&self) -> Truth {
        let db = self.db().await;
        let truth = Truth::read(&db).await;
        db.close().await;
        truth
    }

    /// The name of the node that leads the outbox.
    ///
    /// # Panics
    /// The database cannot be read.
    pub async fn leader(&self) -> Option<String> {
        let db = self.db().await;
        let sql =
            "select n.id from leases l join nodes n on n.run_id = l.holder where l.name = 'relay'";
        let row = db.first(sql, Vec::new()).await.expect("the leases");
        db.close().await;
        row.map(|row| row.text(0).expect("a node's name"))
    }

    /// Waits until every event has its sequence, and, with Kafka, is delivered.
    ///
    /// # Panics
    /// It takes more than [`holdfast_fixtures::PATIENCE`].
    pub async fn emptied(&self) {
        let sql = if self.kafka.is_some() {
            "select count(*) from outbox where delivered_us is null"
        } else {
            "select count(*) from outbox where sequence is null"
        };
        let db = self.db().await;
        let emptied = async || {
            let row = db.one(sql, Vec::new()).await.expect("the outbox");
            (row.int(0).expect("a count") == 0).then_some(())
        };
        eventually("an empty outbox", emptied).await;
        db.close().await;
    }
}
