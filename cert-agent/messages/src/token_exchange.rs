//! What is signed of an `ExchangeTokenRequest`, and what its messages show in a log.

use std::fmt;

use crate::exchange_token_request::Subject;
use crate::{ExchangeTokenRequest, ExchangeTokenResponse, UserAssertion};

/// What the signature is for, and for nothing else.
const PURPOSE: &[u8] = b"postern token exchange v1\0";

impl ExchangeTokenRequest {
    /// The bytes that `signature` is over, as `proto/authority.proto` says. Each text has its length before it, so that
    /// no two requests have the same bytes.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = PURPOSE.to_vec();
        bytes.extend_from_slice(&self.signed_at.to_be_bytes());
        bytes.extend_from_slice(&self.lifetime.to_be_bytes());
        let (number, texts): (u8, Vec<&str>) = match &self.subject {
            Some(Subject::Assertion(user)) => {
                (6, vec![&user.subject, &user.original_issuer, &user.claims])
            }
            Some(Subject::SubjectToken(token)) => (7, vec![token]),
            None => (0, Vec::new()),
        };
        bytes.push(number);
        for text in [self.audience.as_str()].into_iter().chain(texts) {
            // The transport takes no message of 4 GiB.
            let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }
}

impl Subject {
    /// What kind of exchange it asks for, in logs and metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Assertion(_) => "assertion",
            Self::SubjectToken(_) => "delegation",
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl fmt::Debug for ExchangeTokenRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeTokenRequest")
            .field("audience", &self.audience)
            .field("subject", &self.subject)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for UserAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserAssertion").finish_non_exhaustive()
    }
}

impl fmt::Debug for ExchangeTokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExchangeTokenResponse")
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(audience: &str, subject: Option<Subject>) -> Vec<u8> {
        let audience = audience.to_owned();
        let request = ExchangeTokenRequest {
            signed_at: 1,
            lifetime: 300,
            audience,
            subject,
            ..ExchangeTokenRequest::default()
        };
        request.signed_bytes()
    }

    fn user(subject: &str, issuer: &str, claims: &str) -> Option<Subject> {
        let (subject, original_issuer) = (subject.to_owned(), issuer.to_owned());
        Some(Subject::Assertion(UserAssertion {
            subject,
            original_issuer,
            claims: claims.to_owned(),
        }))
    }

    #[test]
    fn the_signed_bytes_are_what_the_contract_says() {
        let mut expect = b"postern token exchange v1\0".to_vec();
        expect.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 44, 6, 0, 0, 0, 1, b'a']);
        expect.extend_from_slice(&[0, 0, 0, 1, b'u', 0, 0, 0, 1, b'i', 0, 0, 0, 2, b'{', b'}']);
        assert_eq!(signed("a", user("u", "i", "{}")), expect);
    }

    #[test]
    fn no_two_requests_have_the_same_bytes() {
        let token = |token: &str| Some(Subject::SubjectToken(token.to_owned()));
        let all = [
            signed("a", None),
            signed("a", token("b")),
            signed("ab", token("")),
            signed("a", user("b", "", "")),
            signed("a", user("", "b", "")),
            signed("a", user("", "", "b")),
        ];
        for (index, one) in all.iter().enumerate() {
            assert!(!all[index + 1..].contains(one), "{index}");
        }
    }
}
