//! An authority in a cluster: its Secrets and ConfigMap made once, mounted read-only, and its probes.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::support::kube_api::{KubeApi, Mood};
use crate::support::{Ca, within};
use authority::attest::Caller;
use authority::ca::bootstrap::{BootstrapSettings, bootstrap, renew_intermediate};
use authority::ca::init;
use authority::ca::signers::SigningCa;
use authority::clock::{RequestTime, wall_clock};
use authority::serve::issue::Authority;
use authority::serve::readiness;
use authority::serve::run::load;
use authority::store::cluster_objects::ObjectNames;
use authority::store::directory::AuthorityDirectory;
use authority::store::kubernetes::client;
use authority::store::kubernetes_store::{KubernetesStore, SecretsLocation};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use identity::TrustDomain;
use issuance_messages::IssueRequest;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::sync::CancellationToken;

const DAY: u64 = 86_400;

fn place(name: &str) -> SecretsLocation {
    SecretsLocation::parse(&format!("mesh/{name}")).unwrap()
}

fn places() -> ObjectNames {
    ObjectNames {
        authority: place("postern-authority"),
        root: place("postern-root"),
        bundle: place("postern-trust-bundle"),
    }
}

/// Runs `init --into-secret`; what it made, or the error.
async fn make(api: &KubeApi, trust_domain: &str) -> Result<Vec<String>, String> {
    let dir = tempfile::tempdir().unwrap();
    let client = client(Some(&api.kubeconfig(dir.path()))).await.unwrap();
    let wanted = BootstrapSettings {
        trust_domain: TrustDomain::parse(trust_domain).unwrap(),
        root_lifetime: 3650 * DAY,
        intermediate_lifetime: 90 * DAY,
    };
    let places = places();
    let made = bootstrap(&client, &places, &wanted, wall_clock());
    within("bootstrap", made).await.map_err(|error| format!("{error:#}"))
}

fn member(secret: &Value, name: &str) -> Vec<u8> {
    STANDARD.decode(secret["data"][name].as_str().unwrap()).unwrap()
}

/// The Secret as a kubelet mounts it, read-only.
fn mounted(api: &KubeApi, at: &Path) -> AuthorityDirectory {
    fs::create_dir(at).unwrap();
    let secret = api.secrets()["postern-authority"].clone();
    for name in secret["data"].as_object().unwrap().keys() {
        let file = at.join(name);
        fs::write(&file, member(&secret, name)).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
    }
    fs::set_permissions(at, fs::Permissions::from_mode(0o555)).unwrap();
    AuthorityDirectory::new(at)
}

