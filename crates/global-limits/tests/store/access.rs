//! Who may: passwords, users with few permissions, TLS.

use std::sync::Arc;

use global_limits::{GlobalLimits, StoreError, StoreSettings, StoreTls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::decisions::a_day;
use crate::server::{Redis, connected, until};

/// All that a proxy needs, as the documentation has it.
const USER: [&str; 12] = [
    "on",
    ">secret",
    "resetkeys",
    "~{postern:rl:*",
    "resetchannels",
    "-@all",
    "+eval",
    "+evalsha",
    "+get",
    "+set",
    "+time",
    "+asking",
];

fn user(settings: StoreSettings, password: &str) -> StoreSettings {
    let password = Some(Zeroizing::new(password.to_owned()));
    StoreSettings { username: Some("postern".to_owned()), password, ..settings }
}

/// What such a store is in trouble for.
async fn trouble(settings: StoreSettings) -> String {
    let limits = GlobalLimits::start(settings).unwrap();
    until("the trouble is known", || async { limits.trouble().is_some() }).await;
    let trouble = limits.trouble().unwrap();
    let decided = limits.decide(b"ann", &a_day(1)).await.unwrap_err();
    assert!(decided == trouble || decided == StoreError::CircuitOpen, "{decided}");
    assert!(!limits.is_up());
    trouble.to_string()
}

#[test]
fn the_documentation_names_these_permissions() {
    let documented = include_str!("../../../../docs/global-limits.md");
    let line = format!("ACL SETUSER postern {}", USER.join(" ").replace(">secret", ">PASSWORD"));
    assert!(documented.contains(&line), "{line}");
}

#[tokio::test]
async fn a_user_of_few_permissions_is_enough() {
    let redis = Redis::start();
    redis.command(&[&["ACL", "SETUSER", "postern"], &USER[..]].concat());
    let limits = connected(user(redis.settings(), "secret")).await;
    assert!(limits.decide(b"ann", &a_day(1)).await.unwrap().allowed);
    assert!(!limits.decide(b"ann", &a_day(1)).await.unwrap().allowed);
    redis.command(&["SCRIPT", "FLUSH"]);
    assert!(!limits.decide(b"ann", &a_day(1)).await.unwrap().allowed);
}

#[tokio::test]
async fn what_is_refused_is_named() {
    let redis = Redis::start();
    redis.command(&[&["ACL", "SETUSER", "postern"], &USER[..]].concat());
    let refuses = |words: &str| format!("the store at {} refuses: {words}", redis.address());
    let wrong = trouble(user(redis.settings(), "hunter2")).await;
    assert_eq!(wrong, refuses("WRONGPASS invalid username-password pair or user is disabled."));

    redis.command(&["ACL", "SETUSER", "postern", "-set"]);
    let found = trouble(user(redis.settings(), "secret")).await;
    assert!(found.starts_with(&refuses("")) && found.contains("can't run this command"), "{found}");
    redis.command(&["ACL", "SETUSER", "postern", "+set", "resetkeys", "~other:*"]);
    let found = trouble(user(redis.settings(), "secret")).await;
    assert!(found.starts_with(&refuses("NOPERM")), "{found}");
}

#[tokio::test]
async fn a_password_that_is_missing() {
    let redis = Redis::start_with(&["--requirepass", "secret"]);
    let missing = trouble(redis.settings()).await;
    assert!(missing.ends_with("refuses: NOAUTH Authentication required."), "{missing}");
    let password = Some(Zeroizing::new("secret".to_owned()));
    let limits = connected(StoreSettings { password, ..redis.settings() }).await;
    assert!(limits.decide(b"ann", &a_day(1)).await.unwrap().allowed);
}

#[tokio::test]
async fn a_replica_that_cannot_write_is_no_store() {
    let (redis, replica) = (Redis::start(), Redis::start());
    let limits = replica.limits().await;
    assert!(limits.decide(b"ann", &a_day(1)).await.unwrap().allowed);
    replica.command(&["REPLICAOF", "127.0.0.1", &redis.port.to_string()]);
    until("it is known, after a new connection", || async {
        let decided = limits.decide(b"ann", &a_day(9)).await.is_ok();
        let trouble = limits.trouble();
        !decided
            && matches!(trouble, Some(StoreError::Refused { reason, .. }) if reason.starts_with("READONLY"))
    })
    .await;
    replica.command(&["REPLICAOF", "NO", "ONE"]);
    until("it serves again", || async { limits.decide(b"ann", &a_day(9)).await.is_ok() }).await;
}

#[tokio::test]
async fn over_tls_the_store_proves_itself() {
    let authority = authority();
    let redis = start_with_tls(&authority);
    let limits = connected(trusting(&redis, &authority)).await;
    for remaining in [4, 3, 2] {
        assert_eq!(limits.decide(b"ann", &a_day(5)).await.unwrap().remaining, remaining);
    }
    let found = trouble(trusting(&redis, &self::authority())).await;
    assert!(found.contains("cannot be reached: TLS: invalid peer certificate: "), "{found}");
    let found = trouble(redis.settings()).await;
    assert!(found.contains("cannot be reached: "), "plaintext: {found}");
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Its ordinary port speaks TLS.
fn start_with_tls(authority: &Authority) -> Redis {
    let home = TempDir::new().unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let write = |name: &str, text: String| std::fs::write(home.path().join(name), text).unwrap();
    write("certificate.pem", certificate.pem());
    write("key.pem", key.serialize_pem());
    write("authority.pem", authority.pem());
    let files = ["--tls-cert-file", "{home}/certificate.pem", "--tls-key-file", "{home}/key.pem"];
    let others = ["--tls-ca-cert-file", "{home}/authority.pem", "--tls-auth-clients", "no"];
    // The later of two settings counts.
    let ports = ["--port", "0", "--tls-port", "{port}"];
    Redis::start_in(home, &[&ports[..], &files, &others].concat())
}

fn trusting(redis: &Redis, authority: &Authority) -> StoreSettings {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tls = Some(StoreTls { config: Arc::new(config), server_name: None });
    StoreSettings { tls, ..redis.settings() }
}
