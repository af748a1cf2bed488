//! An ordinary small bank: accounts, transfers that may need a second person, payments, a record for auditors, and a web
//! page.
//!
//! Nothing here knows of the mesh. No service looks at a token: it reads who asks, and in which role, from two headers,
//! and trusts them as it trusts the machine it runs on. That they are true, that a role may do what it asks for, and that
//! a body is what the service's description says, is the work of the sidecars.
//!
//! | program | listens for | calls |
//! |---|---|---|
//! | `bank-login` | HTTP: log in, its keys | nobody |
//! | `bank-accounts` | HTTP: accounts, statements, movements | audit |
//! | `bank-transfers` | HTTP: transfers, and who approves them | accounts, payments, audit, as the user |
//! | `bank-payments` | HTTP: payments | accounts, audit, as the user; tells an MQTT broker of payments, where there is one |
//! | `bank-audit` | HTTP: the record | nobody; the broker, where there is one, tells it of payments |
//! | `bank-web` | HTTP: a page, an overview | accounts, as the user |

pub mod accounts;
pub mod audit;
pub mod bus;
pub mod call;
pub mod ledger;
pub mod login;
pub mod neighbours;
pub mod order;
pub mod payments;
pub mod people;
pub mod records;
pub mod transfer_book;
pub mod transfers;
