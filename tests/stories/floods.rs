//! HTTP/2 frames in floods, from a peer that the policy lets in; beside each, somebody who is served.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use postern_tests::http2_frames::{self as h2, Kind};
use postern_tests::{Mesh, Pod, Task, tls, wait};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::scene::allow;

/// `concurrentStreams` unless set: what one connection may have under way.
const STREAMS: usize = 100;
/// What the proxy may hold more after a flood than before, in KiB: its limits, and what the allocator keeps.
pub(crate) const GROWTH_KIB: u64 = 16 << 10;
/// How long a flood lasts when nobody ends it.
const FLOOD: Duration = Duration::from_secs(2);

/// A store that the front end may call, and somebody outside with the front end's certificate.
pub(crate) struct Scene {
    pub(crate) store: Pod,
    pub(crate) frontend: Pod,
    pub(crate) flooder: Pod,
    _mesh: Mesh,
}

/// How a flood went.
#[derive(Debug)]
struct Flood {
    /// Whether the proxy closed the connection while it was flooded.
    closed: bool,
    frames: usize,
}

impl Scene {
    pub(crate) fn start() -> Self {
        Self::start_with("http", json!({}))
    }

    /// The same with an app of this protocol, and these keys laid over the store's proxy.yaml.
    pub(crate) fn start_with(protocol: &str, config: Value) -> Self {
        let mesh = Mesh::start();
        mesh.policy("store", &allow("store", "frontend"));
        let store = mesh.pod("store").port(8080, protocol).config(config).start();
        let frontend = mesh.pod("frontend").start();
        let flooder = mesh.pod("flooder").outside().start();
        Self { store, frontend, flooder, _mesh: mesh }
    }

    #[track_caller]
    pub(crate) fn still_serves(&self) {
        let version = "--http2-prior-knowledge";
        self.frontend.curl_with(&[version, "http://store:8080/"]).expect(200);
        assert_eq!(self.store.metrics().sum("postern_panics_total", &[]), 0.0);
    }

    /// Sends what `frames` writes for each number, until the proxy ends the connection or the time is over.
    fn flood(&self, frames: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Task<Flood> {
        let svid = self.store.test_authority().workload("shop", "frontend");
        let address = self.store.at(8080);
        self.flooder.spawn(async move {
            let stream = tls::connect(tls::client(Some(&svid), &["h2"]), address).await.unwrap();
            let (mut read, mut write) = tokio::io::split(stream);
            // Whatever is said back is read and forgotten: the peer that does not read is another test.
            let heard =
                tokio::spawn(
                    async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await },
                );
            let mut sent = 0;
            let all = async {
                write
                    .write_all(&[h2::PREFACE, &h2::settings(&[]), &h2::settings_ack()].concat())
                    .await?;
                for number in 0.. {
                    write.write_all(&frames(number)).await?;
                    sent = number;
                }
                Ok::<_, std::io::Error>(())
            };
            let ended = tokio::time::timeout(FLOOD, all).await.is_ok();
            heard.abort();
            Flood { closed: ended, frames: usize::try_from(sent).unwrap() }
        })
    }

    /// Floods; others are served meanwhile, and memory does not follow.
    #[track_caller]
    fn withstand(
        &self,
        name: &str,
        frames: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static,
    ) -> Flood {
        self.still_serves();
        let before = self.store.with_proxy(|proxy| proxy.resident_kib());
        let flood = self.flood(frames);
        for _ in 0..3 {
            self.still_serves();
        }
        let flood = flood.join();
        let after = self.store.with_proxy(|proxy| proxy.resident_kib());
        assert!(after < before + GROWTH_KIB, "{name}: {before} KiB, then {after} KiB: {flood:?}");
        self.still_serves();
        flood
    }
}

/// An app for both versions of HTTP that takes a moment for each answer and notes the most it ever had to do at once.
pub(crate) fn slow_app(pod: &Pod) -> Arc<AtomicUsize> {
    let most = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&most);
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        let now = Arc::new(AtomicUsize::new(0));
        tokio::spawn(shop::web::serve(listener, move |_| {
            let (one, most) = (Counted::one_more(&now), Arc::clone(&noted));
            async move {
                most.fetch_max(one.all(), Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(50)).await;
                shop::web::text(StatusCode::OK, "done\n")
            }
        }));
    });
    most
}

