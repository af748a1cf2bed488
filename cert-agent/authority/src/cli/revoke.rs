//! `revoke`, `revocations` and `log verify`.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use identity::SpiffeId;

use super::{StateArgs, print};
use crate::attest::join_token_store::JoinTokens;
use crate::attest::renewal_store::RenewalCredentials;
use crate::ca::issuance_log_verify;
use crate::cli::show;
use crate::store::directory::AuthorityDirectory;
use crate::store::{pem, revocations};

/// `revoke`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct RevokeArgs {
    #[command(flatten)]
    place: StateArgs,
    /// One certificate, by its serial number in hexadecimal digits.
    #[arg(long, value_name = "HEX", group = "what")]
    serial: Option<String>,
    /// Every live certificate of an identity, its renewal credentials and its unused join tokens.
    #[arg(long, value_name = "SPIFFE-ID", group = "what", value_parser = super::spiffe_id)]
    identity: Option<SpiffeId>,
    /// The live certificates of one agent and its renewal credential, as `instances` lists it.
    #[arg(long, value_name = "INSTANCE", group = "what")]
    instance: Option<String>,
}

/// `log`.
#[derive(Debug, Args)]
pub struct LogArgs {
    /// What to do with it.
    #[command(subcommand)]
    command: LogCommand,
}

/// What to do with the issuance log.
#[derive(Debug, Subcommand)]
enum LogCommand {
    /// Check that a file of the log is whole and signed; says the first line that is broken.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The file, such as DIR/log/issuance-….jsonl.
    file: PathBuf,
    /// Roots that its signers may chain to (PEM), such as DIR/retired/ID.pem.
    #[arg(long, value_name = "FILE", required_unless_present = "dir")]
    root: Option<PathBuf>,
    /// The authority's directory: its signers may chain to its published roots.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Revokes, and prints what was revoked. False when nothing of that identity is known.
pub(super) fn revoke(args: &RevokeArgs, now: u64) -> anyhow::Result<bool> {
    let store = args.place.store()?;
    if let Some(serial) = &args.serial {
        let serial = revocations::parse_serial(serial)?;
        let revoked = vec![revocations::revoke_serial(store.as_ref(), &serial, now)?];
        if revoked.iter().any(|one| one.identity.is_empty()) {
            writeln!(
                io::stderr(),
                "this state knows no live certificate {serial}; it is revoked all the same. Is the number right, and is \
                 --state (or --dir) the one that `run` has?"
            )?;
        }
        print(&revoked, || show::revoked_table(&revoked))?;
        return Ok(true);
    }
    let credentials = RenewalCredentials::new(store.clone(), 0);
    let holders = credentials.list()?;
    let (identity, instance) = match (&args.identity, &args.instance) {
        (Some(identity), _) => (identity.to_string(), None),
        (None, Some(instance)) => {
            let identity = identity_of(store.as_ref(), &holders, instance, now)?;
            (identity, Some(instance.as_str()))
        }
        (None, None) => bail!("give --serial, --identity or --instance"),
    };
    // What could get a new certificate goes first.
    let mut proofs = 0;
    for holder in holders {
        if holder.identity == identity && instance.is_none_or(|one| one == holder.instance) {
            proofs += usize::from(credentials.revoke(&holder.instance)?);
        }
    }
    if instance.is_none() {
        proofs += JoinTokens::new(store.clone()).revoke_identity(&identity)?;
    }
    let revoked = revocations::revoke_identity(store.as_ref(), &identity, instance, now)?;
    let found = proofs + revoked.len() > 0;
    writeln!(io::stderr(), "{}", told(&identity, revoked.len(), found))?;
    print(&revoked, || show::revoked_table(&revoked))?;
    Ok(found)
}

/// What is printed about an identity or an agent of it.
fn told(identity: &str, certificates: usize, found: bool) -> String {
    if !found {
        return format!(
            "nothing to revoke: this state knows no live certificate, credential or join token of {identity}. Is the \
             id right, and is --state (or --dir) the one that `run` has?"
        );
    }
    format!(
        "live certificates of {identity} that are revoked: {certificates}; peers refuse them within seconds. Its renewal \
         credentials ended; other evidence (a uid, a token of a cluster) still gets it new ones."
    )
}

/// Whose agent this is: of its credential, or of a live certificate.
fn identity_of(
    store: &dyn crate::store::Store,
    holders: &[crate::attest::renewal_store::ListedHolder],
    instance: &str,
    now: u64,
) -> anyhow::Result<String> {
    if let Some(holder) = holders.iter().find(|holder| holder.instance == instance) {
        return Ok(holder.identity.clone());
    }
    let all = crate::store::record::FullRecord::read(store, now)?;
    let found =
        all.leaves.into_iter().find(|(_, of_one)| of_one.iter().any(|l| l.instance == instance));
    found.map(|(identity, _)| identity).with_context(|| {
        format!(
            "no agent `{instance}` has a credential or a live certificate; `instances` lists them"
        )
    })
}

/// Prints what is revoked and has not ended.
pub(super) fn list(args: &StateArgs, now: u64) -> anyhow::Result<()> {
    let revoked = revocations::list(args.store()?.as_ref(), now)?;
    print(&revoked, || show::revoked_table(&revoked))
}

/// Checks a log.
pub(super) fn log(args: LogArgs) -> anyhow::Result<()> {
    let LogCommand::Verify(args) = args.command;
    let published = args.dir.map(|dir| AuthorityDirectory::new(dir).bundle());
    let mut roots = Vec::new();
    for path in published.iter().chain(&args.root) {
        roots.extend(pem::certificates(path)?);
    }
    let verified = issuance_log_verify::verify(&args.file, &roots)?;
    print(&verified, || show::verified_table(&verified))
}
