//! What a browser keeps of a sign-in, and what is believed of it when it comes back.
//!
//! There is no socket and no clock in it: Unix seconds and random numbers are handed in. A browser's owner may change,
//! copy, cut and mix cookies at will; all of that ends in one and the same refusal.
//!
//! | what | here |
//! |---|---|
//! | sealing: AES-256-GCM, two keys, bound to host, client, policy and purpose | [`SessionKeys`], [`SealBinding`] |
//! | the cookies of a session: named, cut into chunks, set and cleared | [`SessionCookies`] |
//! | the cookie of a sign-in that is under way | [`FlowCookie`], [`FlowId`] |
//! | the cookie that says that a sign-in was completed | [`MarkerCookie`] |
//! | the header `cookie`: which are ours, and what the app is given | [`RequestCookies`] |
//! | a signed-in user | [`Session`], [`SessionId`] |
//! | a sign-in that is under way | [`SignInFlow`] |
//! | where it returns to: a path of this host | [`ReturnTarget`] |

mod cookie_header;
mod flow;
mod flow_cookie;
mod keys;
mod marker_cookie;
mod return_target;
mod session;
mod session_cookies;
mod session_id;
mod set_cookie;

#[cfg(test)]
mod tests;

pub use cookie_header::{OUR_PREFIX, RequestCookies};
pub use flow::{FLOW_SECONDS, MalformedFlow, SignInFlow, StepUpDemand};
pub use flow_cookie::{FlowCookie, FlowId, MOST_FLOWS};
pub use keys::{NotOurs, NotSealed, Opened, Purpose, SealBinding, SessionKeys};
pub use marker_cookie::MarkerCookie;
pub use return_target::{ReturnTarget, ReturnTargetError};
pub use session::{MalformedSession, Session, SessionOver, SignedIn};
pub use session_cookies::{CookieSuffixError, MAX_CHUNKS, SessionCookies, TooManyCookies};
pub use session_id::SessionId;
