//! The callers: each keeps one connection and asks again as soon as it is answered.

use std::time::{Duration, Instant};

use agent::renewal::authority_client::client;
use agent::renewal::evidence::{AttemptProof, LastingProof};
use agent::renewal::fresh_key::FreshKey;
use anyhow::{Context, Result, ensure};
use issuance_messages::issue_request::Evidence as Sent;
use issuance_messages::{IssueRequest, IssueResponse};
use tokio::task::JoinSet;

use crate::authority::Authority;

/// Kept at a time.
pub(crate) const CONNECTIONS: usize = 32;
/// Before the clock starts.
const WARM_UP: Duration = Duration::from_millis(500);

/// What callers prove themselves with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Evidence {
    /// A certificate of another CA; nothing is stored.
    Certificate,
    /// A renewal credential, which each answer replaces on the authority's disk.
    Renewal,
}

/// Answers a second.
///
/// # Errors
/// When a call fails: every single answer must be a certificate.
pub(crate) async fn rate(authority: &Authority, evidence: Evidence, time: Duration) -> Result<f64> {
    let mut callers = JoinSet::new();
    for number in 0..CONNECTIONS {
        let caller = Caller::make(authority, evidence, number).await?;
        callers.spawn(caller.ask_for(time));
    }
    let mut rate = 0.0;
    while let Some(outcome) = callers.join_next().await {
        rate += outcome??;
    }
    Ok(rate)
}

struct Caller {
    client: issuance_messages::signing_client::SigningClient<tonic::transport::Channel>,
    request: IssueRequest,
}

impl Caller {
    async fn make(authority: &Authority, evidence: Evidence, number: usize) -> Result<Self> {
        let client = client(&authority.address()?, &authority.bundle()?).await?;
        let csr_der = FreshKey::make().map_err(anyhow::Error::msg)?.csr_der;
        let evidence = match evidence {
            Evidence::Certificate => {
                let (certificate, key) = authority.machines.certificate(number)?;
                let proof = AttemptProof::Lasting(LastingProof::Certificate { certificate, key });
                proof.evidence(&csr_der).map_err(anyhow::Error::msg)?
            }
            Evidence::Renewal => Sent::JoinToken(authority.token(number)?),
        };
        Ok(Self { client, request: IssueRequest { evidence: Some(evidence), csr_der } })
    }

    /// Answers a second, of this caller.
    async fn ask_for(mut self, time: Duration) -> Result<f64> {
        self.ask_until(Instant::now() + WARM_UP).await?;
        let start = Instant::now();
        let answers = self.ask_until(start + time).await?;
        Ok(f64::from(answers) / start.elapsed().as_secs_f64())
    }

    async fn ask_until(&mut self, end: Instant) -> Result<u32> {
        let mut answers = 0;
        while Instant::now() < end {
            let answer = self.client.issue(self.request.clone()).await;
            self.check(answer.context("a call failed")?.into_inner())?;
            answers += 1;
        }
        Ok(answers)
    }

    /// Keeps the credential for the next call.
    fn check(&mut self, answer: IssueResponse) -> Result<()> {
        ensure!(answer.certificate_chain.len() >= 2, "an answer without a certificate");
        if let Some(credential) = answer.renewal_credential {
            self.request.evidence = Some(Sent::RenewalCredential(credential));
        }
        Ok(())
    }
}
