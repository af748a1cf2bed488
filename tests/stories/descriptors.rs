//! No file descriptors left: what is open flows, accepting rests, and everything is well once some are free again.

use std::time::{Duration, Instant};

use postern_tests::{Pod, wait};
use tokio::net::TcpStream;

use crate::bounded::Line;
use crate::scene;

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
