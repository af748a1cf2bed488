//! `instances` and `revoke-instance`.

use std::io::{self, Write};

use clap::Args;

use super::{StateArgs, print};
use crate::attest::renewal_store::RenewalCredentials;
use crate::cli::show;

/// `revoke-instance`.
#[derive(Debug, Args)]
pub struct RevokeInstanceArgs {
    #[command(flatten)]
    place: StateArgs,
    /// The instance, as `instances` lists it.
    instance: String,
}

/// Prints the holders of renewal credentials.
pub(super) fn list(args: &StateArgs, now: u64) -> anyhow::Result<()> {
    let holders = RenewalCredentials::new(args.store()?, 0).list()?;
    print(&holders, || show::instances_table(&holders, now))
}

/// Ends a holder.
pub(super) fn revoke(args: &RevokeInstanceArgs) -> anyhow::Result<bool> {
    let found = RenewalCredentials::new(args.place.store()?, 0).revoke(&args.instance)?;
    if !found {
        writeln!(
            io::stderr(),
            "no agent `{}` holds a credential; `instances` lists them",
            args.instance
        )?;
    }
    Ok(found)
}
