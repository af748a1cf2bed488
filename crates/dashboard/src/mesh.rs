//! The mesh as its proxies tell of it: the latest report of each, and what they give together.
//!
//! A report speaks only about the proxy that sent it. Who that is, comes from its stream ([`Reporter`]); wherever a report names
//! its own side of a call, the reporter's name is put there instead. Everything is bounded: a report, the reports together
//! ([`MESH_BYTES`], beyond which the oldest goes), and what is shown.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::bounds::{CERTIFICATES, DENIALS, EDGES, ENDPOINTS, Listed, SERVICES, shortened};
use crate::data::{CertificateAge, EndpointView, ServiceState};
use crate::denials::DenialGroup;
use crate::edges::Edge;
use crate::report::{CertificateTerm, ProxyReport, REPORT_BYTES, ReportProblem};

/// The most bytes of all reports together, as they are sent.
pub const MESH_BYTES: usize = 64 * 1024 * 1024;
/// What is older is not shown.
pub const REPORT_HOLDS: Duration = Duration::from_secs(60);
/// The least time between two reports on one stream; proxies leave five seconds.
pub const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// The proxy that reports, as its stream proved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// `namespace/name`.
    pub pod: String,
    /// `namespace/service account`.
    pub workload: String,
    /// Its identity, without `spiffe://`.
    pub identity: String,
}

/// The place of one stream among the reports.
#[derive(Debug)]
pub struct ReportStream {
    reporter: Reporter,
    number: u64,
    heard: Option<Duration>,
}

impl ReportStream {
    /// Whose it is.
    #[must_use]
    pub fn reporter(&self) -> &Reporter {
        &self.reporter
    }
}

/// The latest report of each pod's proxy.
#[derive(Debug)]
pub struct MeshReports {
    by_pod: BTreeMap<String, Kept>,
    most: usize,
    bytes: usize,
    next_stream: u64,
    counts: ReportCounts,
}

#[derive(Debug)]
struct Kept {
    stream: u64,
    reporter: Reporter,
    report: ProxyReport,
    heard: Duration,
    bytes: usize,
}

/// What became of reports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReportCounts {
    /// Refused: what was there before stayed.
    pub refused: u64,
    /// Dropped, because there were too many bytes of them all.
    pub dropped: u64,
    /// Proxies of which there is a report.
    pub proxies: usize,
    /// The bytes of these.
    pub bytes: usize,
}

/// The parts of the page's data that come from reports.
#[derive(Debug, Default)]
pub struct MeshView {
    /// Who calls whom.
    pub edges: Listed<Edge>,
    /// What was refused, the latest first.
    pub denials: Listed<DenialGroup>,
    /// The proxies' certificates, the next to end first.
    pub certificates: Listed<CertificateAge>,
    /// The workloads with their pods.
    pub services: Listed<ServiceState>,
}

impl Default for MeshReports {
    fn default() -> Self {
        Self::of_at_most(MESH_BYTES)
    }
}

impl MeshReports {
    fn of_at_most(most: usize) -> Self {
        let (by_pod, counts) = (BTreeMap::new(), ReportCounts::default());
        Self { by_pod, most, bytes: 0, next_stream: 0, counts }
    }

    /// A place for a stream. [`Self::close`] gives it back.
    pub fn open(&mut self, reporter: Reporter) -> ReportStream {
        self.next_stream += 1;
        ReportStream { reporter, number: self.next_stream, heard: None }
    }

    /// Takes in what [`ProxyReport::read`] made of a message; `now` is since any fixed moment.
    ///
    /// # Errors
    /// It is refused, and what was there before stays.
    pub fn take(
        &mut self,
        stream: &mut ReportStream,
        read: Result<ProxyReport, ReportProblem>,
        now: Duration,
    ) -> Result<(), ReportProblem> {
        let soon = stream.heard.is_some_and(|heard| now.saturating_sub(heard) < LEAST_PAUSE);
        stream.heard = Some(now);
        let read = if soon { Err(ReportProblem::TooSoon) } else { read };
        let taken = read.and_then(|report| self.put(stream, report, now));
        self.counts.refused += u64::from(taken.is_err());
        taken
    }

    fn put(
        &mut self,
        stream: &ReportStream,
        report: ProxyReport,
        now: Duration,
    ) -> Result<(), ReportProblem> {
        let pod = &stream.reporter.pod;
        let report = match self.by_pod.get(pod) {
            // A pod's newer stream speaks for it.
            Some(kept) if kept.stream > stream.number => return Ok(()),
            Some(kept) if kept.stream == stream.number => report.over(kept.report.clone()),
            _ => report,
        };
        let bytes = report.message().len();
        if bytes > REPORT_BYTES {
            return Err(ReportProblem::TooLarge);
        }
        self.remove(&pod.clone());
        self.bytes += bytes;
        let reporter = stream.reporter.clone();
        let kept = Kept { stream: stream.number, reporter, report, heard: now, bytes };
        self.by_pod.insert(pod.clone(), kept);
        self.make_room();
        Ok(())
    }

    fn make_room(&mut self) {
        while self.bytes > self.most {
            let oldest = self.by_pod.values().min_by_key(|kept| kept.heard);
            let Some(pod) = oldest.map(|kept| kept.reporter.pod.clone()) else { return };
            self.remove(&pod);
            self.counts.dropped += 1;
        }
    }

    fn remove(&mut self, pod: &str) {
        if let Some(kept) = self.by_pod.remove(pod) {
            self.bytes -= kept.bytes;
        }
    }

