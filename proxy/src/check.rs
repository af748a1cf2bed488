//! `postern-proxy check`: every mistake of the configuration and of the resources, at once.
//!
//! Opens no socket and needs none; what it accepts, `run` accepts.

mod api_documents;
mod gateways;
mod migration;
mod rule_sets;

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::resources::{DEFAULT_ROOT_NAMESPACE, ReadOptions, ResourceSurvey, SurveyedObject};
use policy::yaml::SourcePosition;
use policy::{Diagnostic, Diagnostics, GatewaySelection, SourceFile};
use serde::Serialize;

use data_plane::control::config::load::{load_config, read_files, read_given, unreadable};
use data_plane::control::config::{GatewayConfig, read_stream};

use gateways::{GatewayFindings, GatewayReport, GatewayWarning};

/// Exit code for bad configuration, the same for every command.
pub const BAD_CONFIGURATION: u8 = 2;

/// Report every mistake in a configuration and its resources at once; open no socket.
///
/// Each mistake is told with file, line and column, what was found, what is expected, and what to
/// write instead. Exit code 0 = fine, 2 = mistakes were found.
///
/// Where there are no mistakes, and Gateways, it warns of what a cluster would tell in their statuses: a
/// listener without a certificate, a route that is attached to nothing. `run` takes them all the same, so
/// that warnings change no exit code. With --config of a sidecar, which serves no Gateway, there are none.
///
/// With --from-istio, for the first look at what was written for Istio: takes older versions of its
/// groups, too, explains each strictness once with the line to write, and tells what is unsupported from
/// what is unsafe, and what is otherwise here than in Istio.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckArgs {
    /// The configuration file (YAML). Without it only the resources are checked.
    #[arg(long, value_name = "FILE", required_unless_present = "resources")]
    pub config: Option<PathBuf>,
    /// Resources to check instead of those of `resources.directory`: a directory, a file, a pipe, or `-`
    /// for standard input.
    #[arg(long, value_name = "DIR")]
    pub resources: Option<PathBuf>,
    /// The namespace of resources that name none, as for `kubectl apply --namespace`; one that names
    /// another is a mistake. `run` takes only resources that name theirs.
    #[arg(short, long, value_name = "NS", value_parser = namespace)]
    pub namespace: Option<String>,
    /// Take older versions of Istio's groups (security.istio.io/v1beta1, networking.istio.io/v1beta1 and
    /// v1alpha3), pass over what is no policy, and report as a summary. `run` takes v1 alone.
    #[arg(long)]
    pub from_istio: bool,
    /// How to write the answer. Default: text; with --from-istio text on a terminal, JSON on a pipe.
    #[arg(long, value_enum)]
    pub output: Option<CheckOutput>,
}

/// How `check` writes its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum CheckOutput {
    /// One line a mistake or warning on stderr, one line on stdout where there is no mistake; with
    /// --from-istio a table and explanations on stdout.
    Text,
    /// One JSON object on stdout: `valid`, `files`, `resources`, `mistakes` and `warnings`, and `gateways`
    /// with all statuses where there are Gateways; with --from-istio also `kinds`, `passed_over`,
    /// `explanations` and `differences`, and neither `warnings` nor `gateways`.
    Json,
}

fn namespace(text: &str) -> Result<String, &'static str> {
    policy::resources::namespace_name(text).map(|name| name.to_string())
}

/// Runs the command.
///
/// # Errors
/// The answer cannot be written.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let findings = collect_findings(args);
    let valid = if args.from_istio {
        migration::print_report(findings, args.output)?
    } else {
        let older = findings.survey.objects.iter().any(SurveyedObject::is_older);
        let found = findings.strictly();
        match args.output {
            None | Some(CheckOutput::Text) => write_text(&found, older)?,
            Some(CheckOutput::Json) => write_json(&found)?,
        }
        found.is_ok()
    };
    Ok(if valid { ExitCode::SUCCESS } else { ExitCode::from(BAD_CONFIGURATION) })
}

/// What was found in configuration and resources, mistakes or not.
#[derive(Debug)]
struct CheckFindings {
    /// Of the configuration, and of files that cannot be read.
    diagnostics: Option<Diagnostics>,
    files: usize,
    survey: ResourceSurvey,
    /// Whether the configuration says whose `x-forwarded-for` is trusted.
    forwarded_for: bool,
    /// Which Gateways are served: without a configuration those of our class, by a sidecar none.
    served: Option<GatewaySelection>,
    /// Whether the configuration names a store of sessions; `None`: there is no configuration.
    session_store: Option<bool>,
}

/// What there is where nothing is a mistake.
#[derive(Debug)]
struct FineResources {
    files: usize,
    resources: usize,
    gateways: GatewayFindings,
}

impl CheckFindings {
    fn strictly(mut self) -> Result<FineResources, Diagnostics> {
        let mistakes = std::mem::take(&mut self.survey.diagnostics);
        let served = self.served.as_ref();
        let judge = |served| gateways::judge(&self.survey, served, self.session_store);
        match (self.diagnostics, Diagnostics::ok_unless_any((), mistakes)) {
            (None, Ok(())) => Ok(FineResources {
                files: self.files,
                resources: self.survey.resources.len(),
                gateways: served.map(judge).unwrap_or_default(),
            }),
            (Some(first), Ok(())) => Err(first),
            (None, Err(second)) => Err(second),
            (Some(first), Err(second)) => Err(first.and(second)),
        }
    }
}

