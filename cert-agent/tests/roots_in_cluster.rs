//! A root rolled over in a cluster by the commands that a person types, against the objects that `init` made there.

use std::path::{Path, PathBuf};
use std::process::Command;

use authority::ca::signers;
use authority::clock::wall_clock;
use authority::store::kubernetes_store::{KubernetesStore, SecretsLocation};
use authority::store::pem;
use authority::store::record::IssuanceRecord;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::sync::Arc;

use crate::support::kube_api::KubeApi;
use crate::support::within;

const OBJECTS: [&str; 3] = [
    "--into-secret=mesh/postern-authority",
    "--root-into-secret=mesh/postern-root",
    "--bundle-into-config-map=mesh/postern-trust-bundle",
];
const STATE: &str = "--state-secret=mesh/postern-authority-state";

/// A cluster whose authority has been made, and whoever types the commands.
struct Cluster {
    api: KubeApi,
    _dir: tempfile::TempDir,
    kubeconfig: PathBuf,
}

impl Cluster {
    async fn made() -> Self {
        let api = KubeApi::start().await;
        let dir = tempfile::tempdir().unwrap();
        let kubeconfig = api.kubeconfig(dir.path());
        let cluster = Self { api, _dir: dir, kubeconfig };
        cluster.run(&["init"], &[]).await.unwrap();
        cluster
    }

    /// What a command printed, or its complaint.
    async fn run(&self, command: &[&str], more: &[&str]) -> Result<String, String> {
        let mut process = Command::new(env!("CARGO_BIN_EXE_postern-authority"));
        process.args(command).args(OBJECTS).args(more).arg("--kubeconfig").arg(&self.kubeconfig);
        let ended = tokio::task::spawn_blocking(move || process.output().unwrap());
        let ended = within("the command", ended).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        if ended.status.success() { Ok(text(ended.stdout)) } else { Err(text(ended.stderr)) }
    }

    /// The states of the roots after a step, in the bundle's order.
    async fn step(&self, step: &str, more: &[&str]) -> Result<Vec<String>, String> {
        let printed = self.run(&["root", step], &[&[STATE], more].concat()).await?;
        let roots: Vec<Value> = serde_json::from_str(&printed).unwrap();
        Ok(roots.iter().map(|root| root["state"].as_str().unwrap().to_owned()).collect())
    }

    fn member(&self, secret: &str, name: &str) -> Option<String> {
        let text = self.api.secrets()[secret]["data"][name].as_str()?.to_owned();
        Some(String::from_utf8(STANDARD.decode(text).unwrap()).unwrap())
    }

    /// The ids of the roots that agents, and that the authority, believe.
    fn published(&self) -> (Vec<String>, Vec<String>) {
        let map = self.api.config_map("postern-trust-bundle").unwrap();
        let ids = |text: &str| {
            let roots = pem::certificates_in(text.as_bytes(), "roots").unwrap();
            roots.iter().map(signers::root_id).collect::<Vec<_>>()
        };
        let authority = self.member("postern-authority", "ca.crt").unwrap();
        (ids(map["bundle.pem"].as_str().unwrap()), ids(&authority))
    }

    /// Whether the intermediate in force is of the root in the root's Secret.
    fn signs_by_its_root(&self) -> bool {
        let one = |secret, name| {
            let text = self.member(secret, name).unwrap();
            pem::certificates_in(text.as_bytes(), name).unwrap().swap_remove(0)
        };
        let root = one("postern-root", "root.pem");
        signers::is_signed_by(&one("postern-authority", "tls.crt"), &root).unwrap()
    }
}

