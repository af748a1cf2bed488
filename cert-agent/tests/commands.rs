//! The two programs as a person runs them: real processes, exit codes, files, and what they print.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);
const CART: &str = "spiffe://cluster.local/ns/shop/sa/cart";

fn authority(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern-authority"));
    command.args(arguments);
    command
}

fn agent(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_postern-cert-agent"));
    command.args(arguments).env_remove("SPIFFE_ENDPOINT_SOCKET");
    command
}

fn done(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

fn good(command: Command) -> String {
    let output = done(command);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn bad(command: Command, code: i32, expect: &str) {
    let output = done(command);
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.contains(expect), "{error}");
    assert!(output.stdout.is_empty(), "answers on stdout, errors on stderr");
}

/// A directory with an authority.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        good(authority(&["init", "--dir", &place.path("ca")]));
        place
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn token(&self) -> String {
        let ca = self.path("ca");
        good(authority(&["token", "--dir", &ca, "--identity", CART])).trim().to_owned()
    }

    fn start_authority(&self, more: &[&str]) -> Process {
        let ca = self.path("ca");
        let mut arguments = vec!["run", "--dir", &ca, "--listen", "127.0.0.1:0"];
        arguments.extend(more);
        Process::start(authority(&arguments), self.dir.path().join("authority.log"))
    }

    fn start_agent(&self, address: &str, more: &[&str]) -> Process {
        let (bundle, socket, state) =
            (self.path("ca/bundle.pem"), self.path("agent.sock"), self.path("state"));
        let mut arguments = vec!["run", "--authority", address, "--trust-bundle", &bundle];
        arguments.extend(["--socket", &socket, "--state-dir", &state]);
        arguments.extend(more);
        Process::start(agent(&arguments), self.dir.path().join("agent.log"))
    }

    fn agent_command(&self, name: &str) -> Command {
        agent(&[name, "--socket", &self.path("agent.sock")])
    }

    fn until_healthy(&self) {
        let end = Instant::now() + DEADLINE;
        while !done(self.agent_command("health")).status.success() {
            assert!(Instant::now() < end, "the agent holds no certificate");
            pause();
        }
    }

    fn shown(&self) -> Value {
        serde_json::from_str(&good(self.agent_command("show"))).unwrap()
    }
}

