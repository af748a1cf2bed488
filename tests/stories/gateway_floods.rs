//! Floods and slow clients at a gateway, whose clients are nobody; beside each, somebody who is served.

use std::sync::Arc;
use std::time::Duration;

use postern_tests::certificates::replace;
use postern_tests::http2_frames::{self as h2, Kind};
use postern_tests::web::WebAuthority;
use postern_tests::{Mesh, Pod, Task, raw};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::floods::GROWTH_KIB;
use crate::gateway_scene::{GatewayScene, gateway_on, policy, target};

const URLS: [&str; 2] = ["https://shop.example/cart/ann", "http://shop.example/cart/ann"];
const HOST: &str = "shop.example";
/// How long a flood lasts that nobody has to end.
const FLOOD: Duration = Duration::from_secs(2);
/// The longest that anything here may take: far more than every deadline that is shown.
const PATIENCE: Duration = Duration::from_secs(45);
/// The first bytes of a ClientHello that promises 512 more.
const HALF_HELLO: &[u8] = &[0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03];

/// A gateway with a client that floods it, and a neighbour.
struct Scene {
    gateway: GatewayScene,
    neighbour: Pod,
}

/// What is sent next, by its number.
type Frames = fn(u32) -> Vec<u8>;

/// By which listener a client comes.
#[derive(Debug, Clone, Copy)]
enum Door {
    Clear,
    Tls,
}

trait Io: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Io for T {}

impl Door {
    const ALL: [Self; 2] = [Self::Clear, Self::Tls];

    /// How a client of the scene connects, whatever it says then.
    fn opener(self, scene: &Scene, alpn: &str) -> Opener {
        let port = match self {
            Self::Clear => 80,
            Self::Tls => 443,
        };
        let tls = matches!(self, Self::Tls).then(|| scene.gateway.web.believer(None, &[alpn]));
        Opener { at: scene.gateway.edge.at(port), tls }
    }
}

#[derive(Clone)]
struct Opener {
    at: std::net::SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

impl Opener {
    async fn open(&self) -> std::io::Result<Box<dyn Io>> {
        let stream = TcpStream::connect(self.at).await?;
        let Some(config) = &self.tls else { return Ok(Box::new(stream)) };
        let name = ServerName::try_from(HOST).unwrap();
        Ok(Box::new(TlsConnector::from(Arc::clone(config)).connect(name, stream).await?))
    }
}

fn scene(limits: &Value, more: &[(&str, &Value)]) -> Scene {
    let quick = json!({"limits": limits});
    let web = WebAuthority::new("the web");
    let gateway = gateway_on(Mesh::start(), web, more, |edge| edge.config(quick));
    let neighbour = gateway.mesh.pod("neighbour").outside().start();
    replace(&neighbour.directory().join("web.pem"), &gateway.web.pem());
    Scene { gateway, neighbour }
}

impl Scene {
    #[track_caller]
    fn still_serves(&self) {
        for url in URLS {
            self.gateway.get_as(&self.neighbour, url, &["--max-time", "60"]).expect(200);
        }
        assert_eq!(self.gateway.edge.metrics().sum("postern_panics_total", &[]), 0.0);
    }

    fn resident_kib(&self) -> u64 {
        self.gateway.edge.with_proxy(|proxy| proxy.resident_kib())
    }

    /// Sends what `frames` writes for each number, until the gateway ends the connection or the time is over. Others are
    /// served meanwhile, and memory does not follow. Whether the gateway has ended it.
    #[track_caller]
    fn withstand(&self, door: Door, name: &str, most: Duration, frames: Frames) -> bool {
        self.still_serves();
        let before = self.resident_kib();
        let opener = door.opener(self, "h2");
        let flood = self.gateway.client.spawn(async move {
            let (mut read, mut write) = tokio::io::split(opener.open().await.unwrap());
            // Whatever is said back is read and forgotten: the client that does not read is another test.
            let heard =
                tokio::spawn(
                    async move { tokio::io::copy(&mut read, &mut tokio::io::sink()).await },
                );
            let all = async {
                write
                    .write_all(&[h2::PREFACE, &h2::settings(&[]), &h2::settings_ack()].concat())
                    .await?;
                for number in 0.. {
                    write.write_all(&frames(number)).await?;
                }
                Ok::<_, std::io::Error>(())
            };
            let ended = tokio::time::timeout(most, all).await.is_ok();
            heard.abort();
            ended
        });
        self.still_serves();
        let ended = flood.join_within(2 * PATIENCE);
        let after = self.resident_kib();
        assert!(after < before + GROWTH_KIB, "{name} {door:?}: {before} KiB, then {after} KiB");
        self.still_serves();
        ended
    }

