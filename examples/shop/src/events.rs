//! The cart's WebSocket: follows cart changes and answers what the page sends.

use futures_util::{SinkExt, StreamExt};
use http::{Request, StatusCode, header};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use crate::cart::Carts;
use crate::web::{Answer, text};

/// Answers a WebSocket handshake (RFC 6455 section 4.2) and serves the socket in a task of its own.
#[must_use]
pub fn upgrade(carts: Carts, mut request: Request<Incoming>) -> Answer {
    let Some(key) = request.headers().get(header::SEC_WEBSOCKET_KEY).cloned() else {
        return text(StatusCode::UPGRADE_REQUIRED, "this is a WebSocket: send an upgrade\n");
    };
    let accept = derive_accept_key(key.as_bytes());
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        if let Ok(stream) = upgraded.await {
            let socket = WebSocketStream::from_raw_socket(TokioIo::new(stream), Role::Server, None);
            follow(carts, socket.await).await;
        }
    });
    let mut answer = text(StatusCode::SWITCHING_PROTOCOLS, "");
    let headers = answer.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.insert(header::CONNECTION, header::HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, header::HeaderValue::from_static("websocket"));
    if let Ok(accept) = header::HeaderValue::from_str(&accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}

/// Sends each cart change, and echoes each text message as `you said: …`, until either side closes.
async fn follow<S>(carts: Carts, mut socket: WebSocketStream<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut changes = carts.changes();
    loop {
        let out = tokio::select! {
            change = changes.recv() => match change {
                Ok(change) => change,
                Err(_) => return,
            },
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => format!("you said: {text}"),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Binary(_))) => continue,
                _ => return,
            },
        };
        if socket.send(Message::text(out)).await.is_err() {
            return;
        }
    }
}
