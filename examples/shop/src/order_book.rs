//! The orders of everybody, by number: one after the other, so that anybody can guess the next.

use std::collections::BTreeMap;

use parking_lot::Mutex;
use serde::Serialize;

/// The number of the first order.
const FIRST: u64 = 1001;
/// Orders that are kept; the oldest is forgotten first.
const ORDERS_KEPT: usize = 10_000;

/// What somebody has bought.
#[derive(Debug, Clone, Serialize)]
pub struct Order {
    /// Whose it is.
    pub user: String,
    /// What was in the basket.
    pub items: Vec<String>,
    /// In cents.
    pub amount: u64,
    /// What the payment service gave for it.
    pub receipt: String,
}

/// All of them.
#[derive(Default)]
pub struct OrderBook(Mutex<(u64, BTreeMap<u64, Order>)>);

impl OrderBook {
    /// Writes an order down, and gives it its number.
    pub fn write(&self, order: Order) -> u64 {
        let mut book = self.0.lock();
        let number = FIRST + book.0;
        book.0 += 1;
        book.1.insert(number, order);
        while book.1.len() > ORDERS_KEPT {
            book.1.pop_first();
        }
        number
    }

    /// The order of this number, for whom it belongs to: another one's is as good as none.
    #[must_use]
    pub fn of(&self, user: &str, number: u64) -> Option<Order> {
        self.0.lock().1.get(&number).filter(|order| order.user == user).cloned()
    }

    /// The numbers of somebody's orders.
    #[must_use]
    pub fn numbers_of(&self, user: &str) -> Vec<u64> {
        let book = self.0.lock();
        book.1.iter().filter(|(_, order)| order.user == user).map(|(number, _)| *number).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_for_whom_it_belongs_to() {
        let book = OrderBook::default();
        let order = |user: &str| Order {
            user: user.to_owned(),
            items: vec!["tea".to_owned()],
            amount: 100,
            receipt: "r".to_owned(),
        };
        assert_eq!([book.write(order("ann")), book.write(order("bob"))], [1001, 1002]);
        assert!(book.of("ann", 1001).is_some());
        assert!(book.of("bob", 1001).is_none() && book.of("ann", 1003).is_none());
        assert_eq!(book.numbers_of("bob"), [1002]);
    }
}
