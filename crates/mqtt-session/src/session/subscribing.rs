//! SUBSCRIBE, SUBACK and UNSUBSCRIBE: each filter is judged, and the broker is asked for those that are allowed.

use message_access::Judge;

use super::{MqttSession, Outcome, Stop};
use crate::codes::{NOT_AUTHORIZED, Problem, QUOTA_EXCEEDED, TOPIC_FILTER_INVALID};
use crate::compose;
use crate::packet::subscribe::{Entry, Suback, Subscribe};
use crate::properties::Place;
use crate::subscriptions::{Filter, Verdict};

impl MqttSession {
    pub(super) fn subscribe(
        &mut self,
        body: &[u8],
        judge: &mut dyn Judge,
    ) -> Result<Outcome, Stop> {
        let most = self.limits.subscriptions;
        let request = Subscribe::read(body, self.version, Place::Subscribe, most)?;
        if self.subscriptions.waits(request.packet_id) {
            return Err(Problem::protocol("a packet identifier that is in use").into());
        }
        let mut verdicts = Vec::with_capacity(request.entries.len());
        for entry in &request.entries {
            verdicts.push(self.judge_filter(entry, judge)?);
        }
        let asked: Vec<bool> =
            verdicts.iter().map(|verdict| matches!(verdict, Verdict::Asked(_))).collect();
        if !asked.contains(&true) {
            return Ok(Outcome::Answer(self.refuse_all(request.packet_id, &verdicts)));
        }
        self.subscriptions.ask(request.packet_id, verdicts);
        if !asked.contains(&false) {
            return Ok(Outcome::Pass);
        }
        let keeps = |at: usize| asked.get(at).copied().unwrap_or(false);
        let fewer = compose::subscribe(&request, self.version, keeps);
        Ok(Outcome::Instead(fewer, bytes::Bytes::new()))
    }

    fn judge_filter(
        &mut self,
        entry: &Entry<'_>,
        judge: &mut dyn Judge,
    ) -> Result<Verdict, Problem> {
        let refused = |code| Ok(Verdict::Refused(compose::suback_code(self.version, code)));
        let Some(filter) = Filter::read(entry.filter) else { return refused(TOPIC_FILTER_INVALID) };
        if filter.is_shared() && entry.is_without_own() {
            return Err(Problem::protocol("a shared subscription without own messages"));
        }
        if !judge.decide(&filter.request()) {
            return refused(NOT_AUTHORIZED);
        }
        if !self.has_room(entry.filter) {
            return refused(QUOTA_EXCEEDED);
        }
        Ok(Verdict::Asked(self.subscriptions.insert(entry.filter)))
    }

    /// Whether one more subscription may be open, and its name be kept.
    fn has_room(&self, filter: &str) -> bool {
        self.subscriptions.contains(filter)
            || self.subscriptions.open() < self.limits.subscriptions
                && self.subscriptions.held() + filter.len() <= self.limits.message_bytes
    }

    fn refuse_all(&self, packet_id: u16, verdicts: &[Verdict]) -> bytes::Bytes {
        let code = |verdict: &Verdict| match verdict {
            Verdict::Refused(code) => *code,
            Verdict::Asked(_) => compose::suback_code(self.version, NOT_AUTHORIZED),
        };
        let codes: Vec<u8> = verdicts.iter().map(code).collect();
        compose::suback(self.version, packet_id, &codes)
    }

    /// The broker's answer, which gets the codes of what it was not asked.
    pub(super) fn suback(&mut self, body: &[u8]) -> Result<Outcome, Stop> {
        let suback = Suback::read(body, self.version)?;
        let codes = self.subscriptions.answered(suback.packet_id, suback.codes);
        let codes = codes.ok_or(Problem::protocol("a SUBACK to what it was not asked"))?;
        if codes == suback.codes {
            return Ok(Outcome::Pass);
        }
        let spliced = compose::suback_with(&suback, self.version, &codes);
        Ok(Outcome::Instead(spliced, bytes::Bytes::new()))
    }

    /// Less may always be asked for.
    pub(super) fn unsubscribe(&mut self, body: &[u8]) -> Result<Outcome, Stop> {
        let most = self.limits.subscriptions;
        let request = Subscribe::read(body, self.version, Place::Unsubscribe, most)?;
        for entry in &request.entries {
            self.subscriptions.remove(entry.filter);
        }
        Ok(Outcome::Pass)
    }
}
