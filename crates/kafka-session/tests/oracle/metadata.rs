//! Metadata: which topics a client may know of.

use bytes::Bytes;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{MetadataResponseBroker, MetadataResponseTopic};
use kafka_protocol::messages::{BrokerId, MetadataRequest, MetadataResponse};
use kafka_protocol::protocol::Decodable;
use message_access::{Operation, Session as _, SessionEnd};

use crate::case::Case;
use crate::connection::{Connection, framed, text, topic};

fn named(names: &[&str]) -> MetadataRequest {
    let topics =
        names.iter().map(|name| MetadataRequestTopic::default().with_name(Some(topic(name))));
    MetadataRequest::default()
        .with_topics(Some(topics.collect()))
        .with_allow_auto_topic_creation(false)
}

fn topics(names: &[&str], version: i16) -> MetadataResponse {
    let topics = names.iter().map(|name| {
        let topic = MetadataResponseTopic::default().with_name(Some(topic(name)));
        if version >= 8 { topic.with_topic_authorized_operations(0xff) } else { topic }
    });
    let broker = MetadataResponseBroker::default()
        .with_node_id(BrokerId(1))
        .with_host(text("broker"))
        .with_port(9092);
    let answer =
        MetadataResponse::default().with_brokers(vec![broker]).with_topics(topics.collect());
    if (8..=10).contains(&version) {
        answer.with_cluster_authorized_operations(0xff)
    } else {
        answer
    }
}

fn told(answer: &MetadataResponse) -> Vec<(String, i16)> {
    assert_eq!(answer.brokers.len(), 1, "brokers are always told");
    assert_eq!(answer.cluster_authorized_operations, i32::MIN, "masked");
    let told = answer.topics.iter().map(|topic| {
        assert_eq!(topic.topic_authorized_operations, i32::MIN, "masked");
        (topic.name.as_ref().map(|name| name.to_string()).unwrap_or_default(), topic.error_code)
    });
    told.collect()
}

#[test]
fn topics_by_name() {
    Case::<MetadataRequest> {
        versions: 4..=13,
        request: |names, _| named(names),
        named: |request| {
            let topics = request.topics.iter().flatten();
            topics.map(|topic| topic.name.as_ref().unwrap().to_string()).collect()
        },
        answer: topics,
        told,
        refusal: 29,
        forwards_nothing: true,
    }
    .check();
}

/// A listing of all topics leaves out what the client may not know of, and is counted as nothing.
#[test]
fn all_topics() {
    for version in 4..=13 {
        let mut connection = Connection::new();
        connection.ask(&MetadataRequest::default().with_topics(None), version);
        let forwarded = connection.forwarded::<MetadataRequest>(version).unwrap();
        assert_eq!(forwarded.topics, None);
        connection.answer::<MetadataRequest>(
            1,
            &topics(&["a", "own-a", "b", "own-b"], version),
            version,
        );
        let (_, answer) = connection.answered::<MetadataRequest>(version).unwrap();
        assert_eq!(told(&answer), [("own-a".to_owned(), 0), ("own-b".to_owned(), 0)], "{version}");
        assert!(connection.judge.asked.is_empty(), "{:?}", connection.judge.asked);
    }
}

/// librdkafka asks for all topics with a count of four bytes, where one is due. Brokers pass over what is too much.
#[test]
fn librdkafka_asks_for_all_topics_with_some_bytes_too_many() {
    let check = |version: i16, body: &[u8]| {
        let head = [&[0, 3][..], &version.to_be_bytes(), &1_i32.to_be_bytes(), b"\0\x06tester"];
        let mut connection = Connection::new();
        connection.client_says(&framed(&[&head.concat()[..], body].concat())).unwrap();
        let forwarded = connection.forwarded::<MetadataRequest>(version).unwrap();
        assert_eq!(forwarded.topics, None, "{version}");
        connection.answer::<MetadataRequest>(1, &topics(&["theirs", "own"], version), version);
        let (_, answer) = connection.answered::<MetadataRequest>(version).unwrap();
        assert_eq!(told(&answer), [("own".to_owned(), 0)], "{version}");
    };
    check(9, b"\0\0\0\0\0\x01\0\0\0");
    check(10, b"\0\0\0\0\0\x01\0\0\0");
    check(12, b"\0\0\0\0\0\x01\0\0");
    check(13, b"\0\0\0\0\0\x01\0\0");
}