fn collect_findings(args: &CheckArgs) -> CheckFindings {
    let (config, (configured, root_namespace)) = match &args.config {
        Some(path) => {
            let (config, whereabouts) = load_config(path);
            (Some(config), whereabouts)
        }
        None => (None, (None, DEFAULT_ROOT_NAMESPACE.to_owned())),
    };
    let forwarded_for = config.as_ref().is_some_and(
        |config| matches!(config, Ok(config) if !config.inbound.forwarded_for.from.is_empty()),
    );
    let served = match &config {
        Some(Ok(config)) => config.gateway.as_ref().map(GatewayConfig::selection),
        Some(Err(_)) | None => Some(GatewaySelection::default()),
    };
    let gateway = config.as_ref().and_then(|config| {
        let config = config.as_ref().ok()?;
        config.gateway.as_ref().map(|_| config.workload.namespace.clone())
    });
    let session_store = match &config {
        Some(Ok(config)) => Some(config.session_store.is_some()),
        Some(Err(_)) | None => None,
    };
    let files = match &args.resources {
        Some(asked) => read_asked(asked).and_then(|files| some_files(asked, files)),
        None => read_files(configured.as_deref()),
    };
    let mesh = config.as_ref().and_then(|config| Some(config.as_ref().ok()?.trust_domain.clone()));
    let (files, diagnostics) = match (files, config.and_then(Result::err)) {
        (Ok(files), diagnostics) => (files, diagnostics),
        (Err(unread), None) => (Vec::new(), Some(unread)),
        (Err(unread), Some(first)) => (Vec::new(), Some(first.and(unread))),
    };
    let reading = ReadOptions {
        root_namespace: &root_namespace,
        namespace: args.namespace.as_deref(),
        from_istio: args.from_istio,
    };
    let mut survey = policy::resources::survey(&files, &reading);
    survey.diagnostics.extend(survey.resources.hidden_destination_rules());
    survey.diagnostics.extend(survey.resources.impersonations(mesh.as_slice()));
    survey.diagnostics.extend(survey.resources.sign_in_clashes());
    // A cluster's Secrets are seldom among its manifests; a gateway that reads files reads them there.
    if args.config.is_some() && served.is_some() {
        survey.diagnostics.extend(survey.resources.sign_in_secret_problems());
    }
    survey.diagnostics.extend(api_documents::problems(&survey.resources, args.config.is_some()));
    if args.config.is_some() {
        survey.diagnostics.extend(survey.resources.client_credentials_secret_problems());
        survey.diagnostics.extend(survey.resources.introspection_secret_problems());
    }
    survey.diagnostics.extend(rule_sets::problems(&survey.resources, args.config.is_some()));
    if let Some(gateway) = gateway {
        survey.diagnostics.extend(rule_sets::foreign(&survey.resources, &gateway));
    }
    CheckFindings { diagnostics, files: files.len(), survey, forwarded_for, served, session_store }
}

/// What `check` is asked to read: `-` is standard input.
fn read_asked(asked: &Path) -> Result<Vec<SourceFile>, Diagnostics> {
    if asked != Path::new("-") {
        return read_given(asked);
    }
    let name = Path::new("(standard input)");
    let file = read_stream(name, || Ok(Box::new(io::stdin())));
    file.map(|file| vec![file]).map_err(|error| unreadable(name, &error))
}

/// A directory that was asked for and holds nothing to check is seldom the one that was meant.
fn some_files(asked: &Path, files: Vec<SourceFile>) -> Result<Vec<SourceFile>, Diagnostics> {
    if !files.is_empty() {
        return Ok(files);
    }
    let file = asked.display().to_string().into();
    let expected = "a directory with files *.yaml or *.yml";
    let fix = "files of other names, such as .json, and directories in it are not read; name one of them by --resources";
    let found = "no resource file";
    Err(Diagnostic::new(&file, SourcePosition::FILE, found, expected, Some(fix.to_owned())).into())
}

fn write_text(found: &Result<FineResources, Diagnostics>, older: bool) -> io::Result<()> {
    match found {
        Ok(FineResources { files, resources, gateways }) => {
            for warning in &gateways.warnings {
                writeln!(io::stderr(), "{warning}")?;
            }
            let warnings = match gateways.warnings.len() {
                0 => String::new(),
                count => format!(", warnings: {count}"),
            };
            writeln!(
                io::stdout(),
                "fine (resource files: {files}, resources: {resources}{warnings})"
            )
        }
        Err(mistakes) => {
            let count = mistakes.iter().count();
            let noun = if count == 1 { "mistake" } else { "mistakes" };
            writeln!(io::stderr(), "{mistakes}\n{count} {noun}")?;
            match older {
                true => writeln!(
                    io::stderr(),
                    "written for Istio? --from-istio takes its older versions, and explains the rest"
                ),
                false => Ok(()),
            }
        }
    }
}

/// The answer as JSON.
#[derive(Serialize)]
struct CheckReport<'a> {
    valid: bool,
    files: usize,
    resources: usize,
    mistakes: Vec<&'a Diagnostic>,
    warnings: &'a [GatewayWarning],
    #[serde(skip_serializing_if = "Option::is_none")]
    gateways: Option<GatewayReport<'a>>,
}

fn report(found: &Result<FineResources, Diagnostics>) -> CheckReport<'_> {
    match found {
        Ok(FineResources { files, resources, gateways }) => CheckReport {
            valid: true,
            files: *files,
            resources: *resources,
            mistakes: Vec::new(),
            warnings: &gateways.warnings,
            gateways: gateways.report(),
        },
        Err(mistakes) => CheckReport {
            valid: false,
            files: 0,
            resources: 0,
            mistakes: mistakes.iter().collect(),
            warnings: &[],
            gateways: None,
        },
    }
}

fn write_json(found: &Result<FineResources, Diagnostics>) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &report(found))?;
    writeln!(out)
}

#[cfg(test)]
mod tests;
