//! Streams that a peer makes us reset by breaking the protocol on them (CVE-2025-8671,
//! "MadeYouReset"), in frames written by hand.

use std::future::{pending, poll_fn};

use http_body::Body as _;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, DuplexStream};

use crate::http::serve::http2::{begin, http2_builder};
use crate::http::serve::tests::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
/// Flags: END_STREAM (of SETTINGS and PING: ACK), END_HEADERS, PRIORITY.
const END: u8 = 1;
const WHOLE: u8 = 4;
const WITH_PRIORITY: u8 = 0x20;
/// `GET http://h/`, `POST http://h/`, `200` (RFC 7541, appendix A), a length, and some other field.
const GET: &[u8] = &[0x82, 0x86, 0x84, 1, 1, b'h'];
const POST: &[u8] = &[0x83, 0x86, 0x84, 1, 1, b'h'];
const OK: &[u8] = &[0x88];
const LENGTH_5: &[u8] = &[0x0f, 13, 1, b'5'];
const FIELD: &[u8] = &[0, 1, b'a', 1, b'b'];
const CAPITALS: &[u8] = &[0, 1, b'A', 1, b'b'];
/// What `pendingResets` allows unless set.
const ALLOWED: usize = 20;
const TRIES: u32 = 100;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn head(flags: u8, stream: u32, blocks: &[&[u8]]) -> Vec<u8> {
    frame(HEADERS, flags | WHOLE, stream, &blocks.concat())
}

