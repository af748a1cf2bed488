//! The app behind every row: it answers with what it saw, in JSON, and as a query of the request asks.
//!
//! `?status=503` answers so, `&times=2&key=x` only the first two times of that key; `?delay=300` waits so many
//! milliseconds; `?set=name:value` sets a header of the answer. A request to switch to a WebSocket gets every text back.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use postern_tests::Pod;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

/// What the app of one pod has seen so far.
#[derive(Clone)]
pub(crate) struct Echo {
    pod: String,
    namespace: String,
    /// Requests by path, without the query.
    seen: Arc<Mutex<HashMap<String, usize>>>,
    /// How often each key has been refused.
    refused: Arc<Mutex<HashMap<String, usize>>>,
}

/// What is known of the connection that a request came by.
pub(crate) type Connection = Value;

impl Echo {
    /// The app of this pod; nothing is served yet.
    pub(crate) fn of(pod: &Pod, namespace: &str) -> Self {
        Self::named(pod.name(), namespace)
    }

    /// The same, under another name than the pod's.
    pub(crate) fn named(pod: &str, namespace: &str) -> Self {
        Self {
            pod: pod.to_owned(),
            namespace: namespace.to_owned(),
            seen: Arc::default(),
            refused: Arc::default(),
        }
    }

    /// How many requests for this path it has seen.
    pub(crate) fn seen(&self, path: &str) -> usize {
        self.seen.lock().unwrap().get(path).copied().unwrap_or(0)
    }

    /// Serves HTTP/1.1, and HTTP/2 without TLS to those who begin with it, on a port of the pod.
    pub(crate) fn serve(&self, pod: &Pod, port: u16) {
        let echo = self.clone();
        drop(pod.spawn(async move {
            let listener = TcpListener::bind(("::", port)).await.expect("the app's port is free");
            while let Ok((stream, _)) = listener.accept().await {
                let mut begin = [0; 3];
                let echo = echo.clone();
                tokio::spawn(async move {
                    let is_http2 = stream.peek(&mut begin).await.is_ok() && &begin == b"PRI";
                    echo.connection(stream, is_http2, Value::Null).await;
                });
            }
        }));
        pod.wait_for_app(port);
    }

    /// Serves the requests of one connection.
    pub(crate) async fn connection<S>(&self, stream: S, is_http2: bool, connection: Connection)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let connection = Arc::new(connection);
        let echo = self.clone();
        let service = service_fn(move |request| {
            let (echo, connection) = (echo.clone(), Arc::clone(&connection));
            async move { echo.answer(request, &connection).await }
        });
        let io = TokioIo::new(stream);
        // However it ends is the caller's doing.
        if is_http2 {
            let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(io, service).await;
        } else {
            let server = hyper::server::conn::http1::Builder::new();
            let _ = server.serve_connection(io, service).with_upgrades().await;
        }
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        *self.seen.lock().unwrap().entry(request.uri().path().to_owned()).or_default() += 1;
        let wishes = Wishes::of(request.uri().query().unwrap_or(""));
        if request.headers().contains_key(header::UPGRADE) {
            return Ok(switch(request));
        }
        let mut saw = self.saw(&request, connection);
        let body = request.into_body().collect().await.map(|body| body.to_bytes());
        saw["body"] = String::from_utf8_lossy(&body.unwrap_or_default()).into();
        if let Some(delay) = wishes.number("delay") {
            tokio::time::sleep(Duration::from_millis(delay)).await;
        }
        let mut response = Response::new(Full::from(saw.to_string()));
        *response.status_mut() = self.status(&wishes);
        for (name, value) in wishes.headers() {
            response.headers_mut().append(name, value);
        }
        Ok(response)
    }

    fn saw(&self, request: &Request<Incoming>, connection: &Connection) -> Value {
        let mut headers = serde_json::Map::new();
        for name in request.headers().keys() {
            let values = request.headers().get_all(name).iter();
            let values: Vec<_> = values.map(|value| value.to_str().unwrap_or("?")).collect();
            headers.insert(name.to_string(), values.join(",").into());
        }
        let authority = request.uri().authority().map(|authority| authority.as_str());
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        json!({
            "pod": self.pod,
            "namespace": self.namespace,
            "method": request.method().as_str(),
            "path": request.uri().path_and_query().map(|path| path.as_str()),
            "host": host.or(authority),
            "protocol": format!("{:?}", request.version()),
            "headers": headers,
            "connection": connection,
        })
    }

    fn status(&self, wishes: &Wishes) -> StatusCode {
        let Some(status) = wishes.number("status") else { return StatusCode::OK };
        if let Some(times) = wishes.number("times") {
            let mut refused = self.refused.lock().unwrap();
            let count = refused.entry(wishes.text("key").unwrap_or_default()).or_default();
            *count += 1;
            if *count > usize::try_from(times).unwrap() {
                return StatusCode::OK;
            }
        }
        StatusCode::from_u16(u16::try_from(status).unwrap()).unwrap()
    }
}

/// What the query of a request asks the app to do.
struct Wishes(Vec<(String, String)>);

impl Wishes {
    fn of(query: &str) -> Self {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.0.iter().find(|(found, _)| found == name).map(|(_, value)| value.clone())
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.text(name).map(|value| value.parse().expect("a row asks for a number"))
    }

    fn headers(&self) -> Vec<(http::HeaderName, HeaderValue)> {
        let set = self.0.iter().filter(|(name, _)| name == "set");
        let pairs = set.map(|(_, pair)| pair.split_once(':').expect("a header is name:value"));
        pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }
}

/// Agrees to a WebSocket, and sends back what comes.
fn switch(request: Request<Incoming>) -> Response<Full<Bytes>> {
    let key = request.headers().get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let accept = derive_accept_key(key.unwrap_or_default());
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let io = TokioIo::new(upgraded);
        let mut socket = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if !message.is_close() && socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let response = Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept);
    response.body(Full::default()).unwrap()
}
