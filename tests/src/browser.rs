//! A headless Chromium in a pod: people with cookies of their own, their pages, and what scripts in those ask for.
//!
//! The browser believes one web authority and verifies names as it does everywhere. A Node.js script drives it
//! (`tests/peers/browser/drive.mjs`); each step has a deadline, and a step that fails says what the page showed.

mod driver;
mod looking;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::pod::Pod;
use crate::web::WebAuthority;
use driver::Driver;

/// A running browser. It ends when dropped; at most two run at a time, and the next one waits for its turn.
pub struct Browser {
    driver: Driver,
    people: AtomicU32,
}

/// Somebody in front of the browser, whose cookies nobody else has.
pub struct Person<'a> {
    browser: &'a Browser,
    name: String,
    pages: AtomicU32,
}

/// One tab of somebody's.
pub struct Page<'a> {
    browser: &'a Browser,
    name: String,
}

/// What a page shows, and how it came to that.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The address in the bar.
    pub url: String,
    /// The status of the answer that is shown.
    pub status: u16,
    /// Its text.
    pub text: String,
    /// The answers on the way, redirects among them: status and URL.
    pub steps: Vec<(u16, String)>,
}

/// What a script of a page got.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The status; 0 when the browser let the script see no answer.
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body, or why there is no answer.
    pub body: String,
    /// Whether it followed a redirect.
    pub redirected: bool,
}

impl Browser {
    /// Starts one in this pod, which has to be outside the mesh.
    #[must_use]
    pub fn start(pod: &Pod, web: &WebAuthority) -> Self {
        Self { driver: Driver::start(pod, web), people: AtomicU32::new(0) }
    }

    /// Somebody new.
    #[must_use]
    pub fn person(&self) -> Person<'_> {
        self.person_who_looks(&json!({}))
    }

    /// Somebody with a screen and a taste, as Playwright's `newContext` takes them: `viewport`, `colorScheme`, ….
    #[must_use]
    pub fn person_who_looks(&self, looks: &Value) -> Person<'_> {
        let name = format!("person-{}", self.people.fetch_add(1, Ordering::Relaxed) + 1);
        self.driver.order(&json!({"do": "person", "person": name, "looks": looks}));
        Person { browser: self, name, pages: AtomicU32::new(0) }
    }
}

impl Person<'_> {
    /// A new, empty tab.
    #[must_use]
    pub fn page(&self) -> Page<'_> {
        let number = self.pages.fetch_add(1, Ordering::Relaxed) + 1;
        let name = format!("{}/{number}", self.name);
        self.browser.driver.order(&json!({"do": "page", "person": self.name, "page": name}));
        Page { browser: self.browser, name }
    }

    /// The cookies that a request for this URL would carry, as the browser keeps them: `name`, `value`, `domain`,
    /// `path`, `expires`, `httpOnly`, `secure`, `sameSite`.
    #[must_use]
    pub fn cookies(&self, url: &str) -> Vec<Value> {
        let cookies =
            self.browser.driver.order(&json!({"do": "cookies", "person": self.name, "url": url}));
        cookies.as_array().expect("a list of cookies").clone()
    }

    /// The same as a `cookie` header says it.
    #[must_use]
    pub fn cookie_header(&self, url: &str) -> String {
        let text = |cookie: &Value, field: &str| cookie[field].as_str().unwrap_or("").to_owned();
        let cookies = self.cookies(url);
        let pairs = cookies
            .iter()
            .map(|cookie| format!("{}={}", text(cookie, "name"), text(cookie, "value")));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Puts these cookies where [`Person::cookies`] found such.
    pub fn set_cookies(&self, cookies: &[Value]) {
        let order = json!({"do": "setCookies", "person": self.name, "cookies": cookies});
        self.browser.driver.order(&order);
    }

    /// Forgets every cookie.
    pub fn forget_cookies(&self) {
        self.browser.driver.order(&json!({"do": "forgetCookies", "person": self.name}));
    }
}

