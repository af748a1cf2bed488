//! The resources in the guides are taken by `check`, so that who copies one has one that works.

use std::process::Command;

use crate::documents;

/// The apiVersions that Postern reads.
const OURS: &[&str] = &[
    "security.istio.io/",
    "networking.istio.io/",
    "policy.postern.dev/",
    "gateway.networking.k8s.io/",
];

#[test]
fn every_resource_of_the_guides_is_taken() {
    let (mut refused, mut tried) = (Vec::new(), 0);
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in documents() {
        for block in blocks(&text).into_iter().filter(|block| is_ours(block)) {
            let file = directory.path().join("block.yaml");
            std::fs::write(&file, &block).unwrap();
            let program = postern_tests::binary("postern-proxy");
            let output = Command::new(program).args(["check", "--resources"]).arg(&file).output();
            let output = output.unwrap();
            tried += 1;
            if !output.status.success() {
                let says = String::from_utf8_lossy(&output.stderr).into_owned();
                refused.push(format!("{}:\n{block}{says}", path.display()));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(tried >= 5, "{tried} blocks were found");
}

/// The YAML blocks of a document, without the blanks that set them into a list.
fn blocks(text: &str) -> Vec<String> {
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let unindented = |block: &str| {
        let indent = block.len() - block.trim_start_matches(' ').len();
        let lines = block.lines().map(|line| line.get(indent..).unwrap_or_default());
        lines.map(|line| format!("{line}\n")).collect()
    };
    blocks.map(unindented).collect()
}

/// True for whole resources of ours: `…` stands for what a reader fills in.
fn is_ours(block: &str) -> bool {
    let mut documents = block.split("---\n").filter(|document| !document.trim().is_empty());
    let of_ours = |document: &str| {
        let version = document.lines().find_map(|line| line.strip_prefix("apiVersion: "));
        version.is_some_and(|version| OURS.iter().any(|ours| version.starts_with(ours)))
    };
    !block.contains('…') && documents.all(of_ours)
}
