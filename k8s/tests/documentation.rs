//! Reference tables that are printed from the code, so that they cannot go stale. Run with
//! `UPDATE_DOCS=1` to rewrite them.

use std::fmt::Write as _;
use std::path::Path;

use k8s::inject::annotation::ANNOTATIONS;

#[test]
fn every_annotation_is_on_the_kubernetes_page() {
    let mut table = String::from(
        "| annotation | values | default | on a namespace | meaning |\n|---|---|---|---|---|\n",
    );
    for annotation in ANNOTATIONS {
        let namespace = if annotation.on_namespace { "yes" } else { "no" };
        writeln!(
            table,
            "| `postern.dev/{}` | {} | {} | {namespace} | {} |",
            annotation.key, annotation.values, annotation.default, annotation.meaning
        )
        .unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/kubernetes.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- annotations -->\n", "<!-- /annotations -->");
    let from = written.find(begin).unwrap() + begin.len();
    let to = written.find(end).unwrap();
    let expected = format!("{}{table}{}", &written[..from], &written[to..]);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &expected).unwrap();
    }
    let now = std::fs::read_to_string(&path).unwrap();
    assert!(
        now == expected,
        "docs/kubernetes.md is stale: UPDATE_DOCS=1 cargo test -p k8s --test all -- documentation"
    );
}
