#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

const SHORT: PageLimits = PageLimits {
    connections: 2,
    head_bytes: limits::LEAST_HEAD,
    head_deadline: Duration::from_secs(5),
    connection_deadline: None,
    unread_deadline: None,
};
/// Longer than anything takes on a busy machine.
const LONG: Duration = Duration::from_secs(10);

/// A server whose `POST /echo` takes 8 bytes and whose `/slow` waits for `released`.
async fn server(limits: PageLimits) -> (SocketAddr, CancellationToken, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, released) = (CancellationToken::new(), CancellationToken::new());
    let release = released.clone();
    let server = PageServer::new(limits).until(stop.clone());
    tokio::spawn(server.serve(listener, move |request: PageRequest| {
        let released = release.clone();
        async move {
            match (request.method(), request.path()) {
                (&Method::GET, "/slow") => {
                    released.cancelled().await;
                    response::text(StatusCode::OK, "at last\n")
                }
                (&Method::POST, "/echo") => match request.body(8).await {
                    Ok(body) => response::page(StatusCode::OK, response::JSON, body),
                    Err(failure) => {
                        response::text(StatusCode::PAYLOAD_TOO_LARGE, format!("{failure:?}\n"))
                    }
                },
                (_, "/echo") => response::method_not_allowed("POST", "POST it\n"),
                _ => response::text(StatusCode::OK, format!("{}\n", request.local_address())),
            }
        }
    }));
    (address, stop, released)
}

async fn dial(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the server closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut answer = Vec::new();
    let read = stream.read_to_end(&mut answer);
    // A reset after the last bytes is an end, too.
    let _ = tokio::time::timeout(LONG, read).await.expect("the server ends the connection");
    String::from_utf8(answer).unwrap()
}

async fn ask(address: SocketAddr, head: &str, body: &str) -> String {
    let request = format!("{head}\r\nhost: a\r\nconnection: close\r\n\r\n{body}");
    rest(dial(address, &request).await).await
}

#[tokio::test]
async fn a_page_is_answered_with_its_type_and_its_body() {
    let (address, ..) = server(SHORT).await;
    let check = async |row: &str, head: &str, body: &str, expect: &[&str]| {
        let answer = ask(address, head, body).await;
        for part in expect {
            assert!(answer.contains(part), "{row}: {part:?} in {answer:?}");
        }
    };
    let local = format!("\r\n\r\n{address}\n");
    check("text", "GET / HTTP/1.1", "", &["200 OK", "content-type: text/plain", &local]).await;
    let head = "POST /echo HTTP/1.1\r\ncontent-length: 8";
    check("a body", head, "01234567", &["200 OK", "application/json", "\r\n\r\n01234567"]).await;
    let head = "POST /echo HTTP/1.1\r\ncontent-length: 9";
    check("too large", head, "012345678", &["413", "TooLarge"]).await;
    check("method", "GET /echo HTTP/1.1", "", &["405", "allow: POST"]).await;
    let head = format!("GET / HTTP/1.1\r\nx: {}", "x".repeat(SHORT.head_bytes));
    check("head too large", &head, "", &["431"]).await;
}

#[tokio::test]
async fn s43_admin_and_debug_silent_connections_keep_nobody_out() {
    let (address, ..) = server(SHORT).await;
    let mut silent = Vec::new();
    for _ in 0..5 {
        silent.push(dial(address, "").await);
    }
    assert!(ask(address, "GET / HTTP/1.1", "").await.contains("200 OK"));
    assert_eq!(rest(silent.remove(0)).await, "", "the oldest has given way");
}

#[tokio::test]
async fn slow_heads_and_old_connections_end() {
    let brief = Duration::from_millis(50);
    let (address, ..) = server(PageLimits { head_deadline: brief, ..SHORT }).await;
    rest(dial(address, "GET / HT").await).await;
    let (address, ..) = server(PageLimits { connection_deadline: Some(brief), ..SHORT }).await;
    assert_eq!(rest(dial(address, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await).await, "");
}

#[tokio::test]
async fn at_the_end_idle_connections_close_and_an_answer_under_way_is_finished() {
    let (address, stop, released) = server(SHORT).await;
    let slow = dial(address, "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n").await;
    // Its own answer shows that the connection before it was accepted.
    let mut idle = dial(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n").await;
    let mut first = [0; 15];
    idle.read_exact(&mut first).await.unwrap();
    stop.cancel();
    rest(idle).await;
    released.cancel();
    assert!(rest(slow).await.ends_with("at last\n"));
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}
