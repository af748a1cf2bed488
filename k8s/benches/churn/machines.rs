//! The processes of the measurement: the controller, the proxy that is measured, and a proxy with an app behind it.

use std::io::BufRead as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use api_server_stand_in::ApiServer;
use api_server_stand_in::objects::{namespace, pod, service, slice};
use controller_harness::trust::CONTROLLER;
use controller_harness::{Controller, TestTrust, certificate_files, until};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::Scale;

/// The port of all endpoints.
const APP_PORT: u16 = 8080;
/// Where the app of the measured proxy dials.
const OUTBOUND: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 21_300);
/// The admin page of the measured proxy.
const ADMIN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 21_302);

/// The processes, ended when this is dropped.
pub struct Machines {
    /// Where the app of the measured proxy dials; the `Host` says whom it means.
    pub outbound: SocketAddr,
    measured: Process,
    _server: Process,
    _controller: Process,
    _directory: tempfile::TempDir,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The address of a service's endpoint: of loopback, where nobody is but the first.
pub fn address_of(number: u32) -> String {
    Ipv4Addr::from(0x7f01_0001 + number).to_string()
}

/// The address of the endpoint that comes and goes.
pub fn second_address_of(number: u32) -> String {
    Ipv4Addr::from(0x7f02_0001 + number).to_string()
}

impl Machines {
    /// Fills the cluster and starts everything.
    pub async fn start(api: &ApiServer, trust: &TestTrust, scale: Scale) -> Self {
        let directory = tempfile::tempdir().unwrap();
        fill(api, scale);
        certificate_files::write(trust, directory.path());
        std::fs::write(directory.path().join("kubeconfig"), api.kubeconfig()).unwrap();
        let (controller, address) = start_controller(directory.path());
        println!("{} services, pods and slices listed", scale.services);
        let app = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let app_address = app.local_addr().unwrap();
        tokio::spawn(serve(app));
        let server = server(directory.path(), trust, app_address).await;
        let measured = measured(directory.path(), trust, address).await;
        let outbound = OUTBOUND;
        Self { outbound, measured, _server: server, _controller: controller, _directory: directory }
    }

    /// Waits until the proxy knows of every called service what the cluster says of it.
    pub async fn caught_up(&self, api: &ApiServer, called: u32) {
        let expected: Vec<usize> = (0..called)
            .map(|number| {
                let slices = "discovery.k8s.io/v1/endpointslices";
                let slice = api.get(slices, "shop", &format!("app-{number}-abcde")).unwrap();
                slice["endpoints"].as_array().unwrap().len()
            })
            .collect();
        while self.endpoints(called).await != expected {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// How many endpoints the proxy knows of each called service.
    async fn endpoints(&self, called: u32) -> Vec<usize> {
        let mut stream = tokio::net::TcpStream::connect(ADMIN).await.unwrap();
        let request = b"GET /services HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        let services: Vec<Value> = serde_json::from_str(body).unwrap();
        let count = |number: u32| {
            let host = format!("app-{number}.shop.svc.cluster.local");
            let found = services.iter().find(|service| service["host"] == host.as_str());
            found.map_or(0, |service| service["endpoints"].as_array().unwrap().len())
        };
        (0..called).map(count).collect()
    }

    /// The CPU time of the measured proxy so far, in kernel ticks.
    pub fn cpu_ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.measured.0.id())).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<&str> = fields.split(' ').collect();
        // utime and stime (proc(5)); the state is field 3 and the first here.
        fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum()
    }
}

/// The controller in a process of its own.
pub async fn controller(directory: &Path) {
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

fn fill(api: &ApiServer, scale: Scale) {
    api.put(namespace("shop", true));
    for number in 0..scale.services {
        let (name, ip) = (format!("app-{number}"), address_of(number));
        api.put(pod("shop", &name, &name, &ip));
        if number < scale.called {
            api.put(pod("shop", &format!("{name}-b"), &name, &second_address_of(number)));
        }
        let cluster_ip = Ipv4Addr::from(0x0a60_0000 + number).to_string();
        api.put(service("shop", &name, &cluster_ip, 80));
        api.put(slice("shop", &name, &[(&ip, &name)]));
    }
}

fn start_controller(directory: &Path) -> (Process, SocketAddr) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("controller").arg(directory).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut line = String::new();
    let output = child.stdout.take().unwrap();
    std::io::BufReader::new(output).read_line(&mut line).unwrap();
    (Process(child), line.trim().parse().expect("the controller says where it is"))
}

