//! How big the control plane gets: a cluster of ten thousand services, a thousand connected proxies (simulated), one
//! real proxy that uses twenty services. Prints memory and the time until each proxy has a policy edit, and fails when
//! they are above what the design allows.
//!
//! `make prove-cluster`, or `cargo bench -p k8s --bench scale` after `cargo build --release --bins`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub
)]

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use api_server_stand_in::ApiServer;
use api_server_stand_in::objects::{allow, namespace, pod, service, slice};
use controller_harness::{Controller, Proxy, TestTrust, certificate_files};
use serde_json::json;

const SERVICES: u32 = 10_000;
const PROXIES: u32 = 1_000;
const IN_USE: u32 = 20;
const EDITS: usize = 10;
const FIRST_PORT: u16 = 21_000;

/// What the design allows.
const MOST_PROXY_KIB: u64 = 20 * 1024;
const MOST_CONTROLLER_KIB: u64 = 300 * 1024;
const MOST_DELAY: Duration = Duration::from_secs(1);

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("controller") {
        let directory = PathBuf::from(arguments.next().unwrap());
        return runtime().block_on(controller(&directory));
    }
    runtime().block_on(prove());
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// The controller in a process of its own, so that its memory is its own.
async fn controller(directory: &Path) {
    let text = std::fs::read_to_string(directory.join("kubeconfig")).unwrap();
    let file = kube::config::Kubeconfig::from_yaml(&text).unwrap();
    let options = kube::config::KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(file, &options).await.unwrap();
    let client = kube::Client::try_from(config).unwrap();
    let own = certificate_files::read_credentials(directory);
    let max_age = k8s::controller::server::MAX_AGE;
    let controller = Controller::with(client, own, max_age).await;
    controller.synced().await;
    println!("{}", controller.address);
    std::future::pending().await
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn prove() {
    let directory = tempfile::tempdir().unwrap();
    let trust = TestTrust::generate();
    certificate_files::write(&trust, directory.path());
    let api = ApiServer::start().await;
    fill(&api);
    std::fs::write(directory.path().join("kubeconfig"), api.kubeconfig()).unwrap();
    let begun = Instant::now();
    let (controller, address) = start_controller(directory.path());
    println!("{SERVICES} services and pods listed after {:?}", begun.elapsed());
    let controller_before = resident_kib(controller.0.id());

    let mut proxies = Vec::new();
    for number in 0..PROXIES {
        let name = format!("app-{number}");
        let id = format!("spiffe://cluster.local/ns/shop/sa/{name}");
        let uid = format!("uid-{name}");
        let mut proxy = Proxy::connect(address, &trust, &id, (&name, &uid)).await.unwrap();
        proxy.hear().await.unwrap();
        let keys: Vec<String> =
            (0..IN_USE).map(|n| format!("app-{}.shop", (number + n * 37) % SERVICES)).collect();
        proxy.ask(&keys.iter().map(String::as_str).collect::<Vec<_>>()).await;
        proxy.hear().await.unwrap();
        assert_eq!(proxy.services.len(), keys.len());
        proxies.push(proxy);
    }
    let delays = edits(&api, proxies).await;
    let controller_kib = resident_kib(controller.0.id());
    println!(
        "controller: {} MiB with {SERVICES} services, {} MiB with {PROXIES} proxies connected",
        controller_before / 1024,
        controller_kib / 1024
    );
    let slowest = delays.iter().max().copied().unwrap();
    println!("policy edit to the last of {PROXIES} proxies, {EDITS} edits: {delays:?}");

    let (before, after) = real_proxy(directory.path(), address, &trust).await;
    println!(
        "proxy: {:.1} MiB at the start, {:.1} MiB with {IN_USE} of {SERVICES} services in use",
        mib(before),
        mib(after)
    );
    assert!(controller_kib <= MOST_CONTROLLER_KIB, "the controller is too big");
    assert!(slowest <= MOST_DELAY, "an edit takes too long");
    assert!(after <= MOST_PROXY_KIB, "the proxy is too big");
}

#[allow(clippy::cast_precision_loss)]
fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn address_of(number: u32) -> String {
    Ipv4Addr::from(0x0a01_0000 + number).to_string()
}

/// One pod and one service each, and a policy in force.
fn fill(api: &ApiServer) {
    api.put(namespace("shop", true));
    for number in 0..SERVICES {
        let name = format!("app-{number}");
        let ip = address_of(number);
        api.put(pod("shop", &name, &name, &ip));
        let cluster_ip = Ipv4Addr::from(0x0a60_0000 + number).to_string();
        api.put(service("shop", &name, &cluster_ip, 80));
        api.put(slice("shop", &name, &[(&ip, &name)]));
    }
    api.put(allow("shop", "edited", &["cluster.local/ns/shop/sa/nobody"]));
}

fn start_controller(directory: &Path) -> (Killed, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("controller").arg(directory).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (Killed(child), line.trim().parse().expect("the controller says where it is"))
}

/// Edits the policy again and again; each time the delay of the last proxy.
async fn edits(api: &ApiServer, proxies: Vec<Proxy>) -> Vec<Duration> {
    const POLICY: &str = "AuthorizationPolicy/shop/edited";
    let (heard, mut ears) = tokio::sync::mpsc::channel::<(String, Instant)>(4096);
    for mut proxy in proxies {
        let heard = heard.clone();
        tokio::spawn(async move {
            let mut last = proxy.versions.get(POLICY).cloned();
            while proxy.hear().await.is_ok() {
                let now = proxy.versions.get(POLICY).cloned();
                if now != last {
                    let principal = proxy.policies[POLICY].to_string();
                    let _ = heard.send((principal, Instant::now())).await;
                    last = now;
                }
            }
        });
    }
    let mut delays = Vec::new();
    for edit in 0..EDITS {
        let principal = format!("cluster.local/ns/shop/sa/edit-{edit}");
        let edited = Instant::now();
        api.put(allow("shop", "edited", &[&principal]));
        let mut left = PROXIES;
        let mut last = edited;
        while left > 0 {
            let next = tokio::time::timeout(Duration::from_secs(20), ears.recv()).await;
            let (seen, at) = next.expect("every proxy hears of it").unwrap();
            if seen.contains(&principal) {
                left -= 1;
                last = at;
            }
        }
        delays.push(last - edited);
    }
    delays
}

/// A real proxy whose app calls twenty services; its memory before and after.
async fn real_proxy(directory: &Path, controller: SocketAddr, trust: &TestTrust) -> (u64, u64) {
    let id = "spiffe://cluster.local/ns/shop/sa/app-1";
    certificate_files::write_svid(trust, directory, id);
    let port = |number: u32| FIRST_PORT + u16::try_from(number).unwrap();
    let listeners: Vec<_> = (0..IN_USE)
        .map(|number| {
            json!({
                "bind": format!("127.0.0.1:{}", port(number)),
                "service": format!("app-{}.shop.svc.cluster.local", number * 400 + 7),
                "port": 80,
            })
        })
        .collect();
    let at = |name: &str| directory.join(name);
    let config = json!({
        "workload": {"namespace": "shop", "serviceAccount": "app-1"},
        "identity": {"files": {
            "certificate": at("svid.pem"), "key": at("key.pem"), "bundle": at("bundle.pem"),
        }},
        "resources": {"controller": {
            "address": controller.to_string(),
            "identity": controller_harness::trust::CONTROLLER,
            "pod": {"name": "app-1", "uid": "uid-app-1"},
        }},
        "inbound": {"bind": "none"},
        "outbound": {"bind": "none", "listeners": listeners},
        "admin": {"bind": "127.0.0.1:21100"},
        "metrics": {"bind": "none"},
        "readiness": {"bind": "none"},
    });
    std::fs::write(at("proxy.yaml"), config.to_string()).unwrap();
    let mut command = Command::new(program("postern-proxy"));
    command.arg("run").arg("--config").arg(at("proxy.yaml"));
    let log = std::fs::File::create(at("proxy.log")).unwrap();
    let proxy = Killed(command.stdout(log).spawn().unwrap());
    let log = || std::fs::read_to_string(at("proxy.log")).unwrap_or_default();
    controller_harness::until("the proxy to be ready", || log().contains("\"ready\"")).await;
    let before = resident_kib(proxy.0.id());
    for number in 0..IN_USE {
        let target = SocketAddr::from((Ipv4Addr::LOCALHOST, port(number)));
        let mut stream = tokio::net::TcpStream::connect(target).await.unwrap();
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let request = b"GET / HTTP/1.1\r\nhost: app\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        // Nobody is there; that it is known is what counts.
        let mut answer = String::new();
        let _ =
            tokio::time::timeout(Duration::from_secs(3), stream.read_to_string(&mut answer)).await;
        assert!(!answer.contains("destination_unresolved"), "{answer}");
        assert!(!answer.contains("egress_denied"), "{answer}");
    }
    (before, resident_kib(proxy.0.id()))
}

/// A program built beside this one.
fn program(name: &str) -> PathBuf {
    let running = std::env::current_exe().unwrap();
    let mut folders = running.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    folders.find(|file| file.is_file()).expect("build it first: cargo build --release --bins")
}

fn resident_kib(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").trim().parse().unwrap()
}
