//! Transactions: their ids, and what is brought into them.

use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, EndTxnRequest,
    InitProducerIdRequest, TransactionalId, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};

use message_access::SessionEnd;

use crate::case::Case;
use crate::connection::{Connection, text, topic};
use crate::groups::group;
use crate::whole::Whole;

fn id(name: &str) -> TransactionalId {
    TransactionalId(text(name))
}

#[test]
fn beginning_under_a_transactional_id() {
    Whole::<InitProducerIdRequest> {
        versions: 0..=5,
        request: |name, _| InitProducerIdRequest::default().with_transactional_id(Some(id(name))),
        errors: |answer| {
            assert_eq!((*answer.producer_id, answer.producer_epoch), (-1, -1));
            vec![answer.error_code]
        },
        refusal: 53,
    }
    .check();
}

/// Producers that are idempotent have no transactional id.
#[test]
fn a_producer_without_an_id_needs_to_publish_anything() {
    for version in 0..=5 {
        let mut connection = Connection::new();
        let request = InitProducerIdRequest::default().with_transactional_id(None);
        connection.ask(&request, version);
        let (_, answer) = connection.answered::<InitProducerIdRequest>(version).unwrap();
        assert_eq!(answer.error_code, 31, "{version}");
        assert!(connection.forwarded_frame().is_none(), "{version}");
        connection.judge.rules = true;
        connection.ask(&request, version);
        assert!(connection.forwarded_frame().is_some(), "{version}");
        assert_eq!(connection.judge.asked, ["publish ", "publish "], "{version}");
    }
}

fn added(name: &str, names: &[&str]) -> AddPartitionsToTxnRequest {
    let topics = names.iter().map(|name| {
        AddPartitionsToTxnTopic::default().with_name(topic(name)).with_partitions(vec![0, 7])
    });
    AddPartitionsToTxnRequest::default()
        .with_v3_and_below_transactional_id(id(name))
        .with_v3_and_below_topics(topics.collect())
}

fn told_of_added(answer: &AddPartitionsToTxnResponse) -> Vec<(String, i16)> {
    let topics = answer.results_by_topic_v3_and_below.iter();
    topics
        .map(|topic| {
            let partitions = topic.results_by_partition.iter();
            let told: Vec<_> =
                partitions.map(|p| (p.partition_index, p.partition_error_code)).collect();
            let error = told[0].1;
            assert_eq!(told, [(0, error), (7, error)], "every partition has its answer");
            (topic.name.to_string(), error)
        })
        .collect()
}

#[test]
fn bringing_topics_into_a_transaction() {
    Whole::<AddPartitionsToTxnRequest> {
        versions: 0..=3,
        request: |name, _| added(name, &["own-a", "own-b"]),
        errors: |answer| told_of_added(answer).into_iter().map(|(_, error)| error).collect(),
        refusal: 53,
    }
    .check();
    Whole::<AddPartitionsToTxnRequest> {
        versions: 0..=3,
        request: |name, _| added("own", &[name]),
        errors: |answer| told_of_added(answer).into_iter().map(|(_, error)| error).collect(),
        refusal: 29,
    }
    .check();
}

/// A transaction has all its partitions or does not go on: the others are told that they were not attempted.
#[test]
fn one_topic_that_is_refused_holds_the_others_back() {
    for version in 0..=3 {
        let mut connection = Connection::new();
        connection.ask(&added("own", &["own-a", "theirs", "own-b"]), version);
        assert!(connection.forwarded_frame().is_none(), "{version}");
        let (_, answer) = connection.answered::<AddPartitionsToTxnRequest>(version).unwrap();
        let expect = [("own-a", 55), ("theirs", 29), ("own-b", 55)];
        assert_eq!(told_of_added(&answer), expect.map(|(n, e)| (n.to_owned(), e)), "{version}");
    }
}

