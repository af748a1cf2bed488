//! `policy suggest`: from recorded traffic to the smallest policy that allows it.

mod identifier;
mod paths;
mod rules;
mod yaml;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use policy::{DefaultAuthorization, PolicyDefaults, Resources, Snapshot, SourceFile};

use super::recorded::{self, RecordedDecision, RecordedTraffic, TrafficRecording};
use super::{ConfigArgs, note, print_diagnostics};
use crate::explain::{InputLine, explain};
use data_plane::control::config::{Config, load};

/// Suggest the smallest AuthorizationPolicy that allows the recorded traffic.
///
/// Reads what was let in (all of it under `defaults.authorization: audit`), groups it by caller, port,
/// method and path, and writes one ALLOW policy as YAML. Segments that look like identifiers (numbers,
/// UUIDs, hashes, addresses of mail) become {*}. The policy is replayed on what it was made from before
/// it is written. Answers of 404, 405 and 501 are left out: nobody needs what the app does not have.
///
/// Exit code 0 = a policy was written, 1 = there was nothing to write one from, 2 = bad configuration.
#[derive(Debug, Clone, clap::Args)]
pub struct SuggestArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The access log of the workload's proxy, or what `GET /decisions` answered; `-` is stdin.
    #[arg(long, value_name = "FILE")]
    log: PathBuf,
    /// The policy's name. Default: the service account, and `-allow`.
    #[arg(long)]
    name: Option<String>,
    /// More different values than this at one place of otherwise equal paths become {*}.
    #[arg(long, value_name = "N", default_value_t = 8)]
    distinct: usize,
    /// Allow also what policy refused when it was recorded.
    #[arg(long)]
    include_denied: bool,
    /// Write the policy as dry-run: it is watched, and decides nothing yet.
    #[arg(long)]
    dry_run: bool,
}

pub(super) fn run(args: &SuggestArgs) -> anyhow::Result<ExitCode> {
    // The resources in force do not matter to what was seen.
    let config = match load::load_configuration(&args.config.config) {
        Ok(config) => config,
        Err(mistakes) => return print_diagnostics(&mistakes),
    };
    let recording = recorded::read_file(&args.log)?;
    let suggested = suggest(&config, &recording, args);
    for remark in &suggested.remarks {
        note(remark)?;
    }
    match suggested.policy {
        Some(policy) => {
            io::stdout().write_all(policy.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        None => Ok(ExitCode::FAILURE),
    }
}

/// A policy, and what there is to say about it.
#[derive(Debug, Default)]
struct SuggestedPolicy {
    policy: Option<String>,
    remarks: Vec<String>,
}

fn suggest(config: &Config, recording: &TrafficRecording, args: &SuggestArgs) -> SuggestedPolicy {
    let mut suggested = SuggestedPolicy::default();
    let kept = chosen(recording, args.include_denied, &mut suggested.remarks);
    let rules = rules::of(&kept, args.distinct);
    if rules.is_empty() {
        suggested.remarks.push("nothing in it was let in: no policy to suggest".to_owned());
        return suggested;
    }
    let name =
        args.name.clone().unwrap_or_else(|| format!("{}-allow", config.workload.service_account));
    let head =
        yaml::PolicyHeader { name: &name, workload: &config.workload, dry_run: args.dry_run };
    let body = yaml::policy(&head, &rules);
    let enforced = yaml::policy(&yaml::PolicyHeader { dry_run: false, ..head }, &rules);
    let allowed = replay(config, &enforced, &kept, &mut suggested.remarks);
    let seen = kept.len();
    suggested.policy = Some(format!(
        "# Suggested by `postern-proxy policy suggest` from {seen} recorded requests and connections.\n\
         # Replayed on it: {allowed} of {seen} allowed. Read every line before it is enforced.\n{body}"
    ));
    suggested
}

/// What the policy is to allow, with a remark for each kind that is left out.
fn chosen<'r>(
    recording: &'r TrafficRecording,
    include_denied: bool,
    remarks: &mut Vec<String>,
) -> Vec<&'r RecordedTraffic> {
    let (mut denied, mut plaintext, mut absent, mut odd) = (0, 0, 0, 0);
    let mut kept = Vec::new();
    for recorded in &recording.seen {
        let request = recorded.request.as_ref();
        let named =
            request.is_none_or(|request| paths::can_be_named(&request.method, &request.path));
        if recorded.decision == Some(RecordedDecision::Deny) && !include_denied {
            denied += 1;
        } else if recorded.principal.is_none() {
            plaintext += 1;
        } else if matches!(recorded.status, Some(404 | 405 | 501)) {
            absent += 1;
        } else if !named {
            odd += 1;
        } else {
            kept.push(recorded);
        }
    }
    let mut remark = |count: usize, what: &str| {
        if count > 0 {
            remarks.push(format!("left out: {count} {what}"));
        }
    };
    remark(denied, "that policy refused (--include-denied takes them)");
    remark(plaintext, "from callers without identity: a rule for them would let anybody in");
    remark(absent, "that the app answered with 404, 405 or 501");
    remark(odd, "to paths, or by methods, that no pattern can name");
    kept
}

/// How many of the recorded the policy allows, alone and with deny as the default.
fn replay(
    config: &Config,
    policy: &str,
    kept: &[&RecordedTraffic],
    remarks: &mut Vec<String>,
) -> usize {
    let file = SourceFile { name: "suggestion".into(), bytes: policy.as_bytes().to_vec() };
    let resources = match Resources::parse(&[file], &config.root_namespace) {
        Ok(resources) => resources,
        Err(mistakes) => {
            remarks.push(format!("the suggestion cannot be read: {mistakes}"));
            return 0;
        }
    };
    let defaults =
        PolicyDefaults { authorization: DefaultAuthorization::Deny, ..config.defaults.clone() };
    let snapshot = Snapshot::build(&resources, &config.workload, &defaults);
    let allowed = |recorded: &&&RecordedTraffic| {
        explain(config, &snapshot, &InputLine::recorded(recorded)).decision == "allow"
    };
    kept.iter().filter(allowed).count()
}

#[cfg(test)]
mod tests;
