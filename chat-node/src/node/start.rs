//! Starting a node, and ending it in order.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::own_time::OwnTime;
use super::{Backlog, Connections, Metrics, Node, background};
use crate::auth::{FileTokens, Jwks, Secret, SecretError, Tokens};
use crate::clock::SharedClock;
use crate::db::{Db, Dialect, OpenError};
use crate::error::ChatError;
use crate::files::FileStore;
use crate::http::server;
use crate::hub::{Farewell, Hub};
use crate::limits::REQUESTS_AT_ONCE;
use crate::ops::users::UserCache;
use crate::outbox::{Leadership, MarkFile};
use crate::pool::{self, Peers, registry};
use crate::rate::UserRates;
use crate::settings::{Settings, TlsFiles};
use crate::write::{self, WriteQueue};

/// Shards of group commit on PostgreSQL: while one waits for its disk sync, others work.
const POSTGRES_SHARDS: usize = 4;

/// Connections of the node's own, of those that it may have: one tells that it lives, one leads the outbox.
const OWN_CONNECTIONS: u32 = 2;

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The folder.
    #[error(
        "the folder {folder}: {problem}\nhint: --data names a folder that this user may write to"
    )]
    Folder {
        /// Which folder.
        folder: String,
        /// What happened.
        problem: std::io::Error,
    },
    /// The secret.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// The database.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// An address.
    #[error(
        "cannot listen on {address}: {problem}\nhint: is another program there? --listen and --peer-listen choose other addresses"
    )]
    Listen {
        /// Which address.
        address: SocketAddr,
        /// What happened.
        problem: std::io::Error,
    },
    /// The node's own threads.
    #[error(
        "no threads can be started: {0}\nhint: does a limit of the system hinder it (`ulimit -u`)?"
    )]
    Threads(#[source] std::io::Error),
    /// The certificate.
    #[error("TLS: {0}\nhint: --tls-cert is a chain and --tls-key its key, both in PEM")]
    Tls(String),
    /// Anything else.
    #[error(transparent)]
    Chat(#[from] ChatError),
}

/// A node that runs.
#[derive(Debug)]
pub struct Running {
    /// The node.
    pub node: Arc<Node>,
    /// Where clients connect.
    pub address: SocketAddr,
    /// Where peers connect.
    pub peer_address: Option<SocketAddr>,
    accepting: CancellationToken,
    ending: CancellationToken,
    outbox_ending: CancellationToken,
    requests: mpsc::Receiver<Infallible>,
    server: JoinHandle<()>,
    writers: Vec<JoinHandle<()>>,
    background: Vec<JoinHandle<()>>,
    leader: JoinHandle<()>,
    /// Dropped last.
    _own_time: OwnTime,
}

fn make_private(folder: &Path) -> Result<(), StartError> {
    use std::os::unix::fs::DirBuilderExt;
    let made = std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder);
    made.map_err(|problem| StartError::Folder {
        folder: folder.display().to_string(),
        problem,
    })
}

fn files(settings: &Settings) -> Result<FileStore, StartError> {
    match url::Url::parse(&settings.files) {
        Ok(url) if url.scheme() == "file" => match url.to_file_path() {
            Ok(path) => Ok(FileStore::local(&path)?),
            Err(()) => Err(ChatError::invalid("files", "the file:// URL names no folder").into()),
        },
        Ok(url) if url.scheme().len() > 1 => Ok(FileStore::remote(&url)?),
        Ok(_) | Err(_) => Ok(FileStore::local(Path::new(&settings.files))?),
    }
}

