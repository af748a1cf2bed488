//! `postern-proxy redirect`: the nftables rules that bring a pod's traffic to the proxy.
//!
//! The whole of it is one table, `inet postern`, for IPv4 and IPv6 alike. It is loaded in one
//! transaction, so traffic sees the old rules or the new ones and never a half. The rules belong to
//! the kernel, not to the proxy: while the proxy is down, redirected connections are refused by the
//! kernel and nothing leaks (SECURITY-CASES S-46, F-18).
//!
//! | file | says |
//! |---|---|
//! | [`interception`] | the settings, as flags and as a value |
//! | [`ruleset`] | settings -> rules, a pure function |
//! | [`nft`] | talking to the `nft` command |
//! | [`verify`] | what is loaded against what should be |
//! | [`resolvers`] | the name servers of `/etc/resolv.conf` |
//!
//! What the proxy must do on its side, because rules alone cannot:
//! * refuse a connection whose original destination is one of the proxy's own ports. A direct dial
//!   to 15006 is redirected like any other, so its original destination is `<pod address>:15006`;
//!   over loopback, where nothing is redirected, it is `127.0.0.1:15006`. Neither is an app's port.
//! * forward inbound connections from `ports::INBOUND_SOURCE_V4` or `::1`, else they come back.
//!
//! The limits of the boundary: a workload that holds `NET_ADMIN` can remove the rules, and one that
//! runs under the exempt uid is not redirected. Inbound, only TCP is taken: a UDP service is as open as
//! it was. What protects a service is the proxy beside *it*.

pub mod interception;
pub mod nft;
pub mod resolvers;
pub mod ruleset;
pub mod verify;

#[cfg(test)]
mod namespace_tests;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};

use interception::{InterceptionArgs, InterceptionRules};

/// Arguments of `postern-proxy redirect`.
#[derive(Debug, Args)]
pub struct RedirectArgs {
    /// What to do with the rules.
    #[command(subcommand)]
    pub action: RedirectAction,
}

/// What to do with the rules.
#[derive(Debug, Subcommand)]
pub enum RedirectAction {
    /// Load the rules, replacing those of an earlier run, in one transaction.
    Apply(InterceptionArgs),
    /// Compare the loaded rules with what the same flags would load; exit 1 when they differ.
    Verify(InterceptionArgs),
    /// Write the rules to standard output and load nothing. Needs no rights.
    Print(InterceptionArgs),
    /// Take the rules away. Nothing to take away is fine too.
    Remove,
}

/// Runs the command.
///
/// Exit code 0 = done (or: nothing differs), 1 = `verify` found a difference, named on standard
/// error, 2 = flags that contradict each other.
///
/// # Errors
/// When `nft` is missing, lacks the right `CAP_NET_ADMIN`, or refuses the rules. The caller prints
/// the error and exits with 1.
pub fn run(args: RedirectArgs) -> anyhow::Result<ExitCode> {
    let (flags, act): (_, fn(&InterceptionRules) -> anyhow::Result<ExitCode>) = match args.action {
        RedirectAction::Remove => {
            nft::load(&ruleset::removal())?;
            return Ok(ExitCode::SUCCESS);
        }
        RedirectAction::Apply(flags) => (flags, apply),
        RedirectAction::Verify(flags) => (flags, report),
        RedirectAction::Print(flags) => (flags, print),
    };
    match InterceptionRules::from_args(flags) {
        Ok(settings) => act(&settings),
        Err(mistake) => {
            writeln!(std::io::stderr(), "postern-proxy redirect: {mistake}")?;
            Ok(ExitCode::from(2))
        }
    }
}

fn apply(settings: &InterceptionRules) -> anyhow::Result<ExitCode> {
    nft::load(&ruleset::ruleset(settings))?;
    Ok(ExitCode::SUCCESS)
}

fn print(settings: &InterceptionRules) -> anyhow::Result<ExitCode> {
    std::io::stdout().write_all(ruleset::ruleset(settings).as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn report(settings: &InterceptionRules) -> anyhow::Result<ExitCode> {
    let loaded = nft::list_table()?;
    let differences = verify::differences(settings, loaded.as_ref());
    let mut stderr = std::io::stderr();
    for difference in &differences {
        writeln!(stderr, "postern-proxy redirect verify: {difference}")?;
    }
    Ok(ExitCode::from(u8::from(!differences.is_empty())))
}
