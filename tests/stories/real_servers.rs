//! Servers that do not speak HTTP, real ones, on ports that nobody declared: who speaks first is their affair.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_tests::{Mesh, Pod, Process, raw, wait};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::scene::allow;

/// How soon a server that speaks first must be heard: the proxies wait for the client's first bytes, which do not come.
const GREETED_WITHIN: Duration = Duration::from_secs(3);

/// A server, and what its own client makes of it.
struct Server {
    port: u16,
    start: fn(&Pod) -> Process,
    /// Asks it something; the answer, or what its client complains of.
    ask: fn(&Pod, SocketAddr) -> Result<String, String>,
    answer: &'static str,
}

/// The server behind a proxy that knows none of its ports, a client that may call it, and one that may not.
#[track_caller]
fn serves(server: &Server) -> (Pod, Process, Pod) {
    let mesh = Mesh::start();
    mesh.policy("store", &allow("store", "frontend"));
    // The service has the port, without a protocol; the proxy beside the server has no port at all.
    let store = mesh.pod("store").port(server.port, "auto");
    let no_ports = store.config(json!({"inbound": null})).config(json!({"inbound": {}}));
    let store = no_ports.start();
    let process = (server.start)(&store);
    store.wait_for_app(server.port);
    let address = store.at(server.port);
    let frontend = mesh.pod("frontend").start();
    // It listens a moment before it serves.
    wait::until("the server to answer", wait::PATIENCE, || {
        let heard = (server.ask)(&frontend, address)?;
        if heard.contains(server.answer) { Ok(()) } else { Err(heard) }
    });
    store.expect_log(&[
        ("kind", "connection"),
        ("direction", "inbound"),
        ("protocol", "tcp"),
        ("source_principal", &frontend.principal()),
    ]);
    let reports = mesh.pod("reports").start();
    let refused = (server.ask)(&reports, address);
    assert!(refused.is_err(), "a stranger was answered: {refused:?}");
    store.expect_log(&[
        ("kind", "connection"),
        ("reason", "no_matching_allow"),
        ("source_principal", &reports.principal()),
    ]);
    (store, process, frontend)
}

/// What the server says by itself, within [`GREETED_WITHIN`].
#[track_caller]
fn greets(store: &Pod, frontend: &Pod, port: u16, greeting: &'static str) {
    let address = store.at(port);
    let heard = frontend.run(async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let mut heard = vec![0; 4096];
        let length = timeout(GREETED_WITHIN, stream.read(&mut heard)).await;
        heard.truncate(length.unwrap_or(Ok(0)).unwrap_or(0));
        String::from_utf8_lossy(&heard).into_owned()
    });
    assert!(heard.contains(greeting), "within {GREETED_WITHIN:?}: {heard}");
}

/// What `tests/setup` installed beside the programs of Debian.
fn installed(program: &str) -> PathBuf {
    let target = postern_tests::binary("postern-proxy");
    let path = target.parent().unwrap().parent().unwrap().join("peers").join(program);
    assert!(path.exists(), "{} is missing: run `tests/setup test`", path.display());
    path
}

/// Runs a client in a pod, for ten seconds at most.
fn client(pod: &Pod, program: &Path, arguments: &[&str]) -> Result<String, String> {
    let all = [&["10", program.to_str().unwrap()], arguments].concat();
    let finished = pod.command("timeout", &all);
    match finished.code {
        0 => Ok(finished.stdout),
        code => Err(format!("{code}: {}{}", finished.stdout, finished.stderr)),
    }
}

/// PostgreSQL does not run as user 0, which is all there is here: it gets a user namespace with another.
const ANOTHER_USER: [&str; 3] = ["--user", "--map-user=1000", "--map-group=1000"];

fn start_postgresql(pod: &Pod) -> Process {
    let home = "/run/postern/postgresql";
    let program =
        |name: &str| installed("servers/postgresql").join(name).to_str().unwrap().to_owned();
    let make = program("initdb");
    let make = [&make, "-D", home, "-U", "app", "--auth=trust", "--no-sync", "--locale=C"];
    pod.command("unshare", &[&ANOTHER_USER[..], &make].concat()).ok();
    // It sees the proxy's address, which is no address of this machine.
    let access = pod.directory().join("postgresql/pg_hba.conf");
    std::fs::write(access, "host all all 127.0.0.0/8 trust\n").unwrap();
    let server = program("postgres");
    let serve = [&server, "-D", home, "-h", "0.0.0.0", "-p", "5432", "-k", "", "-F"];
    pod.start_program("postgresql", Path::new("unshare"), &[&ANOTHER_USER[..], &serve].concat())
}

fn ask_postgresql(pod: &Pod, server: SocketAddr) -> Result<String, String> {
    // First psql asks whether there is TLS to be had.
    let (host, port) = (server.ip(), server.port());
    let place = format!("host={host} port={port} user=app dbname=postgres sslmode=prefer");
    let question =
        "select 40 + 2; select count(*), sum(length(i::text)) from generate_series(1, 100000) i";
    client(pod, &installed("servers/postgresql").join("psql"), &[&place, "-tAc", question])
}

