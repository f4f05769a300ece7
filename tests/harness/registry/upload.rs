//! Blob uploads: in one piece, in chunks, or mounted from another repository.

use std::fs::{self, OpenOptions};
use std::io::Write;

use axum::body::Body;
use axum::http::{Response, StatusCode, header};
use http_body_util::BodyExt;

use super::refusal::Refusal;
use super::serve::{Query, empty};
use super::store::Store;

/// `POST /v2/<repo>/blobs/uploads/`
pub(super) async fn begin(
    store: &Store,
    repo: &str,
    query: &Query,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    if let (Some(digest), Some(from)) = (query.get("mount"), query.get("from"))
        && mount(store, repo, digest, from)?
    {
        return created(repo, digest);
    }
    let id = store.begin_upload()?;
    if let Some(digest) = query.get("digest") {
        append(store, &id, body).await?;
        store.finish_upload(repo, &id, digest)?;
        return created(repo, digest);
    }
    progress(repo, &id, 0, StatusCode::ACCEPTED)
}

/// `PATCH`, `PUT`, `GET` and `DELETE` of one upload.
pub(super) async fn go_on(
    store: &Store,
    method: &str,
    (repo, id): (&str, &str),
    query: &Query,
    body: Body,
) -> Result<Response<Body>, Refusal> {
    let path = store.upload_path(id)?;
    let size = fs::metadata(&path)
        .map_err(|_| Refusal::upload_unknown())?
        .len();
    match method {
        "PATCH" => {
            let size = append(store, id, body).await?;
            progress(repo, id, size, StatusCode::ACCEPTED)
        }
        "PUT" => {
            let digest = query
                .get("digest")
                .ok_or_else(|| Refusal::digest_invalid("no digest given"))?;
            append(store, id, body).await?;
            store.finish_upload(repo, id, digest)?;
            created(repo, digest)
        }
        "GET" => progress(repo, id, size, StatusCode::NO_CONTENT),
        "DELETE" => {
            fs::remove_file(path)?;
            Ok(empty(StatusCode::NO_CONTENT))
        }
        _ => Err(Refusal::unsupported()),
    }
}

fn mount(store: &Store, repo: &str, digest: &str, from: &str) -> Result<bool, Refusal> {
    let held = store
        .content()
        .get(from)
        .is_some_and(|source| source.blobs.contains(digest));
    if held {
        store.change(|content| content.entry(repo).blobs.insert(digest.to_owned()))?;
    }
    Ok(held)
}

/// Frames go to disk as they come, so that no upload is held in memory.
async fn append(store: &Store, id: &str, mut body: Body) -> Result<u64, Refusal> {
    let mut file = OpenOptions::new()
        .append(true)
        .open(store.upload_path(id)?)?;
    while let Some(frame) = body.frame().await {
        let frame = frame
            .map_err(|error| Refusal::new(StatusCode::BAD_REQUEST, "UNKNOWN", error.to_string()))?;
        if let Ok(data) = frame.into_data() {
            file.write_all(&data)?;
        }
    }
    Ok(file.metadata()?.len())
}

fn created(repo: &str, digest: &str) -> Result<Response<Body>, Refusal> {
    let response = Response::builder()
        .status(StatusCode::CREATED)
        .header(header::LOCATION, format!("/v2/{repo}/blobs/{digest}"))
        .header("docker-content-digest", digest);
    response
        .body(Body::empty())
        .map_err(|error| Refusal::digest_invalid(error.to_string()))
}

fn progress(
    repo: &str,
    id: &str,
    size: u64,
    status: StatusCode,
) -> Result<Response<Body>, Refusal> {
    let response = Response::builder()
        .status(status)
        .header(header::LOCATION, format!("/v2/{repo}/blobs/uploads/{id}"))
        .header(header::RANGE, format!("0-{}", size.saturating_sub(1)))
        .header("docker-upload-uuid", id);
    response
        .body(Body::empty())
        .map_err(|error| Refusal::digest_invalid(error.to_string()))
}
