//! Five thousand routes: what they cost the proxy, and how long one more takes to act.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Finding, Progress, Size, grouped};
use crate::app::App;
use crate::load::Load;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::shop;
use crate::wait;

/// Memory that the routes may take, MB. About half of it is what their reading took and the allocator has not given back: its
/// pages return only while the thread that reads allocates.
const MOST_MEGABYTES: f64 = 72.0;

/// For how many seconds memory is watched: jemalloc gives unused pages back after ten, where it does.
const SETTLED_WITHIN: u32 = 15;

/// A route for each of so many hosts, and then one more for the service that is called, under load.
pub(crate) fn prove(size: Size, progress: &Progress) -> Finding {
    let routes = size.pick(500, 5000);
    let mesh = Mesh::start();
    shop::install(&mesh, "cart");
    let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart")).start();
    let frontend = mesh.pod("frontend").start();
    wait::until_true("the cart to answer", || status(&frontend, "/cart/ann") == 200);
    let before = resident(&frontend);
    mesh.policy("many-routes", &many(routes));
    let applied = act(&mesh, &frontend, "/first", "all routes to be in force");
    progress.say(&format!("{routes} routes are in force after {:.0} ms", milliseconds(applied)));
    let (peak, after) = settled(&frontend);
    let load = Load::start(&frontend, cart.at(8080), "cart:8080", "/cart/ann", 4);
    let mut times: Vec<Duration> = (0..size.pick(3, 20))
        .map(|round| act(&mesh, &frontend, &format!("/round-{round}"), "the changed route to act"))
        .collect();
    let report = load.finish();
    times.sort_unstable();
    let median = times.get(times.len() / 2).copied().unwrap_or_default();
    let slowest = times.last().copied().unwrap_or_default();
    let line = format!(
        "routes {} routes from files: {before:.1} MB before, {peak:.1} MB while they are read, {after:.1} MB with them; in \
         force after {:.0} ms, one changed among them after {:.0} ms (median of {}, slowest {:.0} ms) under load: {} \
         requests, {} failed",
        grouped(u64::try_from(routes).unwrap_or_default()),
        milliseconds(applied),
        milliseconds(median),
        times.len(),
        milliseconds(slowest),
        grouped(report.requests),
        grouped(report.failed),
    );
    let good = after - before <= MOST_MEGABYTES && report.requests > 0 && report.failed == 0;
    Finding { line, good }
}

/// Lets the route of the cart take one more path, and waits for it to do so. What is measured includes the look itself,
/// some milliseconds.
fn act(mesh: &Mesh, frontend: &Pod, path: &str, what: &str) -> Duration {
    let matches = |value: &str, kind: &str| json!({"path": {"type": kind, "value": value}});
    let backend = json!([{"name": "cart", "port": 8080}]);
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": "cart", "namespace": "shop"},
        "spec": {
            "parentRefs": [{"group": "", "kind": "Service", "name": "cart"}],
            "rules": [
                {"matches": [matches("/cart", "PathPrefix")], "backendRefs": backend},
                {
                    "matches": [matches(path, "Exact")],
                    "filters": [{"type": "RequestRedirect", "requestRedirect": {"statusCode": 302}}],
                },
            ],
        },
    });
    let begun = Instant::now();
    mesh.policy("cart-route", &route.to_string());
    wait::until(what, Duration::from_secs(60), || match status(frontend, path) {
        302 => Ok(()),
        other => Err(format!("{other}")),
    });
    begun.elapsed()
}

/// Routes of services that nobody calls, each with three rules.
fn many(routes: usize) -> String {
    let mut documents = String::new();
    for number in 0..routes {
        let route = json!({
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": format!("service-{number}"), "namespace": "shop"},
            "spec": {
                "parentRefs": [{"group": "", "kind": "Service", "name": format!("service-{number}")}],
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": format!("/v2/{number}")}}],
                        "filters": [{"type": "URLRewrite", "urlRewrite": {
                            "path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"},
                        }}],
                        "backendRefs": [{"name": format!("service-{number}"), "port": 80}],
                    },
                    {
                        "matches": [{"headers": [{"name": "x-version", "value": "next"}]}],
                        "backendRefs": [{"name": format!("service-{number}-next"), "port": 80}],
                    },
                    {"backendRefs": [
                        {"name": format!("service-{number}"), "port": 80, "weight": 9},
                        {"name": format!("service-{number}-next"), "port": 80, "weight": 1},
                    ]},
                ],
            },
        });
        let _ = write!(documents, "---\n{route}\n");
    }
    documents
}

fn status(pod: &Pod, path: &str) -> u16 {
    pod.curl(&format!("http://cart:8080{path}")).status
}

/// The proxy's memory now, and the least within the next seconds: what the allocator gives back, it gives back by then.
fn settled(pod: &Pod) -> (f64, f64) {
    let peak = resident(pod);
    let mut pace = wait::Pace::every(Duration::from_secs(1));
    let mut least = peak;
    for _ in 0..SETTLED_WITHIN {
        pace.wait();
        least = least.min(resident(pod));
    }
    (peak, least)
}

/// The proxy's resident memory, MB.
fn resident(pod: &Pod) -> f64 {
    pod.metrics().sum("process_resident_memory_bytes", &[]) / 1e6
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
