//! `/metrics`, `/healthz`, `/readyz`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::error::IngestError;
use crate::metrics::Metrics;
use crate::pipeline::{Budget, Stop};

/// What is told about a run.
#[derive(Debug, Clone)]
pub struct Served {
    /// Its metrics.
    pub metrics: Arc<Metrics>,
    /// Whether it has failed.
    pub stop: Arc<Stop>,
    /// The memory it holds.
    pub budget: Arc<Budget>,
}

/// Serves until `ended`; answers the address that was bound.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    served: Served,
    ended: CancellationToken,
) -> Result<SocketAddr, IngestError> {
    let failed = |source| IngestError::Listen { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let server =
        axum::serve(listener, router(served)).with_graceful_shutdown(ended.cancelled_owned());
    tokio::spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the metrics endpoint ended");
        }
    });
    Ok(bound)
}

fn router(served: Served) -> Router {
    Router::new()
        .route("/metrics", get(text))
        .route(
            "/healthz",
            get(async |State(served): State<Served>| {
                status(!served.stop.aborted() && served.metrics.is_alive())
            }),
        )
        .route(
            "/readyz",
            get(async |State(served): State<Served>| {
                status(!served.stop.aborted() && served.metrics.is_ready())
            }),
        )
        .with_state(served)
}

async fn text(State(served): State<Served>) -> impl IntoResponse {
    served.metrics.holds(served.budget.used());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], served.metrics.encode())
}

fn status(good: bool) -> (StatusCode, &'static str) {
    if good {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "no\n")
    }
}

#[cfg(test)]
mod tests {
    use holdfast_fixtures::endpoint::get;

    use super::*;

    /// What `/healthz`, `/readyz` and `/metrics` answer of a run in this state.
    async fn answers(metrics: Metrics, stop: Stop) -> [u16; 3] {
        let served = Served {
            metrics: Arc::new(metrics),
            stop: Arc::new(stop),
            budget: Budget::new(1),
        };
        let ended = CancellationToken::new();
        let _ended = ended.clone().drop_guard();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bound = serve(any, served, ended).await.unwrap();
        ["/healthz", "/readyz", "/metrics"].map(|path| get(bound, path).unwrap().0)
    }

    fn ready() -> Metrics {
        let metrics = Metrics::new();
        metrics.set_ready(true);
        metrics
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_run_is_ready_once_it_reads_and_healthy_until_it_fails() {
        let begun = answers(Metrics::new(), Stop::default()).await;
        assert_eq!(begun, [200, 503, 200]);
        assert_eq!(answers(ready(), Stop::default()).await, [200, 200, 200]);
        let told = Stop::default();
        told.ask();
        assert_eq!(answers(ready(), told).await, [200, 200, 200]);
        let failed = Stop::default();
        failed.fail(IngestError::Index("x".to_owned()));
        assert_eq!(answers(ready(), failed).await, [503, 503, 200]);
        let dead = ready();
        dead.set_dead();
        assert_eq!(answers(dead, Stop::default()).await, [503, 503, 200]);
    }
}
