//! Stories of an agent and its authority, end to end: TLS on loopback, real sockets, real files.

use std::time::{Duration, Instant};

use crate::support::{Agent, CART, Ca, DEADLINE, free_address, id, within};
use agent::cli::fetch::fetch;

#[tokio::test]
async fn an_agent_joins_and_serves_its_identity() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;

    let status = agent.status().await.unwrap();
    assert_eq!(status.identity.as_deref(), Some(CART));
    assert!((3590..=3600).contains(&status.seconds_left.unwrap()));
    let svid = fetch(agent.socket()).await.unwrap();
    assert_eq!(svid.spiffe_id, CART);
}

#[tokio::test]
async fn s32_attestation_confusion_a_join_token_is_good_for_one_agent() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let token = ca.token(CART);
    let first = Agent::new(&ca, authority.address).give_token(&token).started().await;
    let second = Agent::new(&ca, authority.address).give_token(&token).start();

    let refused = second.until("a refusal", |status| status.failures > 0).await;
    assert!(!refused.ready);
    assert!(refused.last_error.unwrap().contains("join token is not (or no longer) good"));
    assert!(first.renew().await.unwrap().ready, "the first goes on by its renewal credential");
}

#[tokio::test]
async fn f01_ca_down_at_start() {
    let ca = Ca::new();
    let address = free_address().await;
    let agent = Agent::joining(&ca, address, CART).start();
    let waiting = agent.until("failed attempts", |status| status.failures >= 3).await;
    assert!(!waiting.ready);
    let refused = fetch(agent.socket()).await.unwrap_err().to_string();
    assert!(refused.contains("Unavailable") && refused.contains("cannot reach"), "{refused}");

    let back = Instant::now();
    let _authority = ca.start_at(address).await;
    agent.until_ready().await;
    // 1.5 s is the longest wait; the rest is for a busy machine.
    assert!(back.elapsed() < Duration::from_secs(3), "{:?}", back.elapsed());
}

#[tokio::test]
async fn f02_ca_down_during_renewal() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let address = authority.address;
    let agent = Agent::joining(&ca, address, CART).started().await;
    let before = agent.status().await.unwrap();
    authority.stop().await;

    let error = agent.renew().await.unwrap_err().to_string();
    assert!(error.contains("cannot reach the authority"), "{error}");
    let during = agent.status().await.unwrap();
    assert!(during.ready, "what is held stays in use");
    assert_eq!(during.serial, before.serial);
    assert!(fetch(agent.socket()).await.is_ok());

    let _authority = ca.start_at(address).await;
    let after = agent.until("a renewal", |status| status.renewals == 2).await;
    assert_ne!(after.serial, before.serial);
    assert_eq!(after.last_error, None);
}

#[tokio::test]
async fn f03_ca_black_hole() {
    // Accepts and says nothing: the backlog of a listener that nobody serves.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ca = Ca::new();
    let agent = Agent::joining(&ca, silent.local_addr().unwrap(), CART).start();
    let waiting = agent.until("the deadline of an attempt", |status| status.failures == 1).await;
    assert!(waiting.last_error.unwrap().contains("no TLS connection within 10 s"));
}

#[tokio::test]
async fn f05_certificate_expires_and_recovers_from_total_expiry() {
    let ca = Ca::new().lifetime(2);
    let authority = ca.start().await;
    let address = authority.address;
    let agent = Agent::joining(&ca, address, CART).started().await;
    authority.stop().await;

    agent.until("total expiry", |status| !status.ready).await;
    let refused = fetch(agent.socket()).await.unwrap_err().to_string();
    assert!(refused.contains("Unavailable"), "{refused}");

    let back = Instant::now();
    let _authority = ca.start_at(address).await;
    agent.until_ready().await;
    assert!(back.elapsed() < Duration::from_secs(5), "P-06: {:?}", back.elapsed());
}

#[tokio::test]
async fn the_renewal_credential_survives_a_restart() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    let first = agent.status().await.unwrap();
    let agent = agent.stopped().await;

    // The token is used up: whatever comes now comes by the credential.
    let agent = agent.started().await;
    let second = agent.status().await.unwrap();
    assert_eq!(second.identity.as_deref(), Some(CART));
    assert_ne!(second.serial, first.serial);
    assert_eq!(authority.authority.records.credentials.list().unwrap().len(), 1);
}

#[tokio::test]
async fn an_agent_whose_credential_ended_joins_anew_with_a_new_token() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    let credentials = &authority.authority.records.credentials;
    let instance = credentials.list().unwrap().remove(0).instance;
    assert!(credentials.revoke(&instance).unwrap());

    let error = agent.renew().await.unwrap_err().to_string();
    assert!(error.contains("join token is not (or no longer) good"), "{error}");
    assert!(agent.status().await.unwrap().ready, "until its certificate runs out");

    let agent = agent.give_token(&ca.token(CART));
    assert!(agent.renew().await.unwrap().ready);
}

#[tokio::test]
async fn short_lifetimes_rotate_by_themselves_with_a_fresh_key_each_time() {
    let ca = Ca::new().lifetime(4);
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    let mut keys = std::collections::HashSet::new();
    for renewals in 2..=4 {
        keys.insert(fetch(agent.socket()).await.unwrap().x509_svid_key);
        let status = agent.until("a renewal", |status| status.renewals >= renewals).await;
        assert!(status.ready);
        assert_eq!(status.failures, 0);
    }
    assert_eq!(keys.len(), 3);
}

