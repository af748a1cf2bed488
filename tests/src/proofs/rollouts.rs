//! P-04: app and proxy are rolled again and again under many clients, and no request is lost.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Finding, Progress, Size, grouped};
use crate::kubelet::{Cluster, InjectedPod};
use crate::load::{Load, LoadReport};
use crate::wait;

/// The address of the Service `cart`.
const CART: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// Between two requests of a client.
const PACE: Duration = Duration::from_millis(40);
/// How long there is load at least, from the beginning of a rollout.
const AFTERWARDS: Duration = Duration::from_secs(2);

/// Rolls `cart` again and again: a pod is started, the Service is given to it, and the one before is told to end at the
/// same moment. App and proxy of it end together; the app at once, however many connections it has.
pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let (rollouts, clients) = (size.pick(3, 20), size.pick(25, 100));
    // For each rollout.
    let requests: u64 = size.pick(300, 10_000);
    let cluster = Cluster::start();
    cluster.mesh().policy("cart", &crate::shop::allow("cart", "frontend"));
    let mut running = run(&cluster, 0);
    cluster.service("cart", CART, 8080, &[&running]);
    let frontend = cluster.run(&pod("frontend", "frontend", json!({"command": ["sleep", "7200"]})));
    wait::until_true("the service and its policy to be known", || {
        frontend.pod().curl(&format!("http://{CART}:8080/cart/ann")).status == 200
    });
    let mut ended = 0;
    let mut slowest = Duration::ZERO;
    let address = SocketAddr::from((CART, 8080));
    let mut report = LoadReport::default();
    let start = || Load::start_paced(frontend.pod(), address, "cart", "/cart/ann", (clients, PACE));
    for number in 1..=rollouts {
        let load = start();
        let begun = Instant::now();
        let next = run(&cluster, number);
        cluster.service("cart", CART, 8080, &[&next]);
        let end = std::mem::replace(&mut running, next).terminate();
        ended += u64::from(end.codes.iter().all(|(name, code)| name == "app" || *code == 0));
        slowest = slowest.max(end.took);
        wait::pass(begun + AFTERWARDS);
        report = report.plus(load.finish());
        // What the machine was too slow for meanwhile.
        while report.requests < requests * number {
            let load = start();
            wait::pass(Instant::now() + AFTERWARDS);
            report = report.plus(load.finish());
        }
        progress.say(&format!("{number} of {rollouts} rollouts, {} failed", report.failed));
    }
    told(&report, (ended, rollouts, clients), requests, slowest)
}

fn told(
    report: &LoadReport,
    (ended, rollouts, clients): (u64, u64, usize),
    requests: u64,
    slowest: Duration,
) -> Finding {
    let wanted = requests * rollouts;
    let mut line = format!(
        "P-04 {rollouts} rollouts of app and proxy ({ended} ended in order, the slowest in {:.1} s) under {clients} clients \
         with a request every {} ms: {} requests over {} connections, {} failed, no retries",
        slowest.as_secs_f32(),
        PACE.as_millis(),
        grouped(report.requests),
        grouped(report.connections),
        grouped(report.failed),
    );
    if report.requests < wanted {
        line.push_str(&format!("; too few: {} are wanted", grouped(wanted)));
    }
    if let Some(failure) = report.failures.first() {
        line.push_str("; ");
        line.push_str(failure);
    }
    Finding { line, good: report.failed == 0 && report.requests >= wanted && ended == rollouts }
}

fn run(cluster: &Cluster, number: u64) -> InjectedPod {
    let cart = json!({
        "command": ["shop-cart"],
        "ports": [{"name": "http", "containerPort": 8080}],
        "readinessProbe": {"httpGet": {"port": "http", "path": "/cart/probe"}, "periodSeconds": 1},
    });
    let mut pod = cluster.run(&pod(&format!("cart-{number}"), "cart", cart));
    pod.ready();
    pod
}

/// A pod of one container `app`, of its own account, labelled `app`.
fn pod(name: &str, account: &str, mut container: Value) -> Value {
    container["name"] = json!("app");
    container["image"] = json!(account);
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": account}, "annotations": {}},
        "spec": {
            "serviceAccountName": account,
            "terminationGracePeriodSeconds": 30,
            "containers": [container],
        },
    })
}
