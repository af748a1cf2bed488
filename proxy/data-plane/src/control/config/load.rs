//! Reads a configuration and the resources it names, as `run`, `check` and the other commands do.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use policy::resources::DEFAULT_ROOT_NAMESPACE;
use policy::yaml::SourcePosition;
use policy::{Diagnostic, Diagnostics, Resources, Snapshot, SourceFile};

use super::{Config, labels, read_directory, read_file, read_stream};

/// A configuration with its resources, both valid.
#[derive(Debug)]
pub struct CheckedConfig {
    /// The configuration.
    pub config: Config,
    /// The resources.
    pub resources: Resources,
}

impl CheckedConfig {
    /// What the resources contain for the configured workload.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Config { workload, defaults, .. } = &self.config;
        Snapshot::build(&self.resources, workload, defaults)
    }
}

/// Reads a configuration and the resources it names, or those of `directory`, which may also be a
/// single file, instead.
///
/// # Errors
/// Every diagnostic of both. An invalid configuration still says where its resources are, as long as it is YAML.
pub fn load(config: &Path, directory: Option<&Path>) -> Result<CheckedConfig, Diagnostics> {
    with_resources(load_config(config), directory)
}

fn with_resources(
    (config, whereabouts): (Result<Config, Diagnostics>, ResourceLocation),
    directory: Option<&Path>,
) -> Result<CheckedConfig, Diagnostics> {
    let (configured, root_namespace) = whereabouts;
    let files = match directory {
        Some(asked) => read_given(asked),
        None => read_files(configured.as_deref()),
    };
    let resources = files.and_then(|files| Resources::parse(&files, &root_namespace));
    match (config, resources) {
        (Ok(config), Ok(resources)) => {
            let mesh = std::slice::from_ref(&config.trust_domain);
            let mut resources = resources.without_impersonations(mesh)?;
            if config.gateway.is_some() {
                resources = resources.with_usable_sign_ins()?;
            }
            Ok(CheckedConfig { config, resources })
        }
        (Ok(_), Err(diagnostics)) | (Err(diagnostics), Ok(_)) => Err(diagnostics),
        (Err(first), Err(second)) => Err(first.and(second)),
    }
}

/// Reads a configuration alone, for what needs no resources.
///
/// # Errors
/// Every diagnostic of it.
pub fn load_configuration(path: &Path) -> Result<Config, Diagnostics> {
    load_config(path).0
}

/// Where a configuration's resources are, and which namespace is the root one.
pub type ResourceLocation = (Option<PathBuf>, String);

/// As [`load`], of a configuration in the environment variable of this name.
///
/// # Errors
/// As [`load`].
pub fn load_text(variable: &str, text: &str) -> Result<CheckedConfig, Diagnostics> {
    with_resources(read_config(variable, text.as_bytes()), None)
}

/// As [`load_configuration`], with where its resources are, as far as that is known.
pub fn load_config(path: &Path) -> (Result<Config, Diagnostics>, ResourceLocation) {
    let file = match read_file(path) {
        Ok(file) => file,
        Err(error) => {
            return (Err(unreadable(path, &error)), (None, DEFAULT_ROOT_NAMESPACE.to_owned()));
        }
    };
    read_config(&file.name, &file.bytes)
}

fn read_config(name: &str, bytes: &[u8]) -> (Result<Config, Diagnostics>, ResourceLocation) {
    let config = Config::parse(name, bytes).and_then(with_labels);
    let whereabouts = match &config {
        Ok(config) => (config.resources.clone(), config.root_namespace.clone()),
        Err(_) => Config::resources_of_broken_file(bytes),
    };
    (config, whereabouts)
}

/// Reads the labels, where they are in a file. They are those at the start: a pod whose labels change is selected by
/// other resources, and still runs as the one it was.
fn with_labels(mut config: Config) -> Result<Config, Diagnostics> {
    let Some(path) = &config.labels_file else { return Ok(config) };
    let file = read_file(path).map_err(|error| unreadable(path, &error))?;
    let name = file.name.into();
    config.workload.labels = labels::parse(&file.bytes).map_err(|line| {
        let mark = SourcePosition { line, column: 1 };
        let expected = "key=\"value\", as the downward API writes labels";
        Diagnostics::from(Diagnostic::new(&name, mark, "something else", expected, None))
    })?;
    Ok(config)
}

/// What the configuration names: a directory, or a file. Nothing that could block.
///
/// # Errors
/// It cannot be read.
pub fn read_files(directory: Option<&Path>) -> Result<Vec<SourceFile>, Diagnostics> {
    let Some(directory) = directory else { return Ok(Vec::new()) };
    let files = match directory.is_file() {
        true => read_file(directory).map(|file| vec![file]),
        false => read_directory(directory),
    };
    files.map_err(|error| unreadable(directory, &error))
}

/// What a command's argument names: a directory, or whatever can be read to its end, as the shell's `<(…)` is.
///
/// # Errors
/// It cannot be read.
pub fn read_given(given: &Path) -> Result<Vec<SourceFile>, Diagnostics> {
    let files = match given.is_dir() {
        true => read_directory(given),
        false => read_stream(given, || Ok(Box::new(File::open(given)?))).map(|file| vec![file]),
    };
    files.map_err(|error| unreadable(given, &error))
}

/// A file or directory that cannot be read, as a diagnostic like the others.
pub fn unreadable(path: &Path, error: &io::Error) -> Diagnostics {
    let file = path.display().to_string().into();
    let fix = Some("check the path and its permissions".to_owned());
    Diagnostics::from(Diagnostic::new(
        &file,
        SourcePosition::FILE,
        format!("nothing to read ({error})"),
        "a file or directory",
        fix,
    ))
}
