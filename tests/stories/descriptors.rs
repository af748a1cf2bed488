//! File descriptors run out: what is open flows, the last ones are kept for those who need them, and everything is well once some
//! are free again.

use std::time::{Duration, Instant};

use postern_tests::http2_frames as h2;
use postern_tests::{Mesh, Pod, tls, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bounded::Line;
use crate::scene;
use crate::scene::allow;

/// Descriptors that the proxy may have beside those it holds.
const SPARE: usize = 10;

fn open_files(pod: &Pod) -> usize {
    pod.with_proxy(|proxy| proxy.open_files())
}

/// Lets the proxy have this many descriptors from now on.
fn limit_files(pod: &Pod, files: usize) {
    let id = pod.with_proxy(|proxy| proxy.id()).to_string();
    pod.command("prlimit", &["--pid", &id, &format!("--nofile={files}:")]).ok();
}

#[test]
fn f20_fd_exhaustion() {
    let scene = scene::shop();
    let intruder = scene.mesh.pod("intruder").outside().start();
    let line = Line::open(&scene.frontend, &scene.cart);
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    let limit = open_files(&scene.cart) + SPARE;
    limit_files(&scene.cart, limit);
    let address = scene.cart.at(8080);
    let held = intruder.run(async move {
        let mut held = Vec::new();
        for _ in 0..200 {
            if let Ok(stream) = TcpStream::connect(address).await {
                held.push(stream);
            }
        }
        held
    });
    wait::until_true("every descriptor to be used", || open_files(&scene.cart) >= limit);
    let cpu = || scene.cart.with_proxy(|proxy| proxy.cpu_time());
    let (before, start) = (cpu(), Instant::now());
    wait::pass(start + Duration::from_secs(2));
    let used = (cpu() - before).as_secs_f64() / start.elapsed().as_secs_f64();
    // A twentieth of a core is the aim; a debug build on a busy machine gets twice that.
    assert!(used < 0.1, "waiting for descriptors costs {used:.2} of a core");
    drop(held);
    wait::until("a new caller to be served", Duration::from_secs(15), || {
        let answer = scene.frontend.curl("http://cart:8080/cart/ann");
        if answer.status == 200 { Ok(()) } else { Err(format!("{answer:?}")) }
    });
    let spoken = line.stop();
    assert!(spoken.alive, "what was open broke: {spoken:?}");
    assert_eq!(scene.cart.metrics().sum("postern_panics_total", &[]), 0.0);
}

/// A call of the front end's on a connection of its own, from a pod without a proxy; the status line, or what broke.
fn call_anew(from: &Pod, to: &Pod) -> Result<String, String> {
    let svid = to.test_authority().workload("shop", "frontend");
    let address = to.at(8080);
    from.run(async move {
        let config = tls::client(Some(&svid), &["http/1.1"]);
        let mut stream = tls::connect(config, address).await.map_err(|error| error.to_string())?;
        let request = b"GET /cart/ann HTTP/1.1\r\nhost: cart\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.map_err(|error| error.to_string())?;
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).await.map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    })
}

#[test]
fn f20_fd_exhaustion_silent_clients_make_room() {
    let scene = scene::shop();
    let intruder = scene.mesh.pod("intruder").outside().start();
    let caller = scene.mesh.pod("caller").outside().start();
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    let id = scene.cart.with_proxy(|proxy| proxy.id()).to_string();
    scene.cart.command("prlimit", &["--pid", &id, "--nofile=256:256"]).ok();
    let address = scene.cart.at(8080);
    let begun = Instant::now();
    let held = intruder.run(async move {
        let mut held = Vec::new();
        for _ in 0..400 {
            if let Ok(stream) = TcpStream::connect(address).await {
                held.push(stream);
            }
        }
        held
    });
    assert!(held.len() > 200, "the first are not turned away");
    // All of them are there and silent; each of these needs a descriptor, and has it at the first try.
    for _ in 0..20 {
        assert!(scene.cart.is_ready(), "readiness is kept for last");
        scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
        wait::pass(Instant::now() + Duration::from_millis(50));
    }
    // Nobody has to ask for room: the first who comes a moment later finds it.
    assert_eq!(call_anew(&caller, &scene.cart).as_deref(), Ok("HTTP/1.1 200"));
    assert!(begun.elapsed() < Duration::from_secs(10), "before the silent ones end by themselves");
    let labels = [("direction", "inbound"), ("reason", "descriptors")];
    scene.cart.expect_metric("postern_connections_closed_total", &labels);
    let said = scene.cart.with_proxy(|proxy| proxy.stdout());
    let lines = said
        .lines()
        .filter(|l| l.contains("file descriptors run out") || l.contains("cannot accept"));
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    assert!((1..=seconds).contains(&lines.count()), "once a second: {said}");
    drop(held);
    assert_eq!(scene.cart.metrics().sum("postern_panics_total", &[]), 0.0);
}

#[test]
fn a_client_that_asks_for_nothing_has_the_time_of_a_head() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let limits = json!({"limits": {"headerTimeout": "1s"}});
    let store = mesh.pod("store").port(8080, "http").config(limits).start();
    let client = mesh.pod("client").outside().start();
    let svid = store.test_authority().workload("shop", "frontend");
    let address = store.at(8080);
    let ended = |name: &str, alpn: &'static str, said: Vec<u8>, closed: f64| {
        let svid = svid.clone();
        let over = client.run(async move {
            let stream = tls::connect(tls::client(Some(&svid), &[alpn]), address).await;
            let mut stream = stream.unwrap();
            stream.write_all(&said).await.unwrap();
            let end = async { while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {} };
            tokio::time::timeout(Duration::from_secs(10), end).await.is_ok()
        });
        assert!(over, "{name}: still open after ten seconds");
        let labels = [("direction", "inbound"), ("reason", "header_timeout")];
        wait::until_true(name, || {
            store.metrics().sum("postern_connections_closed_total", &labels) >= closed
        });
    };
    ended("HTTP/1.1, nothing at all", "http/1.1", Vec::new(), 1.0);
    ended("HTTP/1.1, a head that never ends", "http/1.1", b"GET / HTTP/1.1\r\n".to_vec(), 2.0);
    let preface = [h2::PREFACE, &h2::settings(&[]), &h2::settings_ack()].concat();
    ended("HTTP/2, no stream, deaf to GOAWAY", "h2", preface, 3.0);
}
