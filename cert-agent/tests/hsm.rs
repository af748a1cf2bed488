//! A root whose key is in a PKCS#11 token: softhsm2, by the programs as a person runs them.

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Where distributions put the module.
const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
];

struct Token {
    dir: tempfile::TempDir,
}

impl Token {
    fn new() -> Self {
        let token = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(token.dir.path().join("tokens")).unwrap();
        let configuration =
            format!("directories.tokendir = {}\nlog.level = ERROR\n", token.path("tokens"));
        fs::write(token.path("softhsm2.conf"), configuration).unwrap();
        fs::write(token.path("pin"), "123456\r\n").unwrap();
        let mut command = Command::new("softhsm2-util");
        command.args([
            "--init-token",
            "--free",
            "--label",
            "postern",
            "--pin",
            "123456",
            "--so-pin",
            "abcdef",
        ]);
        let output = token.run(command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        token
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn run(&self, mut command: Command) -> Output {
        command.env("SOFTHSM2_CONF", self.path("softhsm2.conf")).stdin(Stdio::null());
        command.output().expect("softhsm2 is installed")
    }

    /// `postern-authority` with the key of this label.
    fn authority(&self, arguments: &[&str], key: &str) -> Output {
        let module = MODULES.into_iter().find(|path| Path::new(path).exists());
        let mut command = Command::new(env!("CARGO_BIN_EXE_postern-authority"));
        command.args(arguments).args(["--dir", &self.path("ca")]);
        command.args(["--pkcs11-module", module.expect("softhsm2 is installed")]);
        command.args(["--pkcs11-token", "postern", "--pkcs11-key", key]);
        command.args(["--pkcs11-pin-file", &self.path("pin")]);
        self.run(command)
    }

    fn good(&self, arguments: &[&str], key: &str) -> Value {
        let output = self.authority(arguments, key);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    fn bad(&self, arguments: &[&str], key: &str, expect: &str) {
        let output = self.authority(arguments, key);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && error.contains(expect), "{error}");
    }

    fn openssl_verifies(&self) {
        let mut command = Command::new("openssl");
        command.args([
            "verify",
            "-CAfile",
            &self.path("ca/bundle.pem"),
            &self.path("ca/intermediate.pem"),
        ]);
        let output = self.run(command);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_root_in_a_token_signs_intermediates_and_is_rolled_over() {
    let token = Token::new();
    token.bad(&["renew-intermediate"], "root-1", "run `init` first");
    let shown = token.good(&["init"], "root-1");
    assert_eq!(shown["trustDomain"], "cluster.local");
    for secret in ["root.key.pem", "root.passphrase"] {
        assert!(!Path::new(&token.path("ca")).join(secret).exists(), "{secret} is in the token");
    }
    token.openssl_verifies();
    let before = fs::read(token.path("ca/intermediate.pem")).unwrap();
    token.good(&["renew-intermediate"], "root-1");
    assert_ne!(fs::read(token.path("ca/intermediate.pem")).unwrap(), before);
    token.openssl_verifies();

    token.bad(&["renew-intermediate"], "nobody", "no private key labelled `nobody`");
    token.bad(&["root", "prepare"], "root-1", "another --pkcs11-key");
    fs::write(token.path("pin"), "654321").unwrap();
    token.bad(&["renew-intermediate"], "root-1", "refuses the PIN");
    fs::write(token.path("pin"), "123456").unwrap();

    let roots = token.good(&["root", "prepare"], "root-2");
    assert_eq!(roots[0]["state"], "active");
    assert_eq!(roots[1]["state"], "prepared");
    token.bad(&["root", "activate", "--force"], "root-1", "is not the key of the root certificate");
    let roots = token.good(&["root", "activate", "--force"], "root-2");
    assert_eq!((&roots[0]["state"], &roots[1]["state"]), (&"replaced".into(), &"active".into()));
    token.openssl_verifies();
    token.bad(&["renew-intermediate"], "root-1", "is not the key of the root certificate");
    token.good(&["renew-intermediate"], "root-2");
}
