//! The payments: the one service that may have money moved, and the last one that looks whether two people wanted it.

use example_web::Answer;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::json;

use crate::bus::{Bus, PAYMENTS_DONE};
use crate::call::{Call, Outcome, Refused, answered, said};
use crate::neighbours::{Neighbour, Record};
use crate::order::Order;
use crate::people::Role;

/// Everything the service has.
pub struct Payments {
    /// Where the money is.
    pub accounts: Neighbour,
    /// Where it is written down.
    pub record: Record,
    /// Where it is told.
    pub bus: Bus,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payment {
    /// The transfer that it is for; each is paid once.
    transfer: i64,
    /// Who made the transfer. Whoever has it paid is the user of this request.
    created_by: String,
    order: Order,
}

impl Payments {
    /// Answers a request.
    pub async fn handle(&self, request: Request<Incoming>) -> Answer {
        answered(self.outcome(request).await)
    }

    async fn outcome(&self, request: Request<Incoming>) -> Outcome {
        let call = Call::read(request).await?;
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["payments"]) => self.pay(&call).await,
            _ => Err(Refused::absent()),
        }
    }

    async fn pay(&self, call: &Call) -> Outcome {
        let Payment { transfer, created_by, order } = call.body()?;
        let person = call.person()?;
        let second = person.role == Role::Approver && person.name != created_by;
        if order.needs_second_person() && !second {
            let why = "this amount needs a second person";
            return Err(Refused::of(StatusCode::FORBIDDEN, why));
        }
        let id = format!("transfer-{transfer}");
        self.record.note("payment", &id, call).await?;
        let Order { from, to, cents, text } = order;
        let order = json!({"from": from, "to": to, "cents": cents, "text": text});
        self.accounts.post("/movements", &json!({"id": id, "order": order}), call).await?;
        let event = json!({"transfer": transfer, "by": person.name, "cents": cents});
        self.bus.tell(PAYMENTS_DONE, &event);
        Ok(said(StatusCode::CREATED, &json!({"id": id})))
    }
}
