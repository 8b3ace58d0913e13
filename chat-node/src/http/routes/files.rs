//! `/v1/rooms/{id}/files` and `/v1/files/{id}`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::{ChatError, Result};
use crate::files::in_time;
use crate::http::extract::{Auth, Ids, MaybeAuth, Params};
use crate::http::problem::Problem;
use crate::http::{parse_range, range_counts};
use crate::model::FileInfo;
use crate::node::Node;
use crate::ops::files::{self, Download, FileToken, Incoming};

/// The form of an upload.
#[derive(Debug, ToSchema)]
#[allow(dead_code)]
pub(in crate::http) struct UploadForm {
    /// The file, with its name and media type. Under another field's name it is taken too.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A token instead of a bearer token.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DownloadParams {
    /// From `POST /v1/files/{id}/token`.
    token: Option<String>,
}

/// Uploads a file into a room: the form's part that has a file name, whatever its field is called. Two of them are refused, and parts without a file
/// name are ignored.
#[utoipa::path(post, path = "/v1/rooms/{id}/files", tag = "files", security(("bearer" = [])), params(("id" = String, Path)),
    request_body(content = UploadForm, content_type = "multipart/form-data"),
    responses((status = 201, body = FileInfo), (status = "default", body = Problem)))]
pub(in crate::http) async fn upload(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    request: Request,
) -> Result<Response> {
    let mut form = Multipart::from_request(request, &())
        .await
        .map_err(|error| wrong(error.body_text()))?;
    while let Some(field) = in_time(form.next_field())
        .await?
        .map_err(|error| wrong(error.body_text()))?
    {
        let Some(name) = field.file_name().map(str::to_owned) else {
            continue;
        };
        let media_type = field
            .content_type()
            .unwrap_or("application/octet-stream")
            .to_owned();
        let bytes = field.into_stream().boxed();
        let incoming = Incoming { name, media_type };
        let file = files::receive(&node, &caller, &id, incoming, bytes).await?;
        no_further_file(&mut form).await?;
        files::enter(&node, &caller, &id, &file).await?;
        let location = format!("/v1/files/{}", file.id);
        return Ok((
            StatusCode::CREATED,
            [(header::LOCATION, location)],
            axum::Json(file),
        )
            .into_response());
    }
    Err(wrong("has no part with a file name"))
}

fn wrong(problem: impl Into<String>) -> ChatError {
    ChatError::invalid("form", problem)
}

/// Reads the form to its end: a second file must not be left out silently.
async fn no_further_file(form: &mut Multipart) -> Result<()> {
    while let Some(field) = in_time(form.next_field())
        .await?
        .map_err(|error| wrong(error.body_text()))?
    {
        if field.file_name().is_some() {
            let name = field.name().unwrap_or("");
            return Err(wrong(format!("{name:?} is another: one file a request")));
        }
    }
    Ok(())
}

/// Gives out a token that downloads this file from every node for 30 minutes.
#[utoipa::path(post, path = "/v1/files/{id}/token", tag = "files", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = FileToken), (status = "default", body = Problem)))]
pub(in crate::http) async fn token(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
) -> Result<Response> {
    Ok(axum::Json(files::token(&node, &caller, &id).await?).into_response())
}

/// Downloads a file, or a range of it. With `If-Range` and the file's ETag a download that broke off goes on.
#[utoipa::path(get, path = "/v1/files/{id}", tag = "files", security((), ("bearer" = [])), params(("id" = String, Path), DownloadParams,
    ("Range" = Option<String>, Header, description = "`bytes=FIRST-LAST`: one range"), ("If-Range" = Option<String>, Header, description = "The ETag that the range belongs to")),
    responses((status = 200), (status = 206), (status = 416, body = Problem), (status = "default", body = Problem)))]
pub(in crate::http) async fn download(
    State(node): State<Arc<Node>>,
    MaybeAuth(caller): MaybeAuth,
    Ids(id): Ids<String>,
    Params(params): Params<DownloadParams>,
    headers: HeaderMap,
) -> Result<Response> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or(""));
    let (asked, condition) = (text(header::RANGE), text(header::IF_RANGE));
    let mut unsatisfiable = None;
    let range = |file: &FileInfo| {
        let size = u64::try_from(file.size).unwrap_or(0);
        let asked = asked.filter(|_range| range_counts(condition, &etag(file)));
        match parse_range(asked, size) {
            Ok(range) => Ok(range.unwrap_or((0, size))),
            Err(error) => {
                unsatisfiable = Some(size);
                Err(error)
            }
        }
    };
    let outcome = files::download(
        &node,
        caller.as_deref(),
        params.token.as_deref(),
        &id,
        range,
    )
    .await;
    let download = match (outcome, unsatisfiable) {
        (Ok(download), _) => download,
        (Err(error), Some(size)) => {
            let problem = Problem {
                kind: "urn:holdfast:problem:range",
                title: "No such range",
                status: 416,
                detail: error.to_string(),
            };
            return Ok((
                [(header::CONTENT_RANGE, format!("bytes */{size}"))],
                problem,
            )
                .into_response());
        }
        (Err(error), None) => return Err(error),
    };
    Ok(answer(download))
}

/// The bytes of an id never change, and equal bytes have equal tags.
fn etag(file: &FileInfo) -> String {
    format!("\"{}\"", file.sha256)
}

fn answer(download: Download) -> Response {
    let Download {
        file,
        range: (from, to),
        bytes,
    } = download;
    let size = u64::try_from(file.size).unwrap_or(0);
    let whole = (from, to) == (0, size);
    let status = if whole {
        StatusCode::OK
    } else {
        StatusCode::PARTIAL_CONTENT
    };
    let mut response = (status, Body::from_stream(bytes.into_stream())).into_response();
    let headers = response.headers_mut();
    let mut set = |name, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    set(header::CONTENT_LENGTH, (to - from).to_string());
    set(header::ACCEPT_RANGES, "bytes".into());
    set(header::ETAG, etag(&file));
    set(
        header::CONTENT_DISPOSITION,
        format!(
            "attachment; filename*=UTF-8''{}",
            percent_encoded(&file.name)
        ),
    );
    set(header::CONTENT_TYPE, file.media_type);
    // What users upload is saved, never run in the page of the server.
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff".into());
    set(header::CONTENT_SECURITY_POLICY, "sandbox".into());
    set(header::CACHE_CONTROL, "private, no-store".into());
    if !whole {
        set(
            header::CONTENT_RANGE,
            format!("bytes {from}-{}/{size}", to - 1),
        );
    }
    response
}

/// A file name as `filename*` takes it (RFC 8187).
fn percent_encoded(name: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(name.len());
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_') {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _infallible = write!(out, "%{byte:02X}");
        }
    }
    out
}
