//! The help of every command of every program, as the programs print it.

use std::fmt::Write as _;
use std::process::{Command, Stdio};

use postern_tests::binary;

/// The programs, in the order of the page.
const PROGRAMS: [&str; 4] =
    ["postern-proxy", "postern-cert-agent", "postern-authority", "postern-k8s"];

#[test]
fn the_help_of_every_command_is_on_the_reference_page() {
    let mut page = String::from(
        "# Reference: commands\n\n\
         What `--help` prints, for every program and every command of it; a test compares, and `make reference` rewrites it.\n",
    );
    for program in PROGRAMS {
        write!(page, "\n## {program}\n").unwrap();
        add(&mut page, program, &mut Vec::new());
    }
    super::check("commands.md", &page);
}

/// Adds the help of a command, and of the commands below it.
fn add(page: &mut String, program: &str, words: &mut Vec<String>) {
    let help = help(program, words);
    if !words.is_empty() {
        write!(page, "\n### {program} {}\n", words.join(" ")).unwrap();
    }
    write!(page, "\n```text\n{}\n```\n", help.trim_end()).unwrap();
    for command in commands(&help) {
        words.push(command);
        add(page, program, words);
        words.pop();
    }
}

fn help(program: &str, words: &[String]) -> String {
    let mut command = Command::new(binary(program));
    // Without a terminal the width is always the same.
    command.args(words).arg("--help").stdin(Stdio::null()).stderr(Stdio::piped());
    let output = command.env_remove("COLUMNS").output().unwrap();
    assert!(output.status.success(), "{program} {words:?} --help");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// The names under `Commands:`, `help` left out.
fn commands(help: &str) -> Vec<String> {
    let list = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let list = list.take_while(|line| !line.is_empty());
    let names = list.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name != "help").map(str::to_owned).collect()
}