    /// Opens this many connections that each say this and then nothing. What each was told until the gateway ended it;
    /// `None`: it did not.
    fn say_and_wait(&self, door: Door, many: usize, said: &[u8]) -> Task<Vec<Option<String>>> {
        let opener = door.opener(self, "http/1.1");
        let said: Arc<[u8]> = said.into();
        self.gateway.client.spawn(async move {
            let mut all = tokio::task::JoinSet::new();
            for _ in 0..many {
                let (opener, said) = (opener.clone(), Arc::clone(&said));
                all.spawn(async move {
                    // Where it is ended before it has begun, that is an end too.
                    let Ok(mut io) = opener.open().await else { return Some(String::new()) };
                    let mut heard = Vec::new();
                    let _ = io.write_all(&said).await;
                    let ended = tokio::time::timeout(PATIENCE, io.read_to_end(&mut heard)).await;
                    ended.is_ok().then(|| String::from_utf8_lossy(&heard).into_owned())
                });
            }
            all.join_all().await
        })
    }
}

/// Streams are numbered 1, 3, 5 ...
fn stream(number: u32) -> u32 {
    2 * number + 1
}

fn get(number: u32) -> Vec<u8> {
    h2::get(stream(number), HOST, "/cart/ann")
}

/// Rapid reset (CVE-2023-44487) and what makes the server reset (CVE-2025-8671).
#[test]
fn s01_reset_floods_at_a_gateway() {
    let scene = scene(&json!({}), &[]);
    let floods: [(&str, Frames); 3] = [
        ("requests that are reset at once", |number| {
            [get(number), h2::reset(stream(number), h2::CANCEL)].concat()
        }),
        ("requests that make us reset them", |number| {
            [get(number), h2::window_update(stream(number), 0)].concat()
        }),
        ("requests with a second head", |number| {
            let mut second = get(number);
            second[4] = h2::END_HEADERS;
            [get(number), second].concat()
        }),
    ];
    for door in Door::ALL {
        for (name, frames) in floods {
            assert!(scene.withstand(door, name, PATIENCE, frames), "{name} {door:?}: it went on");
        }
    }
}

/// A header block without end, in frames that hold nothing (CVE-2024-27316 and its kin).
#[test]
fn s02_header_floods_without_end_at_a_gateway() {
    let scene = scene(&json!({}), &[]);
    for door in Door::ALL {
        let ended = scene.withstand(door, "CONTINUATION", PATIENCE, |number| match number {
            0 => {
                let mut head = get(0);
                head[4] = h2::END_STREAM;
                head
            }
            _ => h2::frame(Kind::Continuation, 0, 1, &[]).repeat(1_000),
        });
        assert!(ended, "{door:?}: it went on");
    }
}

#[test]
fn s03_control_frame_floods_at_a_gateway() {
    let scene = scene(&json!({}), &[]);
    let floods: [(&str, Frames); 3] = [
        ("PING", |number| h2::frame(Kind::Ping, 0, 0, &u64::from(number).to_be_bytes())),
        ("SETTINGS", |number| h2::settings(&[(h2::INITIAL_WINDOW_SIZE, number % 0xffff)])),
        ("PRIORITY", |number| h2::frame(Kind::Priority, 0, stream(number), &[0, 0, 0, 0, 1])),
    ];
    for door in Door::ALL {
        for (name, frames) in floods {
            // Whether such a connection goes on is no matter, while it takes nothing from others.
            scene.withstand(door, name, FLOOD, frames);
        }
    }
}

/// Slowloris: heads and bodies that do not go on, and clients that say nothing.
#[test]
fn s49_decompression_and_bodies_slow_clients_at_a_gateway() {
    const MANY: usize = 100;
    let limits = json!({"headerTimeout": "5s", "bodyStallTimeout": "5s"});
    let scene = scene(&limits, &[]);
    let head = "GET /cart/ann HTTP/1.1\r\nhost: shop.example\r\nx-slow: ";
    let body = "POST /cart/ann HTTP/1.1\r\nhost: shop.example\r\ncontent-length: 100\r\n\r\n{";
    let slow = Door::ALL
        .map(|door| [head, body, ""].map(|said| scene.say_and_wait(door, MANY, said.as_bytes())));
    scene.still_serves();
    for (door, slow) in Door::ALL.into_iter().zip(slow) {
        let [heads, bodies, silent] = slow.map(|all| all.join_within(2 * PATIENCE));
        for (name, all) in [("heads", &heads), ("bodies", &bodies), ("silent", &silent)] {
            let ended = all.iter().flatten().count();
            assert_eq!(ended, MANY, "{name} {door:?}: some were held for ever");
        }
        let mut told = bodies.iter().flatten().filter(|heard| !heard.is_empty()).peekable();
        assert!(told.peek().is_some(), "{door:?}: nobody was told");
        for heard in told {
            assert!(heard.starts_with("HTTP/1.1 408 "), "{door:?}: {heard}");
        }
    }
    scene.gateway.edge.expect_log(&[("reason", "header_timeout")]);
    scene.gateway.edge.expect_log(&[("status", "408"), ("reason", "request_body_stalled")]);
    scene.still_serves();
}

#[test]
fn s05_slow_readers_that_open_no_window_at_a_gateway() {
    const STREAMS: u32 = 50;
    let scene = scene(&json!({"bodyStallTimeout": "5s"}), &[]);
    for door in Door::ALL {
        let opener = door.opener(&scene, "h2");
        let resets = scene.gateway.client.spawn(async move {
            let mut io = opener.open().await.unwrap();
            let no_window = h2::settings(&[(h2::INITIAL_WINDOW_SIZE, 0)]);
            let asked: Vec<u8> = (0..STREAMS).flat_map(get).collect();
            io.write_all(&[h2::PREFACE, &no_window, &asked].concat()).await.unwrap();
            tokio::time::timeout(PATIENCE, count_resets(&mut *io, STREAMS)).await
        });
        scene.still_serves();
        assert!(
            resets.join_within(2 * PATIENCE).is_ok(),
            "{door:?}: answers that nobody reads are kept for ever"
        );
        scene.still_serves();
    }
    scene.gateway.edge.expect_log(&[("status", "200"), ("reason", "body_stalled")]);
}

/// Reads until so many streams were reset, or the connection has ended.
async fn count_resets(io: &mut dyn Io, most: u32) {
    let mut resets = 0;
    while resets < most {
        let mut head = [0; 9];
        if io.read_exact(&mut head).await.is_err() {
            return;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        if io.read_exact(&mut payload).await.is_err() {
            return;
        }
        resets += u32::from(head[3] == Kind::ResetStream as u8);
        if head[3] == Kind::Ping as u8 && head[4] == 0 {
            let _ = io.write_all(&h2::frame(Kind::Ping, 1, 0, &payload)).await;
        }
    }
}

#[test]
fn s29_handshake_dos_a_storm_at_a_gateway() {
    const HALVES: usize = 1_000;
    let scene = scene(&json!({"handshakeTimeout": "5s"}), &[]);
    scene.still_serves();
    let at = scene.gateway.edge.at(443);
    let storm = scene.gateway.client.spawn(async move {
        let mut held = Vec::new();
        for _ in 0..HALVES {
            // Past the backlog a connection may be refused: that is an end too.
            let Ok(mut stream) = TcpStream::connect(at).await else { continue };
            if stream.write_all(HALF_HELLO).await.is_ok() {
                held.push(stream);
            }
        }
        let mut silent = 0;
        for stream in &mut held {
            silent += usize::from(raw::hear(stream, PATIENCE).await.end == raw::End::Silent);
        }
        silent
    });
    scene.still_serves();
    assert_eq!(storm.join_within(2 * PATIENCE), 0, "half handshakes that were never closed");
    scene.still_serves();
}

/// Connections from the client's pod that are served and stay open, of so many that are tried; each begins with `first`.
fn hold(scene: &Scene, many: usize, first: &str) -> Vec<TcpStream> {
    let at = scene.gateway.edge.at(80);
    let asked = format!("{first}GET /cart/ann HTTP/1.1\r\nhost: shop.example\r\n\r\n");
    scene.gateway.client.run(async move {
        let mut held = Vec::new();
        for _ in 0..many {
            // One too many is reset, be it before this has noticed that it is open.
            let Ok(mut stream) = TcpStream::connect(at).await else { continue };
            let _ = stream.write_all(asked.as_bytes()).await;
            if matches!(stream.read_u8().await, Ok(b'H')) {
                held.push(stream);
            }
        }
        held
    })
}

#[test]
fn s48_one_address_takes_its_share_of_a_gateways_connections() {
    const MOST: usize = 10;
    let scene = scene(&json!({"clientConnections": MOST}), &[]);
    let held = hold(&scene, 2 * MOST, "");
    assert_eq!(held.len(), MOST, "one address");
    scene.gateway.edge.expect_log(&[("reason", "client_connections")]);
    scene.still_serves();

    let spec = json!({"targetRefs": target(None), "limits": {"connectionsPerAddress": 2 * MOST}});
    let wider = policy("ClientTrafficPolicy", "wider", &spec);
    scene.gateway.change("a wider limit", |mesh| mesh.policy("wider", &wider.to_string()));
    assert_eq!(hold(&scene, 2 * MOST, "").len(), MOST, "those that are open count, too");
    drop(held);
}

/// The client's pod is a load balancer: each of its clients has a share, and it has none for all of them.
#[test]
fn s47_addresses_of_a_load_balancers_clients_each_have_their_share_of_connections() {
    const MOST: usize = 10;
    let scene = scene(&json!({"clientConnections": MOST}), &[]);
    let from = json!([scene.gateway.client.ipv4()]);
    let spec = json!({"targetRefs": target(None), "proxyProtocol": {"from": from}});
    let listed = policy("ClientTrafficPolicy", "balancer", &spec).to_string();
    scene.gateway.change("a load balancer", |mesh| mesh.policy("balancer", &listed));
    let mut held = Vec::new();
    for client in ["198.51.100.7", "198.51.100.8"] {
        let first = format!("PROXY TCP4 {client} 192.0.2.1 56324 80\r\n");
        let served = hold(&scene, 2 * MOST, &first);
        assert_eq!(served.len(), MOST, "{client}");
        held.push(served);
    }
    scene.gateway.edge.expect_log(&[("reason", "client_connections")]);
    scene.still_serves();
}

/// The client's pod is a proxy that names its clients itself: it may have as many connections as it likes.
#[test]
fn s48_a_trusted_proxy_has_no_share_of_a_gateways_connections() {
    const MOST: usize = 10;
    let scene = scene(&json!({"clientConnections": MOST}), &[]);
    let trusted = json!({"trustedProxies": [scene.gateway.client.ipv4()]});
    let spec = json!({"targetRefs": target(None), "clientAddress": {"xForwardedFor": trusted}});
    let policy = policy("ClientTrafficPolicy", "proxies", &spec).to_string();
    assert_eq!(hold(&scene, 2 * MOST, "").len(), MOST, "nobody trusts it yet");
    scene.gateway.change("a proxy in front", |mesh| mesh.policy("proxies", &policy));
    let held = hold(&scene, 3 * MOST, "");
    assert_eq!(held.len(), 3 * MOST, "it is trusted");
    scene.still_serves();
}
