//! The commands in the documents are read by the very parsers of the programs: with `--help` at their end they do
//! nothing, but a subcommand or an option that does not exist is refused before that.

use std::process::Command;

use crate::documents;

const PROGRAMS: &[&str] =
    &["postern-proxy", "postern-authority", "postern-cert-agent", "postern-k8s"];

#[test]
fn every_command_of_the_guides_is_understood() {
    let mut refused = Vec::new();
    let mut tried = 0;
    for (path, text) in documents() {
        for words in commands(&text) {
            let (program, arguments) = words.split_first().unwrap();
            let program = postern_tests::binary(program);
            let output = Command::new(program).args(arguments).arg("--help").output().unwrap();
            tried += 1;
            if !output.status.success() {
                let says = String::from_utf8_lossy(&output.stderr).into_owned();
                refused.push(format!("{}: {}\n{says}", path.display(), words.join(" ")));
            }
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
    assert!(tried > 40, "{tried} commands were found");
}

#[test]
fn commands_are_found_as_a_shell_would_find_them() {
    let check = |text: &str, expect: &[&[&str]]| assert_eq!(commands(text), expect, "{text}");
    let run: &[&str] = &["postern-authority", "run", "--dir", "ca"];
    check(
        "```console\n$ postern-authority run \\\n    --dir ca &\nsays $ postern-x\n```\n",
        &[run],
    );
    check("```sh\npostern-authority run --dir ca > out 2>&1   # why\n```\n", &[run]);
    check(
        "```console\n$ export A=b && postern-authority run --dir ca; echo \"exit $?\"\n```\n",
        &[run],
    );
    let quoted: &[&str] = &["postern-proxy", "explain", "--log", "a b"];
    check("```console\n# setpriv --x 1 postern-proxy explain --log 'a b' | tail\n```\n", &[quoted]);
    check("postern-proxy run is prose, and so is\n```yaml\na: postern-proxy run\n```\n", &[]);
}

/// The words of every command for one of our programs.
fn commands(text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for line in typed(text) {
        for part in line.split(" && ").flat_map(|part| part.split([';', '|', '&'])) {
            let words = words(part);
            let ours = |word: &String| PROGRAMS.contains(&word.as_str());
            let begins = words.first().is_some_and(|first| ours(first) || first == "setpriv");
            if let (true, Some(at)) = (begins, words.iter().position(ours)) {
                // What a variable holds was said before.
                let said = words[at..].iter().filter(|word| !word.starts_with('$'));
                found.push(said.cloned().collect());
            }
        }
    }
    found
}

/// The lines that a person types: after a prompt in `console` blocks, all of `sh` blocks. A line that ends with `\`
/// goes on.
fn typed(text: &str) -> Vec<String> {
    let (mut lines, mut block, mut goes_on) = (Vec::<String>::new(), None, false);
    for line in text.lines().map(str::trim_start) {
        if let Some(kind) = line.strip_prefix("```") {
            block = if block.is_some() { None } else { Some(kind.to_owned()) };
            continue;
        }
        let prompted = line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "));
        let typed = match block.as_deref() {
            Some("console") => prompted,
            Some("sh") => Some(line),
            _ => None,
        };
        let more = line.strip_suffix('\\');
        match (goes_on, lines.last_mut(), typed) {
            (true, Some(last), _) => last.push_str(more.unwrap_or(line)),
            (_, _, Some(typed)) => lines.push(typed.trim_end_matches('\\').to_owned()),
            _ => continue,
        }
        goes_on = more.is_some();
    }
    lines
}

/// A command's words: quotes hold them together, a comment or a redirection ends them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            Some(_) => word.push(c),
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if c.is_whitespace() => words.push(std::mem::take(&mut word)),
            None if matches!(c, '<' | '>') || (c == '#' && word.is_empty()) => {
                // `2>` belongs to the redirection.
                if word == "2" {
                    word.clear();
                }
                break;
            }
            None => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}