fn states(expect: &[&str]) -> Vec<String> {
    expect.iter().map(|state| (*state).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn f08_root_rotated_in_a_cluster_by_three_commands() {
    let cluster = Cluster::made().await;
    assert_eq!(cluster.step("status", &[]).await.unwrap(), states(&["active"]));
    let (old, _) = cluster.published();

    let error = cluster.step("activate", &[]).await.unwrap_err();
    assert!(error.contains("run `postern-authority root prepare` first"), "{error}");
    for _ in 0..2 {
        let prepared = cluster.step("prepare", &[]).await.unwrap();
        assert_eq!(prepared, states(&["active", "prepared"]), "a step may be repeated");
    }
    let (agents, authority) = cluster.published();
    assert_eq!((agents.len(), &agents), (2, &authority), "both roots are believed everywhere");
    assert!(cluster.member("postern-root", "next-root.key.pem").unwrap().contains("ENCRYPTED"));
    assert!(cluster.signs_by_its_root(), "the old root still signs");

    let error = cluster.step("activate", &[]).await.unwrap_err();
    assert!(error.contains("may not know it before"), "{error}");
    for _ in 0..2 {
        let activated = cluster.step("activate", &["--force"]).await.unwrap();
        assert_eq!(activated, states(&["replaced", "active"]), "a step may be repeated");
    }
    assert!(cluster.signs_by_its_root(), "the new root signs, and is the root now");
    assert_eq!(cluster.member("postern-root", "next-root.pem"), None);
    assert_eq!(cluster.published().0.len(), 2, "the old root is still believed");

    let error = cluster.step("retire", &[]).await.unwrap_err();
    assert!(error.contains("may be in use until"), "{error}");
    assert_eq!(cluster.step("retire", &["--force"]).await.unwrap(), states(&["active"]));
    let (agents, authority) = cluster.published();
    assert_eq!((agents.len(), &agents), (1, &authority));
    assert_ne!(agents, old, "the old root is believed nowhere");
    let retired = format!("retired-{}.pem", old[0]);
    assert!(cluster.member("postern-root", &retired).is_some(), "kept for old logs");
    // The job of the next upgrade finds everything in order.
    cluster.run(&["init"], &[]).await.unwrap();
}

/// A replica's claim in the cluster's own state keeps a root where it is.
#[tokio::test(flavor = "multi_thread")]
async fn f08_root_rotated_in_a_cluster_waits_for_what_replicas_signed() {
    let cluster = Cluster::made().await;
    cluster.step("prepare", &[]).await.unwrap();
    let (old, _) = cluster.published();
    claim(&cluster.kubeconfig, old[0].clone()).await;
    cluster.step("activate", &["--force"]).await.unwrap();
    let error = cluster.step("retire", &[]).await.unwrap_err();
    assert!(error.contains(&old[0]) && error.contains("may be in use until"), "{error}");
    assert_eq!(cluster.published().0.len(), 2, "a refusal changes nothing");
}

/// As a replica does before it signs.
async fn claim(kubeconfig: &Path, root: String) {
    let kubeconfig = kubeconfig.to_owned();
    let claimed = tokio::task::spawn_blocking(move || {
        let place = SecretsLocation::parse("mesh/postern-authority-state").unwrap();
        let store = Arc::new(KubernetesStore::open(place, Some(&kubeconfig)).unwrap());
        let now = wall_clock();
        IssuanceRecord::new(store, 3600, now).cover(&root, now + 3600, now).unwrap();
    });
    within("the claim", claimed).await.unwrap();
}

/// What somebody else does to an object between reading and writing is not undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_root_is_not_prepared_over_a_change_of_another() {
    let cluster = Cluster::made().await;
    let before = cluster.api.secrets();
    cluster.api.conflicts(1);
    let error = cluster.step("prepare", &[]).await.unwrap_err();
    assert!(error.contains("run the command again"), "{error}");
    assert_eq!(cluster.api.secrets(), before, "nothing was changed");
    assert_eq!(cluster.step("prepare", &[]).await.unwrap(), states(&["active", "prepared"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_root_in_a_cluster_needs_the_clusters_state_and_no_passphrase_file() {
    let cluster = Cluster::made().await;
    let error = cluster.run(&["root", "prepare"], &[]).await.unwrap_err();
    assert!(error.contains("--state-secret"), "{error}");
    let more = [STATE, "--passphrase-file=/nowhere"];
    let error = cluster.run(&["root", "prepare"], &more).await.unwrap_err();
    assert!(error.contains("--passphrase-file and --pkcs11-module go with --dir"), "{error}");
}
