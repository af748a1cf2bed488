//! The in-place upgrade of a proxy: what becomes of it when something goes wrong, and what moves with it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use postern_tests::raw::{self, End};
use postern_tests::{LogLine, Pod, Process, binary, wait};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::scene::{self, Scene};

const SOON: Duration = Duration::from_secs(20);

/// Waits until a process has said this.
#[track_caller]
fn says(process: &Process, message: &str) {
    wait::until_true(&format!("`{message}`"), || {
        let lines = LogLine::read(&process.stdout());
        lines.iter().any(|line| line.has(&[("message", message)]))
    });
}

/// The cart is still served, by the process that served it before.
#[track_caller]
fn goes_on(scene: &Scene) {
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    assert!(scene.cart.is_ready());
    assert_eq!(scene.cart.with_proxy(Process::ended), None);
}

/// A successor without a certificate, which is never ready.
fn unready(cart: &Pod, name: &str) -> Process {
    cart.configure(&json!({"identity": {"files": {"certificate": "/run/postern/later.pem"}}}));
    let successor = cart.start_successor(name);
    says(&successor, "taking over");
    successor
}

fn repair(cart: &Pod) {
    cart.configure(&json!({"identity": {"files": {"certificate": "/run/postern/svid.pem"}}}));
}

#[test]
fn a_successor_that_fails_changes_nothing() {
    let scene = scene::shop_with(json!({"limits": {"upgradeTimeout": "1s", "drainTimeout": "5s"}}));
    let cart = &scene.cart;

    cart.configure(&json!({"workerz": 2}));
    let mut broken = cart.start_successor("broken");
    assert_eq!(broken.exit_code(SOON), 2);
    assert!(broken.stderr().contains("did you mean `workers`?"), "{}", broken.stderr());
    goes_on(&scene);
    fs::write(
        cart.directory().join("proxy.yaml"),
        fs::read_to_string(cart.directory().join("proxy.yaml"))
            .unwrap()
            .replace("\"workerz\":2,", ""),
    )
    .unwrap();
    cart.configure(&json!({"metrics": {"bind": "192.0.2.1:15020"}}));
    let mut unbound = cart.start_successor("unbound");
    assert_eq!(unbound.exit_code(SOON), 1);
    assert!(unbound.stderr().contains("cannot listen on 192.0.2.1:15020"), "{}", unbound.stderr());
    goes_on(&scene);
    cart.configure(&json!({"metrics": {"bind": "[::]:15020"}}));

    let mut late = unready(cart, "late");
    assert_eq!(late.exit_code(SOON), 1);
    let said = late.stderr();
    assert!(
        said.contains("not ready within 1s (no certificate yet); the running proxy goes on"),
        "{said}"
    );
    goes_on(&scene);

    cart.configure(&json!({"limits": {"upgradeTimeout": "1m"}}));
    unready(cart, "killed").kill();
    goes_on(&scene);

    let mut told_to_end = unready(cart, "told-to-end");
    told_to_end.terminate();
    assert_eq!(told_to_end.exit_code(SOON), 0);
    goes_on(&scene);

    let waits = unready(cart, "waits");
    repair(cart);
    let mut second = cart.start_successor("second");
    assert_eq!(second.exit_code(SOON), 1);
    assert!(second.stderr().contains("another upgrade is under way"), "{}", second.stderr());
    drop(waits);
    goes_on(&scene);

    let mut replaced = cart.upgrade_proxy("good");
    assert_eq!(replaced.exit_code(SOON), 0);
    goes_on(&scene);
}

#[test]
fn a_successor_takes_the_place_of_a_proxy_that_dies() {
    let scene = scene::shop_with(json!({}));
    let cart = &scene.cart;
    let successor = unready(cart, "successor");
    cart.with_proxy(Process::kill);
    says(&successor, "listening");
    let later = cart.directory().join("later.pem");
    fs::copy(cart.directory().join("svid.pem"), later).unwrap();
    wait::until_true("readiness", || cart.is_ready());
    scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
}