#[tokio::test]
async fn an_authority_of_another_root_is_not_believed() {
    let (ours, theirs) = (Ca::new(), Ca::new());
    let impostor = theirs.start().await;
    let agent = Agent::joining(&ours, impostor.address, CART).start();
    let refused = agent.until("a refusal", |status| status.failures > 0).await;
    assert!(!refused.ready);
    let error = refused.last_error.unwrap();
    assert!(error.contains("cannot reach the authority"), "{error}");
    let tokens = authority::attest::join_token_store::JoinTokens::new(std::sync::Arc::clone(
        &ours.settings.store,
    ));
    assert_eq!(tokens.list().unwrap().len(), 1, "the token was never sent");
}

#[tokio::test]
async fn a_workload_certificate_does_not_make_an_authority() {
    // The authority's id is pinned: here the agent expects another one than the server has.
    let ca = Ca::new();
    let authority = ca.start().await;
    let mut agent = Agent::joining(&ca, authority.address, CART);
    agent.settings.authority_identity = Some(id(CART));
    let agent = agent.start();
    let refused = agent.until("a refusal", |status| status.failures > 0).await;
    assert!(!refused.ready, "{refused:?}");
}

#[tokio::test]
async fn a_local_agent_proves_itself_by_its_uid() {
    let mut ca = Ca::new();
    let (socket, registry) = (ca.dir.path().join("a.sock"), ca.dir.path().join("registry.yaml"));
    let uid = nix::unistd::Uid::effective();
    let entry = format!("entries:\n  - {{identity: '{CART}', unix: {{uid: {uid}}}}}\n");
    std::fs::write(&registry, entry).unwrap();
    ca.settings.unix = Some(socket.clone());
    ca.settings.registry = Some(registry);
    let authority = ca.start().await;
    let mut agent = Agent::new(&ca, authority.address);
    agent.settings.authority = None;
    agent.settings.authority_unix = Some(socket);
    let agent = agent.started().await;

    assert_eq!(agent.status().await.unwrap().identity.as_deref(), Some(CART));
    assert!(!agent.settings.state_dir.exists(), "it keeps nothing: its uid is proof at any time");
    assert!(authority.authority.records.credentials.list().unwrap().is_empty());
}

#[tokio::test]
async fn a_local_caller_without_an_entry_has_no_identity() {
    let mut ca = Ca::new();
    let (socket, registry) = (ca.dir.path().join("a.sock"), ca.dir.path().join("registry.yaml"));
    let other = nix::unistd::Uid::effective().as_raw() + 1;
    let entry = format!("entries:\n  - {{identity: '{CART}', unix: {{uid: {other}}}}}\n");
    std::fs::write(&registry, entry).unwrap();
    ca.settings.unix = Some(socket.clone());
    ca.settings.registry = Some(registry);
    let authority = ca.start().await;
    let mut agent = Agent::new(&ca, authority.address);
    agent.settings.authority = None;
    agent.settings.authority_unix = Some(socket);
    let agent = agent.start();

    agent.until("a refusal", |status| status.failures > 0).await;
    let refused = fetch(agent.socket()).await.unwrap_err().to_string();
    assert!(
        refused.contains("PermissionDenied") && refused.contains("no identity issued"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_live_socket_is_not_taken_over_and_a_dead_one_is() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    let mut second = Agent::joining(&ca, authority.address, CART);
    second.settings.socket = agent.socket().to_owned();
    let refused = agent::serve::run::serve(second.settings.clone(), Default::default());
    let error = tokio::time::timeout(DEADLINE, refused).await.unwrap().unwrap_err().to_string();
    assert!(error.contains("another agent serves"), "{error}");

    // What `kill -9` leaves: a socket file that nobody listens on.
    let dead = second.dir.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    second.settings.socket = dead;
    let second = second.started().await;
    assert!(fetch(second.socket()).await.is_ok());

    // Anything else is left alone.
    let file = second.dir.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    let mut third = Agent::joining(&ca, authority.address, CART);
    third.settings.socket = file.clone();
    let error = agent::serve::run::serve(third.settings.clone(), Default::default()).await;
    assert!(error.unwrap_err().to_string().contains("is no socket"));
    assert_eq!(std::fs::read_to_string(file).unwrap(), "precious");
}

#[tokio::test]
async fn f22_disk_full_the_credential_lives_on_in_memory() {
    let ca = Ca::new();
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    // A directory in the temporary file's place stands for a disk that refuses.
    let blocked = agent.settings.state_dir.join("renewal-credential.json.new");
    std::fs::create_dir(&blocked).unwrap();
    for _ in 0..3 {
        assert!(agent.renew().await.unwrap().ready);
    }
    std::fs::remove_dir(&blocked).unwrap();
    assert!(agent.renew().await.unwrap().ready);
    let agent = agent.stopped().await.started().await;
    assert!(agent.status().await.unwrap().ready, "and on the disk once it accepts again");
}

#[tokio::test]
async fn f08_root_rotated_a_published_root_reaches_the_agents() {
    use authority::serve::followed_files::FollowedFiles;
    let (ca, next) = (Ca::new(), Ca::new());
    let authority = ca.start().await;
    let agent = Agent::joining(&ca, authority.address, CART).started().await;
    assert_eq!(agent.status().await.unwrap().roots.len(), 1);

    let mut files = FollowedFiles::new(ca.settings.directory.clone(), None);
    let mut bundle = std::fs::read_to_string(ca.bundle()).unwrap();
    bundle.push_str(&std::fs::read_to_string(next.bundle()).unwrap());
    std::fs::write(ca.bundle(), bundle).unwrap();
    files.look(&authority.authority);
    let taken = async { while agent.status().await.unwrap().roots.len() < 2 {} };
    within("the second root", taken).await;

    std::fs::write(ca.bundle(), "garbage").unwrap();
    files.look(&authority.authority);
    assert_eq!(agent.renew().await.unwrap().roots.len(), 2, "an unusable bundle changes nothing");
}
