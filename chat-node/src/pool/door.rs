//! The pool's port (TCP 8011): other nodes' links and administration come in by the same door.
//!
//! Whoever comes speaks first, and the first byte tells who it is: a node greets with a line of JSON, an administrator's client sends HTTP, or TLS with
//! HTTP inside when this node has a certificate.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::handshake::Keys;
use super::link;
use crate::auth::Secret;
use crate::http::server;
use crate::node::Node;

/// Connections that have not said yet, or not proved, who they are; more are hung up on at once.
const STRANGERS_AT_ONCE: usize = 64;
/// Connections that said they speak HTTP, whoever they are; more are hung up on. WebSockets, which had to show a token, count no longer.
const VISITORS_AT_ONCE: usize = 256;
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);
/// What the greeting of a node begins with; no method of HTTP does, nor TLS.
const GREETING: u8 = b'{';

/// What waits behind the door.
pub struct Door {
    /// The port.
    pub listener: TcpListener,
    /// The pool's secret, for links.
    pub secret: Secret,
    /// The administrators' API.
    pub administration: Router,
    /// For it, when this node has a certificate.
    pub tls: Option<TlsAcceptor>,
    /// Fires when no new request is taken.
    pub accepting: CancellationToken,
    /// Held while a request is worked on; gone when the node is ending.
    pub done: mpsc::WeakSender<Infallible>,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Door")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// Lets in who comes, until the node ends.
pub async fn accept(node: Arc<Node>, door: Door, end: CancellationToken) {
    let keys = Arc::new(Keys::new(&door.secret));
    let strangers = Arc::new(Semaphore::new(STRANGERS_AT_ONCE));
    let visitors = Arc::new(Semaphore::new(VISITORS_AT_ONCE));
    let http = Arc::new(server::builder());
    loop {
        let stream = tokio::select! {
            accepted = door.listener.accept() => match accepted {
                Ok((stream, _from)) => stream,
                Err(error) => {
                    tracing::warn!(error = %error, "a link could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = end.cancelled() => return,
        };
        let Ok(permit) = Arc::clone(&strangers).try_acquire_owned() else {
            continue;
        };
        let (node, keys, end) = (Arc::clone(&node), Arc::clone(&keys), end.clone());
        let visitor = Visitor {
            visitors: Arc::clone(&visitors),
            http: Arc::clone(&http),
            tls: door.tls.clone(),
            administration: door.administration.clone(),
            accepting: door.accepting.clone(),
            done: door.done.clone(),
        };
        tokio::spawn(async move {
            match first_byte(&stream).await {
                Some(GREETING) => link::greet(&node, &keys, stream, permit, &end).await,
                Some(_other) => visitor.serve(stream, permit).await,
                None => {}
            }
        });
    }
}

/// The first byte that comes, left where it is; `None`: nothing came in time.
async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0];
    match tokio::time::timeout(FIRST_BYTE_TIMEOUT, stream.peek(&mut byte)).await {
        Ok(Ok(1)) => Some(byte[0]),
        Ok(Ok(_) | Err(_)) | Err(_) => None,
    }
}

/// Somebody who is no node.
struct Visitor {
    visitors: Arc<Semaphore>,
    http: Arc<hyper::server::conn::http1::Builder>,
    tls: Option<TlsAcceptor>,
    administration: Router,
    accepting: CancellationToken,
    done: mpsc::WeakSender<Infallible>,
}

impl Visitor {
    async fn serve(self, stream: TcpStream, stranger: OwnedSemaphorePermit) {
        // A node that is ending takes no more requests.
        let Some(_until_the_end) = self.done.upgrade() else {
            return;
        };
        let Ok(_until_it_ends) = self.visitors.try_acquire() else {
            return;
        };
        // From here on the limits of requests hold.
        drop(stranger);
        server::serve_one(
            &self.http,
            self.tls.as_ref(),
            stream,
            self.administration,
            &self.accepting,
        )
        .await;
    }
}