fn files_in(path: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_cluster_gets_root_intermediate_and_bundle_once() {
    let api = KubeApi::start().await;
    let made = make(&api, "cluster.local").await.unwrap();
    assert_eq!(
        made,
        [
            "Secret mesh/postern-root",
            "Secret mesh/postern-authority",
            "ConfigMap mesh/postern-trust-bundle"
        ]
    );
    let secrets = api.secrets();
    let root = &secrets["postern-root"];
    assert!(String::from_utf8(member(root, "root.key.pem")).unwrap().contains("ENCRYPTED"));
    assert!(member(root, "root.passphrase").len() > 40);
    assert_eq!(secrets["postern-authority"]["type"], "kubernetes.io/tls");
    let published = api.config_map("postern-trust-bundle").unwrap();
    let root_pem = String::from_utf8(member(root, "root.pem")).unwrap();
    assert_eq!(
        published["bundle.pem"].as_str().unwrap().replace("\r\n", "\n"),
        root_pem.replace("\r\n", "\n")
    );

    assert_eq!(make(&api, "cluster.local").await.unwrap(), Vec::<String>::new(), "again");
    assert_eq!(api.secrets(), secrets, "nothing was changed");
    let writes = |line: &&String| !line.starts_with("GET ") && !line.starts_with("POST ");
    assert_eq!(api.asked().iter().find(writes), None, "it only reads and creates");
}

#[tokio::test]
async fn what_a_crash_left_is_completed_and_nothing_is_overwritten() {
    for (name, removed, made) in [
        ("before the authority", &["postern-authority", "postern-trust-bundle"][..], 2),
        ("before the bundle", &["postern-trust-bundle"], 1),
        ("the authority's Secret was lost", &["postern-authority"], 1),
        ("the root was moved away", &["postern-root"], 0),
        ("the root was moved away before the bundle", &["postern-root", "postern-trust-bundle"], 1),
    ] {
        let api = KubeApi::start().await;
        make(&api, "cluster.local").await.unwrap();
        removed.iter().for_each(|object| api.remove(object));
        let before = api.secrets();
        assert_eq!(make(&api, "cluster.local").await.unwrap().len(), made, "{name}");
        for (object, content) in before {
            assert_eq!(api.secrets()[&object], content, "{name}: {object}");
        }
        let dir = tempfile::tempdir().unwrap();
        SigningCa::load(&mounted(&api, &dir.path().join("keys"))).unwrap();
    }
}

#[tokio::test]
async fn what_does_not_fit_is_named() {
    let check =
        async |name: &str, spoil: &dyn Fn(&KubeApi, &KubeApi), domain: &str, expect: &str| {
            let (api, other) = (KubeApi::start().await, KubeApi::start().await);
            make(&api, "cluster.local").await.unwrap();
            make(&other, "cluster.local").await.unwrap();
            spoil(&api, &other);
            let before = api.secrets();
            let error = make(&api, domain).await.unwrap_err();
            assert!(error.contains(expect), "{name}: {error}");
            assert_eq!(api.secrets(), before, "{name}: nothing is made");
        };
    let foreign = |object: &'static str| {
        move |api: &KubeApi, other: &KubeApi| {
            api.put_secret(object, other.secrets()[object].clone());
        }
    };
    check(
        "roots without keys",
        &|api, _| {
            api.remove("postern-root");
            api.remove("postern-authority");
        },
        "cluster.local",
        "holds roots, but no Secret",
    )
    .await;
    check("another root", &foreign("postern-root"), "cluster.local", "is of another root").await;
    check("another intermediate", &foreign("postern-authority"), "cluster.local", "another root")
        .await;
    check(
        "both others",
        &|api, other| {
            foreign("postern-root")(api, other);
            foreign("postern-authority")(api, other);
        },
        "cluster.local",
        "ConfigMap mesh/postern-trust-bundle holds other roots",
    )
    .await;
    check("another trust domain", &|_, _| {}, "other.example", "is of trust domain cluster.local")
        .await;
    check(
        "a lost key",
        &|api, _| {
            let mut secret = api.secrets()["postern-authority"].clone();
            secret["data"].as_object_mut().unwrap().remove("tls.key");
            api.put_secret("postern-authority", secret);
        },
        "cluster.local",
        "has no `tls.key`",
    )
    .await;
}

#[tokio::test]
async fn two_jobs_at_once_make_one_authority() {
    let api = KubeApi::start().await;
    let (one, two) = tokio::join!(make(&api, "cluster.local"), make(&api, "cluster.local"));
    assert_eq!(one.unwrap().len() + two.unwrap().len(), 3, "each object was made once");
    assert_eq!(make(&api, "cluster.local").await.unwrap().len(), 0, "and they fit together");
}

#[tokio::test]
async fn a_missing_right_is_said() {
    let api = KubeApi::start().await;
    api.mood(Mood::Status(403));
    let error = make(&api, "cluster.local").await.unwrap_err();
    assert!(error.contains("cannot read ConfigMap mesh/postern-trust-bundle"), "{error}");
}

