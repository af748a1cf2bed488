//! Where the requests are that policies look into.

use policy::GatewayListener;
use policy::route::RouteRule;

/// Where a request goes, as policies about inspection name it.
#[derive(Clone, Copy)]
pub(crate) enum InspectedPlace<'a> {
    /// To this port of a sidecar's app.
    AppPort(u16),
    /// By this listener of a gateway, taken by this rule.
    Edge(&'a GatewayListener, &'a RouteRule),
}
