//! The rules that bring traffic to the proxy, and what happens while it is down.

use postern_tests::raw;

use crate::scene;

#[test]
fn f18_sigkill_traffic_stays_captured_while_the_proxy_is_down() {
    let scene = scene::shop();
    let intruder = scene.mesh.pod("intruder").outside().start();
    let address = scene.cart.at(8080);
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    scene.cart.with_proxy(|proxy| proxy.kill());
    let heard = intruder.run(async move {
        raw::say(address, b"GET /cart/ann HTTP/1.1\r\nhost: cart\r\n\r\n").await
    });
    assert_eq!(heard.text(), "", "the app behind a dead proxy answered an intruder");
    let answer = scene.frontend.curl("http://cart:8080/cart/ann");
    assert_ne!(answer.status, 200, "{answer:?}");
    scene.cart.start_proxy();
    scene.cart.ready();
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    scene.frontend.with_proxy(|proxy| proxy.kill());
    scene.frontend.curl("http://cart:8080/cart/ann").expect_nothing();
    scene.frontend.curl_with(&["-6", "http://cart:8080/cart/ann"]).expect_nothing();
    scene.frontend.start_proxy();
    scene.frontend.ready();
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
}

#[test]
fn f33_capture_set_up_is_verified() {
    let scene = scene::shop();
    scene.cart.redirect("verify").ok();
    // Applying twice is applying once.
    scene.cart.redirect("apply").ok();
    scene.cart.redirect("verify").ok();
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    scene.cart.command("nft", &["flush", "chain", "inet", "postern", "inbound"]).ok();
    let verdict = scene.cart.redirect("verify");
    assert!(verdict.code == 1 && !verdict.stderr.is_empty(), "{verdict:?}");
    scene.cart.redirect("apply").ok();
    scene.cart.redirect("verify").ok();
    scene.cart.redirect("remove").ok();
    let verdict = scene.cart.redirect("verify");
    assert_eq!(verdict.code, 1, "{verdict:?}");
}

#[test]
fn s45_wrong_destination_only_the_pods_own_address_is_served() {
    let scene = scene::shop();
    // An app's port that listens on the pod's loopback alone stays private, also to those who are allowed.
    scene.mesh.policy("cart", &scene::allow("cart", "frontend"));
    scene.cart.run(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:7777").await.unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"private\n").await;
            }
        });
    });
    let address = scene.cart.at(7777);
    let heard = scene.frontend.run(async move { raw::say_and_half_close(address, b"").await });
    assert!(!heard.text().contains("private"), "{heard:?}");
}
