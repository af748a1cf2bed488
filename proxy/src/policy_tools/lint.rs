//! `policy lint`: what is well formed and probably not meant.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use policy::Protocol;
use policy::lint::{Finding, LintContext, Severity};
use serde::Serialize;

use super::{ConfigArgs, OutputFormat, load, table};
use data_plane::control::config::Config;
use data_plane::control::config::load::CheckedConfig;

/// Tell what in the policies is well formed and probably not meant.
///
/// Finds: rules that another rule makes void (shadowed_rule) or that take away all that they name
/// (never_matches), rules that allow everything (allow_all),
/// any workload (wildcard_principal) or callers without identity (unauthenticated_allow), rules for
/// workloads that no ServiceEntry knows (unknown_caller), HTTP fields on ports declared tcp or tls
/// (http_on_tcp_port), ports on which apps must not believe x-forwarded-client-cert
/// (forwarded_identity_untrusted), exchanges that make one user of those of several issuers
/// (mixed_users), and a default that lets everything in (default_allows). Of message brokers: ports where
/// nothing is allowed (broker_without_allow), TopicPolicies about a protocol that no port is declared to speak
/// (no_port_of_protocol), everybody writing to every topic (topics_open_to_all), NATS callers who may read
/// the answers to others (reads_answers), and MQTT callers who may take over all sessions (takes_over_sessions).
///
/// Exit code 0 = no warning, 1 = warnings, 2 = bad configuration or resources. Notices do not count.
#[derive(Debug, Clone, clap::Args)]
pub struct LintArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Resources to look at instead of those of `resources.directory`: a directory or a file.
    #[arg(long, value_name = "DIR")]
    resources: Option<PathBuf>,
    /// How to write the answer. Default: a table on a terminal, JSON on a pipe.
    #[arg(long, value_enum)]
    output: Option<OutputFormat>,
}

pub(super) fn run(args: &LintArgs) -> anyhow::Result<ExitCode> {
    let checked = match load(&args.config.config, args.resources.as_deref())? {
        Ok(checked) => checked,
        Err(code) => return Ok(code),
    };
    let findings = findings(&checked);
    let mut out = io::stdout().lock();
    match OutputFormat::or_by_terminal(args.output) {
        OutputFormat::Text => write_text(&mut out, &findings)?,
        OutputFormat::Json => {
            serde_json::to_writer(&mut out, &LintReport { findings: &findings })?;
            writeln!(out)?;
        }
    }
    let warned = findings.iter().any(|finding| finding.severity == Severity::Warning);
    Ok(ExitCode::from(u8::from(warned)))
}

#[derive(Serialize)]
struct LintReport<'a> {
    findings: &'a [Finding],
}

fn findings(checked: &CheckedConfig) -> Vec<Finding> {
    let config = &checked.config;
    let context = LintContext {
        workload: &config.workload,
        defaults: &config.defaults,
        trust_domain: &config.trust_domain,
        ports: &declared_ports(config),
        undeclared_ports: !config.inbound.bind.is_empty(),
    };
    policy::lint::lint(&checked.resources, &context)
}

fn declared_ports(config: &Config) -> BTreeMap<u16, Protocol> {
    let inbound = &config.inbound;
    let forwards = inbound.listeners.iter().map(|listener| listener.forward.port());
    let ports = inbound.ports.keys().copied().chain(forwards);
    ports.map(|port| (port, inbound.declared_protocol(port))).collect()
}

fn write_text(out: &mut impl Write, findings: &[Finding]) -> io::Result<()> {
    if findings.is_empty() {
        return writeln!(out, "nothing found");
    }
    let rows: Vec<[String; 4]> = findings
        .iter()
        .map(|finding| {
            let severity = match finding.severity {
                Severity::Warning => "warning",
                Severity::Notice => "notice",
            };
            let policy = finding.policy.as_deref().unwrap_or("configuration");
            let rule = finding.rule.map(|rule| format!(" rule {rule}")).unwrap_or_default();
            let told = format!("{}; {}", finding.found, finding.fix);
            [severity.into(), finding.code.into(), format!("{policy}{rule}"), told]
        })
        .collect();
    table::write(out, ["SEVERITY", "CODE", "WHERE", "WHAT; WHAT TO DO"], &rows)
}
