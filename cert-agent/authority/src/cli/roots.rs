//! `root prepare`, `root activate`, `root retire` and `root status`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};

use super::{SharedArgs, print};
use crate::ca::rollover::in_cluster::InCluster;
use crate::ca::rollover::in_directory::{self, InDirectory};
use crate::ca::rollover::{self, KeyMaterialStore};
use crate::ca::root_source::{Pkcs11, RootSource};
use crate::cli::show;
use crate::duration;
use crate::store::Store;
use crate::store::cluster_objects::ObjectNames;
use crate::store::directory::AuthorityDirectory;
use crate::store::kubernetes_store::SecretsLocation;
use program::Misconfigured;

/// `root`.
#[derive(Debug, Args)]
pub struct RootArgs {
    /// Which step.
    #[command(subcommand)]
    step: RolloverStep,
}

/// The steps of a roll-over, in their order; each may be repeated.
#[derive(Debug, Subcommand)]
enum RolloverStep {
    /// Publish a new root in the bundle. It signs nothing yet.
    Prepare(PrepareArgs),
    /// Let an intermediate of the prepared root sign from now on. The old root stays published.
    Activate(ActivateArgs),
    /// Take the replaced root out of the bundle. Refused while a live certificate chains to it.
    Retire(RetireArgs),
    /// Show every root, its state, and who uses it (JSON when the output is not a terminal).
    Status(RootsArgs),
}

/// Where the roots are, and the state that says when each step happened.
#[derive(Debug, Args)]
struct RootsArgs {
    /// The authority's directory.
    #[arg(long, value_name = "DIR", required_unless_present = "into_secret")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    shared: SharedArgs,
    /// The authority is in a cluster, where `init --into-secret` made it: its Secret.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        value_parser = SecretsLocation::parse,
        requires_all = ["root_into_secret", "bundle_into_config_map", "state_secret"],
        conflicts_with = "dir"
    )]
    into_secret: Option<SecretsLocation>,
    /// The Secret with the root and its passphrase.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = SecretsLocation::parse, requires = "into_secret")]
    root_into_secret: Option<SecretsLocation>,
    /// The ConfigMap with the roots, as agents are given them.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = SecretsLocation::parse, requires = "into_secret")]
    bundle_into_config_map: Option<SecretsLocation>,
}

#[derive(Debug, Args)]
struct PrepareArgs {
    #[command(flatten)]
    place: RootsArgs,
    #[command(flatten)]
    key: RootKeyArgs,
    /// How long the new root is good for.
    #[arg(long, value_name = "TIME", default_value = "10y", value_parser = duration::parse)]
    root_lifetime: Duration,
}

#[derive(Debug, Args)]
struct ActivateArgs {
    #[command(flatten)]
    place: RootsArgs,
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
    place: RootsArgs,
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
    pub fn source(&self, directory: &AuthorityDirectory) -> RootSource {
        self.pkcs11.source().unwrap_or_else(|| {
            let file = self.passphrase_file.clone();
            RootSource::Passphrase(file.unwrap_or_else(|| directory.passphrase()))
        })
    }
}

impl RootsArgs {
    fn directory(&self) -> anyhow::Result<AuthorityDirectory> {
        Ok(AuthorityDirectory::new(self.dir.as_deref().context("--dir is needed")?))
    }

    fn cluster(&self) -> anyhow::Result<Option<InCluster>> {
        let (Some(authority), Some(root), Some(bundle)) =
            (&self.into_secret, &self.root_into_secret, &self.bundle_into_config_map)
        else {
            return Ok(None);
        };
        let (authority, root, bundle) = (authority.clone(), root.clone(), bundle.clone());
        let places = ObjectNames { authority, root, bundle };
        let opened = InCluster::open(places, self.shared.kubeconfig.as_deref());
        opened.map(Some).map_err(|error| Misconfigured(error).into())
    }

    /// Whose keys, and the state. Without `key` (retiring makes and opens none) the passphrase is never asked for.
    fn open(
        &self,
        key: Option<&RootKeyArgs>,
    ) -> anyhow::Result<(Box<dyn KeyMaterialStore>, Arc<dyn Store>)> {
        if let Some(cluster) = self.cluster()? {
            if key.is_some_and(|key| key.passphrase_file.is_some() || key.pkcs11.source().is_some())
            {
                bail!(Misconfigured(anyhow::anyhow!(
                    "--passphrase-file and --pkcs11-module go with --dir; in a cluster the root's Secret holds key and \
                     passphrase"
                )));
            }
            return Ok((Box::new(cluster), self.shared.store(Path::new(""))?));
        }
        let directory = self.directory()?;
        let passphrase = || RootSource::Passphrase(directory.passphrase());
        let source = key.map_or_else(passphrase, |key| key.source(&directory));
        let store = self.shared.store(directory.path())?;
        Ok((Box::new(InDirectory { directory, source }), store))
    }
}

/// Does a step.
pub(super) fn root(args: RootArgs, now: u64) -> anyhow::Result<()> {
    match args.step {
        RolloverStep::Prepare(args) => prepare(&args, now),
        RolloverStep::Activate(args) => activate(&args, now),
        RolloverStep::Retire(args) => retire(&args, now),
        RolloverStep::Status(args) => status(&args, now),
    }
}

fn prepare(args: &PrepareArgs, now: u64) -> anyhow::Result<()> {
    let (keys, store) = args.place.open(Some(&args.key))?;
    rollover::prepare(keys.as_ref(), store.as_ref(), args.root_lifetime, now)?;
    tell(
        "The new root is published. When every workload knows it, run `postern-authority root activate`.",
    )?;
    status(&args.place, now)
}

fn activate(args: &ActivateArgs, now: u64) -> anyhow::Result<()> {
    let (keys, store) = args.place.open(Some(&args.key))?;
    if args.force {
        tell(
            "FORCED: workloads that have not been told of the new root will refuse its certificates.",
        )?;
    }
    let lifetime = args.intermediate_lifetime;
    rollover::activate(keys.as_ref(), store.as_ref(), lifetime, args.force, now)?;
    tell(
        "The new root signs. When the old one's certificates are over, run `postern-authority root retire`.",
    )?;
    status(&args.place, now)
}

fn retire(args: &RetireArgs, now: u64) -> anyhow::Result<()> {
    let (keys, store) = args.place.open(None)?;
    if args.force {
        tell(
            "FORCED: every certificate under this root is refused from now on, and its connections are closed.",
        )?;
    }
    let wanted = args.root.as_deref();
    let left = rollover::retire(keys.as_ref(), store.as_ref(), wanted, args.force, now)?;
    if left.is_empty() {
        tell("There is no root to retire.")?;
    } else {
        tell(&format!("Left the bundle: {}.", left.join(", ")))?;
        for id in &left {
            tell(&keys.where_retired(id))?;
        }
    }
    status(&args.place, now)
}

/// Reads a mounted Secret too.
fn status(place: &RootsArgs, now: u64) -> anyhow::Result<()> {
    let (found, store) = match place.cluster()? {
        Some(cluster) => (cluster.material()?, place.shared.store(Path::new(""))?),
        None => {
            let directory = place.directory()?;
            (in_directory::material(&directory)?, place.shared.store(directory.path())?)
        }
    };
    let roots = rollover::status(&found, store.as_ref(), now)?;
    print(&roots, || show::roots_table(&roots))
}

/// Words for the person, beside the answer.
fn tell(words: &str) -> io::Result<()> {
    writeln!(io::stderr(), "{words}")
}
