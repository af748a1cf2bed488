//! Who does not read what was asked for: others on the same hop do not notice, and it ends.

use std::time::{Duration, Instant};

use postern_tests::http2_frames::{self as h2, Kind};
use postern_tests::{Pod, tls, wait};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::crowds::{Crowd, LARGE, SOCKET, SWITCHED, Scene};

const LARGE_ANSWER: &str = "GET /large HTTP/1.1\r\nhost: store:8080\r\n\r\n";
/// Streams of the readers below.
const STREAMS: u32 = 20;
/// A small request beside those that nobody reads: a moment, on a machine that does other things besides. Held up by
/// them it took as long as the first of their deadlines.
const MOMENT: Duration = Duration::from_secs(4);
/// What the proxy may hold of one stream in each direction, and around it, in KiB.
const PER_STREAM_KIB: u64 = 400;

fn resident_kib(pod: &Pod) -> u64 {
    pod.with_proxy(|proxy| proxy.resident_kib())
}

/// Small requests beside this many that nobody reads, and what they cost.
#[track_caller]
fn withstands(many: usize, bytes: impl Into<Vec<u8>>, begun: impl Fn(&Scene, &Crowd)) {
    let scene = Scene::start(json!({}), json!({}));
    scene.small_requests();
    let before = [resident_kib(&scene.store), resident_kib(&scene.frontend)];
    let unread = scene.crowd(many, 8080, bytes, "\r\n\r\n");
    begun(&scene, &unread);
    let longest = scene.small_requests();
    assert!(longest < MOMENT, "beside {many}: a small request took {longest:?}");
    let after = [resident_kib(&scene.store), resident_kib(&scene.frontend)];
    let most = u64::try_from(many).unwrap() * PER_STREAM_KIB + (32 << 10);
    for (before, after) in before.into_iter().zip(after) {
        assert!(after < before + most, "beside {many}: {before} KiB, then {after} KiB");
    }
}

#[test]
fn s05_answers_that_nobody_reads_hold_up_nobody_else() {
    for many in [12, 40, 400] {
        withstands(many, LARGE_ANSWER, |_, unread| unread.all_arrive());
    }
}

#[test]
fn s05_uploads_that_the_app_does_not_read_hold_up_nobody_else() {
    let head =
        format!("POST /unread HTTP/1.1\r\nhost: store:8080\r\ncontent-length: {LARGE}\r\n\r\n");
    let upload = [head.into_bytes(), vec![b'x'; LARGE]].concat();
    for many in [12, 40, 400] {
        withstands(many, upload.clone(), |scene, _| scene.asked(many + 20));
    }
}

#[test]
fn s05_http2_readers_that_open_no_window_are_cut_although_they_live() {
    let quick = json!({"limits": {"bodyStallTimeout": "2s", "pingInterval": "500ms"}});
    let scene = Scene::start(quick.clone(), quick);
    let svid = scene.store.test_authority().workload("shop", "frontend");
    let outsider = scene.store.mesh().pod("outsider").outside().start();
    let address = scene.store.at(8080);
    // The callee's own proxy, and the caller's.
    let callee = outsider.run(async move {
        let config = tls::client(Some(&svid), &["h2"]);
        resets(tls::connect(config, address).await.unwrap()).await
    });
    let caller =
        scene.frontend.run(async move { resets(TcpStream::connect(address).await.unwrap()).await });
    for (side, (resets, pings)) in [("callee", callee), ("caller", caller)] {
        assert_eq!(resets, STREAMS, "{side}");
        assert!(pings > 0, "{side}: the connection was not asked whether it lives");
    }
    for pod in [&scene.store, &scene.frontend] {
        pod.expect_log(&[("kind", "request"), ("status", "200"), ("reason", "body_stalled")]);
    }
}

/// Asks for large answers and opens no window for them, but answers every PING. How many streams were reset, and how
/// many PINGs came, by the time that all of them were.
async fn resets(mut io: impl AsyncRead + AsyncWrite + Unpin) -> (u32, u32) {
    let no_window = h2::settings(&[(h2::INITIAL_WINDOW_SIZE, 0)]);
    let asked = (0..STREAMS).flat_map(|number| h2::get(2 * number + 1, "store:8080", "/large"));
    let hello: Vec<u8> = h2::PREFACE.iter().copied().chain(no_window).chain(asked).collect();
    io.write_all(&hello).await.unwrap();
    let (mut resets, mut pings) = (0, 0);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    while resets < STREAMS {
        let mut head = [0; 9];
        match tokio::time::timeout_at(deadline, io.read_exact(&mut head)).await {
            Ok(Ok(_)) => {}
            _ => return (resets, pings),
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        io.read_exact(&mut payload).await.unwrap();
        if head[3] == Kind::ResetStream as u8 {
            resets += 1;
        } else if head[3] == Kind::Ping as u8 && head[4] == 0 {
            pings += 1;
            io.write_all(&h2::frame(Kind::Ping, 1, 0, &payload)).await.unwrap();
        }
    }
    (resets, pings)
}

#[test]
fn s05_an_http1_reader_that_takes_nothing_is_cut_and_a_socket_may_rest() {
    let quick = json!({"limits": {"bodyStallTimeout": "1s"}});
    let scene = Scene::start(json!({}), quick);
    let address = scene.store.at(8080);
    // It echoes more than anybody buffers, and rests before it reads.
    let socket = scene.frontend.spawn(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(SOCKET.as_bytes()).await.unwrap();
        let mut head = vec![0; 0];
        while !head.ends_with(SWITCHED.as_bytes()) {
            head.push(stream.read_u8().await.unwrap());
        }
        let (mut read, mut write) = stream.into_split();
        let writing = tokio::spawn(async move { write.write_all(&vec![b'x'; 4 * LARGE]).await });
        wait_beyond(Duration::from_secs(4)).await;
        let mut echoed = vec![0; 4 * LARGE];
        let read = read.read_exact(&mut echoed).await.is_ok();
        read && writing.await.unwrap().is_ok()
    });
    let unread = scene.crowd(1, 8080, LARGE_ANSWER, "\r\n\r\n");
    unread.all_arrive();
    wait::until_true("the reader to be cut", || {
        let closed = [("direction", "outbound"), ("reason", "reader_stalled")];
        scene.frontend.metrics().sum("postern_connections_closed_total", &closed) == 1.0
    });
    scene.frontend.expect_log(&[
        ("kind", "request"),
        ("path", "/large"),
        ("reason", "body_stalled"),
    ]);
    assert!(socket.join(), "the socket was cut although its reader may rest");
    unread.leave();
}

/// The reader's rest: longer than an answer may lie unread.
async fn wait_beyond(rest: Duration) {
    tokio::time::sleep_until((Instant::now() + rest).into()).await;
}
