//! What the front end answers: pages for everybody, and baskets and orders for whoever has signed in.
//!
//! It verifies nobody. Whoever stands in `x-user` is who asks, and the `authorization` of a request goes along to the
//! cart and to payments: both are the sidecar's word.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use hyper::body::Incoming;
use serde_json::{Value, json};
use tonic::transport::{Channel, Endpoint};

use crate::bus::{Bus, ORDERS_CREATED};
use crate::catalogue::Catalogue;
use crate::order_book::{Order, OrderBook};
use crate::people;
use crate::proto::payments_client::PaymentsClient;
use crate::proto::{ChargeRequest, FollowRequest, Receipt};
use crate::ticker::price;
use crate::web::{Answer, Fetcher, answer, json as json_answer, query_value, read_body, text};

/// Everything the front end has.
#[derive(Clone)]
pub struct Storefront {
    fetcher: Fetcher,
    cart: String,
    payments: PaymentsClient<Channel>,
    catalogue: Arc<Catalogue>,
    orders: Arc<OrderBook>,
    bus: Bus,
}

/// What a checkout came to.
struct Paid {
    items: Vec<String>,
    receipt: Receipt,
    states: Vec<String>,
}

impl Storefront {
    /// With the services behind it, by their URLs, and the bus on which it tells of orders.
    ///
    /// # Errors
    /// The URL of the payment service is none.
    pub fn new(cart: &str, payments: String, bus: Bus) -> anyhow::Result<Self> {
        Ok(Self {
            fetcher: Fetcher::default(),
            cart: cart.trim_end_matches('/').to_owned(),
            payments: PaymentsClient::new(Endpoint::from_shared(payments)?.connect_lazy()),
            catalogue: Arc::default(),
            orders: Arc::default(),
            bus,
        })
    }

    /// Answers a request.
    pub async fn handle(self, request: Request<Incoming>) -> Answer {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        let who = request.headers().get(AUTHORIZATION).cloned();
        match (method, parts.as_slice()) {
            (Method::GET, ["cart", user]) => self.show_cart(user, who.as_ref()).await,
            (Method::POST, ["checkout", user]) => match self.checkout(user, None).await {
                Ok(paid) => json_answer(StatusCode::OK, &paid.told()),
                Err(error) => text(StatusCode::BAD_GATEWAY, format!("{error:#}\n")),
            },
            (Method::GET, ["search"]) => self.search(request.uri().query().unwrap_or("")),
            (Method::GET, ["products", name]) => match self.catalogue.product(name) {
                Some(product) => json_answer(StatusCode::OK, &product),
                None => no_such_page(),
            },
            (Method::GET, ["products", name, "picture"]) => match self.catalogue.picture(name) {
                Some(picture) => answer(StatusCode::OK, "application/octet-stream", picture),
                None => no_such_page(),
            },
            (_, [""]) => text(StatusCode::OK, "Welcome to the shop.\n"),
            (_, ["pictures" | "reviews" | "basket" | "orders", ..]) => self.personal(request).await,
            _ => no_such_page(),
        }
    }

    /// What is for people who have signed in.
    async fn personal(&self, request: Request<Incoming>) -> Answer {
        let Some(user) = people::user(request.headers()).map(str::to_owned) else {
            return people::nobody();
        };
        let who = request.headers().get(AUTHORIZATION).cloned();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let parts: Vec<_> = path.trim_start_matches('/').split('/').collect();
        match (method, parts.as_slice()) {
            (Method::POST, ["pictures", name]) => self.keep_picture(name, request).await,
            (Method::POST, ["reviews", name]) => self.keep_review(name, &user, request).await,
            (Method::GET, ["basket"]) => self.show_cart(&user, who.as_ref()).await,
            (Method::POST, ["basket"]) => self.fill_cart(&user, who.as_ref(), request).await,
            (Method::POST, ["orders"]) => self.order(&user, who.as_ref()).await,
            (Method::GET, ["orders"]) => {
                json_answer(StatusCode::OK, &json!(self.orders.numbers_of(&user)))
            }
            (Method::GET, ["orders", number]) => {
                let found = number.parse().ok().and_then(|number| self.orders.of(&user, number));
                found.map_or_else(no_such_page, |order| json_answer(StatusCode::OK, &json!(order)))
            }
            _ => no_such_page(),
        }
    }

    fn search(&self, query: &str) -> Answer {
        let words = query_value(query, "q").unwrap_or_default();
        let found = self.catalogue.search(&words);
        json_answer(StatusCode::OK, &json!({"words": words, "products": found}))
    }

