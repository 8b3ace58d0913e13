//! `/v1/me`.

use axum::response::{IntoResponse, Response};

use crate::http::extract::Auth;
use crate::http::problem::Problem;
use crate::model::Person;

/// Who the token says the caller is.
#[utoipa::path(get, path = "/v1/me", tag = "users", security(("bearer" = [])),
    responses((status = 200, body = Person), (status = "default", body = Problem)))]
pub(in crate::http) async fn me(Auth(caller): Auth) -> Response {
    axum::Json(caller.person.clone()).into_response()
}
