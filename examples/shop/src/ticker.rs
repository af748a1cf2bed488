//! The price ticker: plain TCP where the *server* speaks first, as mail and database servers do.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The first line every client sees before it has sent anything.
pub const GREETING: &str = "shop price ticker, send an item";

/// Serves the ticker until the program ends.
pub async fn serve(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A client that hangs up is no news.
            let _ = talk(stream).await;
        });
    }
}

async fn talk(mut stream: TcpStream) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    writer.write_all(format!("{GREETING}\n").as_bytes()).await?;
    let mut lines = BufReader::new(reader).lines();
    while let Some(item) = lines.next_line().await? {
        writer.write_all(format!("{item} {}\n", price(&item)).as_bytes()).await?;
    }
    writer.shutdown().await
}

/// The price of an item in cents: made up, but always the same for the same item.
#[must_use]
pub fn price(item: &str) -> u64 {
    item.bytes().fold(100, |price, byte| (price * 31 + u64::from(byte)) % 10_000)
}
