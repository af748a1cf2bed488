//! SIGTERM: what is under way ends well, then the proxy goes.

use std::time::Duration;

use postern_tests::Mesh;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::scene::allow;

#[test]
fn f17_sigterm_in_flight_requests_complete() {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    let store = mesh.pod("store").port(8080, "http").start();
    let frontend = mesh.pod("frontend").start();
    let (arrived, has_arrived) = std::sync::mpsc::channel();
    let (finish, may_finish) = tokio::sync::oneshot::channel::<()>();
    store.run(async move {
        let listener = TcpListener::bind("[::]:8080").await.unwrap();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
            arrived.send(()).unwrap();
            let _ = may_finish.await;
            let _ = stream.write_all(b"done").await;
        });
    });
    let caller = std::thread::scope(|scope| {
        let call = scope.spawn(|| frontend.curl("http://store:8080/"));
        has_arrived.recv_timeout(Duration::from_secs(20)).unwrap();
        store.with_proxy(|proxy| proxy.terminate());
        postern_tests::wait::until_true("the proxy to say that it is ending", || !store.is_ready());
        finish.send(()).unwrap();
        call.join().unwrap()
    });
    assert_eq!(caller.expect(200).body, "halfdone");
    assert_eq!(store.with_proxy(|proxy| proxy.exit_code(Duration::from_secs(40))), 0);
}

#[test]
fn f17_sigterm_of_an_idle_proxy_is_quick_and_clean() {
    let mesh = Mesh::start();
    let store = mesh.pod("store").port(8080, "http").start();
    store.with_proxy(|proxy| proxy.terminate());
    assert_eq!(store.with_proxy(|proxy| proxy.exit_code(Duration::from_secs(40))), 0);
}
