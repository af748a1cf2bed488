//! A session between a client and a broker that the test plays, message by message.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{RequestHeader, ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use kafka_session::KafkaSession;
use message_access::{
    AccessRequest, Judge, Operation, Output, Session, SessionEnd, SessionSettings,
};

/// Allows what is named `own…`, and what names nothing where it `rules`.
#[derive(Debug, Default)]
pub(crate) struct ByName {
    pub(crate) rules: bool,
    /// What is allowed under these names too.
    pub(crate) also: Vec<String>,
    /// Operations that are refused whatever they name.
    pub(crate) never: Vec<Operation>,
    /// What was asked, as a line each.
    pub(crate) asked: Vec<String>,
}

impl ByName {
    fn allows(&self, request: &AccessRequest<'_>) -> bool {
        let names = [request.topic, request.group, request.transactional_id];
        let mut names = names.into_iter().flatten().peekable();
        if self.never.contains(&request.operation) {
            return false;
        }
        if names.peek().is_none() {
            return self.rules;
        }
        names.all(|name| name.starts_with("own") || self.also.iter().any(|also| also == name))
    }
}

impl Judge for ByName {
    fn decide(&mut self, request: &AccessRequest<'_>) -> bool {
        let names = [request.topic, request.group, request.transactional_id];
        let names: Vec<&str> = names.into_iter().flatten().collect();
        self.asked.push(format!("{} {}", request.operation.as_str(), names.join(" ")));
        self.allows(request)
    }

    fn would_allow(&mut self, request: &AccessRequest<'_>) -> bool {
        self.allows(request)
    }

    fn principal(&self) -> Option<&str> {
        Some("cluster.local/ns/bank/sa/orders")
    }
}

pub(crate) fn settings() -> SessionSettings {
    SessionSettings {
        message_bytes: 1 << 20,
        in_flight: 100,
        subscriptions: 100,
        stamp_source: false,
        advertised: HashMap::new(),
        hide_servers: false,
    }
}

/// Both sides of a session.
pub(crate) struct Connection {
    pub(crate) session: KafkaSession,
    pub(crate) judge: ByName,
    pub(crate) output: Output,
    /// What the session has said, as far as it was not looked at yet.
    to_client: BytesMut,
    to_broker: BytesMut,
    /// How many bytes arrive at once; all where it is 0.
    pub(crate) piece: usize,
    next: i32,
}

impl Connection {
    pub(crate) fn new() -> Self {
        Self::with(&settings())
    }

    pub(crate) fn with(settings: &SessionSettings) -> Self {
        Self {
            session: KafkaSession::new(settings),
            judge: ByName::default(),
            output: Output::default(),
            to_client: BytesMut::new(),
            to_broker: BytesMut::new(),
            piece: 0,
            next: 0,
        }
    }

    /// The client asks; gives the correlation id.
    pub(crate) fn ask<R: Request>(&mut self, request: &R, version: i16) -> i32 {
        let frame = self.frame(request, version);
        self.client_says(&frame).unwrap();
        self.next
    }

    /// A request as it is asked next.
    pub(crate) fn frame<R: Request>(&mut self, request: &R, version: i16) -> Bytes {
        self.next += 1;
        frame_of(request, version, self.next)
    }

    pub(crate) fn client_says(&mut self, bytes: &[u8]) -> Result<(), SessionEnd> {
        let (now, piece) =
            (Duration::ZERO, if self.piece == 0 { bytes.len().max(1) } else { self.piece });
        let result = bytes.chunks(piece).try_for_each(|piece| {
            let piece = Bytes::copy_from_slice(piece);
            self.session.client_said(piece, now, &mut self.judge, &mut self.output)
        });
        self.collect();
        result
    }

    pub(crate) fn broker_says(&mut self, bytes: &[u8]) -> Result<(), SessionEnd> {
        let (now, piece) =
            (Duration::ZERO, if self.piece == 0 { bytes.len().max(1) } else { self.piece });
        let result = bytes.chunks(piece).try_for_each(|piece| {
            let piece = Bytes::copy_from_slice(piece);
            self.session.broker_said(piece, now, &mut self.judge, &mut self.output)
        });
        self.collect();
        result
    }

    fn collect(&mut self) {
        self.output.to_client.drain(..).for_each(|bytes| self.to_client.extend(bytes));
        self.output.to_broker.drain(..).for_each(|bytes| self.to_broker.extend(bytes));
    }

    /// The next frame that the broker got, as it stands.
    pub(crate) fn forwarded_frame(&mut self) -> Option<Bytes> {
        take_frame(&mut self.to_broker)
    }

    /// The next request that the broker got.
    pub(crate) fn forwarded<R: Request>(&mut self, version: i16) -> Option<R> {
        let mut frame = self.forwarded_frame()?.slice(4..);
        let header = RequestHeader::decode(&mut frame, R::header_version(version)).unwrap();
        assert_eq!((header.request_api_key, header.request_api_version), (R::KEY, version));
        assert_eq!(header.client_id, Some(StrBytes::from_static_str("tester")));
        let request = R::decode(&mut frame, version).unwrap();
        assert!(!frame.has_remaining(), "bytes behind a request that was forwarded");
        Some(request)
    }

    /// The broker answers.
    pub(crate) fn answer<R: Request>(
        &mut self,
        correlation: i32,
        answer: &R::Response,
        version: i16,
    ) {
        self.broker_says(&answer_of::<R>(correlation, answer, version)).unwrap();
    }

    /// The next answer that the client got, to the last byte.
    pub(crate) fn answered_frame(&mut self) -> Option<Bytes> {
        take_frame(&mut self.to_client)
    }

    /// The next answer that the client got, and the correlation id of its request.
    pub(crate) fn answered<R: Request>(&mut self, version: i16) -> Option<(i32, R::Response)> {
        let mut frame = self.answered_frame()?.slice(4..);
        let header =
            ResponseHeader::decode(&mut frame, R::Response::header_version(version)).unwrap();
        let answer = R::Response::decode(&mut frame, version).unwrap();
        assert!(!frame.has_remaining(), "bytes behind an answer");
        Some((header.correlation_id, answer))
    }
}

pub(crate) fn frame_of<R: Request>(request: &R, version: i16, correlation: i32) -> Bytes {
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str("tester")));
    let mut body = BytesMut::new();
    header.encode(&mut body, R::header_version(version)).unwrap();
    request.encode(&mut body, version).unwrap();
    framed(&body)
}

pub(crate) fn answer_of<R: Request>(correlation: i32, answer: &R::Response, version: i16) -> Bytes {
    let mut body = BytesMut::new();
    let header = ResponseHeader::default().with_correlation_id(correlation);
    header.encode(&mut body, R::Response::header_version(version)).unwrap();
    answer.encode(&mut body, version).unwrap();
    framed(&body)
}

pub(crate) fn framed(body: &[u8]) -> Bytes {
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(body.len()).unwrap());
    frame.extend_from_slice(body);
    frame.freeze()
}

fn take_frame(bytes: &mut BytesMut) -> Option<Bytes> {
    let length = bytes.first_chunk::<4>().map(|length| i32::from_be_bytes(*length))?;
    let length = 4 + usize::try_from(length).unwrap();
    assert!(bytes.len() >= length, "half a frame");
    Some(bytes.split_to(length).freeze())
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName(text(name))
}
