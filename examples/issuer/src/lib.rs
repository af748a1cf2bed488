//! What the login services of the examples have in common: passwords kept as hashes, and tokens signed with a key of
//! their own. Nothing here knows of the mesh.

pub mod passwords;
pub mod tokens;
