//! Header blocks over HTTP/2 that want to be dear: without end, many fields, and much from few bytes (RFC 7541).

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postern_tests::http2_frames::{self as h2, Kind};
use postern_tests::{tls, wait};
use tokio::io::AsyncWriteExt;

use crate::floods::{self, GROWTH_KIB, Scene};

/// The largest frame that everybody takes (RFC 9113 §4.2).
const FRAME: usize = 16 << 10;
/// A literal field that goes into the table, with a name of its own (RFC 7541 §6.2.1).
const INDEXED_NEW_NAME: u8 = 0x40;
/// The first place in the table that is not static (RFC 7541 §2.3.3), as a whole field (§6.1).
const NEWEST_FIELD: u8 = 0x80 | 62;

/// The length of a string (RFC 7541 §5.1, a prefix of 7 bits).
fn length(of: &[u8]) -> Vec<u8> {
    let mut rest = of.len();
    if rest < 127 {
        return vec![u8::try_from(rest).unwrap()];
    }
    rest -= 127;
    let mut bytes = vec![127];
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
    bytes
}

fn new_field(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[INDEXED_NEW_NAME], &*length(name), name, &*length(value), value].concat()
}

/// The fields that every request has.
fn request() -> Vec<u8> {
    h2::get(1, "store", "/flooded")[9..].to_vec()
}

/// One request with this header block, in as many frames as it needs.
fn in_frames(block: &[u8]) -> Vec<u8> {
    let mut frames = Vec::new();
    let mut parts = block.chunks(FRAME).enumerate().peekable();
    while let Some((number, part)) = parts.next() {
        let kind = if number == 0 { Kind::Headers } else { Kind::Continuation };
        let end = if parts.peek().is_none() { h2::END_HEADERS } else { 0 };
        let more = if number == 0 { h2::END_STREAM } else { 0 };
        frames.extend(h2::frame(kind, end | more, 1, part));
    }
    frames
}

/// A block that never ends, in frames that hold nothing.
fn without_end() -> Vec<u8> {
    let begin = h2::frame(Kind::Headers, h2::END_STREAM, 1, &request());
    [begin, h2::frame(Kind::Continuation, 0, 1, &[]).repeat(200_000)].concat()
}

#[test]
fn s02_header_floods_h2() {
    let scene = Scene::start();
    let served = floods::slow_app(&scene.store);
    scene.still_serves();
    let large = vec![b'y'; 4000];
    let crumbs = |crumb: u8| new_field(b"cookie", &vec![crumb; 4000]);
    let cases: [(&str, Vec<u8>); 4] = [
        ("a block without end", without_end()),
        (
            "a field of 4 KB, a thousand times",
            in_frames(&[request(), new_field(b"x", &large), vec![NEWEST_FIELD; 1000]].concat()),
        ),
        (
            "a cookie in twenty crumbs",
            in_frames(&[request(), (0..20).flat_map(crumbs).collect()].concat()),
        ),
        (
            "ten thousand small fields",
            in_frames(&[request(), new_field(b"x", b"y"), vec![NEWEST_FIELD; 10_000]].concat()),
        ),
    ];
    for (name, frames) in cases {
        refused(&scene, name, frames);
        scene.still_serves();
    }
    assert!(served.load(Ordering::Relaxed) <= 1, "one call at a time was let in");
}

/// The request is answered with 431, or the connection ends; memory does not follow.
#[track_caller]
fn refused(scene: &Scene, name: &str, frames: Vec<u8>) {
    let too_large = || {
        let labels = [("response_code", "431"), ("reason", "headers_too_large")];
        scene.store.metrics().sum("postern_requests_total", &labels)
    };
    let (before, memory) = (too_large(), scene.store.with_proxy(|proxy| proxy.resident_kib()));
    let svid = scene.store.test_authority().workload("shop", "frontend");
    let address = scene.store.at(8080);
    let closed = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&closed);
    // Ends with its pod when the connection is left open.
    drop(scene.flooder.spawn(async move {
        let stream = tls::connect(tls::client(Some(&svid), &["h2"]), address).await.unwrap();
        let (mut read, mut write) = tokio::io::split(stream);
        // The connection may end while we write.
        let _ = write.write_all(&[h2::PREFACE, &h2::settings(&[]), &frames].concat()).await;
        let _ = tokio::io::copy(&mut read, &mut tokio::io::sink()).await;
        end.store(true, Ordering::Relaxed);
    }));
    // Sooner than the deadline of a header: it is the limit that acts.
    let refused = || closed.load(Ordering::Relaxed) || too_large() > before;
    assert!(wait::holds_within(Duration::from_secs(5), refused), "{name}: goes on");
    let after = scene.store.with_proxy(|proxy| proxy.resident_kib());
    assert!(after < memory + GROWTH_KIB, "{name}: {memory} KiB, then {after} KiB");
}