#[tokio::test]
async fn the_intermediate_is_renewed_under_the_same_root() {
    let api = KubeApi::start().await;
    make(&api, "cluster.local").await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let before = SigningCa::load(&mounted(&api, &dir.path().join("before"))).unwrap();
    let client = client(Some(&api.kubeconfig(dir.path()))).await.unwrap();
    let (authority, root) = (place("postern-authority"), place("postern-root"));
    let later = wall_clock() + 60 * DAY;
    renew_intermediate(&client, &authority, &root, 90 * DAY, later).await.unwrap();
    let after = SigningCa::load(&mounted(&api, &dir.path().join("after"))).unwrap();
    assert_eq!(after.root(), before.root());
    assert!(after.not_after() > before.not_after() + 50 * DAY);
    assert_eq!(make(&api, "cluster.local").await.unwrap().len(), 0, "all fits");

    api.remove("postern-root");
    let error = renew_intermediate(&client, &authority, &root, DAY, later).await.unwrap_err();
    assert!(error.to_string().contains("there is no Secret mesh/postern-root"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_serve_from_the_mounted_secret_and_write_nothing_there() {
    let api = KubeApi::start().await;
    make(&api, "cluster.local").await.unwrap();
    let mut ca = Ca::new();
    let mount = ca.dir.path().join("mounted");
    ca.settings.directory = mounted(&api, &mount);
    let kubeconfig = api.kubeconfig(ca.dir.path());
    let replica = || {
        let mut settings = ca.settings.clone();
        let state = place("postern-authority-state");
        settings.store = Arc::new(KubernetesStore::open(state, Some(&kubeconfig)).unwrap());
        settings.shared = true;
        load(&settings).unwrap()
    };
    let (one, two) = (replica(), replica());
    assert!(one.ca.now().ready(wall_clock()).is_ok());
    // Whatever one signs a JWT-SVID with, the other knows too.
    let kid = |authority: &Authority| {
        authority.publisher.jwt_keys.refresh(wall_clock()).unwrap();
        authority.publisher.jwt_keys.now().signer(wall_clock()).unwrap().kid().to_owned()
    };
    assert_eq!(kid(&one), kid(&two));
    assert!(api.secrets().keys().any(|name| name.starts_with("postern-authority-state-")));
    assert_eq!(files_in(&mount), ["ca.crt", "tls.crt", "tls.key"]);
}

async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("a page", stream.read_to_string(&mut answer)).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

async fn served(authority: Authority) -> (SocketAddr, Arc<Authority>, CancellationToken) {
    let (authority, stop) = (Arc::new(authority), CancellationToken::new());
    let address = "127.0.0.1:0".parse().unwrap();
    let address = readiness::start(address, Arc::clone(&authority), stop.clone()).await.unwrap();
    (address, authority, stop)
}

#[tokio::test]
async fn f36_an_authority_that_can_sign_is_ready_and_counts() {
    let ca = Ca::new();
    let (address, authority, _stop) = served(ca.load()).await;
    assert_eq!(get(address, "/live").await, (200, "live\n".to_owned()));
    assert_eq!(get(address, "/ready").await, (200, "ready\n".to_owned()));
    let request = IssueRequest { evidence: None, csr_der: Vec::new() };
    let caller = Caller::Remote("10.0.0.7:40000".parse().unwrap());
    let now = RequestTime { wall: wall_clock(), monotonic: std::time::Instant::now() };
    let refusal = authority.issue(&request, &caller, now).await.unwrap_err();
    authority.metrics.refused(&refusal);
    let (_, page) = get(address, "/metrics").await;
    for name in ["cpu_seconds_total", "resident_memory_bytes", "open_fds", "threads"] {
        assert!(page.contains(&format!("\nprocess_{name} ")), "{name}: {page}");
    }
    for line in [
        "postern_authority_ready 1",
        "postern_authority_refusals_total{reason=\"evidence\"} 1",
        "postern_authority_store_failures_total 0",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in {page}");
    }
    let expiry = |name: &str| {
        let line = page.lines().find(|line| line.starts_with(name)).unwrap();
        line.split(' ').nth(1).unwrap().parse::<f64>().unwrap()
    };
    for name in ["intermediate", "root"] {
        let expires = expiry(&format!("postern_authority_{name}_expiry_timestamp_seconds "));
        assert!(expires > 1.0e9, "{name} expires at {expires}");
    }
    assert_eq!(get(address, "/other").await.0, 404);
}

#[tokio::test]
async fn f36_an_expired_intermediate_makes_the_authority_unready_and_says_the_date() {
    let mut ca = Ca::new();
    let path = ca.dir.path().join("expired");
    let wanted = init::InitSettings {
        trust_domain: TrustDomain::parse("cluster.local").unwrap(),
        passphrase_file: None,
        from_root: None,
        pkcs11: None,
        root_lifetime: Duration::from_secs(30 * DAY),
        intermediate_lifetime: Duration::from_secs(DAY),
    };
    ca.settings.directory = AuthorityDirectory::new(path);
    init::init(&ca.settings.directory, &wanted, wall_clock() - 2 * DAY).unwrap();
    let (address, _authority, _stop) = served(ca.load()).await;
    let (code, why) = get(address, "/ready").await;
    assert_eq!(code, 503);
    assert!(why.starts_with("the intermediate expired at 20"), "{why}");
    assert_eq!(get(address, "/live").await.0, 200, "a restart would not help");
    let (_, page) = get(address, "/metrics").await;
    assert!(page.contains("postern_authority_ready 0"), "{page}");
}

/// The program itself, against this API server.
fn program(kubeconfig: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_postern-authority"));
    command.args(arguments).arg("--kubeconfig").arg(kubeconfig);
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped());
    command
}

/// As the manifests run it: the job twice, then the authority on the mounted Secret until SIGTERM.
#[tokio::test(flavor = "multi_thread")]
async fn the_programs_command_lines_bring_an_authority_into_a_cluster() {
    let api = KubeApi::start().await;
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = api.kubeconfig(dir.path());
    for expect in ["made Secret mesh/postern-root, Secret", "nothing to do"] {
        let mut init = program(
            &kubeconfig,
            &[
                "init",
                "--trust-domain=cluster.local",
                "--into-secret=mesh/postern-authority",
                "--root-into-secret=mesh/postern-root",
                "--bundle-into-config-map=mesh/postern-trust-bundle",
            ],
        );
        let ended = tokio::task::spawn_blocking(move || init.output().unwrap());
        let ended = within("init", ended).await.unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success() && said.contains(expect), "{said}");
    }
    let mount = dir.path().join("mounted");
    mounted(&api, &mount);
    let mount_flag = format!("--dir={}", mount.display());
    let mut running = program(
        &kubeconfig,
        &[
            "run",
            &mount_flag,
            "--replicas=2",
            "--state-secret=mesh/postern-authority-state",
            "--service-accounts",
            "--listen=127.0.0.1:0",
            "--readiness=127.0.0.1:0",
        ],
    )
    .spawn()
    .unwrap();
    let log = std::io::BufReader::new(running.stderr.take().unwrap());
    let address = tokio::task::spawn_blocking(move || {
        let mut lines = std::io::BufRead::lines(log).map_while(Result::ok);
        let line = lines.find(|line| line.contains("answering probes")).unwrap();
        // The rest is read, so that the program never waits for us.
        std::thread::spawn(move || lines.count());
        let (_, address) = line.split_once("127.0.0.1:").unwrap();
        let port: String = address.chars().take_while(char::is_ascii_digit).collect();
        SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()))
    });
    let address = within("its address", address).await.unwrap();
    assert_eq!(get(address, "/ready").await, (200, "ready\n".to_owned()));
    let pid = nix::unistd::Pid::from_raw(running.id().try_into().unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    let ended = tokio::task::spawn_blocking(move || running.wait().unwrap());
    assert!(within("its end", ended).await.unwrap().success());
    assert_eq!(files_in(&mount), ["ca.crt", "tls.crt", "tls.key"]);
}
