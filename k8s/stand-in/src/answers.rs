//! The answers, in the shapes of a real API server.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use futures_util::stream;
use http::{Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use serde_json::{Value, json};

use super::store::{ObjectStore, RequestTarget, merge};

/// The body of an answer: whole, or the lines of a watch.
pub type ResponseBody = BoxBody<Bytes, io::Error>;
/// The parameters of a query.
pub type QueryParameters = HashMap<String, String>;

fn answer(status: StatusCode, value: &Value) -> Response<ResponseBody> {
    let body = Full::new(Bytes::from(value.to_string())).map_err(|never| match never {});
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(body.boxed()).unwrap()
}

fn failure(status: StatusCode, reason: &str, message: &str) -> Response<ResponseBody> {
    answer(
        status,
        &json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": message, "reason": reason, "code": status.as_u16(),
        }),
    )
}

/// An unknown group or kind: plain text.
#[must_use]
pub fn no_page() -> Response<ResponseBody> {
    let body =
        Full::new(Bytes::from_static(b"404 page not found\n")).map_err(|never| match never {});
    Response::builder().status(404).header("content-type", "text/plain").body(body.boxed()).unwrap()
}

fn not_found(target: &RequestTarget) -> Response<ResponseBody> {
    let name = target.name.as_deref().unwrap_or_default();
    let message = format!("{} \"{name}\" not found", target.collection);
    failure(StatusCode::NOT_FOUND, "NotFound", &message)
}

/// GET of one object.
///
/// # Panics
/// The target names none.
#[must_use]
pub fn get(store: &ObjectStore, target: &RequestTarget) -> Response<ResponseBody> {
    let name = target.name.as_deref().unwrap();
    match store.get(&target.collection, &target.namespace, name) {
        Some(object) => answer(StatusCode::OK, &object),
        None => not_found(target),
    }
}

/// The selectors that are asked for: one field, and one label that must be there.
fn fits(query: &QueryParameters, object: &Value) -> bool {
    let field = query.get("fieldSelector").and_then(|text| text.split_once('='));
    let has_field = field.is_none_or(|(field, value)| {
        object.pointer(&format!("/{}", field.replace('.', "/"))).is_some_and(|of| of == value)
    });
    let label = query.get("labelSelector");
    has_field && label.is_none_or(|label| !object["metadata"]["labels"][label].is_null())
}

/// GET of a collection, in pages where the client asks for pages.
#[must_use]
pub fn list(
    store: &ObjectStore,
    target: &RequestTarget,
    query: &QueryParameters,
) -> Response<ResponseBody> {
    store.lists.fetch_add(1, SeqCst);
    let from = query.get("continue").and_then(|text| text.parse().ok()).unwrap_or(0usize);
    let limit = query.get("limit").and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let (page, left, version) = store.list(target, |object| fits(query, object), from, limit);
    let mut metadata = json!({"resourceVersion": version.to_string()});
    if left > 0 {
        metadata["continue"] = (from + page.len()).to_string().into();
        metadata["remainingItemCount"] = left.into();
    }
    answer(
        StatusCode::OK,
        &json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": page}),
    )
}

/// POST: refused with 409 where the name is taken.
#[must_use]
pub fn create(
    store: &ObjectStore,
    target: &RequestTarget,
    mut object: Value,
) -> Response<ResponseBody> {
    if !target.namespace.is_empty() {
        object["metadata"]["namespace"] = target.namespace.as_str().into();
    }
    let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    if store.get(&target.collection, &target.namespace, &name).is_some() {
        let message = format!("{} \"{name}\" already exists", target.collection);
        return failure(StatusCode::CONFLICT, "AlreadyExists", &message);
    }
    answer(StatusCode::CREATED, &store.put_in(&target.collection, object))
}

/// PUT: refused with 409 where it names another version than the last one.
///
/// # Panics
/// The target names no object.
#[must_use]
pub fn replace(
    store: &ObjectStore,
    target: &RequestTarget,
    object: Value,
) -> Response<ResponseBody> {
    let name = target.name.as_deref().unwrap();
    let Some(before) = store.get(&target.collection, &target.namespace, name) else {
        return not_found(target);
    };
    if let Some(conflict) = conflict(target, &before, &object) {
        return conflict;
    }
    answer(StatusCode::OK, &store.put_in(&target.collection, object))
}

/// The refusal of a write over another version than the last one.
fn conflict(
    target: &RequestTarget,
    before: &Value,
    written: &Value,
) -> Option<Response<ResponseBody>> {
    let wanted = &written["metadata"]["resourceVersion"];
    if wanted.is_null() || *wanted == before["metadata"]["resourceVersion"] {
        return None;
    }
    let message = format!(
        "Operation cannot be fulfilled on {} \"{}\": the object has been modified; please apply your changes to the \
         latest version and try again",
        target.collection,
        target.name.as_deref().unwrap_or_default()
    );
    Some(failure(StatusCode::CONFLICT, "Conflict", &message))
}

