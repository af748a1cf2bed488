//! APIs that name topics, and keys of coordinators, in a list.

use bytes::Bytes;
use kafka_protocol::messages::describe_topic_partitions_request::TopicRequest;
use kafka_protocol::messages::describe_topic_partitions_response::DescribeTopicPartitionsResponseTopic;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use kafka_protocol::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use kafka_protocol::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::{
    BrokerId, DescribeTopicPartitionsRequest, DescribeTopicPartitionsResponse, FetchRequest,
    FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, ListOffsetsRequest,
    ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse, ProduceRequest,
    ProduceResponse, TransactionalId,
};
use message_access::{Session, SessionEnd};

use crate::case::Case;
use crate::connection::{Connection, answer_of, frame_of, text, topic};

pub(crate) fn produce(names: &[&str]) -> ProduceRequest {
    let partition = |index| {
        PartitionProduceData::default()
            .with_index(index)
            .with_records(Some(Bytes::from_static(b"records")))
    };
    let topic_data = names.iter().map(|name| {
        TopicProduceData::default()
            .with_name(topic(name))
            .with_partition_data(vec![partition(0), partition(7)])
    });
    ProduceRequest::default()
        .with_acks(-1)
        .with_timeout_ms(500)
        .with_topic_data(topic_data.collect())
}

pub(crate) fn produced(names: &[&str]) -> ProduceResponse {
    let partition =
        |index| PartitionProduceResponse::default().with_index(index).with_base_offset(42);
    let responses = names.iter().map(|name| {
        TopicProduceResponse::default()
            .with_name(topic(name))
            .with_partition_responses(vec![partition(0), partition(7)])
    });
    ProduceResponse::default().with_responses(responses.collect())
}

pub(crate) fn told_of_produce(answer: &ProduceResponse) -> Vec<(String, i16)> {
    answer
        .responses
        .iter()
        .flat_map(|topic| {
            let indexes: Vec<i32> = topic.partition_responses.iter().map(|p| p.index).collect();
            assert_eq!(indexes, [0, 7], "every partition has its answer");
            topic.partition_responses.iter().map(|p| (topic.name.to_string(), p.error_code))
        })
        .collect()
}