#[test]
fn postgresql_is_reached_without_a_declared_port() {
    let server = Server {
        port: 5432,
        start: start_postgresql,
        ask: ask_postgresql,
        answer: "42\n100000|488895\n",
    };
    let (store, _server, frontend) = serves(&server);
    // Several megabytes each way, byte for byte.
    let place = format!("host={} user=app dbname=postgres", store.ipv4());
    let copied = "create table t(i int); copy t from program 'seq 300000'; copy t to stdout";
    let rows =
        client(&frontend, &installed("servers/postgresql").join("psql"), &[&place, "-qc", copied]);
    let rows = rows.unwrap();
    assert_eq!(rows.lines().count(), 300_000);
    assert!(rows.ends_with("300000\n"));
}

fn start_mariadb(pod: &Pod) -> Process {
    let arguments = [
        "--no-defaults",
        "--user=root",
        "--datadir=/run/postern",
        "--socket=/run/postern/mariadb.sock",
        "--port=3306",
        "--bind-address=0.0.0.0",
        "--skip-name-resolve",
        // Without tables of users everybody is one; that turns networking off as well.
        "--skip-grant-tables",
        "--skip-networking=0",
        "--innodb-log-file-size=4M",
        "--innodb-buffer-pool-size=8M",
    ];
    pod.start_program("mariadb", Path::new("mariadbd"), &arguments)
}

fn ask_mariadb(pod: &Pod, server: SocketAddr) -> Result<String, String> {
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    let question = "create database if not exists a; select 40 + 2; show databases";
    let arguments = ["--no-defaults", "--protocol=tcp", "-h", &host, "-P", &port, "-Ne", question];
    client(pod, Path::new("mariadb"), &arguments)
}

#[test]
fn mariadb_speaks_first_without_a_declared_port() {
    let server = Server { port: 3306, start: start_mariadb, ask: ask_mariadb, answer: "42\na\n" };
    let (store, _server, frontend) = serves(&server);
    greets(&store, &frontend, 3306, "MariaDB");
}

fn start_redis(pod: &Pod) -> Process {
    let arguments = ["--port", "6379", "--bind", "0.0.0.0", "--protected-mode", "no", "--save", ""];
    pod.start_program("redis", &installed("servers/redis-server"), &arguments)
}

fn ask_redis(pod: &Pod, server: SocketAddr) -> Result<String, String> {
    let (host, port) = (server.ip().to_string(), server.port().to_string());
    // It ends with 0 whatever it was told.
    let script = format!(
        "redis-cli -e -h {host} -p {port} set answer 42 && redis-cli -e -h {host} -p {port} get answer"
    );
    client(pod, Path::new("sh"), &["-c", &script])
}

#[test]
fn redis_is_reached_without_a_declared_port() {
    let server = Server { port: 6379, start: start_redis, ask: ask_redis, answer: "OK\n42\n" };
    serves(&server);
}

fn start_nats(pod: &Pod) -> Process {
    pod.start_program(
        "nats",
        &installed("events/bin/nats-server"),
        &["-a", "0.0.0.0", "-p", "4222"],
    )
}

/// A subscriber that publishes to itself, in the words of the protocol, once the server has said INFO.
fn ask_nats(pod: &Pod, server: SocketAddr) -> Result<String, String> {
    pod.run(async move {
        let mut stream = TcpStream::connect(server).await.map_err(|error| error.to_string())?;
        let info = raw::hear_line(&mut stream).await;
        if !info.starts_with("INFO {") {
            return Err(format!("no INFO but `{info}`"));
        }
        let words = "CONNECT {\"verbose\":false}\r\nSUB a 1\r\nPUB a 2\r\n42\r\nPING\r\n";
        stream.write_all(words.as_bytes()).await.map_err(|error| error.to_string())?;
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.is_empty() && line != "PONG\r") {
            lines.push(raw::hear_line(&mut stream).await);
        }
        Ok(lines.concat())
    })
}

#[test]
fn nats_speaks_first_without_a_declared_port() {
    let server =
        Server { port: 4222, start: start_nats, ask: ask_nats, answer: "MSG a 1 2\r42\rPONG\r" };
    let (store, _server, frontend) = serves(&server);
    greets(&store, &frontend, 4222, "INFO {");
}

fn start_smtp(pod: &Pod) -> Process {
    let arguments = ["-u", "-m", "aiosmtpd", "-n", "-l", "0.0.0.0:2525"];
    pod.start_program("smtp", &installed("servers/bin/python"), &arguments)
}

/// Sends a letter with curl, which waits for the greeting.
fn ask_smtp(pod: &Pod, server: SocketAddr) -> Result<String, String> {
    std::fs::write(pod.directory().join("letter"), "Subject: 42\r\n\r\nHello\r\n").unwrap();
    let place = format!("smtp://{server}");
    let from_to = ["--mail-from", "ann@shop.example", "--mail-rcpt", "bob@shop.example"];
    let arguments = [&["-sS", "-v", &place, "-T", "/run/postern/letter"], &from_to[..]].concat();
    let sent = pod.command("curl", &[&["--max-time", "10"], &arguments[..]].concat());
    if sent.code == 0 { Ok(sent.stderr) } else { Err(sent.stderr) }
}

#[test]
fn smtp_speaks_first_without_a_declared_port() {
    let server = Server { port: 2525, start: start_smtp, ask: ask_smtp, answer: "250 OK" };
    let (store, smtp, frontend) = serves(&server);
    greets(&store, &frontend, 2525, "220 ");
    wait::until_true("the letter to have come", || smtp.stdout().contains("Subject: 42"));
}
