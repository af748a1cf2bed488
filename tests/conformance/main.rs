//! The rows of the Gateway API's conformance suite, as rows of our own over the real programs: requests go in, and what
//! the app saw and the caller got is compared. Each row has the name of its counterpart.
//!
//! One mesh serves all rows, side by side: a gateway with listeners for each row, and sidecars before the apps. Run them
//! with `make test`, or `tests/in-namespace cargo test -p postern-tests --test conformance NAME`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod certificates;
mod echo;
mod exchange;
mod greetings;
mod grpc;
mod inventory;
mod profiles;
mod row;
mod rows;
mod runner;
mod status;
mod tls_app;
mod world;

use std::process::ExitCode;

fn main() -> ExitCode {
    let options = runner::Options::read(std::env::args().skip(1));
    if options.takes(inventory::NAME) && !options.list {
        inventory::check();
    }
    let rows: Vec<_> = rows::all().into_iter().filter(|row| options.takes(row.name)).collect();
    if options.list {
        return runner::list(&rows);
    }
    if rows.is_empty() {
        return ExitCode::SUCCESS;
    }
    // On this thread, which lives as long as the rows: what it starts ends with it.
    let world = world::World::start(&rows);
    runner::run(&rows, options.threads, |place| rows[place].run(&world, place))
}