    /// The stream has ended: what it said is forgotten, unless another stream of the pod has spoken since.
    pub fn close(&mut self, stream: &ReportStream) {
        let pod = &stream.reporter.pod;
        if self.by_pod.get(pod).is_some_and(|kept| kept.stream == stream.number) {
            self.remove(pod);
        }
    }

    /// What became of reports so far.
    #[must_use]
    pub fn counts(&self) -> ReportCounts {
        ReportCounts { proxies: self.by_pod.len(), bytes: self.bytes, ..self.counts }
    }

    /// What the reports give together, once those are forgotten that are too old; `unix` is now in Unix seconds.
    pub fn view(&mut self, now: Duration, unix: u64) -> MeshView {
        self.by_pod.retain(|_, kept| now.saturating_sub(kept.heard) < REPORT_HOLDS);
        self.bytes = self.by_pod.values().map(|kept| kept.bytes).sum();
        let kept: Vec<&Kept> = self.by_pod.values().collect();
        MeshView {
            edges: edges(&kept),
            denials: denials(&kept, unix),
            certificates: certificates(&kept, unix),
            services: services(&kept),
        }
    }
}

/// The counts of a workload's pods are one.
fn edges(kept: &[&Kept]) -> Listed<Edge> {
    let mut all: BTreeMap<(&str, &str, &str), Edge> = BTreeMap::new();
    let mut left_out = 0_usize;
    for Kept { reporter, report, .. } in kept {
        let Some(edges) = &report.edges else { continue };
        left_out = left_out.saturating_add(edges.left_out);
        for edge in &edges.shown {
            let own = reporter.identity.as_str();
            let key = match edge.direction.as_str() {
                "inbound" => ("inbound", edge.source.as_str(), own),
                _ => ("outbound", own, edge.destination.as_str()),
            };
            let (direction, source, destination) = key;
            let sum = all.entry(key).or_insert_with(|| Edge {
                direction: direction.to_owned(),
                source: source.to_owned(),
                destination: destination.to_owned(),
                allowed: 0,
                denied: 0,
                failed: 0,
            });
            sum.allowed = sum.allowed.saturating_add(edge.allowed);
            sum.denied = sum.denied.saturating_add(edge.denied);
            sum.failed = sum.failed.saturating_add(edge.failed);
        }
    }
    let mut all: Vec<_> = all.into_values().collect();
    all.sort_by_key(|edge| Reverse(edge.total()));
    and_left_out(Listed::first(EDGES, all), left_out)
}

fn and_left_out<T>(mut list: Listed<T>, more: usize) -> Listed<T> {
    list.left_out = list.left_out.saturating_add(more);
    list
}

fn denials(kept: &[&Kept], unix: u64) -> Listed<DenialGroup> {
    let reports = kept.iter().filter_map(|kept| Some((kept, kept.report.denials.as_ref()?)));
    let mut left_out = 0_usize;
    let mut all = Vec::new();
    for (kept, denials) in reports {
        left_out = left_out.saturating_add(denials.left_out);
        all.extend(denials.shown.iter().map(|group| (group, &kept.reporter.pod)));
    }
    // Nothing was in the future, whatever a proxy's clock says.
    all.sort_by_key(|(group, _)| Reverse(group.last.min(unix)));
    let shown = all.into_iter().map(|(group, pod)| {
        let mut group = DenialGroup { pod: Some(pod.clone()), ..group.clone() };
        group.last = group.last.min(unix);
        group.first = group.first.min(unix);
        group.examples.shown.iter_mut().for_each(|one| one.last = one.last.min(unix));
        group
    });
    and_left_out(Listed::first(DENIALS, shown), left_out)
}

fn certificates(kept: &[&Kept], unix: u64) -> Listed<CertificateAge> {
    let of = |kept: &&Kept| Some(certificate(&kept.reporter, kept.report.certificate?, unix));
    let mut all: Vec<_> = kept.iter().filter_map(of).collect();
    all.sort_by(|one, other| (one.not_after, &one.name).cmp(&(other.not_after, &other.name)));
    Listed::first(CERTIFICATES, all)
}

fn certificate(reporter: &Reporter, term: CertificateTerm, unix: u64) -> CertificateAge {
    let CertificateTerm { not_before, not_after } = term;
    let life = not_after.saturating_sub(not_before);
    CertificateAge {
        name: shortened(&format!("{} {}", reporter.pod, reporter.identity)),
        kind: "workload",
        not_before,
        not_after,
        state: match not_after.saturating_sub(unix) {
            0 => "expired",
            // It should have been renewed after half of its life.
            left if left < life / 5 => "stale",
            _ => "fresh",
        },
        valid: (not_before..not_after).contains(&unix),
    }
}

fn services(kept: &[&Kept]) -> Listed<ServiceState> {
    let mut by_workload: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for Kept { reporter, .. } in kept {
        let key = (reporter.workload.as_str(), reporter.identity.as_str());
        by_workload.entry(key).or_default().push(&reporter.pod);
    }
    let all = by_workload.into_iter().map(|((workload, identity), pods)| ServiceState {
        host: workload.to_owned(),
        external: false,
        ports: Vec::new(),
        identities: vec![identity.to_owned()],
        endpoints: Listed::first(ENDPOINTS, pods.into_iter().map(endpoint)),
    });
    Listed::first(SERVICES, all)
}

fn endpoint(pod: &str) -> EndpointView {
    EndpointView { address: pod.to_owned(), state: "reports", in_flight: 0 }
}

#[cfg(test)]
mod tests;
