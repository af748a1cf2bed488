//! The payment service: charges, refunds, and a stream of what became of a payment.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio_stream::Iter;
use tonic::{Request, Response, Status};

use crate::proto::payments_server::Payments;
use crate::proto::{ChargeRequest, FollowRequest, PaymentEvent, Receipt, RefundRequest};

/// The states a payment passes through, in order, one streamed event each.
pub const STATES: [&str; 3] = ["authorised", "captured", "settled"];

/// The payment service; it forgets everything when it stops.
#[derive(Default)]
pub struct PaymentDesk {
    charged: AtomicU64,
}

#[tonic::async_trait]
impl Payments for PaymentDesk {
    async fn charge(&self, request: Request<ChargeRequest>) -> Result<Response<Receipt>, Status> {
        let charge = request.into_inner();
        if charge.card.starts_with("declined") {
            return Err(Status::failed_precondition("the card was declined"));
        }
        let number = self.charged.fetch_add(1, Ordering::Relaxed) + 1;
        Ok(Response::new(Receipt {
            id: format!("{}-{number}", charge.user),
            amount: charge.amount,
        }))
    }

    type FollowStream = Iter<std::vec::IntoIter<Result<PaymentEvent, Status>>>;

    async fn follow(
        &self,
        request: Request<FollowRequest>,
    ) -> Result<Response<Self::FollowStream>, Status> {
        let id = request.into_inner().id;
        let events: Vec<_> = STATES
            .iter()
            .map(|state| Ok(PaymentEvent { id: id.clone(), state: (*state).to_owned() }))
            .collect();
        Ok(Response::new(tokio_stream::iter(events)))
    }

    async fn refund(&self, request: Request<RefundRequest>) -> Result<Response<Receipt>, Status> {
        Ok(Response::new(Receipt { id: request.into_inner().id, amount: 0 }))
    }
}
