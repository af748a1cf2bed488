//! `init` and `renew-intermediate`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use identity::TrustDomain;

use super::print;
use super::roots::{Pkcs11Args, RootKeyArgs};
use crate::authority::directory::Directory;
use crate::authority::duration;
use crate::authority::init::{self, Wanted};
use crate::authority::show::Shown;
use crate::authority::store_directory::DirectoryStore;

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The directory to make the authority in. It may exist, but not hold an authority.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
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

/// `renew-intermediate`.
#[derive(Debug, Args)]
pub struct RenewArgs {
    /// The authority's directory.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    key: RootKeyArgs,
    /// How long the new intermediate is good for.
    #[arg(long, value_name = "TIME", default_value = "90d", value_parser = duration::parse)]
    intermediate_lifetime: Duration,
}

/// Makes an authority and shows it.
pub(super) fn init(args: &InitArgs, now: u64) -> anyhow::Result<()> {
    let directory = Directory::new(&args.dir);
    let wanted = Wanted {
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
    let shown = Shown::read(&directory, &DirectoryStore::new(&args.dir), now)?;
    print(&shown, || shown.table())
}

/// Signs a new intermediate.
pub(super) fn renew_intermediate(args: RenewArgs, now: u64) -> anyhow::Result<()> {
    let directory = Directory::new(args.dir);
    let source = args.key.source(&directory);
    init::renew_intermediate(&directory, &source, args.intermediate_lifetime, now)
}
