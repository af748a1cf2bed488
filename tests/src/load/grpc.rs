//! gRPC: one server stream after the other over one channel, every message looked at.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use shop::proto::FollowRequest;
use shop::proto::payments_client::PaymentsClient;
use tonic::transport::Channel;

use super::{Load, LoadReport};
use crate::grpc;
use crate::pod::Pod;

impl Load {
    /// Starts `channels` gRPC channels from inside `pod` to a payment desk that [`crate::payment_desk::open`] opened,
    /// each following one payment after the other: `messages` paced messages a stream.
    #[must_use]
    pub fn start_grpc(pod: &Pod, address: SocketAddr, messages: u64, channels: usize) -> Self {
        Self::lanes(pod, channels, |stop| async move { run_lane(address, messages, &stop).await })
    }
}

async fn run_lane(address: SocketAddr, messages: u64, stop: &AtomicBool) -> LoadReport {
    let mut report = LoadReport::default();
    let mut client = None;
    while !stop.load(Ordering::Relaxed) {
        let channel = match client.take() {
            Some(client) => Ok(client),
            None => grpc::payments(address).await,
        };
        match channel {
            Ok(mut channel) => {
                report.connections += 1;
                follow(&mut channel, messages, &mut report).await;
                client = Some(channel);
            }
            Err(error) => {
                report.fail(format!("gRPC connecting: {error}"));
                tokio::task::yield_now().await;
            }
        }
    }
    report
}

/// One stream to its end: every message in its turn, then the status.
async fn follow(client: &mut PaymentsClient<Channel>, messages: u64, report: &mut LoadReport) {
    let answer = client.follow(FollowRequest { id: messages.to_string() }).await;
    let mut stream = match answer {
        Ok(answer) => answer.into_inner(),
        Err(status) => return report.fail(format!("a gRPC stream was refused: {status}")),
    };
    for number in 0..messages {
        match stream.message().await {
            Ok(Some(event)) if event.id == number.to_string() => report.requests += 1,
            Ok(event) => return report.fail(format!("gRPC message {number} is {event:?}")),
            Err(status) => return report.fail(format!("gRPC message {number}: {status}")),
        }
    }
    match stream.message().await {
        Ok(None) => {}
        other => report.fail(format!("the end of a gRPC stream is {other:?}")),
    }
}
