//! `phaseline-aggregator healthcheck`: for containers, whose images have no curl.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Below the interval of any sensible health check.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// `HTTP/1.1 200`
const STATUS_BYTES: usize = 12;

/// Asks the aggregator that listens on `listen` for `/healthz`.
///
/// # Errors
/// When it does not answer 200 within 3 s.
pub async fn healthcheck(listen: SocketAddr) -> anyhow::Result<()> {
    let target = SocketAddr::new(reachable(listen.ip()), listen.port());
    timeout(ANSWER_WITHIN, ask(target))
        .await
        .with_context(|| format!("ask {target} for /healthz: no answer in time"))?
        .with_context(|| format!("ask {target} for /healthz"))
}

async fn ask(target: SocketAddr) -> anyhow::Result<()> {
    let mut stream = TcpStream::connect(target).await?;
    let request = format!("GET /healthz HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut status = [0; STATUS_BYTES];
    stream.read_exact(&mut status).await?;
    if status != *b"HTTP/1.1 200" {
        bail!("it answered {:?}", String::from_utf8_lossy(&status));
    }
    Ok(())
}

/// "All addresses" is a place to listen on, not one to call.
fn reachable(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    }
}
