//! `postern-proxy check`: every mistake of the configuration and of the resources, at once.
//!
//! Opens no socket and needs none; what it accepts, `run` accepts.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use policy::resources::DEFAULT_ROOT_NAMESPACE;
use policy::yaml::Mark;
use policy::{Mistake, Mistakes, Resources, Snapshot};
use serde::Serialize;

use crate::config::{Config, labels, read_directory, read_file};

/// Exit code for bad configuration (DESIGN §4).
pub const BAD_CONFIGURATION: u8 = 2;

/// Check a configuration and its resources, and report every mistake at once.
///
/// Each mistake is told with file, line and column, what was found, what is expected, and what to
/// write instead. Opens no socket. Exit code 0 = fine, 2 = mistakes were found.
#[derive(Debug, Clone, clap::Args)]
pub struct CheckArgs {
    /// The configuration file (YAML).
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// Resources to check instead of those of `resources.directory`.
    #[arg(long, value_name = "DIR")]
    pub resources: Option<PathBuf>,
    /// How to write the answer.
    #[arg(long, value_enum, default_value = "text")]
    pub output: Output,
}

/// How `check` writes its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    /// One line a mistake on stderr, or one line on stdout when all is well.
    Text,
    /// One JSON object on stdout: `valid`, `files`, `resources` and `mistakes`.
    Json,
}

/// A configuration with its resources, both without a mistake.
#[derive(Debug)]
pub struct Checked {
    /// The configuration.
    pub config: Config,
    /// The resources.
    pub resources: Resources,
    /// How many resource files were read.
    pub files: usize,
}

impl Checked {
    /// What the resources say of the configured workload.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Config { workload, defaults, trust_domain, .. } = &self.config;
        Snapshot::build(&self.resources, workload, defaults, trust_domain)
    }
}

/// Runs the command.
///
/// # Errors
/// The answer cannot be written.
pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let found = load(&args.config, args.resources.as_deref());
    match args.output {
        Output::Text => write_text(&found)?,
        Output::Json => write_json(&found)?,
    }
    Ok(match found {
        Ok(_) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(BAD_CONFIGURATION),
    })
}

/// Reads a configuration and the resources it names, or those of `directory`, which may also be a
/// single file, instead.
///
/// # Errors
/// Every mistake of both. A configuration with mistakes still says where its resources are, as
/// long as it is YAML.
pub fn load(config: &Path, directory: Option<&Path>) -> Result<Checked, Mistakes> {
    with_resources(load_config(config), directory)
}

fn with_resources(
    (config, whereabouts): (Result<Config, Mistakes>, Whereabouts),
    directory: Option<&Path>,
) -> Result<Checked, Mistakes> {
    let (configured, root_namespace) = whereabouts;
    let resources = load_resources(directory.or(configured.as_deref()), &root_namespace);
    match (config, resources) {
        (Ok(config), Ok((resources, files))) => Ok(Checked { config, resources, files }),
        (Ok(_), Err(mistakes)) | (Err(mistakes), Ok(_)) => Err(mistakes),
        (Err(first), Err(second)) => Err(first.and(second)),
    }
}

/// Reads a configuration alone, for what needs no resources.
///
/// # Errors
/// Every mistake of it.
pub fn load_configuration(path: &Path) -> Result<Config, Mistakes> {
    load_config(path).0
}

/// Where a configuration's resources are, and which namespace is the root one.
type Whereabouts = (Option<PathBuf>, String);

/// As [`load`], of a configuration that stands in an environment variable of this name.
///
/// # Errors
/// As [`load`].
pub fn load_text(variable: &str, text: &str) -> Result<Checked, Mistakes> {
    with_resources(read_config(variable, text.as_bytes()), None)
}

fn load_config(path: &Path) -> (Result<Config, Mistakes>, Whereabouts) {
    let file = match read_file(path) {
        Ok(file) => file,
        Err(error) => {
            return (Err(unreadable(path, &error)), (None, DEFAULT_ROOT_NAMESPACE.to_owned()));
        }
    };
    read_config(&file.name, &file.bytes)
}

fn read_config(name: &str, bytes: &[u8]) -> (Result<Config, Mistakes>, Whereabouts) {
    let config = Config::parse(name, bytes).and_then(with_labels);
    let whereabouts = match &config {
        Ok(config) => (config.resources.clone(), config.root_namespace.clone()),
        Err(_) => Config::resources_of_broken_file(bytes),
    };
    (config, whereabouts)
}

/// Reads the labels, where they stand in a file. They are those of the start: a pod whose labels
/// change is asked for by others' selectors, and answers as the one it was.
fn with_labels(mut config: Config) -> Result<Config, Mistakes> {
    let Some(path) = &config.labels_file else { return Ok(config) };
    let file = read_file(path).map_err(|error| unreadable(path, &error))?;
    let name = file.name.into();
    config.workload.labels = labels::parse(&file.bytes).map_err(|line| {
        let mark = Mark { line, column: 1 };
        let expected = "key=\"value\", as the downward API writes labels";
        Mistakes::from(Mistake::new(&name, mark, "something else", expected, None))
    })?;
    Ok(config)
}

