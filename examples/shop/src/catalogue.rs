//! What the shop sells, and what people say and show of it: in memory, and as much as fits.

use std::collections::BTreeMap;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::ticker::price;

/// The products, by their names in URLs, with what is said of them.
const PRODUCTS: [(&str, &str); 8] = [
    ("tea", "Green tea from the hills, in a tin of 100 g"),
    ("teapot", "A teapot of cast iron; holds 0.8 l"),
    ("cups", "Four cups & saucers, from the union of two old potteries"),
    ("select", "Our \"Select\" blend: an offer where the price is 20% off"),
    ("rice-cooker", "Cooks rice; drop the lid, and it's done"),
    ("o-briens-whiskey-cake", "O'Brien's cake with whiskey -- not for children"),
    ("table", "A table of oak, 2 x 1 m; delete the old one, insert this one"),
    ("scripture", "A script for beginners: <ink>, brush, paper = joy"),
];
/// Reviews of one product that are kept, and the longest of them in characters.
const REVIEWS_KEPT: usize = 100;
const LONGEST_REVIEW: usize = 4_000;

/// All products, with what people have sent of them.
#[derive(Default)]
pub struct Catalogue {
    pictures: Mutex<BTreeMap<&'static str, Bytes>>,
    reviews: Mutex<BTreeMap<&'static str, Vec<Value>>>,
}

impl Catalogue {
    /// The products that have all these words in them.
    #[must_use]
    pub fn search(&self, words: &str) -> Value {
        let words: Vec<_> = words.split_whitespace().map(str::to_lowercase).collect();
        let fits = |text: &str| {
            let text = text.to_lowercase();
            words.iter().all(|word| text.contains(word))
        };
        let found = PRODUCTS.iter().filter(|(name, text)| fits(&format!("{name} {text}")));
        json!(found.map(|(name, _)| *name).collect::<Vec<_>>())
    }

    /// One product, with its price in cents, and the reviews; none where the shop has no such thing.
    #[must_use]
    pub fn product(&self, name: &str) -> Option<Value> {
        let (name, text) = known(name)?;
        let reviews = self.reviews.lock().get(name).cloned().unwrap_or_default();
        Some(json!({"name": name, "text": text, "price": price(name), "reviews": reviews}))
    }

    /// Keeps a picture in place of the last; false where the shop has no such thing.
    pub fn show(&self, name: &str, picture: Bytes) -> bool {
        let Some((name, _)) = known(name) else { return false };
        self.pictures.lock().insert(name, picture);
        true
    }

    /// The picture of a product.
    #[must_use]
    pub fn picture(&self, name: &str) -> Option<Bytes> {
        let (name, _) = known(name)?;
        self.pictures.lock().get(name).cloned()
    }

    /// Keeps a review, in place of the oldest where there are many; false where the shop has no such thing.
    pub fn review(&self, name: &str, user: &str, text: &str) -> bool {
        let Some((name, _)) = known(name) else { return false };
        let text: String = text.chars().take(LONGEST_REVIEW).collect();
        let mut reviews = self.reviews.lock();
        let of_this = reviews.entry(name).or_default();
        if of_this.len() == REVIEWS_KEPT {
            of_this.remove(0);
        }
        of_this.push(json!({"user": user, "text": text}));
        true
    }
}

fn known(name: &str) -> Option<(&'static str, &'static str)> {
    PRODUCTS.iter().find(|(known, _)| *known == name).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_wants_all_words() {
        let catalogue = Catalogue::default();
        for (row, words, expect) in [
            ("one word", "oak", json!(["table"])),
            ("two words, any case", "TEA iron", json!(["teapot"])),
            ("words of other trades", "select offer where", json!(["select"])),
            ("nothing of it", "tea whiskey", json!([])),
        ] {
            assert_eq!(catalogue.search(words), expect, "{row}");
        }
    }

    #[test]
    fn what_people_send_is_kept_for_products_alone_and_has_an_end() {
        let catalogue = Catalogue::default();
        assert!(!catalogue.review("gold", "ann", "shiny") && !catalogue.show("gold", Bytes::new()));
        for number in 0..=REVIEWS_KEPT {
            assert!(catalogue.review("tea", "ann", &format!("review {number}")));
        }
        let product = catalogue.product("tea").unwrap_or_default();
        assert_eq!(product["reviews"].as_array().map(Vec::len), Some(REVIEWS_KEPT));
        assert_eq!(product["reviews"][0]["text"], "review 1");
    }
}
