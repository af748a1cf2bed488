//! The warehouse's order port: one command a line over plain TCP, the client speaks first.
//!
//! `ADD user item` -> `OK n` · `COUNT user` -> `n` · anything else -> `ERROR …`. When the client has sent its last
//! line and closes its sending side, the port says `BYE n` (commands served) and closes too.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::cart::Carts;

/// Serves the order port until the program ends.
pub async fn serve(listener: TcpListener, carts: Carts) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let carts = carts.clone();
        tokio::spawn(async move {
            // A client that goes away in the middle of a line is no news.
            let _ = talk(stream, &carts).await;
        });
    }
}

async fn talk(mut stream: TcpStream, carts: &Carts) -> std::io::Result<()> {
    let (reader, mut writer) = stream.split();
    let mut lines = BufReader::new(reader).lines();
    let mut served = 0_u32;
    while let Some(line) = lines.next_line().await? {
        let reply = answer(&line, carts);
        writer.write_all(format!("{reply}\n").as_bytes()).await?;
        served = served.saturating_add(1);
    }
    writer.write_all(format!("BYE {served}\n").as_bytes()).await?;
    writer.shutdown().await
}

fn answer(line: &str, carts: &Carts) -> String {
    match line.split_whitespace().collect::<Vec<_>>()[..] {
        ["ADD", user, item] => format!("OK {}", carts.add(user, item)),
        ["COUNT", user] => carts.items(user).len().to_string(),
        _ => "ERROR send: ADD user item, or COUNT user".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command() {
        let carts = Carts::default();
        for (line, expect) in [
            ("COUNT ann", "0"),
            ("ADD ann tea", "OK 1"),
            ("ADD ann cup", "OK 2"),
            ("COUNT ann", "2"),
            ("SELL ann", "ERROR send: ADD user item, or COUNT user"),
        ] {
            assert_eq!(answer(line, &carts), expect, "{line}");
        }
    }
}
