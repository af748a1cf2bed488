//! One API whose requests name things in a list, through all its versions.

use std::ops::RangeInclusive;

use kafka_protocol::protocol::Request;

use crate::connection::Connection;

/// How requests and answers of an API name things.
pub(crate) struct Case<R: Request> {
    pub(crate) versions: RangeInclusive<i16>,
    /// A request that names these.
    pub(crate) request: fn(&[&str], i16) -> R,
    /// What a request names.
    pub(crate) named: fn(&R) -> Vec<String>,
    /// A broker's answer about these, without an error.
    pub(crate) answer: fn(&[&str], i16) -> R::Response,
    /// What an answer says: names and errors, one for each part.
    pub(crate) told: fn(&R::Response) -> Vec<(String, i16)>,
    /// The error of a refusal.
    pub(crate) refusal: i16,
    /// Whether a request of which nothing is allowed is forwarded all the same, about nothing.
    pub(crate) forwards_nothing: bool,
}

impl<R: Request> Case<R> {
    /// All, a part, and none allowed, in pieces of any size.
    pub(crate) fn check(&self) {
        for version in self.versions.clone() {
            for piece in [0, 1, 7] {
                self.check_version(version, piece);
            }
        }
    }

    fn check_version(&self, version: i16, piece: usize) {
        let mut connection = Connection::new();
        connection.piece = piece;
        self.check_all_allowed(&mut connection, version);
        self.check_part(&mut connection, version);
        self.check_none(&mut connection, version);
        assert!(connection.forwarded_frame().is_none(), "{version}: nothing else is forwarded");
        assert!(connection.answered_frame().is_none(), "{version}: nothing else is answered");
    }

    fn check_all_allowed(&self, connection: &mut Connection, version: i16) {
        let names = ["own-a", "own-b"];
        let frame = connection.frame(&(self.request)(&names, version), version);
        connection.client_says(&frame).unwrap();
        let correlation = i32::from_be_bytes(*frame[8..].first_chunk().unwrap());
        assert_eq!(connection.forwarded_frame().unwrap(), frame, "{version}: forwarded as it came");
        connection.answer::<R>(correlation, &(self.answer)(&names, version), version);
        self.assert_told(connection, correlation, &[("own-a", 0), ("own-b", 0)], version);
    }

    fn check_part(&self, connection: &mut Connection, version: i16) {
        let names = ["theirs-a", "own-a", "theirs-b", "own-b"];
        let correlation = connection.ask(&(self.request)(&names, version), version);
        let forwarded = connection.forwarded::<R>(version).unwrap();
        assert_eq!((self.named)(&forwarded), ["own-a", "own-b"], "{version}");
        connection.answer::<R>(correlation, &(self.answer)(&["own-a", "own-b"], version), version);
        let (one, other) = (self.refusal, 0);
        let told = [("own-a", other), ("own-b", other), ("theirs-a", one), ("theirs-b", one)];
        self.assert_told(connection, correlation, &told, version);
    }

    fn check_none(&self, connection: &mut Connection, version: i16) {
        let names = ["theirs-a", "theirs-b"];
        let correlation = connection.ask(&(self.request)(&names, version), version);
        if self.forwards_nothing {
            let forwarded = connection.forwarded::<R>(version).unwrap();
            assert!((self.named)(&forwarded).is_empty(), "{version}");
            connection.answer::<R>(correlation, &(self.answer)(&[], version), version);
        }
        let told = [("theirs-a", self.refusal), ("theirs-b", self.refusal)];
        self.assert_told(connection, correlation, &told, version);
    }

    fn assert_told(
        &self,
        connection: &mut Connection,
        correlation: i32,
        expect: &[(&str, i16)],
        version: i16,
    ) {
        let (answered, answer) = connection.answered::<R>(version).expect("an answer");
        assert_eq!(answered, correlation, "{version}");
        let mut told = (self.told)(&answer);
        told.sort();
        told.dedup();
        let expect: Vec<(String, i16)> =
            expect.iter().map(|(name, error)| ((*name).to_owned(), *error)).collect();
        assert_eq!(told, expect, "{version}");
    }
}
