//! Starts the fake services, prints where they are, and serves until it is stopped.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use triggerd_fakes::github::Github;
use triggerd_fakes::google::Google;
use triggerd_fakes::nextcloud::Nextcloud;
use triggerd_fakes::{FakeServer, Service};

/// The first of the fakes listens here unless an argument says otherwise, the others behind it.
const FIRST_PORT: u16 = 9101;

#[tokio::main]
async fn main() -> ExitCode {
    let first = std::env::args().nth(1).map(|port| port.parse());
    let first: u16 = match first {
        None => FIRST_PORT,
        Some(Ok(port)) => port,
        Some(Err(_)) => {
            eprintln!("usage: fakes [FIRST_PORT]");
            return ExitCode::FAILURE;
        }
    };
    let mut servers = Vec::new();
    for (port, service) in (first..).zip(services()) {
        let name = service.name();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        match FakeServer::listen(service, address).await {
            Ok(server) => {
                println!("{name}\t{}", server.url);
                servers.push(server);
            }
            Err(error) => {
                eprintln!("the fake {name} cannot listen on {address}: {error}");
                return ExitCode::FAILURE;
            }
        }
    }
    // Until somebody stops us: a demo has no end of its own.
    std::future::pending().await
}

fn services() -> Vec<Arc<dyn Service>> {
    vec![
        Arc::new(Github::new()),
        Arc::new(Nextcloud::new()),
        Arc::new(Google::new()),
    ]
}
