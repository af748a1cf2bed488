//! What is promised about limits: two proxies that count in one Redis keep one limit; a Redis that is away or slow costs a
//! request next to nothing; a million callers take bounded memory, and nobody else's bucket.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use serde_json::{Value, json};

use super::{Finding, Progress, Size, grouped};
use crate::app::App;
use crate::load::Load;
use crate::mesh::Mesh;
use crate::pod::Pod;
use crate::redis::Redis;
use crate::shop;
use crate::tls;
use crate::wait;

/// How many requests a second are let through.
const RATE: u32 = 100;
/// And how many at once.
const BURST: u32 = 10;
/// How far the admitted requests may be from that.
const MOST_ERROR: f64 = 0.01;
/// What a request may take in all while Redis is away: its 20 ms, and what a busy machine adds.
const SLOWEST: Duration = Duration::from_millis(150);
/// How many callers a proxy keeps apart in the proof of memory.
const KEYS: u32 = 100_000;
/// What they and the flood may cost, MB.
const MOST_MEGABYTES: f64 = 64.0;

/// Two apps behind proxies that count in one Redis, and their caller.
struct Scene {
    mesh: Mesh,
    redis: Redis,
    apps: [Pod; 2],
    frontend: Pod,
}

impl Scene {
    fn start(limits: &Value) -> Self {
        let mesh = Mesh::start();
        let redis = Redis::start(&mesh);
        mesh.policy("limits", &policy(limits));
        let apps = ["cart", "basket"].map(|name| {
            mesh.policy(name, &shop::allow(name, "frontend"));
            let pod = mesh.pod(name).port(8080, "http").app(App::new("shop-cart"));
            pod.config(redis.config()).start()
        });
        let frontend = mesh.pod("frontend").start();
        for app in &apps {
            wait::until_true("the proxy to reach Redis", || up(app));
            wait::until_true("the app to answer", || curl(&frontend, app).0 != 0);
        }
        Self { mesh, redis, apps, frontend }
    }

    /// Load from the front end on both apps, more than the limit lets through.
    fn load(&self) -> Vec<Load> {
        let pace = Duration::from_millis(10);
        let start = |app: &Pod| {
            let host = format!("{}:8080", app.name());
            Load::start_paced(&self.frontend, app.at(8080), &host, "/cart/ann", (2, pace))
        };
        self.apps.iter().map(start).collect()
    }
}

fn policy(spec: &Value) -> String {
    json!({
        "apiVersion": "policy.postern.dev/v1alpha1",
        "kind": "RateLimitPolicy",
        "metadata": {"name": "limits", "namespace": "shop"},
        "spec": spec,
    })
    .to_string()
}

fn in_redis(failure: &str) -> Value {
    json!({
        "limits": [{"name": "shared", "key": "principal", "requests": RATE, "per": "1s", "burst": BURST,
                    "store": "redis"}],
        "onStoreFailure": failure,
        "replicas": 2,
    })
}

fn up(app: &Pod) -> bool {
    app.metrics().sum("postern_rate_limit_store_up", &[]) > 0.0
}

/// The status of one request, and what it took.
fn curl(from: &Pod, app: &Pod) -> (u16, Duration) {
    let url = format!("http://{}:8080/cart/ann", app.name());
    let answer = from.curl_with(&["-w", "\n%{time_total}", &url]);
    let seconds = answer.body.lines().last().and_then(|line| line.parse().ok()).unwrap_or(0.0);
    (answer.status, Duration::from_secs_f64(seconds))
}

/// Load far beyond the limit on both proxies at once: what is admitted is `burst` and then the rate.
pub(crate) fn prove_sharing(size: Size, _: &Progress) -> Finding {
    let scene = Scene::start(&in_redis("deny"));
    // The bucket is to be whole at the beginning.
    wait::pass(Instant::now() + Duration::from_secs(1));
    let begun = Instant::now();
    let load = scene.load();
    wait::pass(begun + Duration::from_secs(size.pick(10, 60)));
    let reports: Vec<_> = load.into_iter().map(Load::finish).collect();
    let took = begun.elapsed().as_secs_f64();
    let requests: u64 = reports.iter().map(|report| report.requests).sum();
    let admitted: u64 = reports.iter().map(|report| report.requests - report.failed).sum();
    let expected = f64::from(RATE) * took + f64::from(BURST);
    let error = (whole(admitted) - expected) / expected;
    let line = format!(
        "limit {RATE} a second of one Redis, kept by two proxies: {} of {} requests in {took:.1} s were admitted, {:+.2} % \
         of what the limit says",
        grouped(admitted),
        grouped(requests),
        error * 100.0,
    );
    Finding { line, good: error.abs() <= MOST_ERROR && whole(requests) > 1.5 * expected }
}