#[test]
fn publishing() {
    Case::<ProduceRequest> {
        versions: 3..=12,
        request: |names, _| produce(names),
        named: |request| request.topic_data.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| produced(names),
        told: told_of_produce,
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn publishing_under_the_transactional_id_of_another() {
    for version in 3..=12 {
        let mut connection = Connection::new();
        let id = TransactionalId(text("theirs"));
        connection.ask(&produce(&["own-a"]).with_transactional_id(Some(id)), version);
        let (_, answer) = connection.answered::<ProduceRequest>(version).unwrap();
        assert_eq!(told_of_produce(&answer)[0], ("own-a".to_owned(), 53), "{version}");
        assert!(connection.forwarded_frame().is_none());
        let id = TransactionalId(text("own"));
        connection.ask(&produce(&["own-a"]).with_transactional_id(Some(id)), version);
        assert!(connection.forwarded_frame().is_some(), "{version}");
    }
}

#[test]
fn publishing_without_an_answer() {
    for version in 3..=12 {
        let mut connection = Connection::new();
        connection.ask(&produce(&["own-a"]).with_acks(0), version);
        assert!(connection.forwarded_frame().is_some());
        connection.ask(&produce(&["own-b"]), version);
        assert!(connection.forwarded_frame().is_some());
        connection.answer::<ProduceRequest>(2, &produced(&["own-b"]), version);
        assert_eq!(connection.answered::<ProduceRequest>(version).unwrap().0, 2, "{version}");
        let refused = frame_of(&produce(&["own-a", "theirs"]).with_acks(0), version, 3);
        assert_eq!(connection.client_says(&refused), Err(SessionEnd::Denied), "{version}");
        assert!(connection.forwarded_frame().is_none());
    }
}

pub(crate) fn fetch(names: &[&str]) -> FetchRequest {
    let partition = |index| FetchPartition::default().with_partition(index).with_fetch_offset(9);
    let topics = names.iter().map(|name| {
        FetchTopic::default()
            .with_topic(topic(name))
            .with_partitions(vec![partition(0), partition(7)])
    });
    FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_wait_ms(500)
        .with_topics(topics.collect())
}

pub(crate) fn fetched(names: &[&str]) -> FetchResponse {
    let partition = |index| {
        PartitionData::default()
            .with_partition_index(index)
            .with_high_watermark(10)
            .with_aborted_transactions(Some(Vec::new()))
            .with_records(Some(Bytes::from_static(b"records of the broker")))
    };
    let responses = names.iter().map(|name| {
        FetchableTopicResponse::default()
            .with_topic(topic(name))
            .with_partitions(vec![partition(0), partition(7)])
    });
    FetchResponse::default().with_responses(responses.collect())
}

fn told_of_fetch(answer: &FetchResponse) -> Vec<(String, i16)> {
    answer
        .responses
        .iter()
        .flat_map(|topic| topic.partitions.iter().map(|p| (topic.topic.to_string(), p.error_code)))
        .collect()
}

#[test]
fn fetching() {
    Case::<FetchRequest> {
        versions: 4..=12,
        request: |names, _| fetch(names),
        named: |request| request.topics.iter().map(|topic| topic.topic.to_string()).collect(),
        answer: |names, _| fetched(names),
        told: told_of_fetch,
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

/// A fetch session remembers what was allowed once: none is opened.
#[test]
fn no_fetch_session_is_opened() {
    for version in 7..=12 {
        let mut connection = Connection::new();
        let forgotten =
            ForgottenTopic::default().with_topic(topic("own-c")).with_partitions(vec![1]);
        let first =
            fetch(&["own-a"]).with_session_epoch(0).with_forgotten_topics_data(vec![forgotten]);
        connection.ask(&first, version);
        let forwarded = connection.forwarded::<FetchRequest>(version).unwrap();
        assert_eq!(forwarded, first.with_session_epoch(-1), "{version}");
        let later = fetch(&[]).with_session_id(77).with_session_epoch(3);
        connection.ask(&later, version);
        assert!(connection.forwarded_frame().is_none(), "{version}: no session is known");
        connection.answer::<FetchRequest>(1, &fetched(&["own-a"]), version);
        connection.answered::<FetchRequest>(version).unwrap();
        let (correlation, answer) = connection.answered::<FetchRequest>(version).unwrap();
        assert_eq!((correlation, answer.error_code), (2, 70), "{version}");
    }
}

/// Replicas see what is not committed yet, and count as such.
#[test]
fn who_fetches_as_a_replica_needs_cluster() {
    for version in 4..=12 {
        for replica in [0, 7, -2, -3] {
            let mut connection = Connection::new();
            let request = fetch(&["own-a"]).with_replica_id(BrokerId(replica));
            connection.ask(&request, version);
            let (_, answer) = connection.answered::<FetchRequest>(version).unwrap();
            assert_eq!(told_of_fetch(&answer)[0].1, 31, "{version} {replica}");
            assert!(connection.forwarded_frame().is_none(), "{version} {replica}");
            connection.judge.rules = true;
            connection.ask(&request, version);
            assert!(connection.forwarded_frame().is_some(), "{version} {replica}");
        }
    }
}

fn change_policy(connection: &mut Connection) {
    try_to_change_policy(connection).unwrap();
    connection.broker_says(&[]).unwrap();
}

fn try_to_change_policy(connection: &mut Connection) -> Result<(), SessionEnd> {
    connection.judge.also.clear();
    let Connection { session, judge, output, .. } = connection;
    session.policy_changed(std::time::Duration::ZERO, judge, output)
}

/// An answer that has begun cannot be taken back, and may be read for hours.
#[test]
fn what_is_delivered_ends_when_it_is_no_longer_allowed() {
    let answer = answer_of::<FetchRequest>(1, &fetched(&["own-a", "theirs"]), 12);
    for (names, end) in
        [(["own-a", "theirs"], Err(SessionEnd::Denied)), (["own-a", "own-b"], Ok(()))]
    {
        for length in 8..answer.len() {
            let mut connection = Connection::new();
            connection.judge.also.push("theirs".to_owned());
            connection.ask(&fetch(&names), 12);
            connection.broker_says(&answer[..length]).unwrap();
            assert_eq!(try_to_change_policy(&mut connection), end, "{length}");
        }
        let mut connection = Connection::new();
        connection.judge.also.push("theirs".to_owned());
        connection.ask(&fetch(&names), 12);
        connection.broker_says(&answer).unwrap();
        assert_eq!(try_to_change_policy(&mut connection), Ok(()), "it has ended");
    }
}

/// A fetch may wait at the broker for long: what it would deliver then is judged by then. The client is told at once, and
/// what the broker says later goes nowhere.
#[test]
fn a_fetch_that_waits_is_refused_when_it_is_no_longer_allowed() {
    for (version, piece) in (4..=12).flat_map(|version| [0, 1, 7].map(|piece| (version, piece))) {
        let mut connection = Connection::new();
        connection.piece = piece;
        connection.judge.also.push("theirs".to_owned());
        connection.ask(&fetch(&["own-a"]), version);
        connection.ask(&fetch(&["own-a", "theirs", "others"]), version);
        connection.ask(&produce(&["others"]), 9);
        connection.ask(&fetch(&["own-b"]), version);
        connection.judge.asked.clear();
        change_policy(&mut connection);
        assert_eq!(connection.judge.asked, ["subscribe theirs"], "{version}: a refusal is counted");
        assert!(connection.answered_frame().is_none(), "the first has not been answered");
        let first = answer_of::<FetchRequest>(1, &fetched(&["own-a"]), version);
        connection.broker_says(&first).unwrap();
        assert_eq!(connection.answered_frame().unwrap(), first, "{version}");
        let (correlation, answer) = connection.answered::<FetchRequest>(version).unwrap();
        assert_eq!(correlation, 2);
        let told = [("others", 29), ("own-a", 0), ("theirs", 29)];
        let told = told.iter().flat_map(|told| [told, told]);
        let told: Vec<_> = told.map(|(name, error)| ((*name).to_owned(), *error)).collect();
        assert_eq!(told_of_fetch(&answer), told, "{version}");
        connection.answer::<FetchRequest>(2, &fetched(&["own-a", "theirs"]), version);
        assert_eq!(connection.answered::<ProduceRequest>(9).unwrap().0, 3, "{version}");
        connection.answer::<FetchRequest>(4, &fetched(&["own-b"]), version);
        assert_eq!(connection.answered::<FetchRequest>(version).unwrap().0, 4, "{version}");
        assert!(connection.answered_frame().is_none(), "{version}");
        assert_eq!(connection.session.held(), 0, "{version}");
    }
}

#[test]
fn a_late_answer_to_a_fetch_that_was_refused_goes_nowhere() {
    let late = answer_of::<FetchRequest>(1, &fetched(&["own-a", "theirs"]), 12);
    for length in 0..8 {
        let mut connection = Connection::new();
        connection.judge.also.push("theirs".to_owned());
        connection.ask(&fetch(&["own-a", "theirs"]), 12);
        connection.broker_says(&late[..length]).unwrap();
        change_policy(&mut connection);
        assert_eq!(connection.answered::<FetchRequest>(12).unwrap().0, 1, "{length}");
        change_policy(&mut connection);
        connection.broker_says(&late[length..]).unwrap();
        assert!(connection.answered_frame().is_none(), "{length}");
    }
    let mut connection = Connection::new();
    connection.judge.also.push("theirs".to_owned());
    connection.ask(&fetch(&["theirs"]), 12);
    change_policy(&mut connection);
    let other = answer_of::<FetchRequest>(2, &fetched(&["theirs"]), 12);
    assert!(matches!(connection.broker_says(&other), Err(SessionEnd::Malformed(_))));
}

#[test]
fn offsets_of_topics() {
    Case::<ListOffsetsRequest> {
        versions: 1..=10,
        request: |names, _| {
            let topics = names.iter().map(|name| {
                ListOffsetsTopic::default()
                    .with_name(topic(name))
                    .with_partitions(vec![ListOffsetsPartition::default().with_partition_index(3)])
            });
            ListOffsetsRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_topics(topics.collect())
        },
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| {
            let topics = names.iter().map(|name| {
                ListOffsetsTopicResponse::default().with_name(topic(name)).with_partitions(vec![
                    ListOffsetsPartitionResponse::default().with_partition_index(3).with_offset(8),
                ])
            });
            ListOffsetsResponse::default().with_topics(topics.collect())
        },
        told: |answer| {
            let topics = answer.topics.iter();
            topics.map(|topic| (topic.name.to_string(), topic.partitions[0].error_code)).collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

#[test]
fn epochs_of_topics() {
    Case::<OffsetForLeaderEpochRequest> {
        versions: 2..=4,
        request: |names, _| {
            let partition = OffsetForLeaderPartition::default().with_partition(3);
            let topics = names.iter().map(|name| {
                OffsetForLeaderTopic::default()
                    .with_topic(topic(name))
                    .with_partitions(vec![partition.clone()])
            });
            OffsetForLeaderEpochRequest::default()
                .with_replica_id(BrokerId(-1))
                .with_topics(topics.collect())
        },
        named: |request| request.topics.iter().map(|topic| topic.topic.to_string()).collect(),
        answer: |names, _| {
            let topics = names.iter().map(|name| {
                OffsetForLeaderTopicResult::default()
                    .with_topic(topic(name))
                    .with_partitions(vec![EpochEndOffset::default().with_partition(3)])
            });
            OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
        },
        told: |answer| {
            let topics = answer.topics.iter();
            topics.map(|topic| (topic.topic.to_string(), topic.partitions[0].error_code)).collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

fn partitions_of(names: &[&str]) -> DescribeTopicPartitionsRequest {
    let topics = names.iter().map(|name| TopicRequest::default().with_name(topic(name)));
    DescribeTopicPartitionsRequest::default().with_topics(topics.collect())
}

#[test]
fn partitions_of_topics() {
    Case::<DescribeTopicPartitionsRequest> {
        versions: 0..=0,
        request: |names, _| partitions_of(names),
        named: |request| request.topics.iter().map(|topic| topic.name.to_string()).collect(),
        answer: |names, _| {
            let topics = names.iter().map(|name| {
                DescribeTopicPartitionsResponseTopic::default()
                    .with_name(Some(topic(name)))
                    .with_topic_authorized_operations(0xff)
            });
            DescribeTopicPartitionsResponse::default().with_topics(topics.collect())
        },
        told: |answer| {
            let topics = answer.topics.iter();
            topics
                .map(|topic| {
                    assert_eq!(topic.topic_authorized_operations, i32::MIN, "masked");
                    (topic.name.as_ref().unwrap().to_string(), topic.error_code)
                })
                .collect()
        },
        refusal: 29,
        forwards_nothing: false,
    }
    .check();
}

/// No topics are all topics, in a listing that is continued at the name of the next one.
#[test]
fn partitions_of_all_topics_need_all_topics() {
    let mut connection = Connection::new();
    connection.ask(&partitions_of(&[]), 0);
    let (_, answer) = connection.answered::<DescribeTopicPartitionsRequest>(0).unwrap();
    assert_eq!(answer, DescribeTopicPartitionsResponse::default());
    assert!(connection.forwarded_frame().is_none());
    connection.judge.also.push("*".to_owned());
    connection.ask(&partitions_of(&[]), 0);
    assert!(connection.forwarded_frame().is_some());
}

#[test]
fn coordinators_of_several() {
    for (kind, refusal) in [(0, 30), (1, 53)] {
        let request: fn(&[&str], i16) -> FindCoordinatorRequest = if kind == 0 {
            |names, _| coordinators(0, names)
        } else {
            |names, _| coordinators(1, names)
        };
        Case::<FindCoordinatorRequest> {
            versions: 4..=5,
            request,
            named: |request| request.coordinator_keys.iter().map(ToString::to_string).collect(),
            answer: |names, _| {
                let found = names.iter().map(|name| {
                    Coordinator::default()
                        .with_key(text(name))
                        .with_node_id(BrokerId(1))
                        .with_port(9092)
                });
                FindCoordinatorResponse::default().with_coordinators(found.collect())
            },
            told: |answer| {
                let found = answer.coordinators.iter();
                found.map(|found| (found.key.to_string(), found.error_code)).collect()
            },
            refusal,
            forwards_nothing: false,
        }
        .check();
    }
}

fn coordinators(kind: i8, names: &[&str]) -> FindCoordinatorRequest {
    let keys = names.iter().map(|name| text(name));
    FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(keys.collect())
}

#[test]
fn coordinators_of_one() {
    let check = |version, kind, key, expect: Option<i16>| {
        let mut connection = Connection::new();
        let request = FindCoordinatorRequest::default().with_key(text(key)).with_key_type(kind);
        connection.ask(&request, version);
        let answer = connection.answered::<FindCoordinatorRequest>(version);
        assert_eq!(answer.map(|(_, answer)| answer.error_code), expect, "{version} {kind} {key}");
        assert_eq!(connection.forwarded_frame().is_none(), expect.is_some());
    };
    check(0, 0, "own", None);
    check(0, 0, "theirs", Some(30));
    for version in 1..=3 {
        check(version, 0, "own", None);
        check(version, 0, "theirs", Some(30));
        check(version, 1, "own", None);
        check(version, 1, "theirs", Some(53));
        check(version, 2, "own", Some(42));
    }
}
