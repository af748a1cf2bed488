//! What only one replica does: it holds the Lease, writes conditions on policies and routes, and the trust bundles.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::{Api, PostParams};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::credentials::OwnCredentials;
use super::index::PolicyName;
use super::lease::{LeaseCandidate, LeaseStep, ObservedLease, PERIOD};
use super::shared::Shared;
use super::write_schedule::{WriteSchedule, in_time};
use super::{parent_status, status, trust_bundle};

/// The Lease's name.
pub const LEASE: &str = "postern-controller";
/// How often it is looked for work that an event did not announce.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// The most writes before events are looked at again.
const MOST_WRITES: usize = 64;
/// The longest wait for the Lease to be left.
const LEAVE_DEADLINE: Duration = Duration::from_secs(3);

/// Campaigns for the Lease until `ended` is cancelled, and publishes whether this replica leads. At the end a Lease of
/// ours is released, so that another replica leads at once.
pub async fn campaign(
    client: Client,
    namespace: String,
    identity: String,
    leads: watch::Sender<bool>,
    ended: CancellationToken,
) {
    let api = Api::<Lease>::namespaced(client, &namespace);
    let mut candidate = LeaseCandidate::new(identity);
    let start = Instant::now();
    loop {
        let tried = try_to_lead(&api, &namespace, &mut candidate, start);
        if let Err(error) = tokio::time::timeout(PERIOD * 2, tried).await.unwrap_or_else(|_| Ok(()))
        {
            tracing::debug!(%error, "lease");
        }
        let now = candidate.leads(start.elapsed());
        leads.send_if_modified(|leads| {
            let changed = *leads != now;
            if changed {
                tracing::info!(leads = now, "leadership");
            }
            *leads = now;
            changed
        });
        tokio::select! {
            () = tokio::time::sleep(PERIOD) => {}
            () = ended.cancelled() => break,
        }
    }
    leads.send_replace(false);
    let released = release(&api, &namespace, &candidate);
    match tokio::time::timeout(LEAVE_DEADLINE, released).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "the lease is not left; it runs out"),
        Err(_) => tracing::warn!("the lease is not left within 3 s; it runs out"),
    }
}

