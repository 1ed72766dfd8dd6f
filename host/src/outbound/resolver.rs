//! Names to addresses, under a caller's rules: one forbidden address refuses the whole name.
//!
//! The addresses handed back are the ones the HTTP client dials, so nothing can change between the
//! check and the connection. Answers are not kept: a name is asked for again at each connection.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::outbound::address::Cidr;
use crate::outbound::message::ResolveFailure;
use crate::outbound::policy::{Refusal, check_address};

/// Resolves for callers to whom these ranges are open.
pub(super) struct GuardedResolver {
    allow: Arc<[Cidr]>,
    /// The configured proxy's own name, which the operator chose and no caller can.
    proxy: Option<String>,
}

impl GuardedResolver {
    pub(super) fn new(allow: Arc<[Cidr]>, proxy: Option<String>) -> GuardedResolver {
        GuardedResolver { allow, proxy }
    }
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = Arc::clone(&self.allow);
        let is_proxy = self.proxy.as_deref() == Some(name.as_str());
        Box::pin(async move {
            let addresses = lookup(name.as_str()).await?;
            if !is_proxy {
                check_answer(&allow, name.as_str(), &addresses)?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Asks the system's resolver.
pub(super) async fn lookup(host: &str) -> Result<Vec<SocketAddr>, ResolveFailure> {
    let failure = |reason| ResolveFailure {
        host: host.to_owned(),
        reason,
    };
    let addresses: Vec<_> = tokio::net::lookup_host((host, 0))
        .await
        .map_err(|error| failure(error.to_string()))?
        .collect();
    if addresses.is_empty() {
        return Err(failure("it has no address".to_owned()));
    }
    Ok(addresses)
}

/// Refuses an answer that holds any forbidden address.
pub(super) fn check_answer(
    allow: &[Cidr],
    host: &str,
    addresses: &[SocketAddr],
) -> Result<(), Refusal> {
    addresses
        .iter()
        .try_for_each(|address| check_address(allow, host, address.ip()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_forbidden_address_refuses_the_name() {
        let public: SocketAddr = "93.184.215.14:0".parse().expect("an address");
        let private: SocketAddr = "10.0.0.1:0".parse().expect("an address");
        assert_eq!(check_answer(&[], "example.com", &[public]), Ok(()));
        assert!(check_answer(&[], "example.com", &[public, private]).is_err());
        assert!(check_answer(&[], "example.com", &[private, public]).is_err());
        let opened = ["10.0.0.0/8".parse().expect("a range")];
        assert_eq!(
            check_answer(&opened, "example.com", &[public, private]),
            Ok(())
        );
    }
}
