//! Loading ten thousand policies: reading them, and making the snapshot of one workload.

use divan::{Bencher, black_box};
use policy::{PolicyDefaults, Resources, Snapshot, SourceFile, Workload};
use serde_json::json;

fn main() {
    divan::main();
}

const POLICIES: usize = 10_000;
/// Policies in one file.
const POLICIES_OF_A_FILE: usize = 500;

/// Files to checked resources.
#[divan::bench(sample_count = 5, sample_size = 1)]
fn read_resources(bencher: Bencher<'_, '_>) {
    let files = files(true);
    bencher.bench_local(|| good(Resources::parse(black_box(&files), "postern-system")));
}

/// Resources to a snapshot of the workload that all of them are about.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn build_snapshot_all_concern_it(bencher: Bencher<'_, '_>) {
    build(bencher, true);
}

/// The same for a workload that one in a hundred is about.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn build_snapshot_few_concern_it(bencher: Bencher<'_, '_>) {
    build(bencher, false);
}

fn build(bencher: Bencher<'_, '_>, all: bool) {
    let resources = good(Resources::parse(&files(all), "postern-system"));
    let workload = Workload {
        namespace: "shop".to_owned(),
        service_account: "cart".to_owned(),
        labels: [("app".to_owned(), "cart".to_owned())].into(),
    };
    let defaults = PolicyDefaults::default();
    bencher.bench_local(|| Snapshot::build(black_box(&resources), &workload, &defaults));
}

/// One policy names a caller, a method and a path; its selector names `cart` always, or once in a hundred.
fn files(all: bool) -> Vec<SourceFile> {
    let numbers: Vec<usize> = (0..POLICIES).collect();
    let files = numbers.chunks(POLICIES_OF_A_FILE).map(|numbers| {
        let documents = numbers.iter().map(|number| {
            let app = if all || number % 100 == 0 { "cart" } else { "other" };
            let principal = format!("cluster.local/ns/shop/sa/caller-{number}");
            let policy = json!({
                "apiVersion": "security.istio.io/v1",
                "kind": "AuthorizationPolicy",
                "metadata": {"name": format!("policy-{number:05}"), "namespace": "shop"},
                "spec": {
                    "selector": {"matchLabels": {"app": app}},
                    "rules": [{
                        "from": [{"source": {"principals": [principal]}}],
                        "to": [{"operation": {"methods": ["GET"], "paths": [format!("/api/{number}/*")]}}],
                    }],
                },
            });
            format!("---\n{policy}\n")
        });
        let bytes = documents.collect::<String>().into_bytes();
        SourceFile { name: "policies.yaml".to_owned(), bytes }
    });
    files.collect()
}

#[expect(
    clippy::expect_used,
    reason = "input of our own that is refused is a mistake in this file"
)]
fn good<T, E: std::fmt::Debug>(result: Result<T, E>) -> T {
    result.expect("good input")
}