/// A request of 16 MiB may name millions of partitions: each is answered, and none is remembered. Topics are remembered,
/// and are no more than one request may name.
#[test]
fn refusals_of_many_partitions_and_of_too_many_topics() {
    let mut connection = Connection::new();
    let many = AddPartitionsToTxnTopic::default()
        .with_name(topic("own-a"))
        .with_partitions((0..100_000).collect());
    connection.ask(&added("theirs", &[]).with_v3_and_below_topics(vec![many]), 3);
    let (_, answer) = connection.answered::<AddPartitionsToTxnRequest>(3).unwrap();
    let partitions = &answer.results_by_topic_v3_and_below[0].results_by_partition;
    assert!(partitions.iter().map(|partition| partition.partition_index).eq(0..100_000));
    let too_many = vec!["own"; 10_001];
    let frame = connection.frame(&added("theirs", &too_many), 3);
    assert!(matches!(connection.client_says(&frame), Err(SessionEnd::Limit(_))));
}

#[test]
fn bringing_a_group_into_a_transaction() {
    Whole::<AddOffsetsToTxnRequest> {
        versions: 0..=4,
        request: |name, _| {
            AddOffsetsToTxnRequest::default()
                .with_transactional_id(id(name))
                .with_group_id(group("own"))
        },
        errors: |answer| vec![answer.error_code],
        refusal: 53,
    }
    .check();
    Whole::<AddOffsetsToTxnRequest> {
        versions: 0..=4,
        request: |name, _| {
            AddOffsetsToTxnRequest::default()
                .with_transactional_id(id("own"))
                .with_group_id(group(name))
        },
        errors: |answer| vec![answer.error_code],
        refusal: 30,
    }
    .check();
}

#[test]
fn ending_a_transaction() {
    for committed in [true, false] {
        let request: fn(&str, i16) -> EndTxnRequest = if committed {
            |name, _| EndTxnRequest::default().with_transactional_id(id(name)).with_committed(true)
        } else {
            |name, _| EndTxnRequest::default().with_transactional_id(id(name))
        };
        Whole::<EndTxnRequest> {
            versions: 0..=5,
            request,
            errors: |answer| {
                assert_eq!((*answer.producer_id, answer.producer_epoch), (-1, -1));
                vec![answer.error_code]
            },
            refusal: 53,
        }
        .check();
    }
}

fn offsets(name: &str, group_id: &str, names: &[&str]) -> TxnOffsetCommitRequest {
    let partition = |index| {
        TxnOffsetCommitRequestPartition::default()
            .with_partition_index(index)
            .with_committed_offset(9)
            .with_committed_metadata(Some(text("note")))
    };
    let topics = names.iter().map(|name| {
        TxnOffsetCommitRequestTopic::default()
            .with_name(topic(name))
            .with_partitions(vec![partition(0), partition(7)])
    });
    TxnOffsetCommitRequest::default()
        .with_transactional_id(id(name))
        .with_group_id(group(group_id))
        .with_topics(topics.collect())
}

fn told_of_offsets(answer: &TxnOffsetCommitResponse) -> Vec<(String, i16)> {
    let topics = answer.topics.iter().flat_map(|topic| {
        assert_eq!(topic.partitions.iter().map(|p| p.partition_index).collect::<Vec<_>>(), [0, 7]);
        topic.partitions.iter().map(|p| (topic.name.to_string(), p.error_code))
    });
    topics.collect()
}

#[test]
fn committing_offsets_in_a_transaction() {
    Case::<TxnOffsetCommitRequest> {
        versions: 0..=5,
        request: |names, _| offsets("own", "own", names),
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| {
            let partition =
                |index| TxnOffsetCommitResponsePartition::default().with_partition_index(index);
            let topics = names.iter().map(|name| {
                TxnOffsetCommitResponseTopic::default()
                    .with_name(topic(name))
                    .with_partitions(vec![partition(0), partition(7)])
            });
            TxnOffsetCommitResponse::default().with_topics(topics.collect())
        },
        told: told_of_offsets,
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
    Whole::<TxnOffsetCommitRequest> {
        versions: 0..=5,
        request: |name, _| offsets(name, "own", &["own-a"]),
        errors: |answer| told_of_offsets(answer).into_iter().map(|(_, error)| error).collect(),
        refusal: 53,
    }
    .check();
    Whole::<TxnOffsetCommitRequest> {
        versions: 0..=5,
        request: |name, _| offsets("own", name, &["own-a"]),
        errors: |answer| told_of_offsets(answer).into_iter().map(|(_, error)| error).collect(),
        refusal: 30,
    }
    .check();
}
