//! What a pod's app does: calls others.

use std::future::Future;

use super::Pod;
use crate::curl::Answer;
use crate::inside::Task;

impl Pod {
    /// Calls a URL with curl, as its app would.
    #[must_use]
    pub fn curl(&self, url: &str) -> Answer {
        self.curl_with(&[url])
    }

    /// Calls with curl and further arguments; IPv4 and at most ten seconds unless they say otherwise.
    #[must_use]
    pub fn curl_with(&self, arguments: &[&str]) -> Answer {
        let mut all = vec!["-sS", "-i", "--max-time", "10"];
        if !arguments.contains(&"-6") {
            all.push("-4");
        }
        all.extend(arguments);
        Answer::of(self.command("curl", &all))
    }

    /// Runs code in the pod's network, as its app would, and waits for the result (at most a minute).
    #[track_caller]
    pub fn run<T, F>(&self, future: F) -> T
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.spawn(future).join()
    }

    /// Starts code in the pod's network: a server that stands in for the app, or a client that goes on calling.
    pub fn spawn<T, F>(&self, future: F) -> Task<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.inside.spawn(future)
    }
}
