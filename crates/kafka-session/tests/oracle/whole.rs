//! One API whose requests are allowed or refused as a whole, through all its versions.

use std::ops::RangeInclusive;

use kafka_protocol::protocol::Request;

use crate::connection::{Connection, answer_of};

/// How requests of an API are made, and where their answers have errors.
pub(crate) struct Whole<R: Request> {
    pub(crate) versions: RangeInclusive<i16>,
    /// A request about what is called so.
    pub(crate) request: fn(&str, i16) -> R,
    /// The errors of an answer.
    pub(crate) errors: fn(&R::Response) -> Vec<i16>,
    /// The error of a refusal.
    pub(crate) refusal: i16,
}

impl<R: Request> Whole<R>
where
    R::Response: Default,
{
    /// Allowed and refused, in pieces of any size.
    pub(crate) fn check(&self) {
        for version in self.versions.clone() {
            for piece in [0, 1, 7] {
                let mut connection = Connection::new();
                connection.piece = piece;
                self.check_refused(&mut connection, version);
                self.check_allowed(&mut connection, version);
                assert!(
                    connection.forwarded_frame().is_none(),
                    "{version}: nothing else is forwarded"
                );
                assert!(
                    connection.answered_frame().is_none(),
                    "{version}: nothing else is answered"
                );
            }
        }
    }

    fn check_refused(&self, connection: &mut Connection, version: i16) {
        let correlation = connection.ask(&(self.request)("theirs", version), version);
        assert!(connection.forwarded_frame().is_none(), "{version}: forwarded");
        let (answered, answer) = connection.answered::<R>(version).expect("an answer");
        assert_eq!(answered, correlation, "{version}");
        let errors = (self.errors)(&answer);
        assert!(errors.contains(&self.refusal), "{version}: {errors:?}");
        assert!(errors.iter().all(|error| *error == self.refusal), "{version}: {errors:?}");
    }

    fn check_allowed(&self, connection: &mut Connection, version: i16) {
        connection.judge.rules = true;
        let frame = connection.frame(&(self.request)("own", version), version);
        connection.client_says(&frame).unwrap();
        assert_eq!(connection.forwarded_frame().unwrap(), frame, "{version}: forwarded as it came");
        let answer = answer_of::<R>(2, &R::Response::default(), version);
        connection.broker_says(&answer).unwrap();
        assert_eq!(connection.answered_frame().unwrap(), answer, "{version}: answered as it came");
    }
}
