//! An app that speaks first, and no HTTP: it says which pod it is.

use std::net::SocketAddr;
use std::time::Duration;

use postern_tests::Pod;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

/// How long a greeting may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// Serves it on a port of the pod.
pub(crate) fn serve(pod: &Pod, port: u16) {
    let name = pod.name().to_owned();
    drop(pod.spawn(async move {
        let listener = TcpListener::bind(("::", port)).await.expect("the app's port is free");
        while let Ok((mut stream, _)) = listener.accept().await {
            let name = name.clone();
            // However it ends is the caller's doing.
            tokio::spawn(async move { stream.write_all(name.as_bytes()).await });
        }
    }));
    pod.wait_for_app(port);
}

/// Connects, and hears the greeting.
///
/// # Errors
/// Why none was heard.
pub(crate) async fn hear(address: SocketAddr) -> Result<String, String> {
    let heard = timeout(DEADLINE, async {
        let mut stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(heard)
    });
    let heard = heard.await.map_err(|_| "no greeting in time".to_owned())??;
    if heard.is_empty() { Err("closed".to_owned()) } else { Ok(heard) }
}
