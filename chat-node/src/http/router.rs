//! All routes, and what every request goes through.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer};
use utoipa::OpenApi as _;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, Content, InfoBuilder, OpenApi, OpenApiBuilder, RefOr};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::extract::{bearer, check_administrator};
use super::routes::{
    admin, categories, files, health, members, messages, reactions, rooms, search, users,
};
use crate::error::ChatError;
use crate::node::Node;

/// A request that takes longer is given up. Uploads, downloads and WebSockets are not under it.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

fn api() -> OpenApiRouter<Arc<Node>> {
    let bearer = SecurityScheme::Http(
        HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("JWT")
            .build(),
    );
    let info = InfoBuilder::new()
        .title("Holdfast chat node")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(
            "Rooms, messages and files over HTTP; live over the WebSocket at /v1/ws.",
        ))
        .build();
    let document = OpenApiBuilder::new()
        .info(info)
        .components(Some(
            ComponentsBuilder::new()
                .security_scheme("bearer", bearer)
                .build(),
        ))
        .build()
        .merge_from(crate::ws::Frames::openapi());
    OpenApiRouter::with_openapi(document)
        .routes(routes!(categories::list, categories::create))
        .routes(routes!(
            categories::get,
            categories::update,
            categories::delete
        ))
        .routes(routes!(rooms::list, rooms::create))
        .routes(routes!(rooms::get, rooms::update, rooms::delete))
        .routes(routes!(members::list))
        .routes(routes!(members::put, members::remove))
        .routes(routes!(messages::history, messages::post))
        .routes(routes!(messages::edit, messages::delete))
        .routes(routes!(reactions::list))
        .routes(routes!(reactions::add, reactions::remove))
        .routes(routes!(search::search))
        .routes(routes!(files::token))
        .routes(routes!(users::me))
        .routes(routes!(admin::purge))
        .routes(routes!(admin::replace))
        .routes(routes!(admin::export))
        .routes(routes!(admin::configuration))
        .routes(routes!(admin::nodes))
        .routes(routes!(admin::set_node_state))
        .routes(routes!(admin::synthetic))
        .routes(routes!(admin::set_user_state, admin::delete_user))
        .layer(from_fn(in_time))
        // These take or give more than a request of usual size, at the client's pace.
        .routes(routes!(admin::import))
        .routes(routes!(admin::configure))
        .routes(routes!(files::upload))
        .routes(routes!(files::download))
        .routes(routes!(crate::ws::upgrade::upgrade))
}

/// Gives up a request that takes too long. What it asked for may happen all the same, and the answer says so.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_elapsed) => ChatError::Unavailable {
            problem: format!(
                "there was no answer within {} seconds, and it is not known whether this was done; read what is there, or ask again",
                REQUEST_TIMEOUT.as_secs()
            ),
        }
        .into_response(),
    }
}

/// The OpenAPI document.
#[must_use]
pub fn openapi() -> OpenApi {
    with_problems(api().into_openapi())
}

/// Problems have a media type of their own (RFC 9457), which the annotations of handlers need not repeat.
fn with_problems(mut document: OpenApi) -> OpenApi {
    const PROBLEM: &str = "#/components/schemas/Problem";
    let items = document.paths.paths.values_mut();
    let operations = items.flat_map(|item| {
        [
            &mut item.get,
            &mut item.put,
            &mut item.post,
            &mut item.delete,
            &mut item.patch,
        ]
    });
    let responses = operations
        .flatten()
        .flat_map(|operation| operation.responses.responses.values_mut());
    for response in responses {
        let RefOr::T(response) = response else {
            continue;
        };
        let is_problem = |content: &RefOr<Content>| match content {
            RefOr::T(Content {
                schema: Some(RefOr::Ref(schema)),
                ..
            }) => schema.ref_location == PROBLEM,
            _ => false,
        };
        if response
            .content
            .get("application/json")
            .is_some_and(is_problem)
            && let Some(content) = response.content.shift_remove("application/json")
        {
            response
                .content
                .insert("application/problem+json".to_owned(), content);
        }
    }
    document
}

/// The whole application.
pub fn router(node: Arc<Node>) -> Router {
    let (api, document) = api().split_for_parts();
    let document = Arc::new(with_problems(document));
    let serve_document = move || {
        let document = Arc::clone(&document);
        async move { Json(OpenApi::clone(&document)) }
    };
    api.route("/healthz", axum::routing::get(health::healthz))
        .route("/readyz", axum::routing::get(health::readyz))
        .route("/metrics", axum::routing::get(health::metrics))
        .route("/openapi.json", axum::routing::get(serve_document))
        .fallback(|| async { ChatError::NotFound { what: "path" } })
        .method_not_allowed_fallback(|| async {
            super::Problem {
                kind: "urn:holdfast:problem:method",
                title: "Method not allowed",
                status: 405,
                detail: "this path has other methods; /openapi.json lists them".into(),
            }
        })
        // Bodies are limited where they are read: JSON by its extractor, files by their own limit.
        .layer(DefaultBodyLimit::disable())
        .layer(from_fn_with_state(Arc::clone(&node), pass))
        .layer(CatchPanicLayer::custom(
            |_panic: Box<dyn std::any::Any + Send>| {
                ChatError::Internal("a handler panicked".into()).into_response()
            },
        ))
        .layer(PropagateRequestIdLayer::x_request_id())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .with_state(node)
}

/// The application as the pool's own port serves it: to administrators only.
pub fn administration(node: Arc<Node>) -> Router {
    router(Arc::clone(&node)).layer(from_fn_with_state(node, administrators_only))
}

/// Health, metrics and the document are for whoever reaches the port.
async fn administrators_only(
    State(node): State<Arc<Node>>,
    request: Request,
    next: Next,
) -> Response {
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    match check_administrator(&node, bearer(request.headers())).await {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let response = error.into_response();
            node.metrics.request(response.status().as_u16());
            response
        }
    }
}

/// Lets a bounded number of requests in at a time, and counts the answers.
async fn pass(State(node): State<Arc<Node>>, request: Request, next: Next) -> Response {
    // A WebSocket's request is answered at once and then lives for hours: it has limits of its own.
    let response = if request.uri().path() == "/v1/ws" {
        next.run(request).await
    } else {
        let Ok(_permit) = node.requests.acquire().await else {
            return ChatError::Unavailable {
                problem: "this node is going away; use another".into(),
            }
            .into_response();
        };
        next.run(request).await
    };
    node.metrics.request(response.status().as_u16());
    response
}