fn tls(files: &TlsFiles) -> Result<TlsAcceptor, StartError> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let wrong = |error: &dyn std::fmt::Display| StartError::Tls(error.to_string());
    let chain = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| wrong(&format!("{}: {error}", files.cert.display())))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .map_err(|error| wrong(&format!("{}: {error}", files.key.display())))?;
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(
        rustls::crypto::aws_lc_rs::default_provider(),
    ))
    .with_safe_default_protocol_versions()
    .map_err(|error| wrong(&error))?
    .with_no_client_auth()
    .with_single_cert(chain, key)
    .map_err(|error| wrong(&error))?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), StartError> {
    let failed = |problem| StartError::Listen { address, problem };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn tokens(settings: &Settings, secret: &Secret) -> Result<Tokens, StartError> {
    Ok(match &settings.jwks {
        None => Tokens::shared(secret),
        Some((url, issuer, audience)) => {
            let jwks = Jwks::new(url.clone())
                .map_err(|error| ChatError::Internal(format!("the client for JWKS: {error}")))?;
            Tokens::jwks(jwks, issuer.clone(), audience.clone())
        }
    })
}

/// Starts a node; it serves when this returns.
///
/// # Errors
/// See [`StartError`].
pub async fn start(settings: Settings, clock: SharedClock) -> Result<Running, StartError> {
    make_private(&settings.data)?;
    let secret = Secret::load_or_create(&settings.secret_file)?;
    let acceptor = settings.tls.as_ref().map(tls).transpose()?;
    let files = files(&settings)?;
    let users_part = settings
        .database_connections
        .saturating_sub(OWN_CONNECTIONS);
    let db = Db::open(&settings.database, users_part).await?;
    let own_time = OwnTime::start().map_err(StartError::Threads)?;
    let own_db = {
        let (db, url) = (db.clone(), settings.database.clone());
        let opening = own_time.spawn(async move { db.beside(&url, OWN_CONNECTIONS).await });
        let opened = opening.await;
        opened.map_err(|error| ChatError::Internal(error.to_string()))??
    };
    let (listener, address) = listen(settings.listen).await?;
    let peer = match settings.peer_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let shards = if db.dialect() == Dialect::Sqlite {
        1
    } else {
        POSTGRES_SHARDS
    };
    let (writes, inbox) = WriteQueue::new(shards);
    let node = Arc::new(Node {
        source: format!("/pools/{}/nodes/{}", settings.pool, settings.node),
        name: settings.node.clone(),
        pool: settings.pool.clone(),
        run_id: uuid::Uuid::now_v7().to_string(),
        db,
        own_db,
        clock,
        hub: Hub::default(),
        writes,
        writes_end: CancellationToken::new(),
        sequence: Notify::new(),
        metrics: Metrics::default(),
        files,
        tokens: tokens(&settings, &secret)?,
        file_tokens: FileTokens::new(&secret),
        rates: UserRates::new(settings.limits.requests),
        limits: settings.limits,
        users: UserCache::default(),
        peers: Peers::default(),
        backlog: Backlog::default(),
        requests: Semaphore::new(REQUESTS_AT_ONCE),
        draining: CancellationToken::new(),
        name_lost: CancellationToken::new(),
        connections: Connections::default(),
        nodes: watch::Sender::new(Vec::new()),
    });
    let scheme = if acceptor.is_some() { "https" } else { "http" };
    let own = registry::Address {
        client_url: settings
            .client_url
            .clone()
            .unwrap_or_else(|| format!("{scheme}://{address}")),
        peer: peer
            .as_ref()
            .map_or_else(String::new, |(_listener, bound)| {
                settings
                    .peer_advertise
                    .clone()
                    .unwrap_or_else(|| bound.to_string())
            }),
    };
    let entering = {
        let (node, standby) = (Arc::clone(&node), settings.standby);
        own_time.spawn(async move {
            registry::register(&node, &own, standby).await?;
            registry::beat_once(&node).await
        })
    };
    let entered = entering.await;
    entered.map_err(|error| ChatError::Internal(error.to_string()))??;
    Ok(launch(
        node,
        own_time,
        &settings,
        secret,
        (listener, address, acceptor),
        peer,
        inbox,
    ))
}

fn launch(
    node: Arc<Node>,
    own_time: OwnTime,
    settings: &Settings,
    secret: Secret,
    (listener, address, acceptor): (TcpListener, SocketAddr, Option<TlsAcceptor>),
    peer: Option<(TcpListener, SocketAddr)>,
    inbox: write::Inbox,
) -> Running {
    let (accepting, ending, outbox_ending) = (
        CancellationToken::new(),
        CancellationToken::new(),
        CancellationToken::new(),
    );
    let (done, requests) = mpsc::channel(1);
    let writers = write::serve(&node, inbox);
    let mark = match settings.database.sqlite_path() {
        Some(file) => MarkFile::beside(file),
        None => MarkFile::in_folder(&settings.data),
    };
    let kafka = settings.kafka.is_some();
    let mut background = background::spawn(&node, kafka, mark.clone(), &ending);
    let beats = registry::beat(Arc::clone(&node), ending.clone());
    background.push(own_time.spawn(beats));
    let peer_address = peer.as_ref().map(|(_listener, bound)| *bound);
    if let Some((listener, _bound)) = peer {
        let door = pool::Door {
            listener,
            secret: secret.clone(),
            administration: crate::http::administration(Arc::clone(&node)),
            tls: acceptor.clone(),
            accepting: accepting.clone(),
            done: done.downgrade(),
        };
        background.push(tokio::spawn(pool::accept(
            Arc::clone(&node),
            door,
            ending.clone(),
        )));
        background.push(tokio::spawn(pool::dial_all(
            Arc::clone(&node),
            secret,
            ending.clone(),
        )));
    }
    let leadership = Leadership {
        sqlite_path: settings.database.sqlite_path().map(Path::to_path_buf),
        mark,
        kafka: settings.kafka.clone(),
        safety_period: settings.safety_period,
    };
    let leader = own_time.spawn(crate::outbox::lead(
        Arc::clone(&node),
        leadership,
        outbox_ending.clone(),
    ));
    let router = crate::http::router(Arc::clone(&node));
    let server = tokio::spawn(server::serve(
        listener,
        acceptor,
        router,
        accepting.clone(),
        done,
    ));
    tracing::info!(node = node.name, pool = node.pool, address = %address, "serving");
    Running {
        node,
        address,
        peer_address,
        accepting,
        ending,
        outbox_ending,
        requests,
        server,
        writers,
        background,
        leader,
        _own_time: own_time,
    }
}

impl Running {
    /// Waits until the pool does not know this run of the node any more: another process took its name, which it may when this one was not heard of
    /// for a while, or the database was restored. Answers what is to be said of it; this one is to be stopped then.
    pub async fn name_lost(&self) -> ChatError {
        self.node.name_lost.cancelled().await;
        registry::lost(&self.node.name)
    }

    /// Ends the node: no new users, those that are there are sent to the others, requests finish, what is queued is written, the outbox is
    /// sequenced, and the lease given up. `patience` is how long requests and users get.
    ///
    /// # Errors
    /// The database did not take the node's last words; everything acknowledged is in it all the same.
    pub async fn stop(mut self, patience: std::time::Duration) -> Result<(), ChatError> {
        let node = &self.node;
        node.draining.cancel();
        self.accepting.cancel();
        node.connections.end_all(Farewell::Draining);
        if tokio::time::timeout(patience, self.requests.recv())
            .await
            .is_err()
        {
            tracing::warn!("some requests did not end in time");
        }
        let emptied = async {
            while node.connections.count() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(patience, emptied).await.is_err() {
            tracing::warn!(
                connections = node.connections.count(),
                "some connections did not end in time"
            );
        }
        node.requests.close();
        self.ending.cancel();
        node.writes_end.cancel();
        for task in self
            .writers
            .into_iter()
            .chain(self.background)
            .chain([self.server])
        {
            // A task that panicked has logged.
            let _ended = task.await;
        }
        let reason = match node.name_lost.is_cancelled() {
            true => "replaced",
            false => "stopped",
        };
        let last_words = registry::unregister(node, reason).await;
        self.outbox_ending.cancel();
        let _ended = self.leader.await;
        node.db.close().await;
        node.own_db.close().await;
        last_words
    }
}
