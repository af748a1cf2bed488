//! The guide to certificates is followed to the letter: what it tells to type works, and what it shows as printed has
//! the lines and columns that are printed today.

use std::fs;
use std::process::Command;

use postern_tests::{binary, repository};

/// The first block of the guide, in a network of its own (it names ports), then the tables that the guide shows.
#[test]
fn the_certificate_guide_prints_what_it_shows() {
    let guide = fs::read_to_string(repository().join("docs/certificates.md")).unwrap();
    let (typed, shown) = first_block(&guide, "## In five commands");
    let (show, before) = typed.split_last().unwrap();
    let programs = binary("postern-authority");
    let place = tempfile::tempdir().unwrap();
    let script = format!(
        "set -e; PATH={}:$PATH; ip link set lo up\n{}\n\
         until postern-cert-agent health --socket ./agent.sock 2>/dev/null; do sleep 0.1; done\n\
         echo BEGIN; script -qec '{show}' /dev/null\n\
         for list in 'root status' instances; do script -qec \"postern-authority $list --dir ca\" /dev/null; done\n",
        programs.parent().unwrap().display(),
        before.join("\n"),
    );
    // The first process of a namespace takes all others with it when it ends.
    let output = Command::new("timeout")
        .args(["60", "unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", &script])
        .current_dir(place.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let errors = String::from_utf8_lossy(&output.stderr);
    let (_, tables) =
        printed.split_once("BEGIN\n").unwrap_or_else(|| panic!("{printed}\n{errors}"));
    assert_eq!(labels(tables.lines().take(shown.len())), labels(shown.iter().copied()), "{errors}");
    let heads: Vec<_> = tables.lines().skip(shown.len()).map(spaced_once).collect();
    for head in
        ["root state since in use until identities expires", "instance identity joined left"]
    {
        assert!(heads.iter().any(|line| line == head), "not printed: {head}\n{tables}\n{errors}");
        assert!(guide.lines().any(|line| spaced_once(line) == head), "not in the guide: {head}");
    }
}

/// The quick start with a broker, in a network of its own: its files, then its commands.
#[test]
fn the_guide_to_events_prints_what_it_shows() {
    let guide = fs::read_to_string(repository().join("docs/events.md")).unwrap();
    let (_, below) = guide.split_once("## On a laptop").unwrap();
    let place = tempfile::tempdir().unwrap();
    fs::create_dir(place.path().join("resources")).unwrap();
    for block in below.split("```yaml\n# ").skip(1).take(3) {
        let name = block.split(':').next().unwrap();
        let text = block.split("```").next().unwrap();
        fs::write(place.path().join(name), format!("# {text}")).unwrap();
    }
    let (typed, shown) = first_block(&guide, "## On a laptop");
    // Where a person gives the answers some seconds, this asks on until they are there.
    let typed = typed.join("\n").replace("\n(printf", "\necho BEGIN\n(printf");
    let typed = typed.replace("sleep 2)", "while printf 'PING\\r\\n'; do sleep 0.1; done)");
    let typed = typed.replace("--max-time 5", "--max-time 60").replace("grep ERR", "grep -m 2 ERR");
    let programs = binary("postern-authority");
    let programs = programs.parent().unwrap();
    let script = format!(
        "PATH={0}:{0}/../peers/events/bin:$PATH; ip link set lo up\n{typed}\n",
        programs.display()
    );
    let output = Command::new("timeout")
        .args(["120", "unshare", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", &script])
        .current_dir(place.path())
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let errors = String::from_utf8_lossy(&output.stderr);
    let (_, answers) =
        printed.split_once("BEGIN\n").unwrap_or_else(|| panic!("{printed}\n{errors}"));
    assert_eq!(answers.lines().collect::<Vec<_>>(), shown, "{errors}");
}

/// What a `console` block below this heading tells to type, and what it shows after the last command.
fn first_block<'g>(guide: &'g str, heading: &str) -> (Vec<String>, Vec<&'g str>) {
    let (_, below) = guide.split_once(heading).unwrap();
    let (_, block) = below.split_once("```console\n").unwrap();
    let (block, _) = block.split_once("```").unwrap();
    let (mut typed, mut shown) = (Vec::<String>::new(), Vec::new());
    for line in block.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            typed.push(command.to_owned());
        } else if typed.last().is_some_and(|last| last.ends_with('\\')) {
            typed.last_mut().unwrap().push_str(&format!("\n{line}"));
        } else {
            shown.push(line);
        }
    }
    (typed, shown)
}

/// The first column of the table that `show` prints.
fn labels<'l>(lines: impl Iterator<Item = &'l str>) -> Vec<String> {
    lines.map(|line| line.chars().take(13).collect::<String>().trim().to_owned()).collect()
}

fn spaced_once(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}
