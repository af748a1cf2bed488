//! Before anything is measured: a pair that guards nothing is fast and worth nothing.

use anyhow::{Context, Result};

use crate::certificates::Identity;
use crate::contender::Contender;
use crate::get::Seen;
use crate::pair::{Identities, Pair};
use crate::testbed::TestBed;

/// How a pair refused, once it was seen to let the allowed identity through.
pub(crate) struct Refusals {
    /// Another identity of the same root calls.
    pub(crate) wrong_client: Seen,
    /// Another identity of the same root answers.
    pub(crate) wrong_server: Seen,
}

/// Checks both sides of a pair.
///
/// # Errors
/// When the right identities do not get through, or wrong ones do.
pub(crate) fn run(bed: &TestBed<'_>, contender: Contender) -> Result<Refusals> {
    let name = contender.name;
    Pair::start(bed, contender, Identities::GOOD)
        .and_then(|mut pair| pair.wait_until_it_answers())
        .with_context(|| format!("{name}: the right client and the right server"))?;
    let refused = |identities, what: &'static str| {
        Pair::start(bed, contender, identities)
            .and_then(|mut pair| pair.ensure_it_refuses())
            .with_context(|| format!("{name}: {what} of the same root"))
    };
    let wrong_client = Identities { client: Identity::Intruder, ..Identities::GOOD };
    let wrong_server = Identities { server: Identity::Intruder, ..Identities::GOOD };
    Ok(Refusals {
        wrong_client: refused(wrong_client, "another client")?,
        wrong_server: refused(wrong_server, "another server")?,
    })
}
