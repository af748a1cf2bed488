//! ApiVersions: what a client is offered.

use std::collections::BTreeMap;

use kafka_protocol::messages::api_versions_response::{ApiVersion, SupportedFeatureKey};
use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use message_access::{Session, SessionEnd};

use crate::connection::{Connection, answer_of, frame_of, text};
use crate::topics::{fetch, produce};

fn offer(keys: &[(i16, i16, i16)]) -> ApiVersionsResponse {
    let keys = keys.iter().map(|(key, min, max)| {
        ApiVersion::default().with_api_key(*key).with_min_version(*min).with_max_version(*max)
    });
    ApiVersionsResponse::default().with_api_keys(keys.collect())
}

fn offered(answer: &ApiVersionsResponse) -> BTreeMap<i16, (i16, i16)> {
    let keys = answer.api_keys.iter();
    keys.map(|key| (key.api_key, (key.min_version, key.max_version))).collect()
}

/// A broker offers what nobody knows (Kroxylicious #3760), and versions without a topic's name: both are left out.
#[test]
fn kroxylicious_3760_unknown_apis_are_left_out() {
    for version in 0..=4 {
        for piece in [0, 1] {
            let mut connection = Connection::new();
            connection.piece = piece;
            let request = ApiVersionsRequest::default()
                .with_client_software_name(text("a-client"))
                .with_client_software_version(text("1.0"));
            connection
                .ask(&if version < 3 { ApiVersionsRequest::default() } else { request }, version);
            assert!(connection.forwarded_frame().is_some());
            let mut answer = offer(&[
                (0, 0, 13),
                (1, 4, 18),
                (3, 0, 13),
                (10_000, 0, 3),
                (18, 0, 4),
                (2, 20, 30),
                (78, 0, 1),
            ]);
            if version >= 3 {
                answer.supported_features =
                    vec![SupportedFeatureKey::default().with_name(text("group.version"))];
            }
            connection.answer::<ApiVersionsRequest>(1, &answer, version);
            let (_, answer) = connection.answered::<ApiVersionsRequest>(version).unwrap();
            let expect = [(0, (0, 12)), (1, (4, 12)), (3, (4, 13)), (18, (0, 4))];
            assert_eq!(offered(&answer), expect.into(), "{version}");
            assert_eq!(answer.supported_features.len(), usize::from(version >= 3));
            assert!(!connection.session.is_established(), "a client has asked for nothing yet");
        }
    }
}

/// A client that is newer than the session is told what it can be asked in, in the oldest form.
#[test]
fn a_version_that_is_too_new_is_answered_in_the_oldest_form() {
    let mut connection = Connection::new();
    let mut frame = frame_of(&ApiVersionsRequest::default(), 4, 9).to_vec();
    frame[7] = 5;
    connection.client_says(&frame).unwrap();
    assert!(connection.forwarded_frame().is_none());
    let (correlation, answer) = connection.answered::<ApiVersionsRequest>(0).unwrap();
    assert_eq!((correlation, answer.error_code), (9, 35));
    assert_eq!(offered(&answer), [(18, (0, 4))].into());
}

/// A broker that is older than the client answers in the oldest form too.
#[test]
fn a_broker_that_is_older_than_the_client() {
    let mut connection = Connection::new();
    let request = ApiVersionsRequest::default()
        .with_client_software_name(text("a-client"))
        .with_client_software_version(text("1.0"));
    connection.ask(&request, 4);
    let answer = offer(&[(18, 0, 2)]).with_error_code(35);
    connection.broker_says(&answer_of::<ApiVersionsRequest>(1, &answer, 0)).unwrap();
    let (_, answer) = connection.answered::<ApiVersionsRequest>(0).unwrap();
    assert_eq!((answer.error_code, offered(&answer)), (35, [(18, (0, 2))].into()));
}

/// A client may leave it out: what it asks for is looked at all the same.
#[test]
fn clients_that_do_not_ask_for_versions() {
    let mut connection = Connection::new();
    connection.ask(&fetch(&["own-a"]), 12);
    assert!(connection.session.is_established());
    let version = |session: Result<(), SessionEnd>| matches!(session, Err(SessionEnd::Version(_)));
    let with_version = |mut frame: Vec<u8>, key: u8, number: u8| {
        (frame[5], frame[7]) = (key, number);
        frame
    };
    let request = frame_of(&produce(&["own-a"]), 12, 1).to_vec();
    for (key, number) in [
        (0, 13),
        (0, 0),
        (0, 2),
        (1, 13),
        (1, 3),
        (3, 3),
        (3, 14),
        (7, 0),
        (27, 0),
        (53, 0),
        (78, 0),
        (200, 0),
    ] {
        let mut connection = Connection::new();
        let frame = with_version(request.clone(), key, number);
        assert!(version(connection.client_says(&frame)), "{key} in {number}");
        assert!(connection.forwarded_frame().is_none(), "{key} in {number}");
    }
}
