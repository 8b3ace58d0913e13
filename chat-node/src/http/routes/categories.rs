//! `/v1/categories`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::{IfMatchParams, IfNoneMatchParams, versioned};
use crate::error::Result;
use crate::http::extract::{Auth, Ids, IfMatch, Json, etag};
use crate::http::problem::Problem;
use crate::model::Category;
use crate::node::Node;
use crate::ops::categories::{self, CategoryChange, NewCategory};

/// Categories that the caller may see, by name.
#[utoipa::path(get, path = "/v1/categories", tag = "categories", security(("bearer" = [])),
    responses((status = 200, body = [Category]), (status = "default", body = Problem)))]
pub(in crate::http) async fn list(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
) -> Result<Response> {
    Ok(axum::Json(categories::list(&node, &caller).await?).into_response())
}

/// Creates a category.
#[utoipa::path(post, path = "/v1/categories", tag = "categories", security(("bearer" = [])), request_body = NewCategory,
    responses((status = 201, body = Category), (status = "default", body = Problem)))]
pub(in crate::http) async fn create(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Json(new): Json<NewCategory>,
) -> Result<Response> {
    let category = categories::create(&node, &caller, new).await?;
    let headers = [
        (header::ETAG, etag(category.version)),
        (header::LOCATION, format!("/v1/categories/{}", category.id)),
    ];
    Ok((StatusCode::CREATED, headers, axum::Json(category)).into_response())
}

/// A category.
#[utoipa::path(get, path = "/v1/categories/{id}", tag = "categories", security(("bearer" = [])), params(("id" = String, Path), IfNoneMatchParams),
    responses((status = 200, body = Category), (status = 304), (status = "default", body = Problem)))]
pub(in crate::http) async fn get(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let category = categories::get(&node, &caller, &id).await?;
    Ok(versioned(&headers, category.version, &category))
}

/// Changes a category.
#[utoipa::path(patch, path = "/v1/categories/{id}", tag = "categories", security(("bearer" = [])), params(("id" = String, Path), IfMatchParams),
    request_body = CategoryChange, responses((status = 200, body = Category), (status = "default", body = Problem)))]
pub(in crate::http) async fn update(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    IfMatch(expected): IfMatch,
    Json(change): Json<CategoryChange>,
) -> Result<Response> {
    let category = categories::update(&node, &caller, &id, change, &expected).await?;
    Ok((
        [(header::ETAG, etag(category.version))],
        axum::Json(category),
    )
        .into_response())
}

/// Deletes a category that holds no room.
#[utoipa::path(delete, path = "/v1/categories/{id}", tag = "categories", security(("bearer" = [])), params(("id" = String, Path), IfMatchParams),
    responses((status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn delete(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode> {
    categories::delete(&node, &caller, &id, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
