#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
use crate::traffic::demand::*;

fn host(name: &str) -> Arc<str> {
    name.into()
}

/// Requests that are never answered, for tests of the table alone.
fn request(demand: &DestinationDemand, key: &str, now: u32) {
    drop(demand.entry(key, now));
}

#[tokio::test(start_paused = true)]
async fn a_dial_waits_for_the_answer_and_no_longer_than_the_deadline() {
    let demand = Arc::new(DestinationDemand::default());
    let refused = demand.ask("10.0.0.1:80", 0).await.unwrap_err();
    assert_eq!(refused.reason(), "destination_unresolved");
    assert_eq!(demand.take_unsent(0), ["10.0.0.1:80"]);
    assert!(demand.take_unsent(0).is_empty());
    demand.begin_stream();
    assert_eq!(demand.take_unsent(0), ["10.0.0.1:80"]);
    let asking = tokio::spawn({
        let demand = demand.clone();
        async move { demand.ask("10.0.0.1:80", 1).await }
    });
    tokio::task::yield_now().await;
    demand.answered("10.0.0.1:80", LookupState::Unknown);
    assert_eq!(asking.await.unwrap().unwrap(), LookupState::Unknown);
}

#[test]
fn an_idle_destination_is_given_up_and_a_used_one_is_not() {
    let demand = DestinationDemand::default();
    demand.set_connected(true);
    request(&demand, "cart", 0);
    request(&demand, "nobody", 0);
    let held = [("cart".to_owned(), host("cart.shop"))];
    demand.services(held.iter().map(|(_, host)| (host, true)), 0);
    assert_eq!(demand.sweep(UNKNOWN_IDLE_SECONDS, &held), ["nobody"]);
    demand.note_use(&host("cart.shop"), 500);
    assert!(demand.sweep(IDLE_SECONDS, &held).is_empty());
    assert_eq!(demand.sweep(500 + IDLE_SECONDS, &held), ["cart"]);
    assert!(demand.is_empty());
}

#[test]
fn f24_nothing_is_given_up_while_the_controller_is_away() {
    let demand = DestinationDemand::default();
    request(&demand, "cart", 0);
    let held = [("cart".to_owned(), host("cart.shop"))];
    assert!(demand.sweep(1_000_000, &held).is_empty());
    assert_eq!(demand.len(), 1);
}

#[test]
fn an_app_that_scans_does_not_make_the_table_grow() {
    let demand = DestinationDemand::default();
    for number in 0..u32::try_from(MOST_DESTINATIONS).unwrap() + 10 {
        request(&demand, &format!("10.0.0.1:{number}"), number);
    }
    assert_eq!(demand.len(), MOST_DESTINATIONS);
    assert!(!demand.take_unsent(0).contains(&"10.0.0.1:0".to_owned()));
}

#[test]
fn a_controller_that_does_not_understand_the_question_is_noticed() {
    let demand = DestinationDemand::default();
    request(&demand, "cart", 0);
    assert!(!demand.has_unanswered(100), "nobody was asked");
    demand.take_unsent(100);
    assert!(!demand.has_unanswered(100 + UNANSWERED_SECONDS));
    assert!(demand.has_unanswered(101 + UNANSWERED_SECONDS));
    demand.answered("cart", LookupState::Unknown);
    assert!(!demand.has_unanswered(1000));
}
