//! `root prepare`, `root activate`, `root retire` and `root status`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::{StateArgs, print};
use crate::authority::directory::Directory;
use crate::authority::root_source::{Pkcs11, RootSource};
use crate::authority::{duration, rollover, show};

/// `root`.
#[derive(Debug, Args)]
pub struct RootArgs {
    /// Which step.
    #[command(subcommand)]
    step: Step,
}

/// The steps of a roll-over, in their order; each may be repeated.
#[derive(Debug, Subcommand)]
enum Step {
    /// Publish a new root in the bundle. It signs nothing yet.
    Prepare(PrepareArgs),
    /// Let an intermediate of the prepared root sign from now on. The old root stays published.
    Activate(ActivateArgs),
    /// Take the replaced root out of the bundle. Refused while a live certificate chains to it.
    Retire(RetireArgs),
    /// Show every root, its state, and who uses it (JSON when the output is not a terminal).
    Status(StateArgs),
}

#[derive(Debug, Args)]
struct PrepareArgs {
    #[command(flatten)]
    place: StateArgs,
    #[command(flatten)]
    key: RootKeyArgs,
    /// How long the new root is good for.
    #[arg(long, value_name = "TIME", default_value = "10y", value_parser = duration::parse)]
    root_lifetime: Duration,
}

#[derive(Debug, Args)]
struct ActivateArgs {
    #[command(flatten)]
    place: StateArgs,
    #[command(flatten)]
    key: RootKeyArgs,
    /// How long the new intermediate is good for.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    intermediate_lifetime: Duration,
    /// Do not wait until every workload must know the new root.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct RetireArgs {
    #[command(flatten)]
    place: StateArgs,
    /// The root to take out, by the first digits of its id [default: what has been replaced].
    #[arg(long, value_name = "ID")]
    root: Option<String>,
    /// Take it out although certificates under it live: for a root that is compromised.
    #[arg(long)]
    force: bool,
}

/// Where the root's key is.
#[derive(Debug, Clone, Args)]
pub struct RootKeyArgs {
    /// A file whose first line opens the root key [default: DIR/root.passphrase].
    #[arg(long, value_name = "FILE", conflicts_with = "pkcs11_module")]
    pub passphrase_file: Option<PathBuf>,
    /// The key in a token.
    #[command(flatten)]
    pub pkcs11: Pkcs11Args,
}

/// A key in a PKCS#11 token.
#[derive(Debug, Clone, Args)]
pub struct Pkcs11Args {
    /// The root key is in a PKCS#11 token: the token's driver, a shared library.
    #[arg(long, value_name = "FILE", requires_all = ["pkcs11_token", "pkcs11_key", "pkcs11_pin_file"])]
    pub pkcs11_module: Option<PathBuf>,
    /// The token's label.
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    pub pkcs11_token: Option<String>,
    /// The key pair's label. A new root makes an ECDSA P-256 pair when there is none.
    #[arg(long, value_name = "LABEL", requires = "pkcs11_module")]
    pub pkcs11_key: Option<String>,
    /// A file whose first line is the token's user PIN.
    #[arg(long, value_name = "FILE", requires = "pkcs11_module")]
    pub pkcs11_pin_file: Option<PathBuf>,
}

impl Pkcs11Args {
    /// The key in a token, when one is named.
    #[must_use]
    pub fn source(&self) -> Option<RootSource> {
        Some(RootSource::Pkcs11(Pkcs11 {
            module: self.pkcs11_module.clone()?,
            token: self.pkcs11_token.clone()?,
            key: self.pkcs11_key.clone()?,
            pin_file: self.pkcs11_pin_file.clone()?,
        }))
    }
}

impl RootKeyArgs {
    /// Where the key is; the passphrase that `init` made up when nothing is said.
    #[must_use]
    pub fn source(&self, directory: &Directory) -> RootSource {
        self.pkcs11.source().unwrap_or_else(|| {
            let file = self.passphrase_file.clone();
            RootSource::Passphrase(file.unwrap_or_else(|| directory.passphrase()))
        })
    }
}

/// Does a step.
pub(super) fn root(args: RootArgs, now: u64) -> anyhow::Result<()> {
    match args.step {
        Step::Prepare(args) => prepare(&args, now),
        Step::Activate(args) => activate(&args, now),
        Step::Retire(args) => retire(&args, now),
        Step::Status(args) => status(&args, now),
    }
}

fn prepare(args: &PrepareArgs, now: u64) -> anyhow::Result<()> {
    let directory = args.place.directory();
    let (store, source) = (args.place.store()?, args.key.source(&directory));
    rollover::prepare(&directory, store.as_ref(), &source, args.root_lifetime, now)?;
    tell(
        "The new root is published. When every workload knows it, run `postern-authority root activate`.",
    )?;
    status(&args.place, now)
}

fn activate(args: &ActivateArgs, now: u64) -> anyhow::Result<()> {
    let directory = args.place.directory();
    let (store, source) = (args.place.store()?, args.key.source(&directory));
    if args.force {
        tell(
            "FORCED: workloads that have not been told of the new root will refuse its certificates.",
        )?;
    }
    let lifetime = args.intermediate_lifetime;
    rollover::activate(&directory, store.as_ref(), &source, lifetime, args.force, now)?;
    tell(
        "The new root signs. When the old one's certificates are over, run `postern-authority root retire`.",
    )?;
    status(&args.place, now)
}

fn retire(args: &RetireArgs, now: u64) -> anyhow::Result<()> {
    let (directory, store) = (args.place.directory(), args.place.store()?);
    if args.force {
        tell(
            "FORCED: every certificate under this root is refused from now on, and its connections are closed.",
        )?;
    }
    let wanted = args.root.as_deref();
    let left = rollover::retire(&directory, store.as_ref(), wanted, args.force, now)?;
    if left.is_empty() {
        tell("There is no root to retire.")?;
    } else {
        tell(&format!("Left the bundle: {}.", left.join(", ")))?;
        for id in &left {
            let kept = directory.retired(id);
            tell(&format!(
                "Logs of its time: `log verify FILE --dir … --root {}`.",
                kept.display()
            ))?;
        }
    }
    status(&args.place, now)
}

fn status(place: &StateArgs, now: u64) -> anyhow::Result<()> {
    let roots = rollover::status(&place.directory(), place.store()?.as_ref(), now)?;
    print(&roots, || show::roots_table(&roots))
}

/// Words for the person, beside the answer.
fn tell(words: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{words}")
}
