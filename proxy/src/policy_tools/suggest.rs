//! `policy suggest`: from recorded traffic, or from the description of an API, to the smallest policy that allows it.

mod identifier;
mod messages;
mod openapi;
mod paths;
mod rules;
mod yaml;

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use policy::{DefaultAuthorization, PolicyDefaults, Resources, Snapshot, SourceFile};

use super::recorded::{self, RecordedDecision, RecordedTraffic, TrafficRecording};
use super::{note, print_diagnostics};
use crate::explain::{InputLine, explain};
use data_plane::control::config::{Config, load};

/// Suggest the smallest AuthorizationPolicy that allows the recorded traffic.
///
/// Reads what was let in (all of it under `defaults.authorization: audit`), groups it by caller, port,
/// method and path, and writes one ALLOW policy as YAML. Segments that look like identifiers (numbers,
/// UUIDs, hashes, addresses of mail) become {*}. The policy is replayed on what it was made from before
/// it is written. Answers of 404, 405 and 501 are left out: nobody needs what the app does not have.
///
/// Operations at a message broker (those that an AUDIT TopicPolicy is about, and with --include-denied those that
/// were refused) become one TopicPolicy a protocol. Topics of which more than --distinct differ in one level, and
/// names of which so many differ after their last `.`, `-` or `_`, become a pattern.
///
/// With --openapi it is written from the operations of a description: one rule a tag and a set of scopes. Who
/// may call is known to nobody yet: where --from does not say, a rule names its callers `<callers of TAG>`,
/// which `check` refuses until it is filled in.
///
/// Exit code 0 = a policy was written, 1 = there was nothing to write one from, 2 = bad configuration.
#[derive(Debug, Clone, clap::Args)]
pub struct SuggestArgs {
    /// The configuration file of the workload's proxy (YAML).
    #[arg(long, value_name = "FILE", required_unless_present = "openapi")]
    config: Option<PathBuf>,
    /// The access log of the workload's proxy, or what `GET /decisions` answered; `-` is stdin.
    #[arg(long, value_name = "FILE", required_unless_present = "openapi")]
    log: Option<PathBuf>,
    /// An OpenAPI description (3.0 or 3.1, YAML or JSON) to write the policy from, instead of a log.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["log", "include_denied"])]
    openapi: Option<PathBuf>,
    /// With --openapi: what stands before the paths of the description. Default: what its first server says.
    #[arg(long, value_name = "PATH", requires = "openapi")]
    base_path: Option<String>,
    /// With --openapi: who may call, as `TRUST-DOMAIN/ns/NAMESPACE/sa/ACCOUNT`; may be given again.
    #[arg(long, value_name = "PRINCIPAL", requires = "openapi")]
    from: Vec<String>,
    /// With --openapi and no --config: the namespace of the workload.
    #[arg(long, requires = "openapi", conflicts_with = "config", default_value = "default")]
    namespace: String,
    /// With --openapi and no --config: the service account of the workload, and its label `app`.
    #[arg(long, value_name = "NAME", requires = "openapi", conflicts_with = "config")]
    service_account: Option<String>,
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
    let config = match args.config.as_deref().map(load::load_configuration).transpose() {
        Ok(config) => config,
        Err(mistakes) => return print_diagnostics(&mistakes),
    };
    let suggested = match (&args.openapi, &args.log, config) {
        (Some(description), _, config) => {
            openapi::suggest(description, config.as_ref().map(|config| &config.workload), args)?
        }
        (None, Some(log), Some(config)) => suggest(&config, &recorded::read_file(log)?, args),
        // The command line does not allow it.
        (None, ..) => return Ok(ExitCode::FAILURE),
    };
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
    let topics = messages::suggest(config, recording, args, &mut suggested.remarks);
    let kept = chosen(recording, args.include_denied, &mut suggested.remarks);
    let rules = rules::of(&kept, args.distinct);
    if rules.is_empty() {
        match topics.is_empty() {
            true => {
                let remark = "nothing in it was let in: no policy to suggest";
                suggested.remarks.push(remark.to_owned());
            }
            false => suggested.policy = Some(topics.join("---\n")),
        }
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
    let of_requests = format!(
        "# Suggested by `postern-proxy policy suggest` from {seen} recorded requests and connections.\n\
         # Replayed on it: {allowed} of {seen} allowed. Read every line before it is enforced.\n{body}"
    );
    let policies: Vec<_> = [of_requests].into_iter().chain(topics).collect();
    suggested.policy = Some(policies.join("---\n"));
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
    for recorded in recording.seen.iter().filter(|recorded| recorded.message.is_none()) {
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
