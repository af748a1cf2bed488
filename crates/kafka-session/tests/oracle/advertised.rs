//! Addresses of brokers that are not advertised never pass.

use std::collections::HashMap;

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::metadata_response::MetadataResponseBroker;
use kafka_protocol::messages::produce_response::NodeEndpoint;
use kafka_protocol::messages::{
    BrokerId, DescribeClusterRequest, DescribeClusterResponse, FindCoordinatorRequest,
    FindCoordinatorResponse, MetadataRequest, MetadataResponse, ProduceRequest,
};
use message_access::SessionSettings;

use crate::connection::{Connection, settings, text};
use crate::topics::{produce, produced, told_of_produce};

/// Broker 1 is advertised, and broker 2 is not.
fn connection() -> Connection {
    let advertised = HashMap::from([(1, "127.0.0.1:19093".parse().unwrap())]);
    Connection::with(&SessionSettings { advertised, ..settings() })
}

#[test]
fn brokers_of_metadata() {
    for version in 4..=13 {
        let mut connection = connection();
        connection.ask(&MetadataRequest::default().with_topics(Some(Vec::new())), version);
        let brokers = [1, 2].map(|id| {
            MetadataResponseBroker::default()
                .with_node_id(BrokerId(id))
                .with_host(text("kafka.bank.svc"))
                .with_port(9092)
                .with_rack(Some(text("r")))
        });
        let answer = MetadataResponse::default().with_brokers(brokers.to_vec());
        connection.answer::<MetadataRequest>(1, &answer, version);
        let (_, answer) = connection.answered::<MetadataRequest>(version).unwrap();
        let told: Vec<_> =
            answer.brokers.iter().map(|b| (b.node_id.0, b.host.as_str(), b.port)).collect();
        assert_eq!(told, [(1, "127.0.0.1", 19093)], "{version}");
    }
}

#[test]
fn brokers_of_the_cluster() {
    for version in 0..=2 {
        let mut connection = connection();
        connection.ask(&DescribeClusterRequest::default(), version);
        let (_, answer) = connection.answered::<DescribeClusterRequest>(version).unwrap();
        assert_eq!(answer.error_code, 31, "{version}");
        connection.judge.rules = true;
        connection.ask(&DescribeClusterRequest::default(), version);
        let brokers = [1, 2].map(|id| {
            DescribeClusterBroker::default().with_broker_id(BrokerId(id)).with_host(text("kafka"))
        });
        let answer = DescribeClusterResponse::default()
            .with_brokers(brokers.to_vec())
            .with_cluster_authorized_operations(0xff);
        connection.answer::<DescribeClusterRequest>(2, &answer, version);
        let (_, answer) = connection.answered::<DescribeClusterRequest>(version).unwrap();
        let told: Vec<_> =
            answer.brokers.iter().map(|b| (b.broker_id.0, b.host.as_str(), b.port)).collect();
        assert_eq!(told, [(1, "127.0.0.1", 19093)], "{version}");
        assert_eq!(answer.cluster_authorized_operations, i32::MIN);
    }
}

#[test]
fn coordinators() {
    let check = |version: i16, node: i32, expect: (i32, &str, i32, i16)| {
        let mut connection = connection();
        let keys = if version < 4 { Vec::new() } else { vec![text("own")] };
        let key = if version < 4 { text("own") } else { text("") };
        connection.ask(
            &FindCoordinatorRequest::default().with_key(key).with_coordinator_keys(keys),
            version,
        );
        let answer = if version < 4 {
            FindCoordinatorResponse::default()
                .with_node_id(BrokerId(node))
                .with_host(text("kafka"))
                .with_port(9092)
        } else {
            let found = Coordinator::default()
                .with_key(text("own"))
                .with_node_id(BrokerId(node))
                .with_host(text("kafka"))
                .with_port(9092);
            FindCoordinatorResponse::default().with_coordinators(vec![found])
        };
        connection.answer::<FindCoordinatorRequest>(1, &answer, version);
        let (_, answer) = connection.answered::<FindCoordinatorRequest>(version).unwrap();
        let told = answer.coordinators.first().map_or_else(
            || (answer.node_id.0, answer.host.to_string(), answer.port, answer.error_code),
            |found| (found.node_id.0, found.host.to_string(), found.port, found.error_code),
        );
        assert_eq!((told.0, &*told.1, told.2, told.3), expect, "{version}");
    };
    for version in 0..=5 {
        check(version, 1, (1, "127.0.0.1", 19093, 0));
        check(version, 2, (-1, "", -1, 15));
    }
}

/// Answers of new versions name the brokers that lead, in tagged fields.
#[test]
fn endpoints_in_tagged_fields() {
    for version in 10..=12 {
        for names in [&["own-a"][..], &["own-a", "theirs"]] {
            let mut connection = connection();
            connection.ask(&produce(names), version);
            let endpoint =
                NodeEndpoint::default().with_node_id(BrokerId(2)).with_host(text("kafka"));
            let answer = produced(&["own-a"]).with_node_endpoints(vec![endpoint]);
            connection.answer::<ProduceRequest>(1, &answer, version);
            let (_, answer) = connection.answered::<ProduceRequest>(version).unwrap();
            assert_eq!(answer.node_endpoints, [], "{version}");
            assert_eq!(told_of_produce(&answer).len(), 2 * names.len(), "{version}");
        }
    }
}
