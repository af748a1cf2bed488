//! The shop's gRPC client inside a pod.

use std::net::SocketAddr;

use shop::proto::payments_client::PaymentsClient;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

/// A client of the payment service at `address`, calling it by the name `payments`.
///
/// # Errors
/// When the connection is refused.
pub async fn payments(
    address: SocketAddr,
) -> Result<PaymentsClient<Channel>, tonic::transport::Error> {
    let origin = http::Uri::from_static("http://payments:50051");
    let endpoint = Endpoint::from_shared(format!("http://{address}"))?.origin(origin);
    Ok(PaymentsClient::new(endpoint.connect().await?))
}

/// A refusal in words: the gRPC code, and the mesh's reason when it gave one.
#[must_use]
pub fn refusal(status: &Status) -> String {
    let reason = status.metadata().get("x-postern-reason").and_then(|reason| reason.to_str().ok());
    format!("{:?} {}", status.code(), reason.unwrap_or("")).trim().to_owned()
}
