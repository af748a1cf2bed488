//! The certificate's life: issued, renewed under load, and what happens while agent or authority are gone.

use std::time::Duration;

use postern_tests::{App, Load, Mesh, Pod, raw, shop, wait};

use crate::scene;

/// Has the agent renew, and waits until the proxy serves the new certificate.
fn renew(pod: &Pod) {
    let before = pod.metrics().sum("postern_certificate_renewals_total", &[("result", "success")]);
    pod.renew_certificate();
    wait::until_true("the proxy to take the new certificate", || {
        pod.metrics().sum("postern_certificate_renewals_total", &[("result", "success")]) > before
    });
}

#[test]
fn certificates_rotate_under_load_and_no_request_fails() {
    let scene = scene::shop_with_authority();
    let load = Load::start(&scene.frontend, scene.cart.at(8080), "cart:8080", "/cart/ann", 4);
    let first = (scene.frontend.certificate().serial, scene.cart.certificate().serial);
    for _ in 0..4 {
        renew(&scene.cart);
        renew(&scene.frontend);
    }
    load.finish().expect_all_good();
    assert_ne!(first, (scene.frontend.certificate().serial, scene.cart.certificate().serial));
}

#[test]
fn short_lived_certificates_renew_by_themselves_and_no_request_fails() {
    let mesh = Mesh::with_authority_and(&["--allow-short-lifetimes", "--leaf-lifetime", "6s"]);
    shop::install(&mesh, "cart");
    let cart = scene::cart(&mesh);
    let frontend = mesh.pod("frontend").start();
    let load = Load::start(&frontend, cart.at(8080), "cart:8080", "/cart/ann", 2);
    let renewals = |pod: &Pod| {
        pod.metrics().sum("postern_certificate_renewals_total", &[("result", "success")])
    };
    // Five certificates are more than twice the life of one.
    wait::until("five certificates on each side", Duration::from_secs(45), || {
        let seen = (renewals(&cart), renewals(&frontend));
        if seen.0 >= 5.0 && seen.1 >= 5.0 { Ok(()) } else { Err(format!("{seen:?}")) }
    });
    load.finish().expect_all_good();
}

#[test]
fn certificates_in_files_rotate_under_load_and_no_request_fails() {
    let scene = scene::shop();
    let renewals = |pod: &Pod| {
        pod.metrics().sum("postern_certificate_renewals_total", &[("result", "success")])
    };
    let load = Load::start(&scene.frontend, scene.cart.at(8080), "cart:8080", "/cart/ann", 4);
    for _ in 0..3 {
        for pod in [&scene.cart, &scene.frontend] {
            let before = renewals(pod);
            // Key first, then certificate: in between they do not belong together, and the old pair stays.
            scene.mesh.test_authority().workload("shop", pod.name()).write(pod.directory());
            wait::until_true("the proxy to take the new files", || renewals(pod) > before);
        }
    }
    load.finish().expect_all_good();
}

#[test]
fn f01_ca_down_at_start() {
    let mesh = Mesh::with_authority();
    shop::install(&mesh, "cart");
    let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
    mesh.authority().kill();
    let frontend = mesh.pod("frontend").start_unready();
    let answer = wait::until("the proxy to answer", wait::PATIENCE, || {
        let answer = frontend.curl("http://cart:8080/cart/ann");
        if answer.status == 0 { Err(answer.error) } else { Ok(answer) }
    });
    answer.expect_refusal(503, "no_certificate");
    assert!(!frontend.is_ready());
    mesh.authority().start_again();
    frontend.ready();
    frontend.curl("http://cart:8080/cart/ann").expect(200);
    // Nobody came in plaintext meanwhile.
    assert_eq!(cart.metrics().sum("postern_requests_total", &[("mtls", "none")]), 0.0);
}

#[test]
fn f01_ca_down_at_start_refuses_those_who_call_too() {
    let mesh = Mesh::with_authority();
    mesh.authority().kill();
    shop::install(&mesh, "cart");
    let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start_unready();
    let intruder = mesh.pod("intruder").outside().start();
    let address = cart.at(8080);
    let heard = intruder.run(async move {
        raw::say(address, b"GET /cart/ann HTTP/1.1\r\nhost: cart\r\n\r\n").await
    });
    assert_eq!(heard.text(), "");
    assert!(!cart.is_ready());
}

#[test]
fn f02_ca_down_during_renewal() {
    let scene = scene::shop_with_authority();
    let load = Load::start(&scene.frontend, scene.cart.at(8080), "cart:8080", "/cart/ann", 2);
    let before = scene.frontend.certificate();
    scene.mesh.authority().kill();
    assert_ne!(scene.frontend.try_renew_certificate().code, 0, "renewal needs an authority");
    assert_eq!(scene.frontend.certificate().serial, before.serial, "the old certificate is kept");
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    scene.mesh.authority().start_again();
    renew(&scene.frontend);
    assert_ne!(scene.frontend.certificate().serial, before.serial);
    load.finish().expect_all_good();
}

#[test]
fn f06_agent_killed_and_restarted() {
    let scene = scene::shop_with_authority();
    let before = scene.frontend.certificate().serial;
    let load = Load::start(&scene.frontend, scene.cart.at(8080), "cart:8080", "/cart/ann", 2);
    scene.frontend.with_agent(|agent| agent.kill());
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    assert!(scene.frontend.is_ready(), "the certificate is still good");
    // It comes back by its renewal credential: the join token was good once.
    scene.frontend.start_agent();
    wait::until_true("the agent to answer again", || scene.frontend.try_certificate().is_some());
    assert_ne!(scene.frontend.certificate().serial, before, "a fresh key and certificate");
    wait::until_true("the proxy to follow the new agent", || {
        scene.frontend.metrics().sum("postern_certificate_renewals_total", &[("result", "success")])
            >= 2.0
    });
    load.finish().expect_all_good();
}

#[test]
fn s36_local_secrets_and_rights_no_workload_key_on_disk() {
    let scene = scene::shop_with_authority();
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    for pod in [&scene.frontend, &scene.cart] {
        let found = pod.command("grep", &["-rlE", "PRIVATE KEY", "/run/postern"]);
        assert_eq!(found.stdout, "", "a key lies in the pod's directory");
    }
}
