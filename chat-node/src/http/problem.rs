//! Errors as RFC 9457 problem details. What is logged is logged here, once.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::error::ChatError;

/// The body of every answer that is not a success.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// A URN that names the kind of problem.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// The kind, for people.
    pub title: &'static str,
    /// The HTTP status again.
    pub status: u16,
    /// What is the matter here.
    pub detail: String,
}

impl From<ChatError> for Problem {
    fn from(error: ChatError) -> Self {
        let (status, kind, title) = match &error {
            ChatError::NotFound { .. } => (404, "urn:holdfast:problem:not-found", "Not found"),
            ChatError::Forbidden { .. } => (403, "urn:holdfast:problem:forbidden", "Not allowed"),
            ChatError::Invalid { .. } => {
                (400, "urn:holdfast:problem:invalid", "The request is wrong")
            }
            ChatError::Conflict { .. } => (409, "urn:holdfast:problem:conflict", "Conflict"),
            ChatError::Stale { .. } => (412, "urn:holdfast:problem:stale", "Changed meanwhile"),
            ChatError::TooLarge { .. } => (413, "urn:holdfast:problem:too-large", "Too large"),
            ChatError::Unauthorized { .. } => {
                (401, "urn:holdfast:problem:unauthorized", "Who are you?")
            }
            ChatError::TooMany { .. } => {
                (429, "urn:holdfast:problem:too-many", "Too many requests")
            }
            ChatError::Unavailable { .. } | ChatError::NotTaken => {
                (503, "urn:holdfast:problem:unavailable", "Not now")
            }
            ChatError::Database(_) => (
                503,
                "urn:holdfast:problem:database",
                "The database does not answer",
            ),
            ChatError::Files(_) => (
                503,
                "urn:holdfast:problem:files",
                "The file store does not answer",
            ),
            ChatError::Internal(_) => (
                500,
                "urn:holdfast:problem:internal",
                "A mistake of the server",
            ),
        };
        let detail = match &error {
            // Statements and addresses are for the log.
            ChatError::Database(_) | ChatError::Files(_) | ChatError::Internal(_) => {
                tracing::error!(error = %error, "a request failed");
                "try again; if it goes on, ask the operator to look into the node's log".into()
            }
            other => other.to_string(),
        };
        Self {
            kind,
            title,
            status,
            detail,
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        match self.status {
            401 => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            // What is left of the body is not read: the connection takes no other request.
            413 => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            429 | 503 => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _other => {}
        }
        response
    }
}

impl IntoResponse for ChatError {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}
