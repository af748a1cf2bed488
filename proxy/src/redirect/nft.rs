//! Talking to the `nft` command of the package `nftables`.
//!
//! The command is used rather than the netlink protocol because it is what administrators check
//! with, and because it turns one text into one transaction.

use std::ffi::OsStr;
use std::io::{self, Write as _};
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, bail};

use super::ruleset::TABLE;

/// Where `nft` is looked for: first as PATH says, then where distributions put it and where the
/// PATH of an ordinary user often does not reach.
const COMMANDS: [&str; 3] = ["nft", "/usr/sbin/nft", "/sbin/nft"];

/// Loads a text of rules in one transaction: all of it or nothing.
///
/// # Errors
/// `nft` is missing, lacks `CAP_NET_ADMIN`, or refuses the text; its own words are in the error.
pub fn load(rules: &str) -> anyhow::Result<()> {
    let output = run(&["-f", "-"], rules)?;
    if !output.status.success() {
        bail!("nft did not load the rules: {}", explain(&output.stderr));
    }
    Ok(())
}

/// The loaded table as `nft` describes it (libnftables-json(5)), or `None` when there is none.
///
/// # Errors
/// `nft` is missing, lacks `CAP_NET_ADMIN`, or answers something that is not JSON.
pub fn list_table() -> anyhow::Result<Option<serde_json::Value>> {
    let output = run(&["-j", "list", "table", "inet", TABLE], "")?;
    if output.status.success() {
        let listing = serde_json::from_slice(&output.stdout)
            .context("nft answered something that is not JSON")?;
        return Ok(Some(listing));
    }
    if contains(&output.stderr, "No such file or directory") {
        return Ok(None);
    }
    bail!("nft could not list the table inet {TABLE}: {}", explain(&output.stderr))
}

fn run(arguments: &[&str], input: &str) -> anyhow::Result<Output> {
    for command in COMMANDS {
        match run_as(OsStr::new(command), arguments, input) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            done => return done.with_context(|| format!("running {command}")),
        }
    }
    bail!(
        "nft was not found in PATH; install the package nftables (Debian and Ubuntu: apt-get install nftables)"
    )
}

fn run_as(command: &OsStr, arguments: &[&str], input: &str) -> io::Result<Output> {
    let mut child = Command::new(command)
        .args(arguments)
        // The answers are read by a program: no translated messages.
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // nft reads its whole input before it answers, so writing first cannot block on its output.
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(input.as_bytes()) {
            // It ended early; what it says on standard error tells why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            written => written?,
        }
    }
    child.wait_with_output()
}

fn explain(stderr: &[u8]) -> String {
    let words = String::from_utf8_lossy(stderr);
    let words = words.trim();
    if contains(stderr, "Operation not permitted") {
        return format!(
            "it needs the capability NET_ADMIN in this network namespace; run as root, \
             in an init container with capabilities.add [NET_ADMIN], or under `unshare -Urn`. nft said: {words}"
        );
    }
    if contains(stderr, "not supported") {
        return format!(
            "this kernel lacks a part of nftables (nf_tables with nat and fib). nft said: {words}"
        );
    }
    words.to_owned()
}

fn contains(stderr: &[u8], words: &str) -> bool {
    String::from_utf8_lossy(stderr).contains(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_right_is_explained() {
        let says = explain(b"Operation not permitted (you must be root)\n");
        assert!(says.contains("capability NET_ADMIN"), "{says}");
        assert!(says.ends_with("(you must be root)"), "{says}");
    }

    #[test]
    fn a_missing_kernel_part_is_explained() {
        let says = explain(b"Error: Could not process rule: Operation not supported");
        assert!(says.contains("this kernel lacks"), "{says}");
    }

    #[test]
    fn a_missing_command_is_not_found() {
        let error =
            run_as(OsStr::new("nft-that-is-not-there"), &[], "").map(|_| ()).map_err(|e| e.kind());
        assert_eq!(error, Err(io::ErrorKind::NotFound));
    }
}
