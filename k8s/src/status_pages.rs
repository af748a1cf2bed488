//! The small pages beside a program: `/ready` and `/live` for the kubelet, `/metrics` for Prometheus, and where
//! it is asked for `/status` and `/dashboard` for a person.

use dashboard::DashboardData;
use page_server::response::{JSON, PROMETHEUS, method_not_allowed, page, text};
use page_server::{Method, Page, PageLimits, PageServer, StatusCode};
use tokio::net::TcpListener;

const NOT_LOOPBACK: &str = "the Host must be localhost, 127.0.0.1 or [::1]\n";

/// What a program says of itself.
pub trait StatusPages: Clone + Send + Sync + 'static {
    /// Why it cannot do its work yet; `None` when it can.
    fn unready(&self) -> Option<String>;
    /// Its metrics, in Prometheus' text format.
    fn metrics(&self) -> String;
    /// What a person may want to know, as JSON; `None` where there is no such page.
    fn status(&self) -> Option<String> {
        None
    }
    /// What its page at `/dashboard` shows; `None` where there is no such page.
    fn dashboard(&self) -> Option<DashboardData> {
        None
    }
    /// Whether only a `Host` is answered that names the loopback: for pages that are a person's, whose browser another
    /// page may lead here (SECURITY-CASES S-43).
    fn only_for_loopback(&self) -> bool {
        false
    }
}

/// Serves the pages for ever, over HTTP/1.1 and to GET and HEAD alone.
pub async fn serve(listener: TcpListener, pages: impl StatusPages) {
    let server = PageServer::new(PageLimits::default());
    let answered = move |request: page_server::PageRequest| {
        let page = match pages.only_for_loopback() && !request.names_loopback() {
            true => text(StatusCode::FORBIDDEN, NOT_LOOPBACK),
            false => answer(&pages, request.method(), request.path()),
        };
        std::future::ready(page)
    };
    server.serve(listener, answered).await;
}

fn answer(pages: &impl StatusPages, method: &Method, path: &str) -> Page {
    if method != Method::GET && method != Method::HEAD {
        return method_not_allowed("GET, HEAD", "GET or HEAD\n");
    }
    match path {
        "/live" => text(StatusCode::OK, "live\n"),
        "/ready" => match pages.unready() {
            None => text(StatusCode::OK, "ready\n"),
            Some(why) => text(StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        },
        "/metrics" => page(StatusCode::OK, PROMETHEUS, pages.metrics()),
        path if pages.only_for_loopback() && path.starts_with(dashboard::PATH) => {
            dashboard_page(pages, method, path)
        }
        "/status" if let Some(status) = pages.status() => page(StatusCode::OK, JSON, status),
        _ => text(StatusCode::NOT_FOUND, "GET /ready, /live or /metrics\n"),
    }
}

/// The page, its files and its data.
fn dashboard_page(pages: &impl StatusPages, method: &Method, path: &str) -> Page {
    let none = || text(StatusCode::NOT_FOUND, "GET /dashboard\n");
    if dashboard::is_data(path) {
        return pages.dashboard().map_or_else(none, |data| dashboard::data_page(&data));
    }
    dashboard::answer(method, path).unwrap_or_else(none)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use http::header::CONTENT_TYPE;
    use http_body_util::BodyExt as _;
    use page_server::response::TEXT;

    use super::*;

    #[derive(Clone)]
    struct Fake(Option<&'static str>, bool);

    impl StatusPages for Fake {
        fn unready(&self) -> Option<String> {
            self.0.map(str::to_owned)
        }

        fn metrics(&self) -> String {
            "up 1\n".to_owned()
        }

        fn status(&self) -> Option<String> {
            self.1.then(|| "{}\n".to_owned())
        }
    }

    #[tokio::test]
    async fn every_page_says_what_it_is_and_nothing_takes_a_change() {
        let check = async |row: &str, pages: Fake, request: &str, expect: (u16, &str, &str)| {
            let (method, path) = request.split_once(' ').unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let answer = super::answer(&pages, &method, path);
            let kind = answer.headers()[CONTENT_TYPE].to_str().unwrap().to_owned();
            let status = answer.status().as_u16();
            let body = answer.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(
                (status, &*kind, &*body),
                (expect.0, expect.1, expect.2.as_bytes()),
                "{row}"
            );
        };
        let (ready, with_status) = (Fake(None, false), Fake(None, true));
        let waiting = Fake(Some("no certificate yet"), false);
        let none = (404, TEXT, "GET /ready, /live or /metrics\n");
        let refused = (405, TEXT, "GET or HEAD\n");
        check("live", waiting.clone(), "GET /live", (200, TEXT, "live\n")).await;
        check("ready", ready.clone(), "GET /ready", (200, TEXT, "ready\n")).await;
        let why = (503, TEXT, "not ready: no certificate yet\n");
        check("not ready", waiting, "GET /ready", why).await;
        check("metrics", ready.clone(), "GET /metrics", (200, PROMETHEUS, "up 1\n")).await;
        check("head", ready.clone(), "HEAD /ready", (200, TEXT, "ready\n")).await;
        check("no status here", ready.clone(), "GET /status", none).await;
        check("status", with_status, "GET /status", (200, JSON, "{}\n")).await;
        check("elsewhere", ready.clone(), "GET /", none).await;
        check("a change", ready.clone(), "POST /ready", refused).await;
        check("a change elsewhere", ready, "DELETE /x", refused).await;
    }
}