/// One of those that are being counted, until it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn one_more(all: &Arc<AtomicUsize>) -> Self {
        all.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(all))
    }

    fn all(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Streams are numbered 1, 3, 5 ...
fn stream(number: u32) -> u32 {
    2 * number + 1
}

#[test]
fn s01_reset_floods() {
    let scene = Scene::start();
    let most = slow_app(&scene.store);
    type Frames = fn(u32) -> Vec<u8>;
    let floods: [(&str, Frames); 3] = [
        ("requests that are reset at once", |number| {
            [h2::get(stream(number), "store", "/"), h2::reset(stream(number), h2::CANCEL)].concat()
        }),
        ("requests that make us reset them", |number| {
            [h2::get(stream(number), "store", "/"), h2::window_update(stream(number), 0)].concat()
        }),
        ("requests with a second head", |number| {
            let mut second = h2::get(stream(number), "store", "/");
            second[4] = h2::END_HEADERS;
            [h2::get(stream(number), "store", "/"), second].concat()
        }),
    ];
    for (name, frames) in floods {
        let flood = scene.withstand(name, frames);
        assert!(flood.closed, "{name}: the connection went on: {flood:?}");
        // Those of the flood, and the few who are served beside it.
        let most = most.swap(0, Ordering::Relaxed);
        assert!(most <= STREAMS + 3, "{name}: {most} requests at once at the app");
    }
}

#[test]
fn s03_control_frame_floods() {
    let scene = Scene::start();
    let _most = slow_app(&scene.store);
    type Frames = fn(u32) -> Vec<u8>;
    let floods: [(&str, Frames); 5] = [
        ("PING", |number| h2::frame(Kind::Ping, 0, 0, &u64::from(number).to_be_bytes())),
        ("SETTINGS", |number| h2::settings(&[(h2::INITIAL_WINDOW_SIZE, number % 0xffff)])),
        ("PRIORITY", |number| h2::frame(Kind::Priority, 0, stream(number), &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", |_| h2::window_update(0, 1)),
        ("empty DATA on a request without end", |number| match number {
            // The same request, without END_STREAM: its body follows.
            0 => {
                let mut request = h2::get(1, "store", "/");
                request[4] = h2::END_HEADERS;
                request
            }
            _ => h2::frame(Kind::Data, 0, 1, &[]),
        }),
    ];
    for (name, frames) in floods {
        let flood = scene.withstand(name, frames);
        assert!(flood.frames > 0, "{name}: {flood:?}");
    }
}

/// A body without end.
struct Endless(Counted);

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
        assert!(self.0.all() > 0, "it counts itself");
        Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(&[b'x'; 16 << 10])))))
    }
}

/// An app that speaks HTTP/2 and whose answer to `/endless` never ends; tells how many of those it is writing.
fn endless_app(pod: &Pod) -> Arc<AtomicUsize> {
    let open = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&open);
    pod.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let open = Arc::clone(&counted);
                let service = service_fn(move |request: Request<Incoming>| {
                    let endless = request.uri().path() == "/endless";
                    let body = if endless {
                        Endless(Counted::one_more(&open)).boxed()
                    } else {
                        Empty::new().boxed()
                    };
                    async move { Ok::<_, Infallible>(Response::new(body)) }
                });
                let mut server = http2::Builder::new(TokioExecutor::new());
                server.max_concurrent_streams(1000);
                tokio::spawn(server.serve_connection(TokioIo::new(stream), service));
            }
        });
    });
    open
}

#[test]
fn s05_slow_readers() {
    const CONNECTIONS: usize = 5;
    let scene = Scene::start_with("http2", json!({"limits": {"bodyStallTimeout": "3s"}}));
    let open = endless_app(&scene.store);
    scene.still_serves();
    let before = scene.store.with_proxy(|proxy| proxy.resident_kib());
    let svid = scene.store.test_authority().workload("shop", "frontend");
    let address = scene.store.at(8080);
    let held: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let config = tls::client(Some(&svid), &["h2"]);
            scene.flooder.run(async move {
                let mut connection = tls::connect(config, address).await.unwrap();
                let no_room = h2::settings(&[(h2::INITIAL_WINDOW_SIZE, 0)]);
                let asked =
                    (0..100).flat_map(|number| h2::get(stream(number), "store", "/endless"));
                let bytes: Vec<_> =
                    h2::PREFACE.iter().copied().chain(no_room).chain(asked).collect();
                connection.write_all(&bytes).await.unwrap();
                connection
            })
        })
        .collect();
    wait::until_true("every answer to be under way", || {
        open.load(Ordering::Relaxed) == CONNECTIONS * STREAMS
    });
    scene.still_serves();
    let after = scene.store.with_proxy(|proxy| proxy.resident_kib());
    let streams = u64::try_from(CONNECTIONS * STREAMS).unwrap();
    // `streamBuffer` for each of them at most.
    assert!(after < before + streams * 64 + GROWTH_KIB, "{before} KiB, then {after} KiB");
    wait::until_true("the answers that nobody reads to be given up", || {
        open.load(Ordering::Relaxed) == 0
    });
    drop(held);
    scene.still_serves();
}
