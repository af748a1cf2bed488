//! An ordinary small social network: a login service, profiles, posts, and a feed made of both.
//!
//! Nothing here knows of the mesh. The login service issues tokens and takes them back; the others never look at one. They
//! read who asks from the header `x-user`, and trust it as they trust the machine they run on: that it is true is the work
//! of the sidecars, which verify each token without asking anybody.
//!
//! | program | listens for | calls |
//! |---|---|---|
//! | `social-login` | HTTP: register, log in, log out, its keys | nobody |
//! | `social-profiles` | HTTP: what people say of themselves | nobody |
//! | `social-posts` | HTTP: what they write | nobody |
//! | `social-feed` | HTTP: the posts of one person beside the profile | posts and profiles, with the user's token |

pub mod accounts;
pub mod login;
pub mod people;
pub mod publisher;
pub mod revocations;