/// A frame's kind, flags, stream and payload; `None` at the end of the connection.
async fn read_frame(io: &mut (impl AsyncRead + Unpin)) -> Option<(u8, u8, u32, Vec<u8>)> {
    let mut head = [0; 9];
    io.read_exact(&mut head).await.ok()?;
    let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    io.read_exact(&mut payload).await.ok()?;
    Some((head[3], head[4], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
}

/// Whether this resets a stream for an error.
fn is_error(kind: u8, payload: &[u8]) -> bool {
    kind == RESET && payload != [0; 4]
}

/// Never answers.
#[derive(Clone)]
struct SilentHandler;

impl Handler for SilentHandler {
    async fn request(&self, _request: Box<Request<Body>>) -> Response<Body> {
        pending().await
    }

    fn malformed(&self, _refusal: GateRefusal) {}

    async fn stream(&self, _head: request::Parts, _stream: ConnectStream) {}
}

/// A client's end of a connection that is served by this.
async fn served(handler: impl Handler) -> DuplexStream {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    tokio::spawn(async move {
        let builder = http2_builder(&Limits::default(), false);
        let mut serving = builder.handshake::<_, Bytes>(theirs).await.unwrap();
        while let Some(Ok((request, respond))) = serving.accept().await {
            begin(handler.clone(), request, respond, &Limits::default());
        }
    });
    let greeting = [PREFACE, &frame(SETTINGS, 0, 0, &[]), &frame(SETTINGS, END, 0, &[])];
    ours.write_all(&greeting.concat()).await.unwrap();
    ours
}

/// The resets for an error that come before the answer to our second PING (that to the first may
/// overtake them) or the end of the connection; and whether it was the end.
async fn hear(io: &mut DuplexStream) -> (usize, bool) {
    let mut resets = 0;
    for _ in 0..2 {
        if io.write_all(&frame(PING, 0, 0, &[0; 8])).await.is_err() {
            return (resets, true);
        }
        loop {
            let Some((kind, flags, _, payload)) = read_frame(io).await else {
                return (resets, true);
            };
            resets += usize::from(is_error(kind, &payload));
            match kind {
                GO_AWAY => return (resets, true),
                PING if flags == END => break,
                _ => {}
            }
        }
    }
    (resets, false)
}

type FrameScript = fn(u32) -> Vec<Vec<u8>>;

#[tokio::test]
async fn s01_reset_floods_that_a_caller_makes_us_send_have_an_end() {
    let rows: [(&str, FrameScript); 10] = [
        ("a second head", |n| vec![head(END, n, &[GET]), head(0, n, &[GET])]),
        ("a second end", |n| vec![head(END, n, &[GET]), head(END, n, &[GET])]),
        ("trailers that are not the end", |n| vec![head(0, n, &[POST]), head(0, n, &[FIELD])]),
        ("a window of nothing more", |n| {
            vec![head(END, n, &[GET]), frame(WINDOW_UPDATE, 0, n, &[0; 4])]
        }),
        ("a window that overflows", |n| {
            vec![head(END, n, &[GET]), frame(WINDOW_UPDATE, 0, n, &[0x7f, 0xff, 0xff, 0xff])]
        }),
        ("more than its length", |n| {
            vec![head(0, n, &[POST, LENGTH_5]), frame(DATA, 0, n, b"abcdef")]
        }),
        ("less than its length", |n| {
            vec![head(0, n, &[POST, LENGTH_5]), frame(DATA, END, n, b"abc")]
        }),
        ("a name in capitals", |n| vec![head(END, n, &[GET, CAPITALS])]),
        ("a stream that depends on itself", |n| {
            vec![head(END | WITH_PRIORITY, n, &[&n.to_be_bytes(), &[16], GET])]
        }),
        ("a priority that depends on itself", |n| {
            let itself = [&n.to_be_bytes()[..], &[16]].concat();
            vec![head(END, n, &[GET]), frame(PRIORITY, 0, n, &itself)]
        }),
    ];
    for (name, frames) in rows {
        let mut io = served(SilentHandler).await;
        let (mut resets, mut ended) = (0, false);
        for stream in (0..TRIES).map(|number| 2 * number + 1) {
            if ended || io.write_all(&frames(stream).concat()).await.is_err() {
                break;
            }
            let (more, over) = hear(&mut io).await;
            (resets, ended) = (resets + more, over);
        }
        assert!(ended && resets <= ALLOWED, "{name}: {resets} resets, ended: {ended}");
    }
}

/// Sends the first frames of each stream, waits for the whole answer, and sends the rest then.
async fn late(streams: u32, first: fn(u32) -> Vec<u8>, rest: fn(u32) -> Vec<u8>) -> (usize, bool) {
    let mut io = served(RefusingHandler).await;
    for stream in (0..streams).map(|number| 2 * number + 1) {
        io.write_all(&first(stream)).await.unwrap();
        loop {
            let Some((kind, flags, of, _)) = read_frame(&mut io).await else { return (0, true) };
            if kind == GO_AWAY {
                return (0, true);
            }
            if of == stream && kind == DATA && flags & END != 0 {
                break;
            }
        }
        if io.write_all(&rest(stream)).await.is_err() {
            return (0, true);
        }
    }
    hear(&mut io).await
}

#[tokio::test]
async fn s01_reset_floods_of_data_for_streams_that_are_over_have_an_end() {
    let (_, ended) =
        late(TRIES, |n| head(END, n, &[GET]), |n| frame(DATA, 0, n, b"more of it")).await;
    assert!(ended);
}

/// Whoever is answered before all is sent cannot know that yet: more of these than anybody may break.
#[tokio::test]
async fn a_body_that_comes_after_its_answer_breaks_nothing() {
    let found = late(500, |n| head(0, n, &[POST]), |n| frame(DATA, END, n, b"the rest")).await;
    assert_eq!(found, (0, false));
}

/// A server that does this to each request, until it hears GOAWAY or `tries` requests have come;
/// gives back the resets that it heard.
async fn hostile(mut io: DuplexStream, frames: FrameScript) -> usize {
    io.read_exact(&mut [0; PREFACE.len()]).await.unwrap();
    io.write_all(&[frame(SETTINGS, 0, 0, &[]), frame(SETTINGS, END, 0, &[])].concat())
        .await
        .unwrap();
    let mut resets = 0;
    while let Some((kind, _, stream, payload)) = read_frame(&mut io).await {
        resets += usize::from(is_error(kind, &payload));
        if kind == HEADERS && io.write_all(&frames(stream).concat()).await.is_err() {
            break;
        }
    }
    resets
}

#[tokio::test]
async fn s04_hostile_upstream_cannot_make_us_reset_without_end() {
    let rows: [(&str, FrameScript); 4] = [
        ("more than its length", |n| {
            vec![head(0, n, &[OK, LENGTH_5]), frame(DATA, 0, n, b"abcdef")]
        }),
        ("less than its length", |n| {
            vec![head(0, n, &[OK, LENGTH_5]), frame(DATA, END, n, b"abc")]
        }),
        ("trailers that are not the end", |n| vec![head(0, n, &[OK]), head(0, n, &[FIELD])]),
        ("a window of nothing more", |n| vec![frame(WINDOW_UPDATE, 0, n, &[0; 4])]),
    ];
    for (name, frames) in rows {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let upstream = tokio::spawn(hostile(theirs, frames));
        let client = H2Client::open(Box::new(ours), &Limits::default()).await.unwrap();
        let mut sent = 0;
        while sent < TRIES && !client.is_closed() {
            let mut request = Request::new(Body::empty());
            *request.uri_mut() = "http://store/".parse().unwrap();
            let Some(place) = client.reserve_stream() else { break };
            let Ok(slot) = place.until_ready().await else { break };
            if let Ok(mut answer) = slot.send(Box::new(request)).await {
                while let Some(Ok(_)) =
                    poll_fn(|cx| std::pin::Pin::new(answer.body_mut()).poll_frame(cx)).await
                {
                }
            }
            sent += 1;
        }
        assert!(client.is_closed(), "{name}: {sent} requests");
        drop(client);
        let resets = upstream.await.unwrap();
        assert!(resets <= ALLOWED, "{name}: {resets} resets");
    }
}
