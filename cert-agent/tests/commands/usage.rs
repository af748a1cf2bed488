//! What is wrong with a command line is said so, and what may be written there is printed.

use super::*;

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
    let issuer = |url| ["run", "--dir", &ca, "--bundle-endpoint", "[::]:0", "--jwt-issuer", url];
    check(&issuer("http://id.example"), "the scheme must be https");
    check(&issuer("https://id.example/"), "leave the slash at the end away");
    check(&["run", "--dir", &ca, "--jwt-issuer", "https://id.example"], "--bundle-endpoint");
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
    fs::write(&registry, "tokenVouchers: [spiffe://other/gateway]\n").unwrap();
    check(&["run", "--dir", &ca, "--registry", &registry], "tokenVouchers: identity");

    bad(agent(&["run"]), 2, "--authority");
    bad(agent(&["run", "--authority", "nowhere", "--trust-bundle", "x"]), 2, "HOST:PORT");
    let missing = ["run", "--authority", "h:1", "--trust-bundle", "/nonexistent.pem"];
    bad(agent(&missing), 2, "cannot read the trust bundle");
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
