//! The session: frames of the client are judged one after the other, answers of the broker pass in their order.

use bytes::Bytes;
use message_access::{Judge, Moment, Output, Session, SessionEnd, SessionSettings};

use crate::api::{self, fetch};
use crate::context::Context;
use crate::frame::Frames;
use crate::pending::{Answer, Asked, Pending};
use crate::reply::Replies;
use crate::request::{Action, Head, Request};

/// One client's connection to a Kafka broker. Every request is judged by what is allowed when it is read; what a fetch
/// waits for is judged again when another policy is in force.
pub struct KafkaSession {
    settings: SessionSettings,
    client: Frames,
    pending: Pending,
    replies: Replies,
    established: bool,
}

impl KafkaSession {
    /// A connection that has just been opened.
    #[must_use]
    pub fn new(settings: &SessionSettings) -> Self {
        Self {
            settings: settings.clone(),
            client: Frames::default(),
            pending: Pending::default(),
            replies: Replies::default(),
            established: false,
        }
    }

    /// Judges what the client has said, as far as it may be answered later.
    fn judge_requests(
        &mut self,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        while self.wants_more() {
            let Some(frame) = self.client.next(self.settings.message_bytes)? else { break };
            self.judge_request(&frame, judge, output)?;
        }
        Ok(())
    }

    fn judge_request(
        &mut self,
        frame: &Bytes,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let head = Head::read(frame)?;
        let api = api::find(head.key).ok_or_else(|| unsupported(&head))?;
        if !api.versions.contains(&head.version) {
            let reply = api::version_reply(api, &head).ok_or_else(|| unsupported(&head))?;
            self.pending.reply(reply, output);
            return Ok(());
        }
        let request = Request::read(frame, &head, api)?;
        let mut context = Context::new(judge, &self.settings.advertised);
        match (api.judge)(&request, &mut context)? {
            Action::Reply(reply) => self.pending.reply(reply, output),
            Action::Forward { frame: forwarded, answer } => {
                if !matches!(answer, Answer::None) {
                    let delivers = (api.key == fetch::API.key).then(|| forwarded.clone());
                    let held = answer.held(frame.len(), request.body.things())
                        + delivers.as_ref().map_or(0, Bytes::len);
                    let (form, correlation) = (request.form(), head.correlation);
                    self.pending.asked(Asked { api, form, correlation, answer, delivers, held });
                }
                output.to_broker.push_back(forwarded);
            }
        }
        self.established |= !api::is_introduction(api);
        Ok(())
    }
}

impl Session for KafkaSession {
    fn client_said(
        &mut self,
        bytes: Bytes,
        _now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        self.client.push(bytes);
        self.judge_requests(judge, output)
    }

    fn broker_said(
        &mut self,
        bytes: Bytes,
        _now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let mut context = Context::new(judge, &self.settings.advertised);
        let limit = self.settings.message_bytes;
        self.replies.said(bytes, limit, &mut self.pending, &mut context, output)?;
        self.judge_requests(judge, output)
    }

    fn policy_changed(
        &mut self,
        _now: Moment,
        judge: &mut dyn Judge,
        output: &mut Output,
    ) -> Result<(), SessionEnd> {
        let mut context = Context::new(judge, &self.settings.advertised);
        self.pending.judge_deliveries(output, |api, frame| {
            context.begin_request();
            let request = Request::read(frame, &Head::read(frame)?, api)?;
            fetch::refused_by_now(&request, &mut context)
        })
    }

    fn wants_more(&self) -> bool {
        self.pending.has_room(self.settings.in_flight, self.settings.message_bytes)
    }

    fn is_established(&self) -> bool {
        self.established
    }

    fn held(&self) -> usize {
        self.client.held() + self.pending.held() + self.replies.held()
    }

    /// None: Kafka delivers what is fetched, and nothing else.
    fn subscriptions(&self) -> usize {
        0
    }
}

fn unsupported(head: &Head) -> SessionEnd {
    SessionEnd::Version(format!("API {} in version {}", head.key, head.version))
}