/// A request of which nothing is allowed asks for no topics; some brokers tell of all then.
#[test]
fn topics_that_were_not_asked_for_are_left_out() {
    for version in 4..=13 {
        let mut connection = Connection::new();
        connection.ask(&named(&["theirs"]), version);
        let answer = topics(&["own", "theirs", "secret"], version);
        connection.answer::<MetadataRequest>(1, &answer, version);
        let (_, answer) = connection.answered::<MetadataRequest>(version).unwrap();
        assert_eq!(told(&answer), [("theirs".to_owned(), 29)], "{version}");
        assert_eq!(connection.judge.asked, ["describe theirs"]);
    }
}

#[test]
fn topics_by_id() {
    for version in 12..=13 {
        let asked = [1, 2, 3].map(by_id);
        let mut connection = Connection::new();
        connection.ask(&named(&[]).with_topics(Some(asked.to_vec())), version);
        assert_eq!(
            connection.forwarded::<MetadataRequest>(version).unwrap().topics.unwrap().len(),
            3
        );
        let mut answer = topics(&["own-a", "theirs", ""], version);
        for (topic, asked) in answer.topics.iter_mut().zip(&asked) {
            topic.topic_id = asked.topic_id;
        }
        answer.topics[2].name = None;
        answer.topics[2].error_code = 100;
        answer.topics[2].topic_authorized_operations = i32::MIN;
        connection.answer::<MetadataRequest>(1, &answer, version);
        let (_, answer) = connection.answered::<MetadataRequest>(version).unwrap();
        assert_eq!(
            told(&answer),
            [("own-a".to_owned(), 0), (String::new(), 100), (String::new(), 100)]
        );
        assert_eq!(
            answer.topics[1].topic_id, asked[1].topic_id,
            "the id that was asked for, {version}"
        );
        assert_eq!(connection.judge.asked, ["describe own-a", "describe theirs"]);
    }
}

/// Large clusters have more topics than a request may name.
#[test]
fn listings_of_many_topics() {
    let names: Vec<String> = (0..20_000)
        .map(|number| format!("{}{number}", if number % 3 == 0 { "own" } else { "theirs" }))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut connection = Connection::new();
    connection.ask(&MetadataRequest::default().with_topics(None), 12);
    connection.answer::<MetadataRequest>(1, &topics(&names, 12), 12);
    let (_, answer) = connection.answered::<MetadataRequest>(12).unwrap();
    assert_eq!(answer.topics.len(), 6_667);
    let names: Vec<String> = (0..10_000).map(|number| format!("own{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    connection.ask(&named(&names).with_allow_auto_topic_creation(true), 12);
    let held = connection.session.held();
    assert!(held > 10_000 * 64, "{held}: the names that the answer is looked up in are counted");
}

/// Some brokers go by the name where an id stands beside it, and create it: it is asked of nobody then.
#[test]
fn a_topic_by_its_id_and_by_a_name_is_refused() {
    for version in 12..=13 {
        let check = |asked: MetadataRequestTopic, creates: bool| {
            let mut connection = Connection::new();
            let request =
                named(&[]).with_topics(Some(vec![asked])).with_allow_auto_topic_creation(creates);
            let frame = connection.frame(&request, version);
            let result = connection.client_says(&frame);
            (result, connection.forwarded::<MetadataRequest>(version))
        };
        let (result, forwarded) = check(by_id(1).with_name(Some(topic("own-a"))), false);
        assert!(matches!(result, Err(SessionEnd::Malformed(_))), "{version}: {result:?}");
        assert_eq!(forwarded, None, "{version}");
        let (result, forwarded) = check(by_id(1), true);
        assert_eq!(result, Ok(()), "{version}");
        assert!(!forwarded.unwrap().allow_auto_topic_creation, "{version}");
    }
}

/// A topic of a request that is asked for by this id: as it is written, because no other crate knows the type of ids.
fn by_id(number: u8) -> MetadataRequestTopic {
    let bytes = [&[number; 16][..], &[0, 0]].concat();
    MetadataRequestTopic::decode(&mut Bytes::from(bytes), 12).unwrap()
}

/// Asking about a topic that does not exist creates it, where the request does not say otherwise.
#[test]
fn asking_does_not_create() {
    for version in 4..=13 {
        let check = |may_create: bool, names: &[&str], expect: bool| {
            let mut connection = Connection::new();
            if !may_create {
                connection.judge.never.push(Operation::Create);
            }
            connection.ask(&named(names).with_allow_auto_topic_creation(true), version);
            let forwarded = connection.forwarded::<MetadataRequest>(version).unwrap();
            assert_eq!(forwarded.allow_auto_topic_creation, expect, "{version} {names:?}");
        };
        check(true, &["own-a", "own-b"], true);
        check(false, &["own-a", "own-b"], false);
        check(true, &["own-a", "theirs"], true);
        check(false, &["theirs", "own-a"], false);
    }
}