impl Page<'_> {
    /// Goes to a URL, and wherever that leads.
    pub fn open(&self, url: &str) -> Shown {
        self.show(&json!({"do": "open", "page": self.name, "url": url}))
    }

    /// The same where it may fail: the browser's own words why.
    ///
    /// # Errors
    /// The browser has no answer to show.
    pub fn try_open(&self, url: &str) -> Result<Shown, String> {
        let order = json!({"do": "open", "page": self.name, "url": url});
        self.browser.driver.try_order(&order).map(|answer| Shown::read(&answer))
    }

    /// Asks for the same page again.
    pub fn reload(&self) -> Shown {
        self.show(&json!({"do": "reload", "page": self.name}))
    }

    /// What it shows now.
    #[must_use]
    pub fn shown(&self) -> Shown {
        self.show(&json!({"do": "shown", "page": self.name}))
    }

    /// Writes into a field, named by a CSS selector.
    pub fn fill(&self, selector: &str, text: &str) {
        let order = json!({"do": "fill", "page": self.name, "selector": selector, "text": text});
        self.browser.driver.order(&order);
    }

    /// Clicks, and waits for the page it leads to.
    pub fn click(&self, selector: &str) -> Shown {
        self.show(&json!({"do": "click", "page": self.name, "selector": selector}))
    }

    /// Sends an empty form of this page, as its button would, and waits for the page it leads to.
    pub fn submit(&self, method: &str, url: &str) -> Shown {
        self.show(&json!({"do": "submit", "page": self.name, "url": url, "method": method}))
    }

    /// Signs in on the page of [`crate::Provider`].
    pub fn sign_in(&self, name: &str) -> Shown {
        self.fill("input[name=name]", name);
        self.fill("input[name=password]", "a password of the tests");
        self.click("button")
    }

    /// The same with a second factor.
    pub fn sign_in_strongly(&self, name: &str) -> Shown {
        self.fill("input[name=code]", "123456");
        self.sign_in(name)
    }

    /// What a script of this page gets from a URL.
    #[must_use]
    pub fn fetch(&self, url: &str) -> Fetched {
        self.fetch_all(&[json!({"url": url})]).remove(0)
    }

    /// What a script of this page gets for all of these at once: `url`, and what else `fetch` takes.
    #[must_use]
    pub fn fetch_all(&self, requests: &[Value]) -> Vec<Fetched> {
        let order = json!({"do": "fetch", "page": self.name, "requests": requests});
        let answers = self.browser.driver.order(&order);
        answers.as_array().expect("a list of answers").iter().map(Fetched::read).collect()
    }

    fn show(&self, order: &Value) -> Shown {
        Shown::read(&self.browser.driver.order(order))
    }
}

impl Shown {
    fn read(answer: &Value) -> Self {
        let steps = answer["steps"].as_array().into_iter().flatten();
        Self {
            url: text(&answer["url"]),
            status: status(&answer["status"]),
            text: text(&answer["text"]),
            steps: steps.map(|step| (status(&step["status"]), text(&step["url"]))).collect(),
        }
    }

    /// Panics unless this page is shown, with this status.
    #[track_caller]
    pub fn expect(self, status: u16, url: &str) -> Self {
        assert!(self.status == status && self.url == url, "expected {status} {url}, got {self:#?}");
        self
    }

    /// Panics unless the page is one of this origin.
    #[track_caller]
    pub fn expect_at(self, origin: &str) -> Self {
        let rest = self.url.strip_prefix(origin);
        assert!(rest.is_some_and(|rest| rest.starts_with('/')), "expected {origin}, got {self:#?}");
        self
    }
}

impl Fetched {
    fn read(answer: &Value) -> Self {
        let headers = answer["headers"].as_array().into_iter().flatten();
        Self {
            status: status(&answer["status"]),
            headers: headers.map(|pair| (text(&pair[0]), text(&pair[1]))).collect(),
            body: text(&answer["body"]),
            redirected: answer["redirected"].as_bool().unwrap_or(false),
        }
    }

    /// Panics unless it has this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status == status, "expected {status}, got {self:#?}");
        self
    }

    /// Panics unless the mesh refused with this status and this reason, without a redirect.
    #[track_caller]
    pub fn expect_refusal(self, status: u16, reason: &str) -> Self {
        let said = self.headers.get("x-postern-reason").map(String::as_str);
        assert!(
            self.status == status && said == Some(reason) && !self.redirected,
            "expected {status} {reason}, got {self:#?}"
        );
        self
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or("").to_owned()
}

fn status(value: &Value) -> u16 {
    value.as_u64().and_then(|status| u16::try_from(status).ok()).unwrap_or(0)
}