/// Clears the holder of the Lease, if it is ours.
async fn release(
    api: &Api<Lease>,
    namespace: &str,
    candidate: &LeaseCandidate,
) -> kube::Result<()> {
    let Some(found) = api.get_opt(LEASE).await? else { return Ok(()) };
    let seen = ObservedLease::of(found);
    let Some(lease) = candidate.released(LEASE, namespace, &seen, now()) else { return Ok(()) };
    match api.replace(LEASE, &PostParams::default(), &lease).await {
        Ok(_) => tracing::info!("the lease is left"),
        // Somebody else has it by now.
        Err(kube::Error::Api(answer)) if answer.code == 409 => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Reads the Lease, and takes or renews it where that is our turn.
async fn try_to_lead(
    api: &Api<Lease>,
    namespace: &str,
    candidate: &mut LeaseCandidate,
    start: Instant,
) -> kube::Result<()> {
    let seen = api.get_opt(LEASE).await?.map(ObservedLease::of);
    // Before the write: what counts is when it was sent, not when the answer came.
    let elapsed = start.elapsed();
    let step = candidate.step(elapsed, seen.as_ref());
    let lease = candidate.lease(LEASE, namespace, &step, now());
    let written = match step {
        LeaseStep::Wait => {
            candidate.lost();
            return Ok(());
        }
        LeaseStep::Create => api.create(&PostParams::default(), &lease).await,
        LeaseStep::Replace { .. } => api.replace(LEASE, &PostParams::default(), &lease).await,
    };
    match written {
        Ok(_) => candidate.won(elapsed),
        // 409: another candidate was faster (AlreadyExists, Conflict); it leads.
        Err(kube::Error::Api(answer)) if answer.code == 409 => candidate.lost(),
        Err(error) => return Err(error),
    }
    Ok(())
}

fn now() -> MicroTime {
    MicroTime(Timestamp::now())
}

/// Writes what is to be written, while we lead.
pub async fn write(
    client: Client,
    shared: Arc<Shared>,
    mut credentials: watch::Receiver<Option<Arc<OwnCredentials>>>,
    mut leads: watch::Receiver<bool>,
) {
    let mut events = shared.events();
    let mut schedule = WriteSchedule::default();
    loop {
        write_statuses(&client, &shared, &leads, &mut schedule).await;
        write_parents(&client, &shared, &leads, &mut schedule).await;
        let own = credentials.borrow().clone();
        if let Some(own) = own {
            write_bundles(&client, &shared, &own.bundle_pem, &leads, &mut schedule).await;
        }
        tokio::select! {
            _ = events.changed() => {}
            _ = leads.changed() => {}
            _ = credentials.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
        // A burst of events is one look.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn write_statuses(
    client: &Client,
    shared: &Shared,
    leads: &watch::Receiver<bool>,
    schedule: &mut WriteSchedule<PendingWrite>,
) {
    let verdicts = shared.index().unreported();
    let due = verdicts.into_iter().filter(|verdict| {
        schedule.is_due(&PendingWrite::Status(verdict.name.clone(), verdict.generation))
    });
    for verdict in due.take(MOST_WRITES).collect::<Vec<_>>() {
        if !*leads.borrow() {
            return;
        }
        let written = in_time(status::write(client, &verdict)).await;
        if let Err(error) = &written {
            let error = format!("{error:#}");
            tracing::warn!(policy = %verdict.name, error, "cannot write the status");
        }
        // Until the watch shows it, it is not written again.
        schedule.note(PendingWrite::Status(verdict.name, verdict.generation), written.is_ok());
    }
}

async fn write_parents(
    client: &Client,
    shared: &Shared,
    leads: &watch::Receiver<bool>,
    schedule: &mut WriteSchedule<PendingWrite>,
) {
    let is_due = |name: &PolicyName, version: &str| {
        schedule.is_due(&PendingWrite::Parents(name.clone(), version.to_owned()))
    };
    let verdicts = shared.index().unreported_routes(is_due, MOST_WRITES);
    for verdict in verdicts {
        if !*leads.borrow() {
            return;
        }
        let written = in_time(parent_status::write(client, &verdict)).await;
        if let Err(error) = &written {
            let error = format!("{error:#}");
            tracing::warn!(route = %verdict.name, error, "cannot write the status");
        }
        // Whoever was faster made another version of it, which is due at once when the watch shows it.
        let work = PendingWrite::Parents(verdict.name, verdict.resource_version);
        schedule.note(work, written.is_ok());
    }
}

async fn write_bundles(
    client: &Client,
    shared: &Shared,
    pem: &str,
    leads: &watch::Receiver<bool>,
    schedule: &mut WriteSchedule<PendingWrite>,
) {
    let namespaces = trust_bundle::outdated(&shared.index(), pem);
    schedule.keep_only(|work| match work {
        PendingWrite::Bundle(namespace) => namespaces.contains(namespace),
        PendingWrite::Status(..) | PendingWrite::Parents(..) => true,
    });
    // Those that wait after a failure do not keep the others waiting.
    let due =
        namespaces.into_iter().filter(|name| schedule.is_due(&PendingWrite::Bundle(name.clone())));
    for namespace in due.take(MOST_WRITES).collect::<Vec<_>>() {
        if !*leads.borrow() {
            return;
        }
        let written = in_time(trust_bundle::write(client, &namespace, pem)).await;
        if let Err(error) = &written {
            let error = format!("{error:#}");
            tracing::warn!(%namespace, error, "cannot write the trust bundle");
        }
        schedule.note(PendingWrite::Bundle(namespace), written.is_ok());
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum PendingWrite {
    /// A policy, and the generation that was judged.
    Status(PolicyName, i64),
    /// A route, and the version of the object that is written over.
    Parents(PolicyName, String),
    Bundle(Arc<str>),
}
