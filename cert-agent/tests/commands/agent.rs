//! The commands of an agent, and what it leaves behind.

use super::*;

#[test]
fn f06_agent_killed_hard_comes_back_by_its_credential() {
    let place = Place::new();
    let authority = place.start_authority(&[]);
    fs::write(place.path("token"), place.token()).unwrap();
    let token = place.path("token");
    let first = place.start_agent(&authority.address(), &["--join-token-file", &token]);
    place.until_healthy();
    let serial = place.shown()["serial"].clone();
    first.kill_hard();
    assert!(Path::new(&place.path("agent.sock")).exists(), "what a kill leaves behind");
    assert!(!done(place.agent_command("health")).status.success());

    // No token this time: the credential is the proof, and the dead socket is replaced.
    let second = place.start_agent(&authority.address(), &[]);
    place.until_healthy();
    let shown = place.shown();
    assert_eq!(shown["identity"], CART);
    assert_ne!(shown["serial"], serial);
    assert_eq!(second.terminate(), 0);
    assert!(!Path::new(&place.path("agent.sock")).exists());
    assert_eq!(authority.terminate(), 0);
}

#[test]
fn s36_local_secrets_and_rights_no_secret_in_any_log() {
    let place = Place::new();
    let authority = place.start_authority(&["--leaf-lifetime", "2s", "--allow-short-lifetimes"]);
    let token = place.token();
    fs::write(place.path("token"), &token).unwrap();
    let file = place.path("token");
    let running = place.start_agent(&authority.address(), &["--join-token-file", &file]);
    place.until_healthy();

    let mut secrets = vec![token.trim_start_matches("pjt_").to_owned()];
    for _ in 0..3 {
        good(place.agent_command("renew"));
        let stored = fs::read_to_string(place.path("state/renewal-credential.json")).unwrap();
        let stored: Value = serde_json::from_str(&stored).unwrap();
        secrets.push(stored["renewalCredential"].as_str().unwrap()[36..].to_owned());
        let pem = good(place.agent_command("fetch"));
        let key = pem.split("PRIVATE KEY-----").nth(1).unwrap();
        let line = key.lines().find(|line| line.len() == 64).unwrap();
        secrets.push(line.to_owned());
    }
    running.terminate();
    authority.terminate();
    for log in ["authority.log", "agent.log"] {
        let text = fs::read_to_string(place.path(log)).unwrap();
        assert!(text.contains("issued") || text.contains("renewed"), "{log} at level trace");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{log} holds {secret}");
        }
    }
}

#[test]
fn a_renewal_writes_one_json_line() {
    let place = Place::new();
    let authority = place.start_authority(&[]);
    fs::write(place.path("token"), place.token()).unwrap();
    let token = place.path("token");
    let running = place.start_agent(&authority.address(), &["--join-token-file", &token]);
    let line = running.line("renewed");
    assert_eq!(line["identity"], CART);
    assert_eq!(line["level"], "INFO");
    let issued = authority.line("issued");
    assert_eq!(issued["serial"], line["serial"]);
    assert_eq!(issued["attestor"], "join_token");
    authority.kill_hard();
    bad(place.agent_command("renew"), 1, "cannot reach the authority");
    let line = running.line("renewal failed; what is held stays in use");
    assert_eq!(line["level"], "WARN");
}

#[test]
fn waiting_for_the_first_authority_is_no_error() {
    let place = Place::new();
    let authority = place.start_authority(&[]);
    fs::write(place.path("token"), place.token()).unwrap();
    let (address, token) = (authority.address(), place.path("token"));
    authority.kill_hard();
    let running = place.start_agent(&address, &["--join-token-file", &token]);
    let line = running.line("waiting for the authority; no certificate is held yet");
    assert_eq!(line["level"], "INFO");
    assert!(line["reason"].as_str().unwrap().contains("cannot reach the authority"), "{line}");
    let log = fs::read_to_string(place.path("agent.log")).unwrap();
    assert!(!log.contains("\"ERROR\"") && !log.contains("\"WARN\""), "{log}");
}

#[test]
fn fetch_writes_files_that_openssl_believes() {
    let place = Place::new();
    let authority = place.start_authority(&[]);
    fs::write(place.path("token"), place.token()).unwrap();
    let token = place.path("token");
    let _running = place.start_agent(&authority.address(), &["--join-token-file", &token]);
    place.until_healthy();
    let out = place.path("out");
    let mut fetch = place.agent_command("fetch");
    fetch.args(["--write", &out]);
    assert_eq!(good(fetch).lines().count(), 3);
    assert_eq!(mode(&PathBuf::from(&out).join("key.pem")), 0o600);
    let at = |name: &str| format!("{out}/{name}");
    let mut verify = Command::new("openssl");
    verify.args(["verify", "-CAfile", &at("bundle.pem"), "-untrusted", &at("svid.pem")]);
    verify.arg(at("svid.pem"));
    good(verify);
    let public = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(arguments);
        good(command)
    };
    let of_key = public(&["pkey", "-in", &at("key.pem"), "-pubout"]);
    let of_certificate = public(&["x509", "-in", &at("svid.pem"), "-noout", "-pubkey"]);
    assert_eq!(of_key, of_certificate);

    let mut by_environment = agent(&["fetch"]);
    let endpoint = format!("unix://{}", place.path("agent.sock"));
    by_environment.env("SPIFFE_ENDPOINT_SOCKET", endpoint);
    assert!(good(by_environment).contains("BEGIN PRIVATE KEY"));
}

#[test]
fn nobody_there_is_said_so() {
    let place = Place::new();
    for command in ["fetch", "show", "renew", "health"] {
        bad(place.agent_command(command), 1, "cannot reach the agent");
    }
}
