//! The roots rolled over by commands, under running replicas.

use super::*;

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