    async fn keep_picture(&self, name: &str, request: Request<Incoming>) -> Answer {
        let picture = match read_body(request).await {
            Ok(picture) => picture,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        if self.catalogue.show(name, picture) {
            text(StatusCode::NO_CONTENT, "")
        } else {
            no_such_page()
        }
    }

    async fn keep_review(&self, name: &str, user: &str, request: Request<Incoming>) -> Answer {
        let review = match read_body(request).await {
            Ok(review) => review,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let kept = self.catalogue.review(name, user, &String::from_utf8_lossy(&review));
        if kept { text(StatusCode::CREATED, "") } else { no_such_page() }
    }

    /// Hands the cart's answer on as it is, refusals too.
    async fn show_cart(&self, user: &str, who: Option<&HeaderValue>) -> Answer {
        let url = format!("{}/cart/{user}", self.cart);
        handed_on(self.fetcher.fetch_for(Method::GET, &url, who).await)
    }

    async fn fill_cart(
        &self,
        user: &str,
        who: Option<&HeaderValue>,
        request: Request<Incoming>,
    ) -> Answer {
        let item = match read_body(request).await {
            Ok(item) => item,
            Err(error) => return text(StatusCode::BAD_REQUEST, format!("{error}\n")),
        };
        let url = format!("{}/cart/{user}", self.cart);
        handed_on(self.fetcher.send_for(Method::POST, &url, who, item).await)
    }

    /// Pays for what is in the basket, writes the order down and empties the basket.
    async fn order(&self, user: &str, who: Option<&HeaderValue>) -> Answer {
        let paid = match self.checkout(user, who).await {
            Ok(paid) => paid,
            Err(error) => return text(StatusCode::BAD_GATEWAY, format!("{error:#}\n")),
        };
        let order = Order {
            user: user.to_owned(),
            items: paid.items.clone(),
            amount: paid.receipt.amount,
            receipt: paid.receipt.id.clone(),
        };
        let number = self.orders.write(order);
        let event = json!({"number": number, "user": user, "amount": paid.receipt.amount});
        self.bus.tell(ORDERS_CREATED, &event).await;
        // It is paid for: a basket that cannot be emptied is no reason to say otherwise.
        let url = format!("{}/cart/{user}", self.cart);
        let _ = self.fetcher.fetch_for(Method::DELETE, &url, who).await;
        json_answer(StatusCode::CREATED, &json!({"number": number, "amount": paid.receipt.amount}))
    }

    /// Asks the cart what is in it, charges the sum, and follows the payment until it is settled.
    async fn checkout(&self, user: &str, who: Option<&HeaderValue>) -> anyhow::Result<Paid> {
        let url = format!("{}/cart/{user}", self.cart);
        let (status, body) = self.fetcher.fetch_for(Method::GET, &url, who).await?;
        anyhow::ensure!(status == StatusCode::OK, "the cart answered {status}");
        let cart: Value = serde_json::from_slice(&body)?;
        let items = cart["items"].as_array().into_iter().flatten();
        let items: Vec<_> = items.filter_map(Value::as_str).map(str::to_owned).collect();
        let amount = items.iter().map(|item| price(item)).sum();
        let charge = ChargeRequest { user: user.to_owned(), card: "4000".to_owned(), amount };
        let mut payments = self.payments.clone();
        let receipt = payments.charge(as_user(charge, who)?).await?.into_inner();
        let follow = FollowRequest { id: receipt.id.clone() };
        let mut events = payments.follow(as_user(follow, who)?).await?.into_inner();
        let mut states = Vec::new();
        while let Some(event) = events.message().await? {
            states.push(event.state);
        }
        Ok(Paid { items, receipt, states })
    }
}

impl Paid {
    fn told(&self) -> Value {
        let Receipt { id, amount } = &self.receipt;
        json!({"receipt": id, "amount": amount, "states": self.states})
    }
}

/// A call of payments as whoever asks.
fn as_user<T>(message: T, who: Option<&HeaderValue>) -> anyhow::Result<tonic::Request<T>> {
    let mut headers = HeaderMap::new();
    if let Some(who) = who {
        headers.insert(AUTHORIZATION, who.clone());
    }
    let metadata = tonic::metadata::MetadataMap::from_headers(headers);
    Ok(tonic::Request::from_parts(metadata, tonic::Extensions::new(), message))
}

fn handed_on(answered: anyhow::Result<(StatusCode, bytes::Bytes)>) -> Answer {
    match answered {
        Ok((status, body)) => text(status, body),
        Err(error) => text(StatusCode::BAD_GATEWAY, format!("the cart did not answer: {error}\n")),
    }
}

fn no_such_page() -> Answer {
    text(StatusCode::NOT_FOUND, "no such page\n")
}