/// Redis is killed, comes back, is held still, and goes on; each policy says what holds meanwhile.
pub(crate) fn prove_outage(size: Size, progress: &Progress) -> Finding {
    let mut words = Vec::new();
    let mut good = true;
    for (failure, expect) in [("local", 200), ("allow", 200), ("deny", 503)] {
        let mut scene = Scene::start(&in_redis(failure));
        let rounds = size.pick(20, 100);
        scene.redis.kill();
        let killed = ask(&scene, rounds);
        scene.redis.start_again();
        for app in &scene.apps {
            wait::until_true("Redis to be back", || up(app));
            // One answer of it may be late on a busy machine, and is then an outage of its own.
            wait::until_true("requests to pass", || curl(&scene.frontend, app).0 == 200);
        }
        scene.redis.hold();
        let held = ask(&scene, rounds);
        scene.redis.go_on();
        for (name, asked) in [("killed", &killed), ("held still", &held)] {
            let others: Vec<_> = asked.statuses.iter().filter(|s| **s != expect).collect();
            good &= asked.slowest <= SLOWEST && others.is_empty();
            let slowest = asked.slowest.as_secs_f64() * 1e3;
            let found = match others.is_empty() {
                true => format!("all {expect}"),
                false => format!("not {expect} but {others:?}"),
            };
            words.push(format!("{name}, {failure}: {found}, slowest {slowest:.0} ms"));
        }
        progress.say(words.last().map_or("", String::as_str));
        drop(scene.mesh);
    }
    Finding { line: format!("outage of Redis: {}", words.join("; ")), good }
}

struct Asked {
    statuses: Vec<u16>,
    slowest: Duration,
}

/// One request after another, slower than the limit.
fn ask(scene: &Scene, rounds: usize) -> Asked {
    let mut asked = Asked { statuses: Vec::new(), slowest: Duration::ZERO };
    let mut pace = wait::Pace::every(Duration::from_millis(25));
    for round in 0..rounds {
        let app = &scene.apps[round % 2];
        let (status, took) = curl(&scene.frontend, app);
        asked.statuses.push(status);
        asked.slowest = asked.slowest.max(took);
        pace.wait();
    }
    asked
}

/// Requests of as many clients as there are, by a hop that is trusted to name them: the table is full long before the end.
pub(crate) fn prove_memory(size: Size, progress: &Progress) -> Finding {
    const LANES: u32 = 4;
    let mesh = Mesh::start();
    mesh.policy("cart", &shop::allow("cart", "frontend"));
    mesh.policy("limits", &policy(&json!({
        "limits": [{"name": "by-address", "key": "clientAddress", "requests": 1, "per": "1d", "burst": 5}],
    })));
    let trusted = format!("{}/ns/shop/sa/frontend", mesh.trust_domain());
    let keys = size.pick(KEYS / 50, KEYS);
    let cart = mesh.pod("cart").port(8080, "http").app(App::new("shop-cart"));
    let cart = cart.config(json!({
        "inbound": {"forwardedFor": {"from": [trusted]}},
        "limits": {"rateLimitKeys": keys},
    }));
    let cart = cart.start();
    // An app's own proxy believes nothing that the app says of others, so the hop is a client with its certificate.
    let hop = mesh.pod("hop").outside().start();
    let tls = tls::client(Some(&mesh.test_authority().workload("shop", "frontend")), &["http/1.1"]);
    let before = resident(&cart);
    let callers = size.pick(20_000, 1_000_000);
    let address = cart.at(8080);
    let lanes = (0..LANES).map(|lane| {
        let tls = Arc::clone(&tls);
        hop.spawn(async move {
            let mut open = connect(address, tls).await;
            let mut admitted = 0u64;
            for caller in (lane..callers).step_by(usize::try_from(LANES).unwrap_or(1)) {
                admitted += u64::from(one(&mut open, caller).await == 200);
            }
            admitted
        })
    });
    let lanes: Vec<_> = lanes.collect();
    let admitted: u64 =
        lanes.into_iter().map(|lane| lane.join_within(Duration::from_secs(1_800))).sum();
    let after = resident(&cart);
    let held = cart.metrics().sum("postern_rate_limit_keys", &[]);
    let known = hop.run(async move { one(&mut connect(address, tls).await, 0).await });
    progress.say(&format!("{admitted} of {callers} were admitted; a known caller then: {known}"));
    let line = format!(
        "callers {} in a table of {}: {held:.0} kept apart, {} admitted, {before:.1} MB before, {after:.1} MB after, a known \
         caller answered {known}",
        grouped(u64::from(callers)),
        grouped(u64::from(keys)),
        grouped(admitted),
    );
    // Everybody who got a bucket once, and the burst of the one bucket that all others share.
    let most = u64::from(keys) + 5;
    let good = held <= f64::from(keys)
        && admitted <= most
        && admitted + 5 >= u64::from(keys)
        && after - before <= MOST_MEGABYTES
        && known == 200;
    Finding { line, good }
}

type Client = SendRequest<Empty<Bytes>>;

async fn connect(address: SocketAddr, tls: Arc<ClientConfig>) -> Client {
    let stream = tls::connect(tls, address).await.expect("the cart takes connections");
    let (client, connection) = handshake(TokioIo::new(stream)).await.expect("a connection");
    tokio::spawn(connection);
    client
}

/// A request for the client of this number; another /64 for each.
async fn one(client: &mut Client, caller: u32) -> u16 {
    let forwarded = format!("2001:db8:{:x}:{:x}::1", caller >> 16, caller & 0xffff);
    let request = Request::get("/cart/ann").header("host", "cart:8080");
    let request = request.header("x-forwarded-for", forwarded).body(Empty::new());
    client.ready().await.expect("the connection stays");
    let answer = client.send_request(request.expect("a plain request")).await;
    let (head, body) = answer.expect("an answer").into_parts();
    let _ = body.collect().await;
    head.status.as_u16()
}

/// The proxy's resident memory, MB.
fn resident(pod: &Pod) -> f64 {
    pod.metrics().sum("process_resident_memory_bytes", &[]) / 1e6
}

#[allow(clippy::cast_precision_loss, reason = "counts of minutes are far below 2^52")]
fn whole(count: u64) -> f64 {
    count as f64
}
