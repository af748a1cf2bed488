//! Files that people write.

use policy::{Diagnostics, Resources, SourceFile};
use data_plane::control::config::Config;

/// The proxy's configuration: it is read, or every mistake has a place and words.
pub fn config(data: &[u8]) {
    match Config::parse("proxy.yaml", data) {
        Ok(config) => {
            assert_eq!(Config::parse("proxy.yaml", data).ok(), Some(config), "read twice")
        }
        Err(mistakes) => check(&mistakes, data),
    }
}

/// A file of resources.
pub fn resources(data: &[u8]) {
    let file = SourceFile { name: "resources.yaml".to_owned(), bytes: data.to_vec() };
    if let Err(mistakes) = Resources::parse(&[file], "postern-system") {
        check(&mistakes, data);
    } else {
        assert!(!data.is_empty(), "a torn file is not an empty set");
    }
}

fn check(mistakes: &Diagnostics, data: &[u8]) {
    let lines = data.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
    assert!(mistakes.iter().next().is_some(), "an error without a mistake");
    for mistake in mistakes.iter() {
        assert!(!mistake.expected.is_empty(), "{mistake:?} does not say what is expected");
        let line = usize::try_from(mistake.line).unwrap_or(usize::MAX);
        // Unicode has line ends of its own; ours counts those of YAML.
        assert!(line <= lines + 1, "{mistake:?} in a file of {lines} lines");
    }
}