/// A process whose log goes to a file; killed when dropped.
struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    fn start(mut command: Command, log: PathBuf) -> Self {
        let file = fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let child = command
            .env("POSTERN_LOG", "trace")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// The first log line with this message.
    fn line(&self, message: &str) -> Value {
        let end = Instant::now() + DEADLINE;
        loop {
            let lines = BufReader::new(fs::File::open(&self.log).unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                let Ok(line) = serde_json::from_str::<Value>(&line) else { continue };
                if line["message"] == message {
                    return line;
                }
            }
            assert!(Instant::now() < end, "no log line `{message}`");
            pause();
        }
    }

    fn address(&self) -> String {
        self.line("serving")["listen"].as_str().unwrap().to_owned()
    }

    fn terminate(mut self) -> i32 {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
        let end = Instant::now() + DEADLINE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().unwrap();
            }
            assert!(Instant::now() < end, "did not stop");
            pause();
        }
    }

    fn kill_hard(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Between two looks at another process; every loop around it has a deadline.
#[allow(clippy::disallowed_methods)]
fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

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
fn init_makes_everything_once_with_the_right_modes() {
    let place = Place::new();
    let ca = place.path("ca");
    let at = |name: &str| PathBuf::from(&ca).join(name);
    for (name, expect) in [
        ("root.pem", 0o644),
        ("root.key.pem", 0o600),
        ("root.passphrase", 0o600),
        ("intermediate.pem", 0o644),
        ("intermediate.key.pem", 0o600),
        ("bundle.pem", 0o644),
        ("tokens", 0o700),
        ("credentials", 0o700),
    ] {
        assert_eq!(mode(&at(name)), expect, "{name}");
    }
    assert_eq!(mode(Path::new(&ca)), 0o700);
    let before = fs::read(at("root.key.pem")).unwrap();
    bad(authority(&["init", "--dir", &ca]), 1, "`init` overwrites nothing");
    assert_eq!(fs::read(at("root.key.pem")).unwrap(), before);
    let leftover = place.path("leftover");
    fs::create_dir(&leftover).unwrap();
    fs::write(format!("{leftover}/root.key.pem"), "precious").unwrap();
    bad(authority(&["init", "--dir", &leftover]), 1, "root.key.pem");
}

#[test]
fn openssl_opens_the_root_key_with_the_passphrase_and_verifies_the_chain() {
    let place = Place::new();
    let (ca, passphrase) = (place.path("own"), place.path("passphrase"));
    fs::write(&passphrase, "correct horse battery staple\n").unwrap();
    good(authority(&["init", "--dir", &ca, "--passphrase-file", &passphrase]));
    assert!(!Path::new(&format!("{ca}/root.passphrase")).exists());
    let openssl = |arguments: &[&str]| {
        let mut command = Command::new("openssl");
        command.args(arguments);
        done(command)
    };
    let (key, file) = (format!("{ca}/root.key.pem"), format!("file:{passphrase}"));
    let opened = openssl(&["pkey", "-in", &key, "-passin", &file, "-pubout"]);
    assert!(opened.status.success(), "{}", String::from_utf8_lossy(&opened.stderr));
    let root = format!("{ca}/root.pem");
    let public = openssl(&["x509", "-in", &root, "-noout", "-pubkey"]);
    assert_eq!(opened.stdout, public.stdout, "the key of that certificate");
    assert!(!openssl(&["pkey", "-in", &key, "-passin", "pass:wrong"]).status.success());
    let verified = openssl(&["verify", "-CAfile", &root, &format!("{ca}/intermediate.pem")]);
    assert!(verified.status.success());

    good(authority(&["renew-intermediate", "--dir", &ca, "--passphrase-file", &passphrase]));
    let verified = openssl(&["verify", "-CAfile", &root, &format!("{ca}/intermediate.pem")]);
    assert!(verified.status.success());
    fs::write(&passphrase, "wrong horse battery staple\n").unwrap();
    let wrong = ["renew-intermediate", "--dir", &ca, "--passphrase-file", &passphrase];
    bad(authority(&wrong), 1, "the passphrase does not open the root key");
}

#[test]
fn show_bundle_and_tokens_speak_json_on_a_pipe() {
    let place = Place::new();
    let ca = place.path("ca");
    let shown: Value = serde_json::from_str(&good(authority(&["show", "--dir", &ca]))).unwrap();
    assert_eq!(shown["trustDomain"], "cluster.local");
    assert_eq!(shown["roots"].as_array().unwrap().len(), 1);
    assert!(shown["intermediate"]["secondsLeft"].as_u64().unwrap() > 89 * 86_400);
    let bundle = good(authority(&["bundle", "--dir", &ca]));
    assert_eq!(bundle, fs::read_to_string(format!("{ca}/bundle.pem")).unwrap());

    let token = place.token();
    assert!(token.starts_with("pjt_") && token.len() == 47, "{token}");
    let tokens: Value = serde_json::from_str(&good(authority(&["tokens", "--dir", &ca]))).unwrap();
    assert_eq!(tokens[0]["identity"], CART);
    let id = tokens[0]["id"].as_str().unwrap();
    good(authority(&["revoke-token", "--dir", &ca, id]));
    bad(authority(&["revoke-token", "--dir", &ca, id]), 1, "");
    assert_eq!(good(authority(&["tokens", "--dir", &ca])).trim(), "[]");

    let output = place.path("token");
    let to_file = ["token", "--dir", &ca, "--identity", CART, "--output", &output];
    assert!(good(authority(&to_file)).is_empty());
    assert_eq!(mode(Path::new(&output)), 0o600);
    bad(authority(&to_file), 1, "exists");
}

#[test]
fn usage_and_configuration_mistakes_end_with_2() {
    let place = Place::new();
    let ca = place.path("ca");
    let check = |arguments: &[&str], expect: &str| bad(authority(arguments), 2, expect);
    check(&["init"], "--dir");
    check(&["init", "--dir", &ca, "--trust-domain", "Cluster.Local"], "--trust-domain");
    check(&["token", "--dir", &ca, "--identity", "spiffe://other/x"], "another trust domain");
    check(&["token", "--dir", &ca, "--identity", "spiffe://cluster.local"], "not a workload");
    let own = "spiffe://cluster.local/postern/authority";
    check(&["token", "--dir", &ca, "--identity", own], "the authority's own");
    check(&["run", "--dir", &ca, "--leaf-lifetime", "30s"], "--allow-short-lifetimes");
    check(&["run", "--dir", &ca, "--leaf-lifetime", "25h"], "outside 1m to 24h");
    let short = ["run", "--dir", &ca, "--leaf-lifetime", "1s", "--allow-short-lifetimes"];
    check(&short, "outside 2s to 24h");
    check(&["run", "--dir", &ca, "--replicas", "2"], "--replicas 2 needs --state DIR");
    check(&["run", "--dir", &ca, "--pkcs11-module", "x.so"], "--pkcs11-token");
    check(&["revoke", "--dir", &ca], "--serial");
    let secret = place.path("secret");
    fs::create_dir(&secret).unwrap();
    fs::write(format!("{secret}/tls.crt"), "").unwrap();
    check(&["run", "--dir", &secret], "a mounted Secret, which cannot be written");
    check(&["run", "--dir", &ca, "--unix", "/x/y.sock"], "--unix needs --registry");
    let registry = place.path("registry.yaml");
    fs::write(&registry, "entries:\n  - identity: nobody\n").unwrap();
    check(&["run", "--dir", &ca, "--registry", &registry], "entry 1: identity `nobody`");

    bad(agent(&["run"]), 2, "--authority");
    bad(agent(&["run", "--authority", "nowhere", "--trust-bundle", "x"]), 2, "HOST:PORT");
    let missing = ["run", "--authority", "h:1", "--trust-bundle", "/nonexistent.pem"];
    bad(agent(&missing), 2, "cannot read the trust bundle");
}

#[test]
fn an_authority_serves_its_directory_alone() {
    let place = Place::new();
    let running = place.start_authority(&[]);
    running.address();
    let ca = place.path("ca");
    let second = authority(&["run", "--dir", &ca, "--listen", "127.0.0.1:0"]);
    bad(second, 1, "another postern-authority serves");
    bad(authority(&["run", "--dir", &place.path("nothing")]), 2, "holds no authority");
}

#[test]
fn a_mistyped_directory_or_name_is_no_success() {
    let place = Place::new();
    let (ca, nothing) = (place.path("ca"), place.path("nothing"));
    for command in ["show", "tokens", "instances", "revocations"] {
        bad(authority(&[command, "--dir", &nothing]), 1, "holds no authority");
    }
    bad(authority(&["revoke", "--dir", &nothing, "--serial", "4f"]), 1, "holds no authority");
    assert!(!Path::new(&nothing).exists(), "nothing was made there");

    let nobody = done(authority(&["revoke", "--dir", &ca, "--identity", CART]));
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&nobody.stderr).contains("nothing to revoke"));
    bad(authority(&["revoke-instance", "--dir", &ca, "00"]), 1, "`instances` lists them");
    bad(authority(&["revoke-token", "--dir", &ca, "0123456789"]), 1, "`tokens` lists them");

    let wrong = place.path("wrong");
    fs::write(&wrong, "no such passphrase\n").unwrap();
    let run = ["run", "--dir", &ca, "--listen", "127.0.0.1:0", "--root-passphrase-file", &wrong];
    bad(authority(&run), 2, "the passphrase does not open the root key");
    fs::remove_file(&wrong).unwrap();
    bad(authority(&run), 2, "--root-passphrase-file");
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

