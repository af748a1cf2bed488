//! `token`, `tokens` and `revoke-token`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use identity::SpiffeId;

use super::{StateArgs, print};
use crate::attest::join_token_store::JoinTokens;
use crate::ca::{leaf, signers};
use crate::cli::show;
use crate::duration;
use crate::store::files;
use program::Misconfigured;

/// `token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(flatten)]
    place: StateArgs,
    /// Whom the token is for, such as spiffe://cluster.local/ns/shop/sa/cart.
    #[arg(long, value_name = "SPIFFE-ID", value_parser = super::spiffe_id)]
    identity: SpiffeId,
    /// How long the token waits for its use: 1s to 7d.
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration::parse)]
    ttl: Duration,
    /// Write the token to this file (mode 0600, must not exist) instead of printing it.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// `revoke-token`.
#[derive(Debug, Args)]
pub struct RevokeTokenArgs {
    #[command(flatten)]
    place: StateArgs,
    /// The token's id, as `tokens` lists it.
    id: String,
}

/// Makes a token, and prints it or writes it to a file.
pub(super) fn mint(args: &TokenArgs, now: u64) -> anyhow::Result<()> {
    let directory = args.place.directory();
    let bundle = signers::load_bundle(&directory)?;
    if let Err(reason) = leaf::check_workload_id(bundle.trust_domain().as_str(), &args.identity) {
        let mistake = anyhow!("{} cannot have a join token: {reason}", args.identity);
        return Err(Misconfigured(mistake).into());
    }
    let tokens = JoinTokens::new(args.place.store()?);
    let token = tokens.mint(&args.identity, args.ttl, now)?;
    match &args.output {
        Some(path) => Ok(files::write_new(
            path,
            format!("{}\n", token.as_str()).as_bytes(),
            files::OWNER_ONLY,
        )?),
        None => Ok(writeln!(io::stdout(), "{}", token.as_str())?),
    }
}

/// Prints the tokens not used yet.
pub(super) fn list(args: &StateArgs, now: u64) -> anyhow::Result<()> {
    let tokens = JoinTokens::new(args.store()?).list()?;
    print(&tokens, || show::tokens_table(&tokens, now))
}

/// Makes a token worthless.
pub(super) fn revoke(args: &RevokeTokenArgs) -> anyhow::Result<bool> {
    let found = JoinTokens::new(args.place.store()?).revoke(&args.id)?;
    if !found {
        writeln!(io::stderr(), "no unused join token is `{}`; `tokens` lists them", args.id)?;
    }
    Ok(found)
}
