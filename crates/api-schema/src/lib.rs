//! An OpenAPI description as positive validation: what is described is let through, everything else is refused.
//!
//! There is no socket, no clock and no file in it: a description is text, a request is what the caller hands over, and
//! nothing is fetched, so that every decision can be repeated. All schemas are compiled when the description is read.
//!
//! - **[`ApiDescription`]**: OpenAPI 3.0 or 3.1, as YAML or JSON. What is not understood and would let more through is
//!   refused by name, with all mistakes at once.
//! - **[`Operation`]**: what one method of one path takes and answers. The head of a message is judged first, and says
//!   whether the body has to be read at all ([`BodyPlan`]).
//! - **[`JsonLimits`]**: what a JSON body may cost, looked at in one pass before any schema is.
//! - **[`SchemaRefusal`]**: where a message is not as described, and by which keyword. It never holds anything that the
//!   client wrote, neither values nor names.

mod body;
mod description;
mod limits;
mod media;
mod openapi;
mod operation;
mod parameter;
mod paths;
mod percent;
mod problem;
mod reader;
mod refusal;
mod schema;
mod text;

pub use description::{ApiDescription, OperationMatch, PathParameters};
pub use limits::JsonLimits;
pub use operation::{AnswerHead, BodyCheck, BodyPlan, Operation, RequestHead, SecurityRequirement};
pub use problem::DescriptionProblem;
pub use refusal::{RefusalKind, SchemaRefusal};