#[test]
fn completions_and_manuals_are_printed() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(good(authority(&["completions", shell])).contains("renew-intermediate"));
        assert!(good(agent(&["completions", shell])).contains("fetch"));
    }
    assert!(good(authority(&["man"])).contains(".TH"));
    let manual = good(agent(&["man"]));
    assert!(manual.contains(".TH") && manual.contains("trust\\-bundle"));
    // A closed pipe is no crash.
    let mut reader = agent(&["man"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(reader.stdout.take());
    reader.wait().unwrap();
    let mut error = String::new();
    reader.stderr.take().unwrap().read_to_string(&mut error).unwrap();
    assert!(!error.contains("panicked"), "{error}");
}

/// The state of every root, by its place in the bundle.
fn states(shown: &Value) -> Vec<&str> {
    shown.as_array().unwrap().iter().map(|root| root["state"].as_str().unwrap()).collect()
}

#[test]
fn f08_root_rotated_by_its_commands_under_two_running_replicas() {
    let place = Place::new();
    let (ca, state) = (place.path("ca"), place.path("shared"));
    let replicas = ["--state", &state, "--replicas", "2"];
    let first = place.start_authority(&replicas);
    let arguments = ["run", "--dir", &ca, "--listen", "127.0.0.1:0"];
    let mut second = authority(&arguments);
    second.args(replicas);
    let second = Process::start(second, place.dir.path().join("second.log"));
    second.address();
    let root = |step: &[&str]| {
        let mut command = authority(&["root"]);
        command.args(step).args(["--dir", &ca, "--state", &state]);
        command
    };
    let json = |command: Command| serde_json::from_str::<Value>(&good(command)).unwrap();

    let mut mint = authority(&["token", "--dir", &ca, "--state", &state, "--identity", CART]);
    mint.args(["--output", &place.path("token")]);
    good(mint);
    let token = place.path("token");
    let agent = place.start_agent(&first.address(), &["--join-token-file", &token]);
    place.until_healthy();

    bad(root(&["activate"]), 1, "run `postern-authority root prepare` first");
    assert_eq!(states(&json(root(&["prepare"]))), ["active", "prepared"]);
    assert_eq!(states(&json(root(&["prepare"]))), ["active", "prepared"]);
    bad(root(&["activate"]), 1, "may not know it before");
    assert_eq!(states(&json(root(&["activate", "--force"]))), ["replaced", "active"]);
    for replica in [&first, &second] {
        replica.line("took up a new intermediate or bundle");
    }
    bad(root(&["retire"]), 1, "may be in use until");
    let end = Instant::now() + DEADLINE;
    loop {
        let status = json(root(&["status"]));
        if status[0]["users"][CART].is_string() {
            break;
        }
        assert!(Instant::now() < end, "the replica records its leaf: {status}");
        pause();
    }
    bad(root(&["retire"]), 1, CART);
    let left = json(root(&["retire", "--force"]));
    assert_eq!(states(&left), ["active"]);

    let mut revoke = authority(&["revoke", "--dir", &ca, "--state", &state]);
    revoke.args(["--identity", CART]);
    let revoked = json(revoke);
    let serial = revoked[0]["serial"].as_str().unwrap();
    let listed = json(authority(&["revocations", "--dir", &ca, "--state", &state]));
    assert_eq!(listed[0]["serial"], serial);
    assert_eq!(good(authority(&["instances", "--dir", &ca, "--state", &state])).trim(), "[]");
    let shown = json(authority(&["show", "--dir", &ca, "--state", &state]));
    assert!(shown["revoked"].as_u64().unwrap() >= 1);
    assert!(!shown["replicas"].as_object().unwrap().is_empty());

    assert_eq!(agent.terminate(), 0);
    assert_eq!((first.terminate(), second.terminate()), (0, 0));
    let log = fs::read_dir(format!("{state}/log")).unwrap().next().unwrap().unwrap().path();
    let former = fs::read_dir(format!("{ca}/former")).unwrap().count();
    assert_eq!(former, 2, "certificate and key of the replaced intermediate");
    // The first signer chains to the root that left, a later one to the root that came.
    let log = log.to_str().unwrap();
    bad(authority(&["log", "verify", log, "--dir", &ca]), 1, "line 2 is broken");
    let retired = fs::read_dir(format!("{ca}/retired")).unwrap().next().unwrap().unwrap().path();
    let retired = retired.to_str().unwrap();
    let verified = json(authority(&["log", "verify", log, "--dir", &ca, "--root", retired]));
    assert!(verified["issued"].as_u64().unwrap() >= 1);
}

#[test]
fn init_takes_a_root_of_your_own() {
    let place = Place::new();
    let (ca, own) = (place.path("taken"), place.path("own"));
    fs::create_dir(&own).unwrap();
    let (certificate, key) = (format!("{own}/root.crt"), format!("{own}/root.key"));
    let mut make = Command::new("openssl");
    make.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    make.args(["-keyout", &key, "-out", &certificate, "-days", "30", "-subj", "/CN=our own root"]);
    make.args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"]);
    good(make);
    let init =
        ["init", "--dir", &ca, "--trust-domain", "our.example", "--from-root-cert", &certificate];
    bad(authority(&init), 2, "--from-root-key");
    let init = [&init[..], &["--from-root-key", &key]].concat();
    let shown: Value = serde_json::from_str(&good(authority(&init))).unwrap();
    assert_eq!(shown["trustDomain"], "our.example");
    assert!(shown["roots"][0]["subject"].as_str().unwrap().contains("our own root"));
    let mut verify = Command::new("openssl");
    verify.args(["verify", "-CAfile", &certificate, &format!("{ca}/intermediate.pem")]);
    good(verify);
    good(authority(&["renew-intermediate", "--dir", &ca]));
    let other = place.path("other");
    let wrong = ["init", "--dir", &other, "--from-root-cert", &certificate, "--from-root-key"];
    let other_key = place.path("ca/intermediate.key.pem");
    let wrong = [&wrong[..], &[&other_key]].concat();
    bad(authority(&wrong), 1, "the root key is not the key of the root certificate");
}
