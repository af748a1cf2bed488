//! Where the programs under test are: beside the running test, as cargo built them.

use std::path::{Path, PathBuf};

/// The top folder of the repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository")
}

/// The built program of this name. Panics, saying what to run, when it was not built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let running = std::env::current_exe().expect("the test knows its own file");
    // target/debug/deps/stories-… for a test, target/debug/demo for the demo.
    let found = running
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    found.unwrap_or_else(|| {
        panic!(
            "the program {name} is not built beside {}: run `cargo build --workspace --bins` first, \
             or run everything with `make test`",
            running.display()
        )
    })
}

/// The cargo target directory, where `tests/setup` puts the outside peers.
///
/// # Panics
/// Where the programs were not built.
pub(crate) fn target_directory() -> PathBuf {
    let program = binary("postern-proxy");
    let target = program.parent().and_then(Path::parent).expect("target/PROFILE");
    target.to_owned()
}
