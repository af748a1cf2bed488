//! Ports nobody uses.

use std::net::TcpListener;

use anyhow::{Context, Result};

/// As many free ports of 127.0.0.1 as are asked for, picked by the system.
///
/// They are held together and let go together, so they differ; between that and the proxy's own `bind` another process
/// could take one, and the proxy would then not start, which is reported.
///
/// # Errors
/// When the system has none.
pub(crate) fn free<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut held = Vec::with_capacity(COUNT);
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("picking a free port")?;
        *port = listener.local_addr().context("reading the port picked")?.port();
        held.push(listener);
    }
    Ok(ports)
}