/// PATCH, merged as server-side apply merges; of `status`, where the path says so. Refused with 409 as PUT is.
///
/// # Panics
/// The target names no object.
#[must_use]
pub fn patch(store: &ObjectStore, target: &RequestTarget, patch: Value) -> Response<ResponseBody> {
    let name = target.name.as_deref().unwrap();
    let before = store.get(&target.collection, &target.namespace, name);
    if target.status {
        let Some(mut object) = before else { return not_found(target) };
        if let Some(conflict) = conflict(target, &object, &patch) {
            return conflict;
        }
        merge(&mut object["status"], &patch["status"]);
        return answer(StatusCode::OK, &store.put_in(&target.collection, object));
    }
    let mut object = before.unwrap_or_else(|| patch.clone());
    merge(&mut object, &patch);
    answer(StatusCode::OK, &store.put_in(&target.collection, object))
}

/// DELETE of one object.
///
/// # Panics
/// The target names none.
#[must_use]
pub fn delete(store: &ObjectStore, target: &RequestTarget) -> Response<ResponseBody> {
    let name = target.name.as_deref().unwrap();
    match store.delete(&target.collection, &target.namespace, name) {
        Some(object) => answer(StatusCode::OK, &object),
        None => not_found(target),
    }
}

struct WatchProgress {
    store: Arc<ObjectStore>,
    target: RequestTarget,
    query: QueryParameters,
    version: u64,
    changes: tokio::sync::watch::Receiver<u64>,
    waiting: Vec<Value>,
    over: bool,
}

/// A line for each thing that happened; a bookmark when nothing did for a while.
#[must_use]
pub fn watch(
    store: Arc<ObjectStore>,
    target: RequestTarget,
    query: &QueryParameters,
) -> Response<ResponseBody> {
    let mut version = query.get("resourceVersion").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut waiting = Vec::new();
    if query.get("sendInitialEvents").is_some_and(|send| send == "true") {
        let (objects, _, now) = store.list(&target, |object| fits(query, object), 0, usize::MAX);
        waiting
            .extend(objects.into_iter().map(|object| json!({"type": "ADDED", "object": object})));
        let mut end = bookmark(&target, now);
        end["object"]["metadata"]["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        waiting.push(end);
        version = now;
    }
    let changes = store.changes();
    let query = query.clone();
    let state = WatchProgress { store, target, query, version, changes, waiting, over: false };
    let lines = stream::unfold(state, |mut state| async move {
        let lines = state.next().await?;
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        Some((Ok::<_, io::Error>(Frame::data(Bytes::from(text))), state))
    });
    let response = Response::builder().header("content-type", "application/json");
    response.body(StreamBody::new(sync(lines)).boxed()).unwrap()
}

/// A stream that several threads may hold.
fn sync<S: futures_util::Stream + Send + 'static>(
    stream: S,
) -> impl futures_util::Stream<Item = S::Item> + Send + Sync
where
    S::Item: Send + 'static,
{
    use futures_util::StreamExt as _;
    let (sender, receiver) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        let mut stream = std::pin::pin!(stream);
        while let Some(item) = stream.next().await {
            if sender.send(item).await.is_err() {
                return;
            }
        }
    });
    tokio_stream::wrappers::ReceiverStream::new(receiver)
}

fn bookmark(target: &RequestTarget, version: u64) -> Value {
    let (api_version, _) = target.collection.rsplit_once('/').unwrap();
    json!({"type": "BOOKMARK", "object": {
        "kind": "Bookmark", "apiVersion": api_version,
        "metadata": {"resourceVersion": version.to_string(), "creationTimestamp": null},
    }})
}

impl WatchProgress {
    async fn next(&mut self) -> Option<Vec<Value>> {
        if self.over {
            return None;
        }
        loop {
            if !self.waiting.is_empty() {
                return Some(std::mem::take(&mut self.waiting));
            }
            self.changes.mark_unchanged();
            let Some((happened, now)) = self.store.since(&self.target, self.version) else {
                self.over = true;
                return Some(vec![json!({"type": "ERROR", "object": {
                    "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                    "message": "too old resource version", "reason": "Expired", "code": 410,
                }})]);
            };
            self.version = now;
            let fitting =
                happened.into_iter().filter(|happened| fits(&self.query, &happened.object));
            self.waiting.extend(fitting.map(|h| json!({"type": h.what, "object": h.object})));
            if self.waiting.is_empty() {
                let changed = self.changes.changed();
                if tokio::time::timeout(Duration::from_secs(1), changed).await.is_err() {
                    return Some(vec![bookmark(&self.target, self.version)]);
                }
            }
        }
    }
}