fn load_resources(
    directory: Option<&Path>,
    root_namespace: &str,
) -> Result<(Resources, usize), Mistakes> {
    let Some(directory) = directory else { return Ok((Resources::empty(root_namespace), 0)) };
    let files = match directory.is_file() {
        true => read_file(directory).map(|file| vec![file]),
        false => read_directory(directory),
    };
    let files = files.map_err(|error| unreadable(directory, &error))?;
    Ok((Resources::parse(&files, root_namespace)?, files.len()))
}

/// A file or directory that cannot be read, as a mistake like the others.
fn unreadable(path: &Path, error: &io::Error) -> Mistakes {
    let file = path.display().to_string().into();
    let fix = Some("check the path and its permissions".to_owned());
    Mistakes::from(Mistake::new(
        &file,
        Mark::FILE,
        format!("nothing to read ({error})"),
        "a file or directory",
        fix,
    ))
}

fn write_text(found: &Result<Checked, Mistakes>) -> io::Result<()> {
    match found {
        Ok(checked) => writeln!(io::stdout(), "{}", summary(checked)),
        Err(mistakes) => {
            let count = mistakes.iter().count();
            let noun = if count == 1 { "mistake" } else { "mistakes" };
            writeln!(io::stderr(), "{mistakes}\n{count} {noun}")
        }
    }
}

fn summary(checked: &Checked) -> String {
    format!("fine (resource files: {}, resources: {})", checked.files, checked.resources.len())
}

/// The answer as JSON.
#[derive(Serialize)]
struct Answer<'a> {
    valid: bool,
    files: usize,
    resources: usize,
    mistakes: Vec<&'a Mistake>,
}

fn write_json(found: &Result<Checked, Mistakes>) -> io::Result<()> {
    let answer = match found {
        Ok(checked) => Answer {
            valid: true,
            files: checked.files,
            resources: checked.resources.len(),
            mistakes: Vec::new(),
        },
        Err(mistakes) => {
            Answer { valid: false, files: 0, resources: 0, mistakes: mistakes.iter().collect() }
        }
    };
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &answer)?;
    writeln!(out)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    const GOOD: &str = "workload: {namespace: shop, serviceAccount: cart}\nidentity: {workloadApi: unix:///run/a}\n";
    const POLICY: &str = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: p, namespace: shop}\n";

    /// Writes a configuration and one resource file; gives back the mistakes without the directory's name.
    fn check(config: &str, resource: Option<&str>) -> Vec<String> {
        let directory = tempfile::tempdir().unwrap();
        let resources = directory.path().join("resources");
        let config = config.replace("RESOURCES", &resources.display().to_string());
        fs::write(directory.path().join("proxy.yaml"), config).unwrap();
        if let Some(resource) = resource {
            fs::create_dir(&resources).unwrap();
            fs::write(resources.join("a.yaml"), resource).unwrap();
        }
        let prefix = format!("{}/", directory.path().display());
        match load(&directory.path().join("proxy.yaml"), None) {
            Ok(_) => Vec::new(),
            Err(mistakes) => mistakes.iter().map(|m| m.to_string().replace(&prefix, "")).collect(),
        }
    }

    #[test]
    fn good_configurations() {
        assert!(check(GOOD, None).is_empty());
        assert!(
            check(&format!("{GOOD}resources: {{directory: RESOURCES}}\n"), Some(POLICY)).is_empty()
        );
    }

    #[test]
    fn f10_mistakes_of_configuration_and_resources_together() {
        let found = check(
            &format!("{GOOD}resources: {{directory: RESOURCES}}\nrootNamespace: mesh\nworker: 3\n"),
            Some(&format!("{POLICY}spce: {{}}\n")),
        );
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(
            found[0].starts_with("proxy.yaml:5:1: found the unknown key `worker`"),
            "{found:#?}"
        );
        assert!(
            found[1].starts_with("resources/a.yaml:4:1: found the unknown key `spce`"),
            "{found:#?}"
        );
    }

    #[test]
    fn f10_missing_files_are_named() {
        let found = check(&format!("{GOOD}resources: {{directory: RESOURCES}}\n"), None);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].starts_with(
                "resources: found nothing to read (cannot read resources: No such file"
            ),
            "{found:#?}"
        );
        let missing = load(Path::new("no-such.yaml"), None).unwrap_err().to_string();
        assert!(missing.contains("no-such.yaml"), "{missing}");
        let torn = check(&format!("{GOOD}resources: {{directory: RESOURCES}}\n"), Some(""));
        assert!(torn[0].contains("a file of 0 bytes"), "{torn:#?}");
    }
}
