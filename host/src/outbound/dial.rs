//! A connection of its own to one host, for what is not HTTP: resolved, classified and dialled here.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::TcpStream;
use url::Host;

use crate::outbound::address::Cidr;
use crate::outbound::message::OutboundError;
use crate::outbound::resolver::{check_answer, lookup};

/// One address is given so long before the next is tried.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Connects a caller for whom these ranges are open. What is dialled is what was classified.
pub(super) async fn dial(
    allow: &[Cidr],
    host: &Host<String>,
    port: u16,
) -> Result<TcpStream, OutboundError> {
    let mut addresses = match host {
        Host::Ipv4(v4) => vec![SocketAddr::new(IpAddr::V4(*v4), port)],
        Host::Ipv6(v6) => vec![SocketAddr::new(IpAddr::V6(*v6), port)],
        Host::Domain(name) => lookup(name)
            .await
            .map_err(|failure| OutboundError::Resolve {
                host: failure.host,
                source: std::io::Error::other(failure.reason),
            })?,
    };
    check_answer(allow, &host.to_string(), &addresses)?;
    let mut failure = io::Error::from(io::ErrorKind::NotFound);
    for address in &mut addresses {
        address.set_port(port);
        let connecting = TcpStream::connect(*address);
        match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => failure = error,
            Err(_) => failure = io::ErrorKind::TimedOut.into(),
        }
    }
    Err(OutboundError::Connect {
        source: Box::new(failure),
    })
}
