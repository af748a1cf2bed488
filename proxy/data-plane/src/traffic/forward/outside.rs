//! Requests to a service outside the mesh.

use http::{Request, Response};

use super::retry::Attempts;
use super::routed::RoutedRequest;
use super::{Forwarder, attempts, external, mirrors};
use crate::http::body::Body;
use crate::http::error::{OtherEnd, RequestError};
use crate::http::headers::AnswerOrigin;
use crate::traffic::app::upgrade_over;
use crate::traffic::egress::{ExternalService, StreamUse};
use crate::traffic::record::RequestRecord;

impl Forwarder {
    /// Sends a request to a service outside the mesh; again only where its route says so.
    ///
    /// # Errors
    /// The last attempt's.
    pub(super) async fn send_outside(
        &self,
        routed: &RoutedRequest,
        service: &ExternalService,
        mut request: Box<Request<Body>>,
        record: &mut RequestRecord,
    ) -> Result<Response<Body>, RequestError> {
        let dialer = external::dialer(&self.worker);
        let Some(rule) = routed.ruled.as_ref().map(|ruled| &ruled.rule) else {
            return service.send(&dialer, request, |address| record.upstream(address)).await;
        };
        if rule.retry.is_none() && rule.mirrors.is_empty() {
            let sending = service.send(&dialer, request, |address| record.upstream(address));
            return routed.attempted_within(sending).await;
        }
        let mut attempts = Attempts::begin(&mut request, rule.retry.as_ref());
        let mut answered = routed
            .attempted_within(service.send(&dialer, request, |address| record.upstream(address)))
            .await;
        let mut again = 0;
        while rule.retry.is_some()
            && let Some(next) = attempts.next_attempt(&answered)
            && let Some(copy) = attempts.request()
        {
            if next.backs_off {
                attempts::wait(again, routed).await;
            }
            record.retried(next.reason);
            answered = routed
                .attempted_within(service.send(&dialer, copy, |address| record.upstream(address)))
                .await;
            again += 1;
        }
        if !rule.mirrors.is_empty() {
            mirrors::copy(self, rule, &attempts);
        }
        answered
    }

    /// Sends a request to switch protocols over a connection of its own.
    ///
    /// # Errors
    /// [`RequestError`].
    pub(super) async fn switch_outside(
        &self,
        service: &ExternalService,
        request: Box<Request<Body>>,
    ) -> Result<Response<Body>, RequestError> {
        let dialer = external::dialer(&self.worker);
        let (io, _) = service.open_stream(&dialer, StreamUse::Upgrade).await?;
        let limits = &self.worker.state.settings.limits;
        upgrade_over(io, request, limits, OtherEnd::Upstream, AnswerOrigin::Other).await
    }
}
