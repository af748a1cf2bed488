//! `init` and `renew-intermediate`.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use identity::TrustDomain;
use kube::Client;

use super::print;
use super::roots::{Pkcs11Args, RootKeyArgs};
use crate::ca::bootstrap;
use crate::ca::init::{self, InitSettings};
use crate::cli::show::AuthorityReport;
use crate::duration;
use crate::store::cluster_objects::ObjectNames;
use crate::store::directory::AuthorityDirectory;
use crate::store::directory_store::DirectoryStore;
use crate::store::kubernetes;
use crate::store::kubernetes_store::SecretsLocation;
use program::Misconfigured;

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The directory to make the authority in. It may exist, but not hold an authority.
    #[arg(long, value_name = "DIR", required_unless_present = "into_secret")]
    dir: Option<PathBuf>,
    #[command(flatten)]
    cluster: ClusterArgs,
    /// The name that every identity of this authority begins with: spiffe://NAME/…
    #[arg(long, value_name = "NAME", default_value = "cluster.local", value_parser = super::trust_domain)]
    trust_domain: TrustDomain,
    /// A file whose first line encrypts the root key (8 characters at least). Without it a
    /// passphrase is made up and written to DIR/root.passphrase; move that file to another machine.
    #[arg(long, value_name = "FILE", conflicts_with = "pkcs11_module")]
    passphrase_file: Option<PathBuf>,
    /// Take this root (PEM) instead of making one: your own PKI's.
    #[arg(long, value_name = "FILE", requires = "from_root_key", conflicts_with = "pkcs11_module")]
    from_root_cert: Option<PathBuf>,
    /// The key of --from-root-cert (PEM, not encrypted). It is kept encrypted in DIR; remove yours.
    #[arg(long, value_name = "FILE", requires = "from_root_cert")]
    from_root_key: Option<PathBuf>,
    #[command(flatten)]
    pkcs11: Pkcs11Args,
    /// How long the root is good for.
    #[arg(long, value_name = "TIME", default_value = "10y", value_parser = duration::parse)]
    root_lifetime: Duration,
    /// How long the intermediate is good for.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    intermediate_lifetime: Duration,
}

/// Where a cluster's authority is made.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Make the authority in a cluster instead: intermediate, its key and the roots in this Secret, which `run --dir`
    /// takes mounted. What is there already and fits is left as it is, what is missing is made; nothing is overwritten.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        value_parser = SecretsLocation::parse,
        requires_all = ["root_into_secret", "bundle_into_config_map"],
        conflicts_with_all = ["dir", "passphrase_file", "from_root_cert", "pkcs11_module"]
    )]
    into_secret: Option<SecretsLocation>,
    /// The Secret for the root: its key is encrypted by a passphrase that is made up and kept beside it. Nothing that
    /// runs needs it; move it elsewhere if you like.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = SecretsLocation::parse, requires = "into_secret")]
    root_into_secret: Option<SecretsLocation>,
    /// The ConfigMap for the roots, as agents are given them.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = SecretsLocation::parse, requires = "into_secret")]
    bundle_into_config_map: Option<SecretsLocation>,
    /// How to reach the Kubernetes API server [default: as the pod we run in].
    #[arg(long, value_name = "FILE", requires = "into_secret")]
    kubeconfig: Option<PathBuf>,
}

impl ClusterArgs {
    fn places(&self) -> Option<ObjectNames> {
        Some(ObjectNames {
            authority: self.into_secret.clone()?,
            root: self.root_into_secret.clone()?,
            bundle: self.bundle_into_config_map.clone()?,
        })
    }
}

