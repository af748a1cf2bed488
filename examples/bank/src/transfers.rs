//! The transfers: made by one person and, above an amount, approved by another.
//!
//! That only approvers may approve is said by policy. That it is somebody else is said here: it is what the service is
//! about, and nobody but the service knows who made a transfer.

use example_web::Answer;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::call::{Call, Outcome, Refused, answered, said};
use crate::neighbours::{Neighbour, Record};
use crate::order::Order;
use crate::people::Role;
use crate::transfer_book::{State, Transfer, TransferBook};

/// Everything the service has.
pub struct Transfers {
    /// The transfers.
    pub book: TransferBook,
    /// Who knows whose an account is.
    pub accounts: Neighbour,
    /// Who pays.
    pub payments: Neighbour,
    /// Where it is written down.
    pub record: Record,
}

impl Transfers {
    /// Answers a request.
    pub async fn handle(&self, request: Request<Incoming>) -> Answer {
        answered(self.outcome(request).await)
    }

    async fn outcome(&self, request: Request<Incoming>) -> Outcome {
        let call = Call::read(request).await?;
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["transfers"]) => self.create(&call).await,
            (&Method::GET, ["transfers"]) => self.waiting(&call),
            (&Method::GET, ["transfers", id]) => self.show(id, &call),
            (&Method::POST, ["transfers", id, "approve"]) => self.approve(id, &call).await,
            _ => Err(Refused::absent()),
        }
    }

    /// A new one; with the key of one that is there, that one, carried on where it stood.
    async fn create(&self, call: &Call) -> Outcome {
        let order: Order = call.body()?;
        let Some(key) = &call.key else {
            let why = "send an idempotency-key of 8 to 64 characters";
            return Err(Refused::of(StatusCode::BAD_REQUEST, why));
        };
        if let Some(mistake) = order.mistake() {
            return Err(Refused::of(StatusCode::UNPROCESSABLE_ENTITY, mistake));
        }
        // Whoever may not see the account, may not pay from it.
        self.accounts.get(&format!("/accounts/{}", order.from), call).await?;
        let transfer = self.book.add(&call.person()?.name, key, &order)?;
        if transfer.order != order {
            return Err(Refused::of(StatusCode::CONFLICT, "another transfer has this key"));
        }
        self.record.note("transfer", &subject(transfer.id), call).await?;
        let transfer = self.carry_on(transfer, call).await?;
        let waits = transfer.state == State::Waiting;
        let status = if waits { StatusCode::ACCEPTED } else { StatusCode::CREATED };
        Ok(said(status, &transfer.shown()))
    }

    fn waiting(&self, call: &Call) -> Outcome {
        let waiting = self.book.waiting(&call.person()?.name)?;
        let shown: Vec<Value> = waiting.iter().map(Transfer::shown).collect();
        Ok(said(StatusCode::OK, &json!({"waiting": shown})))
    }

    fn show(&self, id: &str, call: &Call) -> Outcome {
        let person = call.person()?;
        let transfer = self.find(id)?;
        if transfer.creator != person.name && person.role != Role::Approver {
            return Err(Refused::absent());
        }
        Ok(said(StatusCode::OK, &transfer.shown()))
    }

    async fn approve(&self, id: &str, call: &Call) -> Outcome {
        let person = call.person()?;
        let transfer = self.find(id)?;
        if transfer.creator == person.name {
            return Err(Refused::of(StatusCode::FORBIDDEN, "it needs somebody else"));
        }
        if transfer.state == State::Done {
            return Err(Refused::of(StatusCode::CONFLICT, "it is done already"));
        }
        self.record.note("approval", &subject(transfer.id), call).await?;
        // False where it was approved before and not paid: then it is carried on.
        self.book.approve(transfer.id, &person.name)?;
        let transfer = self.carry_on(self.find(id)?, call).await?;
        Ok(said(StatusCode::OK, &transfer.shown()))
    }

    /// Pays what needs nobody any more. Each transfer is paid once, however often this is tried.
    async fn carry_on(&self, transfer: Transfer, call: &Call) -> Result<Transfer, Refused> {
        if transfer.state != State::Approved {
            return Ok(transfer);
        }
        let Order { from, to, cents, text } = &transfer.order;
        let order = json!({"from": from, "to": to, "cents": cents, "text": text});
        let payment =
            json!({"transfer": transfer.id, "created_by": transfer.creator, "order": order});
        self.payments.post("/payments", &payment, call).await?;
        self.book.done(transfer.id)?;
        Ok(Transfer { state: State::Done, ..transfer })
    }

    fn find(&self, id: &str) -> Result<Transfer, Refused> {
        let id = id.parse().map_err(|_| Refused::absent())?;
        self.book.find(id)?.ok_or_else(Refused::absent)
    }
}

fn subject(id: i64) -> String {
    format!("transfer-{id}")
}
