//! How many connections one peer may hold: nobody takes them all.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::Network;

/// The connections of each peer. Clones share the counts.
#[derive(Clone)]
pub(super) struct Peers(Arc<Inner>);

struct Inner {
    each_max: u32,
    proxies: Vec<Network>,
    held: Mutex<HashMap<IpAddr, u32>>,
}

/// A connection that counts for its peer until this is dropped.
pub(super) struct Held {
    peer: Option<IpAddr>,
    peers: Peers,
}

impl Peers {
    /// Each peer may hold so many connections (0: any number), but for proxies, which speak for many.
    pub(super) fn new(each_max: u32, proxies: Vec<Network>) -> Peers {
        Peers(Arc::new(Inner {
            each_max,
            proxies,
            held: Mutex::default(),
        }))
    }

    /// Takes one connection of a peer in; none if it holds as many as it may.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Held> {
        let address = address.to_canonical();
        let is_proxy = self
            .0
            .proxies
            .iter()
            .any(|network| network.contains(address));
        let is_free = is_proxy || self.0.each_max == 0;
        let peer = (!is_free).then(|| peer_of(address));
        if let Some(peer) = peer {
            let mut held = self.lock();
            let count = held.entry(peer).or_default();
            if *count >= self.0.each_max {
                return None;
            }
            *count += 1;
        }
        Some(Held {
            peer,
            peers: self.clone(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(peer) = self.peer else { return };
        let mut held = self.peers.lock();
        if let Some(count) = held.get_mut(&peer) {
            *count -= 1;
            if *count == 0 {
                held.remove(&peer);
            }
        }
    }
}

/// Whoever has one address of IPv6 has at least the 2^64 beside it (RFC 6177).
fn peer_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(Ipv6Addr::from(network))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn a_peer_holds_as_many_as_it_may_and_no_more() {
        let peers = Peers::new(2, Vec::new());
        let first = peers.enter(ip("192.0.2.1"));
        let second = peers.enter(ip("::ffff:192.0.2.1"));
        assert!(first.is_some() && second.is_some());
        assert!(peers.enter(ip("192.0.2.1")).is_none());
        assert!(peers.enter(ip("192.0.2.2")).is_some(), "another peer");
        drop(first);
        assert!(peers.enter(ip("192.0.2.1")).is_some());
        drop(second);
        assert!(peers.lock().is_empty(), "nothing is kept of who is gone");
    }

    #[test]
    fn addresses_of_one_network_of_ipv6_are_one_peer() {
        let peers = Peers::new(1, Vec::new());
        let _held = peers.enter(ip("2001:db8:1:2::1"));
        assert!(peers.enter(ip("2001:db8:1:2:ffff::9")).is_none());
        assert!(peers.enter(ip("2001:db8:1:3::1")).is_some());
    }

    #[test]
    fn a_proxy_speaks_for_many() {
        let proxies = vec!["10.0.0.0/8".parse().expect("a network")];
        let peers = Peers::new(1, proxies);
        let held: Vec<_> = (0..10).map(|_| peers.enter(ip("10.9.8.7"))).collect();
        assert!(held.iter().all(Option::is_some));
        let unbounded = Peers::new(0, Vec::new());
        assert!(unbounded.enter(ip("192.0.2.1")).is_some());
    }
}
