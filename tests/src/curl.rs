//! curl as a client, and what it saw.

use crate::process::Finished;

/// What a caller got back.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status; 0 when there was no answer at all.
    pub status: u16,
    /// Header names in lower case with their values, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
    /// curl's exit code: 0 when it has an answer, else why not (7 refused, 28 timeout, 52 empty, 56 reset …).
    pub exit: i32,
    /// What curl said about a failure.
    pub error: String,
}

impl Answer {
    /// Reads the output of `curl -i`.
    pub(crate) fn of(run: Finished) -> Self {
        let (head, body) = last_head(&run.stdout);
        let mut lines = head.lines();
        let status =
            lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers = lines.filter_map(|line| line.split_once(':'));
        Self {
            status: status.unwrap_or(0),
            headers: headers
                .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
                .collect(),
            body: body.to_owned(),
            exit: run.code,
            error: run.stderr,
        }
    }

    /// The first value of a header, named in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Why the mesh refused: the stable code in `x-postern-reason`; empty when it did not.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.header("x-postern-reason").unwrap_or("")
    }

    /// `403 reason`, or why there was no answer at all: for a cell of a table.
    #[must_use]
    pub fn words(&self) -> String {
        if self.status == 0 {
            let why = self.error.trim().rsplit(':').next().unwrap_or("").trim();
            return format!("no answer: {}", why.split(',').next().unwrap_or(""));
        }
        format!("{} {}", self.status, self.reason()).trim().to_owned()
    }

    /// Panics with the whole answer unless it has this status and is complete.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status == status && self.exit == 0, "expected {status}, got {self:?}");
        self
    }

    /// Panics unless the mesh refused with this status and this reason.
    #[track_caller]
    pub fn expect_refusal(self, status: u16, reason: &str) -> Self {
        assert!(
            self.status == status && self.reason() == reason,
            "expected {status} {reason}, got {self:?}"
        );
        self
    }

    /// Panics unless there was no HTTP answer at all: the connection was refused, reset or closed.
    #[track_caller]
    pub fn expect_nothing(self) -> Self {
        assert!(self.status == 0 && self.exit != 0, "expected a broken connection, got {self:?}");
        self
    }
}

/// The last head (after `100 Continue` and the like) and the body.
fn last_head(output: &str) -> (&str, &str) {
    let mut rest = output;
    loop {
        let Some((head, body)) = rest.split_once("\r\n\r\n") else { return (rest, "") };
        if head.starts_with("HTTP/") && head.split(' ').nth(1).is_some_and(interim) {
            rest = body;
            continue;
        }
        return (head, body);
    }
}

fn interim(code: &str) -> bool {
    code.starts_with('1') && code != "101"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_curl_prints() {
        let output = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 403 Forbidden\r\nX-Postern-Reason: rbac\r\n\r\nno\n";
        let answer =
            Answer::of(Finished { code: 0, stdout: output.to_owned(), stderr: String::new() });
        assert_eq!((answer.status, answer.reason(), answer.body.as_str()), (403, "rbac", "no\n"));
    }
}
