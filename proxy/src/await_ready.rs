//! `postern-proxy await`: waits until the proxy beside us is ready.
//!
//! For pods whose containers start one after another: as a hook of the proxy's container it holds
//! the app back until there is a certificate and the listeners stand.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Between two questions.
const PAUSE: Duration = Duration::from_millis(100);
/// For one answer.
const ANSWER: Duration = Duration::from_secs(1);

/// Wait until the proxy on this machine is ready.
///
/// Exit code 0 = ready, 1 = not within the time.
#[derive(Debug, Clone, clap::Args)]
pub struct AwaitArgs {
    /// Where the proxy serves /ready.
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:15021")]
    pub address: SocketAddr,
    /// How long to wait: 500ms, 120s, 5m.
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = duration)]
    pub timeout: Duration,
}

/// Runs the command.
///
/// # Errors
/// The proxy is not ready within the time; what it said last.
#[allow(clippy::disallowed_methods, reason = "a command of its own: no worker waits with it")]
pub fn run(args: &AwaitArgs) -> anyhow::Result<ExitCode> {
    let end = Instant::now() + args.timeout;
    loop {
        let last = match ask(args.address) {
            Ok(answer) if answer.starts_with("HTTP/1.1 200 ") => return Ok(ExitCode::SUCCESS),
            Ok(answer) => answer.lines().last().unwrap_or_default().to_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= end {
            anyhow::bail!("not ready within {:?}: {last}", args.timeout);
        }
        std::thread::sleep(PAUSE);
    }
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, ANSWER)?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    let request = format!("GET /ready HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(4096).read_to_string(&mut answer)?;
    Ok(answer)
}

fn duration(text: &str) -> Result<Duration, String> {
    policy::yaml::parse_duration(text).ok_or_else(|| "write for example 120s".to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    /// A server that gives these answers, one a connection.
    fn answering(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let _ = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn waits_until_the_proxy_is_ready() {
        const NOT_YET: &str =
            "HTTP/1.1 503 Service Unavailable\r\n\r\nnot ready: no certificate yet\n";
        let address = answering(&[NOT_YET, NOT_YET, "HTTP/1.1 200 OK\r\n\r\nready\n"]);
        run(&AwaitArgs { address, timeout: Duration::from_secs(30) }).unwrap();
        let address = answering(&[NOT_YET]);
        let error = run(&AwaitArgs { address, timeout: Duration::ZERO }).unwrap_err();
        assert!(error.to_string().contains("no certificate yet"), "{error}");
    }
}