/// An app that answers every request alike.
async fn serve(app: TcpListener) {
    while let Ok((mut stream, _)) = app.accept().await {
        tokio::spawn(async move {
            let mut bytes = vec![0; 4096];
            while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                if stream.write_all(answer).await.is_err() {
                    return;
                }
            }
        });
    }
}

/// The proxy of the first service.
async fn server(directory: &Path, trust: &TestTrust, app: SocketAddr) -> Process {
    let own = directory.join("server");
    std::fs::create_dir_all(own.join("resources")).unwrap();
    let policy = json!({
        "apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "all", "namespace": "shop"}, "spec": {"rules": [{}]},
    });
    std::fs::write(own.join("resources/all.yaml"), policy.to_string()).unwrap();
    let bind = format!("{}:{APP_PORT}", address_of(0));
    let config = json!({
        "resources": {"directory": own.join("resources")},
        "inbound": {"bind": "none", "listeners": [
            {"bind": bind, "forward": app.to_string(), "protocol": "http"},
        ]},
        "outbound": {"bind": "none"},
        "admin": {"bind": "127.0.0.1:21301"},
    });
    start_proxy(&own, directory, trust, "app-0", config).await
}

/// The proxy that is measured: its app names whom it means in `Host`, and its listener means nobody.
async fn measured(directory: &Path, trust: &TestTrust, controller: SocketAddr) -> Process {
    let own = directory.join("measured");
    std::fs::create_dir_all(&own).unwrap();
    let config = json!({
        "resources": {"controller": {
            "address": controller.to_string(),
            "identity": CONTROLLER,
            "pod": {"name": "app-1", "uid": "uid-app-1"},
        }},
        "inbound": {"bind": "none"},
        "outbound": {"bind": "none", "listeners": [
            {"bind": OUTBOUND.to_string(), "service": "whom-the-host-names.example", "port": 80},
        ]},
        "limits": {"endpointWait": "0s"},
        "admin": {"bind": ADMIN.to_string()},
    });
    start_proxy(&own, directory, trust, "app-1", config).await
}

async fn start_proxy(
    own: &Path,
    directory: &Path,
    trust: &TestTrust,
    account: &str,
    more: Value,
) -> Process {
    certificate_files::write_svid(
        trust,
        own,
        &format!("spiffe://cluster.local/ns/shop/sa/{account}"),
    );
    let at = |name: &str| own.join(name);
    let mut config = json!({
        "workload": {"namespace": "shop", "serviceAccount": account},
        "identity": {"files": {
            "certificate": at("svid.pem"), "key": at("key.pem"), "bundle": directory.join("bundle.pem"),
        }},
        "metrics": {"bind": "none"},
        "readiness": {"bind": "none"},
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    std::fs::write(at("proxy.yaml"), config.to_string()).unwrap();
    let mut command = Command::new(program("postern-proxy"));
    command.arg("run").arg("--config").arg(at("proxy.yaml"));
    let log = std::fs::File::create(at("proxy.log")).unwrap();
    let proxy = Process(command.stdout(log).spawn().unwrap());
    let log = || std::fs::read_to_string(at("proxy.log")).unwrap_or_default();
    until("the proxy to be ready", || log().contains("\"ready\"")).await;
    // What it says of its first seconds is none of the traffic's.
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy
}

/// A program built beside this one.
fn program(name: &str) -> PathBuf {
    let running = std::env::current_exe().unwrap();
    let mut folders = running.ancestors().skip(1).take(2).map(|folder| folder.join(name));
    folders.find(|file| file.is_file()).expect("build it first: cargo build --release --bins")
}
