//! A workload whose clock jumps, its agent and its proxy under libfaketime.

use std::time::Duration;

use postern_tests::{App, Mesh, Pod, shop, wait};

/// Both read the wall clock every 30 s at least.
const TWO_TICKS: Duration = Duration::from_secs(60);

/// How a call fails or succeeds: 200, or the reason.
fn call(frontend: &Pod) -> String {
    let answer = frontend.curl("http://cart:8080/cart/ann");
    if answer.status == 200 { "200".to_owned() } else { answer.reason().to_owned() }
}

struct Scene {
    frontend: Pod,
    cart: Pod,
    _mesh: Mesh,
}

/// A front end with a clock of its own, and a cart that it may call.
fn scene() -> Scene {
    let mesh = Mesh::with_authority();
    shop::install(&mesh, "cart");
    let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
    let frontend = mesh.pod("frontend").own_clock().start();
    assert_eq!(call(&frontend), "200");
    Scene { frontend, cart, _mesh: mesh }
}

impl Scene {
    /// A renewal must fail, and its error must say in these words that the clock is the cause.
    fn expect_named(&self, words: &str) {
        let said = wait::until("the renewal to fail for the clock", wait::PATIENCE, || {
            let renewal = self.frontend.try_renew_certificate();
            if renewal.code == 0 { Err(renewal.stdout) } else { Ok(renewal.stderr) }
        });
        assert!(said.contains(words), "{said}");
    }

    /// With the right time everything works again, without a restart, and nothing happened in plaintext meanwhile.
    fn expect_recovery(&self) {
        self.frontend.set_clock("+0s");
        wait::until("the front end to renew and to be answered", TWO_TICKS, || {
            let (renewal, seen) = (self.frontend.try_renew_certificate(), call(&self.frontend));
            if renewal.code == 0 && seen == "200" { Ok(()) } else { Err(seen + &renewal.stderr) }
        });
        for pod in [&self.frontend, &self.cart] {
            assert_eq!(pod.metrics().sum("postern_panics_total", &[]), 0.0);
        }
        let plaintext = [("mtls", "none")];
        assert_eq!(self.cart.metrics().sum("postern_requests_total", &plaintext), 0.0);
    }
}

#[test]
fn f07_clock_jumps_two_hours_ahead_and_back() {
    let scene = scene();
    scene.frontend.set_clock("+2h");
    // By this clock every certificate has expired.
    wait::until("the front end's calls to be refused", TWO_TICKS, || {
        let seen = call(&scene.frontend);
        if seen == "200" { Err(seen) } else { Ok(()) }
    });
    scene.expect_named("ahead");
    scene.expect_recovery();
}

#[test]
fn f07_clock_jumps_two_hours_behind_and_back() {
    let scene = scene();
    scene.frontend.set_clock("-2h");
    // By this clock no certificate has begun. What is connected stays so; nothing new is believed.
    scene.expect_named("ahead of this clock");
    scene.expect_recovery();
}

#[test]
fn f07_clock_steps_back_by_half_a_minute_and_nothing_happens() {
    let mesh = Mesh::with_authority();
    shop::install(&mesh, "cart");
    let _cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
    let frontend = mesh.pod("frontend").own_clock().start();
    frontend.set_clock("-30s");
    assert_eq!(call(&frontend), "200");
    // Also with a certificate that is signed while the clock is behind.
    frontend.renew_certificate();
    assert_eq!(call(&frontend), "200");
}
