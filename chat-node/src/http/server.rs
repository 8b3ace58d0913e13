//! Connections, served by hyper by hand: its buffers are chosen here, because 20,000 idle connections with the defaults would take gigabytes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use axum::http::header::UPGRADE;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt};

use crate::wire::WiredStream;

/// Held by every connection: its receiver hears `None` when all are gone.
pub type Done = mpsc::Sender<Infallible>;

/// hyper's least.
const BUFFER_BYTES: usize = 8192;
/// A request's head must have come by then, and the next one on a connection that is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// How connections are served.
pub(crate) fn builder() -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(BUFFER_BYTES * 8)
        .keep_alive(true)
        .pipeline_flush(false);
    http
}

/// Serves until `end` fires; then no new connection is taken, and those that are in the middle of a request finish it. When all are gone, so
/// are the copies of `done`.
pub async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    end: CancellationToken,
    done: Done,
) {
    let http = Arc::new(builder());
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _from)) => stream,
                Err(error) => {
                    // Out of descriptors, most likely: the next ones wait until some are free.
                    tracing::warn!(error = %error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            () = end.cancelled() => return,
        };
        let (http, router, end, tls) =
            (Arc::clone(&http), router.clone(), end.clone(), tls.clone());
        let done = done.clone();
        tokio::spawn(async move {
            let _until_the_end = done;
            serve_one(&http, tls.as_ref(), stream, router, &end).await;
        });
    }
}

/// Serves one connection, until `end` fires and its request is finished.
pub(crate) async fn serve_one(
    http: &http1::Builder,
    tls: Option<&TlsAcceptor>,
    stream: TcpStream,
    router: Router,
    end: &CancellationToken,
) {
    // Frames must not wait for each other.
    let _best_effort = stream.set_nodelay(true);
    match tls {
        Some(tls) => over_tls(http, tls, stream, router, end).await,
        None => {
            let (stream, wire) = WiredStream::new(stream);
            let router = router.map_request(move |mut request: Request<Incoming>| {
                if request.headers().contains_key(UPGRADE) {
                    request.extensions_mut().insert(Arc::clone(&wire));
                }
                request
            });
            connection(http, stream, router, end).await;
        }
    }
}

async fn over_tls(
    http: &http1::Builder,
    tls: &TlsAcceptor,
    stream: TcpStream,
    router: Router,
    end: &CancellationToken,
) {
    match tokio::time::timeout(TLS_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection(http, stream, router, end).await,
        Ok(Err(error)) => tracing::debug!(error = %error, "no TLS"),
        Err(_elapsed) => tracing::debug!("no TLS in time"),
    }
}

async fn connection<S, R>(http: &http1::Builder, stream: S, router: R, end: &CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    R: Service<Request<Incoming>, Response = Response, Error = Infallible>,
    R: Clone + Send + 'static,
    R::Future: Send,
{
    let connection = http
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = end.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        // Clients hang up; that is no event.
        tracing::debug!(error = %error, "a connection ended");
    }
}
