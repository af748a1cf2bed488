//! A WebSocket client inside a pod, and an app for it.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::pod::Pod;

/// How long one message may take.
const DEADLINE: Duration = Duration::from_secs(20);

/// An open WebSocket.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
}

/// Opens a WebSocket.
///
/// # Errors
/// In words: the HTTP status of a refusal with its reason, or what broke.
pub async fn open(address: SocketAddr, url: &str) -> Result<Socket, String> {
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let opened =
        timeout(DEADLINE, client_async(url, stream)).await.map_err(|_| "no answer".to_owned())?;
    match opened {
        Ok((stream, _)) => Ok(Socket { stream }),
        Err(Error::Http(answer)) => {
            let reason =
                answer.headers().get("x-postern-reason").and_then(|reason| reason.to_str().ok());
            Err(format!("{} {}", answer.status().as_u16(), reason.unwrap_or("")).trim().to_owned())
        }
        Err(error) => Err(error.to_string()),
    }
}

impl Socket {
    /// Sends a text and returns the next text that comes; an error in words when the socket ended instead.
    ///
    /// # Errors
    /// The end of the socket.
    pub async fn ask(&mut self, text: &str) -> Result<String, String> {
        self.stream.send(Message::text(text)).await.map_err(|error| error.to_string())?;
        self.next().await
    }

    /// The next text.
    ///
    /// # Errors
    /// The end of the socket, or silence for 20 seconds.
    pub async fn next(&mut self) -> Result<String, String> {
        match timeout(DEADLINE, self.stream.next()).await {
            Ok(Some(Ok(Message::Text(text)))) => Ok(text.to_string()),
            Ok(Some(Ok(other))) => Err(format!("{other:?}")),
            Ok(Some(Err(error))) => Err(error.to_string()),
            Ok(None) => Err("closed".to_owned()),
            Err(_) => Err("silent".to_owned()),
        }
    }
}

/// Serves WebSockets on `port` of `pod` that send every text back; it closes with the pod.
pub fn serve_echo(pod: &Pod, port: u16) {
    drop(pod.spawn(async move {
        let listener = TcpListener::bind(("::", port)).await.expect("the app's port is free");
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let Ok(mut socket) = accept_async(stream).await else { return };
                while let Some(Ok(message)) = socket.next().await {
                    // An answer to a close is the library's own.
                    if message.is_text() && socket.send(message).await.is_err() {
                        return;
                    }
                }
            });
        }
    }));
    pod.wait_for_app(port);
}
