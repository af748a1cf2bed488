//! A payment desk whose streams are as long as the caller asks: what stands in for the shop's where a stream has to
//! last.

use std::net::Ipv6Addr;
use std::pin::Pin;
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use shop::proto::payments_server::{Payments, PaymentsServer};
use shop::proto::{ChargeRequest, FollowRequest, PaymentEvent, Receipt, RefundRequest};
use tokio::time::{Interval, interval};
use tonic::transport::Server;
use tonic::{Request, Response, Status};

use crate::pod::Pod;

/// Between two messages of a stream.
const PACE: Duration = Duration::from_millis(20);

struct Desk;

/// Opens the desk on `port` of `pod`; it closes with the pod. `Follow` with id `N` streams N messages, numbered.
pub fn open(pod: &Pod, port: u16) {
    let serving = Server::builder().add_service(PaymentsServer::new(Desk));
    drop(pod.spawn(serving.serve((Ipv6Addr::UNSPECIFIED, port).into())));
    pod.wait_for_app(port);
}

#[tonic::async_trait]
impl Payments for Desk {
    async fn charge(&self, request: Request<ChargeRequest>) -> Result<Response<Receipt>, Status> {
        let charge = request.into_inner();
        Ok(Response::new(Receipt { id: charge.user, amount: charge.amount }))
    }

    type FollowStream = Pin<Box<dyn Stream<Item = Result<PaymentEvent, Status>> + Send>>;

    async fn follow(
        &self,
        request: Request<FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let messages = request.into_inner().id.parse();
        let messages = messages.map_err(|_| Status::invalid_argument("the id says how many"))?;
        Ok(Response::new(Box::pin(numbered(messages))))
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Result<Response<Receipt>, Status> {
        Ok(Response::new(Receipt { id: request.into_inner().id, amount: 0 }))
    }
}

/// Messages 0 to `messages`, one every [`PACE`].
fn numbered(messages: u64) -> impl Stream<Item = Result<PaymentEvent, Status>> + Send {
    unfold((0, interval(PACE)), move |(number, mut pace): (u64, Interval)| async move {
        if number == messages {
            return None;
        }
        pace.tick().await;
        let event = PaymentEvent { id: number.to_string(), state: "captured".to_owned() };
        Some((Ok(event), (number + 1, pace)))
    })
}