/// `renew-intermediate`.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// The authority's directory.
    #[arg(long, value_name = "DIR", required_unless_present = "into_secret")]
    dir: Option<PathBuf>,
    /// The authority is in a cluster: put the new intermediate into this Secret.
    #[arg(
        long,
        value_name = "NAMESPACE/NAME",
        value_parser = SecretsLocation::parse,
        requires = "root_from_secret",
        conflicts_with_all = ["dir", "passphrase_file", "pkcs11_module"]
    )]
    into_secret: Option<SecretsLocation>,
    /// The Secret with the root and its passphrase.
    #[arg(long, value_name = "NAMESPACE/NAME", value_parser = SecretsLocation::parse, requires = "into_secret")]
    root_from_secret: Option<SecretsLocation>,
    /// How to reach the Kubernetes API server [default: as the pod we run in].
    #[arg(long, value_name = "FILE", requires = "into_secret")]
    kubeconfig: Option<PathBuf>,
    #[command(flatten)]
    key: RootKeyArgs,
    /// How long the new intermediate is good for.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    intermediate_lifetime: Duration,
}

/// Makes an authority and shows it.
pub(super) fn init(args: &InitArgs, now: u64) -> anyhow::Result<()> {
    if let Some(places) = args.cluster.places() {
        return init_cluster(args, &places, now);
    }
    let path = args.dir.as_deref().context("--dir is needed")?;
    let directory = AuthorityDirectory::new(path);
    let wanted = InitSettings {
        trust_domain: args.trust_domain.clone(),
        passphrase_file: args.passphrase_file.as_deref(),
        from_root: args.from_root_cert.as_deref().zip(args.from_root_key.as_deref()),
        pkcs11: args.pkcs11.source(),
        root_lifetime: args.root_lifetime,
        intermediate_lifetime: args.intermediate_lifetime,
    };
    init::init(&directory, &wanted, now)?;
    if args.passphrase_file.is_none() && args.pkcs11.source().is_none() {
        let path = directory.passphrase();
        writeln!(
            io::stderr(),
            "The root key's passphrase was made up and written to {}.\nMove it and {} to another machine: `run` needs \
             neither.",
            path.display(),
            directory.root_key().display()
        )?;
    }
    let shown = AuthorityReport::read(&directory, &DirectoryStore::new(path), now)?;
    print(&shown, || shown.table())
}

/// Makes what is missing of a cluster's authority.
fn init_cluster(args: &InitArgs, places: &ObjectNames, now: u64) -> anyhow::Result<()> {
    let wanted = bootstrap::BootstrapSettings {
        trust_domain: args.trust_domain.clone(),
        root_lifetime: args.root_lifetime.as_secs(),
        intermediate_lifetime: args.intermediate_lifetime.as_secs(),
    };
    let kubeconfig = args.cluster.kubeconfig.as_deref();
    let made = in_cluster(kubeconfig, async |client| {
        bootstrap::bootstrap(&client, places, &wanted, now).await
    })?;
    let said = match made.is_empty() {
        true => {
            format!("nothing to do: the authority of {} is there, and fits", wanted.trust_domain)
        }
        false => format!("made {}", made.join(", ")),
    };
    writeln!(io::stderr(), "{said}")?;
    Ok(())
}

/// Runs one conversation with the API server.
fn in_cluster<T>(
    kubeconfig: Option<&Path>,
    work: impl AsyncFnOnce(Client) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = kubernetes::client(kubeconfig).await.map_err(Misconfigured)?;
        work(client).await
    })
}

/// Signs a new intermediate.
pub(super) fn renew_intermediate(args: RenewArgs, now: u64) -> anyhow::Result<()> {
    let lifetime = args.intermediate_lifetime;
    if let Some((authority, root)) = args.into_secret.as_ref().zip(args.root_from_secret.as_ref()) {
        return in_cluster(args.kubeconfig.as_deref(), async |client| {
            let lifetime = lifetime.as_secs();
            bootstrap::renew_intermediate(&client, authority, root, lifetime, now).await
        });
    }
    let directory = AuthorityDirectory::new(args.dir.context("--dir is needed")?);
    let source = args.key.source(&directory);
    init::renew_intermediate(&directory, &source, lifetime, now)
}
