//! What a test can ask of a page that changes by its own script: keys, what is seen, what is wrong with it.

use std::path::Path;

use serde_json::{Value, json};

use super::Page;

impl Page<'_> {
    /// Clicks something that leads to no other page.
    pub fn press(&self, selector: &str) {
        self.ask(&json!({"do": "press", "selector": selector}));
    }

    /// Presses a key, as `Tab` or `Enter`; what has the focus then: element, id and name.
    #[must_use]
    pub fn key(&self, key: &str) -> String {
        super::text(&self.ask(&json!({"do": "key", "key": key})))
    }

    /// Waits until something is seen, and returns its text.
    pub fn expect_seen(&self, selector: &str) -> String {
        super::text(&self.ask(&json!({"do": "await", "selector": selector})))
    }

    /// How many elements there are of a selector.
    #[must_use]
    pub fn count(&self, selector: &str) -> u64 {
        self.ask(&json!({"do": "count", "selector": selector})).as_u64().unwrap_or(0)
    }

    /// Has this answer given to the page's scripts, whatever the server would say.
    pub fn pretend(&self, url: &str, answer: &Value) {
        self.ask(&json!({"do": "pretend", "url": url, "answer": answer}));
    }

    /// Has no answer given to the page's scripts.
    pub fn cut(&self, url: &str) {
        self.ask(&json!({"do": "cut", "url": url}));
    }

    /// Errors and warnings of the page so far; what a Content-Security-Policy refused is among them.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        texts(&self.ask(&json!({"do": "complaints"})))
    }

    /// What axe-core finds that keeps people from reading the page.
    #[must_use]
    pub fn barriers(&self) -> Vec<String> {
        texts(&self.ask(&json!({"do": "axe"})))
    }

    /// By how many pixels the page is wider than the window.
    #[must_use]
    pub fn overhang(&self) -> i64 {
        self.ask(&json!({"do": "overhang"})).as_i64().unwrap_or(i64::MAX)
    }

    /// Writes what is seen as a PNG.
    pub fn picture(&self, path: &Path) {
        self.ask(&json!({"do": "picture", "path": path}));
    }

    fn ask(&self, order: &Value) -> Value {
        let mut order = order.clone();
        order["page"] = json!(self.name);
        self.browser.driver.order(&order)
    }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(super::text).collect()
}
