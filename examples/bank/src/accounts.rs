//! The accounts: whose they are, what is in them, and how it got there.
//!
//! Everybody sees their own; tellers see all. Money moves by `POST /movements` alone, which is for the payments: that
//! nobody else comes that far is said by policy.

use example_web::Answer;
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::call::{Call, Outcome, Refused, answered, said};
use crate::ledger::{Ledger, Moved};
use crate::neighbours::Record;
use crate::order::{MOST_CENTS, Order};
use crate::people::{Role, is_name};

/// Everything the service has.
pub struct Accounts {
    /// The accounts.
    pub ledger: Ledger,
    /// Where it is written down.
    pub record: Record,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Opening {
    owner: String,
    cents: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Movement {
    id: String,
    order: Order,
}

impl Accounts {
    /// Answers a request.
    pub async fn handle(&self, request: Request<Incoming>) -> Answer {
        answered(self.outcome(request).await)
    }

    async fn outcome(&self, request: Request<Incoming>) -> Outcome {
        let call = Call::read(request).await?;
        match (&call.method, call.segments().as_slice()) {
            (&Method::POST, ["accounts"]) => self.open(&call).await,
            (&Method::GET, ["accounts", number]) => self.show(number, &call),
            (&Method::GET, ["accounts", number, "statement"]) => self.statement(number, &call),
            (&Method::POST, ["movements"]) => self.move_money(&call),
            _ => Err(Refused::absent()),
        }
    }

    async fn open(&self, call: &Call) -> Outcome {
        let Opening { owner, cents } = call.body()?;
        if !is_name(&owner) || !(0..=MOST_CENTS).contains(&cents) {
            let why = "an owner has a name, and an account 0 to 1000000000 cents";
            return Err(Refused::of(StatusCode::UNPROCESSABLE_ENTITY, why));
        }
        self.record.note("account-opened", &owner, call).await?;
        let number = self.ledger.add(&owner, cents)?;
        Ok(said(StatusCode::CREATED, &json!({"number": number})))
    }

    fn show(&self, number: &str, call: &Call) -> Outcome {
        let (number, owner) = self.visible(number, call)?;
        let cents = self.ledger.balance(number)?;
        Ok(said(StatusCode::OK, &json!({"number": number, "owner": owner, "cents": cents})))
    }

    fn statement(&self, number: &str, call: &Call) -> Outcome {
        let (number, _) = self.visible(number, call)?;
        let movements = self.ledger.statement(number)?.into_iter().map(|(id, order)| {
            let Order { from, to, cents, text } = order;
            json!({"id": id, "from": from, "to": to, "cents": cents, "text": text})
        });
        let movements: Vec<Value> = movements.collect();
        Ok(said(StatusCode::OK, &json!({"number": number, "movements": movements})))
    }

    /// The account, and whose it is. Somebody else's is as if it were not there.
    fn visible(&self, number: &str, call: &Call) -> Result<(i64, String), Refused> {
        let person = call.person()?;
        let number = number.parse().map_err(|_| Refused::absent())?;
        let owner = self.ledger.owner(number)?;
        let may = |owner: &String| *owner == person.name || person.role == Role::Teller;
        owner.filter(may).map(|owner| (number, owner)).ok_or_else(Refused::absent)
    }

    fn move_money(&self, call: &Call) -> Outcome {
        let Movement { id, order } = call.body()?;
        if let Some(mistake) = order.mistake() {
            return Err(Refused::of(StatusCode::UNPROCESSABLE_ENTITY, mistake));
        }
        match self.ledger.move_money(&id, &order)? {
            Moved::Now => Ok(said(StatusCode::CREATED, &json!({"id": id}))),
            Moved::Before => Ok(said(StatusCode::OK, &json!({"id": id}))),
            Moved::Other => Err(Refused::of(StatusCode::CONFLICT, "another movement has this id")),
            Moved::NoAccount => Err(Refused::of(StatusCode::CONFLICT, "there is no such account")),
            Moved::TooLittle => Err(Refused::of(StatusCode::CONFLICT, "there is not enough in it")),
        }
    }
}
