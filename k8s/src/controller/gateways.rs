//! Gateways in a cluster: what is made for each of ours, and who its proxies are.
//!
//! | file | says |
//! |---|---|
//! | `certificates` | whether a Secret holds a certificate that can be shown |
//! | `review` | what is to be said of gateways, routes and policies, and which ports there are |
//! | `statuses` | how that is written |
//! | `names` | how what belongs to a gateway is named, and which pods are its proxies |
//! | `reconcile` | the task that makes them, on the replica that leads |
//! | `objects` | the ServiceAccount, Deployment and Service of a gateway: one pure function |

pub mod certificates;
pub mod names;
pub mod objects;
pub mod reconcile;
pub mod review;
pub mod statuses;
