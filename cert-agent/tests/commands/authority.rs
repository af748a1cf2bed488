//! The commands that make and show an authority.

use super::*;

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