#[test]
fn without_a_running_proxy_there_is_nothing_to_take_over() {
    let scene = scene::shop_with(json!({"upgrade": {"socket": "/run/postern/upgrade.sock"}}));
    let cart = &scene.cart;
    let socket = cart.directory().join("upgrade.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600);
    // A second one that takes nothing over would share the ports, and answer half of the calls.
    let config = ["run", "--config", "/run/postern/proxy.yaml"];
    let twice = cart.postern("postern-proxy", &config);
    assert_eq!(twice.code, 1);
    assert!(
        twice.stderr.contains("a running proxy is taken over from with `run --upgrade`"),
        "{}",
        twice.stderr
    );
    goes_on(&scene);
    cart.with_proxy(|proxy| proxy.terminate());
    assert_eq!(cart.with_proxy(|proxy| proxy.exit_code(SOON)), 0);
    assert!(!socket.exists());
    let mut alone = cart.start_successor("alone");
    assert_eq!(alone.exit_code(SOON), 1);
    assert!(
        alone.stderr().contains("no running proxy waits at /run/postern/upgrade.sock"),
        "{}",
        alone.stderr()
    );
    assert!(alone.stderr().contains("start without `--upgrade`"), "{}", alone.stderr());
    cart.configure(&json!({"upgrade": {"socket": "none"}}));
    let mut nowhere = cart.start_successor("nowhere");
    assert_eq!(nowhere.exit_code(SOON), 1);
    assert!(nowhere.stderr().contains("write its `upgrade.socket`"), "{}", nowhere.stderr());
}

#[test]
fn what_is_open_ends_in_order_and_settings_that_are_fixed_at_the_start_change() {
    let scene = scene::shop_with(json!({
        "upgrade": {"socket": "/run/postern/upgrade.sock"},
        "limits": {"drainTimeout": "8s"},
        "inbound": {"listeners": [{"bind": "127.0.0.1:18081", "forward": "127.0.0.1:8080"}]},
    }));
    let Scene { cart, frontend, .. } = &scene;
    let address = cart.at(8080);
    let request = "GET /cart/ann HTTP/1.1\r\nhost: cart:8080\r\n\r\n";
    // Kept open between two requests, and one that asks for nothing more.
    let (mut kept, idle) = frontend.run(async move {
        let open = async || {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let heard = raw::hear(&mut stream, Duration::from_millis(500)).await;
            assert!(
                heard.text().starts_with("HTTP/1.1 200") && heard.end == End::Silent,
                "{heard:?}"
            );
            stream
        };
        (open().await, open().await)
    });
    // The outbound side of the front end, and the inbound side of the cart.
    let of_frontend = frontend.upgrade_proxy("frontend-2");
    cart.configure(&json!({
        "workers": 3,
        "inbound": {"listeners": [{"bind": "127.0.0.1:18082", "forward": "127.0.0.1:8080"}]},
    }));
    let mut of_cart = cart.upgrade_proxy("cart-2");
    let heard = frontend.run(async move {
        kept.write_all(request.as_bytes()).await.unwrap();
        raw::hear(&mut kept, SOON).await
    });
    assert!(heard.text().starts_with("HTTP/1.1 200") && heard.end == End::Closed, "{heard:?}");
    assert!(heard.text().contains("\r\nconnection: close\r\n"), "{heard:?}");
    let connects =
        |port| cart.run(async move { TcpStream::connect(("127.0.0.1", port)).await.is_ok() });
    assert!(connects(18082), "a listener of the new configuration");
    wait::until_true("the listener of the old one to be closed", || !connects(18081));
    assert_eq!(of_cart.exit_code(SOON), 0);
    // The other one waits for a client that asks for nothing, until its grace is over.
    drop((of_frontend, idle));
    let again = [cart.upgrade_proxy("cart-3"), cart.upgrade_proxy("cart-4")];
    goes_on(&scene);
    drop(again);
    cart.with_proxy(|proxy| proxy.terminate());
    assert_eq!(cart.with_proxy(|proxy| proxy.exit_code(SOON)), 0);
}

#[test]
fn a_supervised_proxy_is_upgraded_by_a_signal() {
    let scene = scene::shop();
    let cart = &scene.cart;
    cart.with_proxy(|proxy| proxy.terminate());
    assert_eq!(cart.with_proxy(|proxy| proxy.exit_code(SOON)), 0);
    cart.configure(&json!({"limits": {"drainDelay": "0s", "drainTimeout": "5s"}}));
    let run = ["run", "--supervise", "--config", "/run/postern/proxy.yaml"];
    let mut parent = cart.start_program("parent", &binary("postern-proxy"), &run);
    let served = || scene.frontend.curl("http://cart:8080/cart/ann").expect(200);
    wait::until_true("readiness", || cart.is_ready());
    served();
    let times = |message: &str| {
        let lines = LogLine::read(&parent.stdout());
        lines.iter().filter(|line| line.has(&[("message", message)])).count()
    };
    let ask = || {
        cart.postern("postern-proxy", &["upgrade", "--pid", &parent.id().to_string()]).ok();
    };
    for upgrade in 1..=2 {
        ask();
        wait::until_true("the next one to take over", || times("took over") == upgrade);
        served();
    }
    cart.configure(&json!({"workerz": 2}));
    ask();
    wait::until_true("the parent to tell of it", || parent.stderr().contains("exit status: 2"));
    served();
    assert!(cart.is_ready());
    parent.terminate();
    assert_eq!(parent.exit_code(SOON), 0);
}
