//! The command lines in the manifests are read by the very parsers of the programs.

use std::fs;
use std::process::Command;

use postern_tests::repository;
use serde_json::Value;

use crate::rendered::{kustomized, objects};

/// Program of an image, and its arguments, of every container that is applied.
fn command_lines() -> Vec<(String, Vec<String>)> {
    let mut lines = Vec::new();
    for object in objects(&kustomized("base")).values() {
        let Some(pod) = object.pointer("/spec/template/spec") else { continue };
        let of = |key: &str| pod[key].as_array().cloned().unwrap_or_default();
        for container in of("initContainers").iter().chain(&of("containers")) {
            let image = container["image"].as_str().unwrap();
            let program = image.rsplit('/').next().unwrap().split(':').next().unwrap();
            let arguments = container["args"].as_array().unwrap();
            let text =
                |argument: &Value| argument.as_str().unwrap().replace("$(POD_NAME)", "pod-1");
            let arguments = arguments.iter().map(text);
            lines.push((program.to_owned(), arguments.collect()));
        }
    }
    lines
}

#[test]
fn every_command_line_of_the_manifests_is_understood() {
    let mut programs = Vec::new();
    for (program, line) in command_lines() {
        let ended = end_of(&program, &line);
        // There is no cluster here, and none of the files: it cannot have worked, but it must have been understood.
        assert!(!ended.contains("try '--help'"), "{program} {line:?}: {ended}");
        let says = ended.contains("error:") || ended.contains("postern-k8s:");
        assert!(says, "{program} {line:?} did not say why it ended: {ended}");
        programs.push(program);
    }
    programs.sort();
    programs.dedup();
    assert_eq!(programs, ["postern-authority", "postern-cert-agent", "postern-k8s"]);
}

/// What the program says on standard error; it has ten seconds.
fn end_of(program: &str, line: &[String]) -> String {
    let output = Command::new("timeout")
        .arg("10")
        .arg(postern_tests::binary(program))
        .args(line)
        .output()
        .unwrap();
    assert_ne!(output.status.code(), Some(124), "{program} {line:?} went on without a cluster");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Injected pods name programs without a folder, so an image must say where they are.
#[test]
fn every_image_of_the_containerfile_finds_its_program_and_is_not_root() {
    let text = fs::read_to_string(repository().join("k8s/images/Containerfile")).unwrap();
    let images: Vec<&str> = text.split("FROM scratch AS ").skip(1).collect();
    assert_eq!(images.len(), 4, "one a program");
    for image in images {
        let name = image.lines().next().unwrap();
        let entry = format!("ENTRYPOINT [\"/usr/bin/{name}\"]");
        let user = if name == "postern-proxy" { 64137 } else { 65532 };
        let user = if name == "postern-cert-agent" { 64138 } else { user };
        for line in [entry, "ENV PATH=/usr/bin".to_owned(), format!("USER {user}:{user}")] {
            assert!(image.lines().any(|found| found == line), "{name} has no {line}");
        }
    }
}
