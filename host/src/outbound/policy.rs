//! What one caller may reach: which hosts, and which addresses beyond the public ones.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use url::{Host, Url};

use crate::outbound::address::{Cidr, Class};

/// What one caller may reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Ranges opened beyond public addresses. Metadata ranges stay closed whatever stands here.
    pub allow: Vec<Cidr>,
    /// The only hosts and ports that may be named; `None` leaves the choice to the caller.
    pub hosts: Option<Vec<HostPort>>,
}

/// Why something may not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Neither http nor https.
    #[error("the scheme `{0}` is not http or https")]
    Scheme(String),
    /// `user:password@` in the URL: credentials belong into headers, which are sealed.
    #[error("the URL holds user info; put credentials into a header")]
    UserInfo,
    /// No host at all.
    #[error("the URL names no host")]
    NoHost,
    /// The caller declared its hosts and this is none of them.
    #[error("{0} is not among the hosts that this caller may reach")]
    Host(HostPort),
    /// The host is, or resolves to, an address that is not open to this caller.
    #[error("the host `{host}` has a {class} address, which is not opened by `allow`")]
    Address {
        /// The host as it was named.
        host: String,
        /// The kind of the address found.
        class: Class,
    },
    /// A header that only the connection itself may set.
    #[error("the header `{0}` may not be set")]
    Header(String),
}

impl Policy {
    /// Checks all of a URL that can be known without resolving its name.
    pub fn check_url(&self, url: &Url) -> Result<(), Refusal> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(Refusal::Scheme(url.scheme().to_owned()));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo);
        }
        let host = url.host().ok_or(Refusal::NoHost)?;
        if let Some(hosts) = &self.hosts {
            let named = HostPort::of_url(url).ok_or(Refusal::NoHost)?;
            if !hosts.contains(&named) {
                return Err(Refusal::Host(named));
            }
        }
        self.check_host(&host)
    }

    /// Checks a host that is an address; a name is checked when it is resolved.
    pub(super) fn check_host<S>(&self, host: &Host<S>) -> Result<(), Refusal> {
        let literal = match host {
            Host::Ipv4(v4) => IpAddr::V4(*v4),
            Host::Ipv6(v6) => IpAddr::V6(*v6),
            Host::Domain(_) => return Ok(()),
        };
        check_address(&self.allow, &literal.to_string(), literal)
    }
}

/// Whether an address may be dialled by a caller for whom these ranges are open.
pub(super) fn check_address(allow: &[Cidr], host: &str, address: IpAddr) -> Result<(), Refusal> {
    let class = Class::of(address);
    let opened = match class {
        Class::Public => true,
        Class::Metadata => false,
        _ => allow.iter().any(|range| range.covers(address)),
    };
    if opened {
        return Ok(());
    }
    Err(Refusal::Address {
        host: host.to_owned(),
        class,
    })
}

/// A host and a port, as a declaration names what it calls: `api.example.com:443`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: Host<String>,
    port: u16,
}

/// What is wrong with a text that should be a host and a port.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("found `{found}`, expected a host and a port like `api.example.com:443`")]
pub struct HostPortError {
    found: String,
}

impl HostPort {
    /// The host and port that a URL leads to; `None` if it names no host or has no known port.
    pub fn of_url(url: &Url) -> Option<HostPort> {
        let host = url.host()?.to_owned();
        let port = url.port_or_known_default()?;
        Some(HostPort { host, port })
    }

    /// A place as a declaration or a manifest names it: `host:port`, or an absolute URL whose host
    /// and port count; `ws` and `wss` have the ports of http and https.
    pub fn of_place(place: &str) -> Option<HostPort> {
        match Url::parse(place) {
            Ok(url) if url.has_host() => HostPort::of_url(&url),
            _ => place.parse().ok(),
        }
    }
}

impl FromStr for HostPort {
    type Err = HostPortError;

    fn from_str(text: &str) -> Result<HostPort, HostPortError> {
        let error = || HostPortError {
            found: text.to_owned(),
        };
        let (host, port) = text.rsplit_once(':').ok_or_else(error)?;
        let host = Host::parse(host).map_err(|_| error())?;
        let port = port.parse().map_err(|_| error())?;
        Ok(HostPort { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &Policy, url: &str) -> Result<(), String> {
        let url = Url::parse(url).expect("a URL");
        policy
            .check_url(&url)
            .map_err(|refusal| refusal.to_string())
    }

    fn is_refused(policy: &Policy, url: &str, reason: &str) {
        let refusal = check(policy, url).expect_err(url);
        assert!(refusal.contains(reason), "{url}: {refusal}");
    }

    #[test]
    fn only_http_without_user_info_passes() {
        let policy = Policy::default();
        assert_eq!(check(&policy, "https://example.com/hook?a=b"), Ok(()));
        is_refused(&policy, "ftp://example.com/", "scheme");
        is_refused(&policy, "file:///etc/passwd", "scheme");
        is_refused(&policy, "https://user@example.com/", "user info");
        is_refused(&policy, "https://:secret@example.com/", "user info");
    }

    #[test]
    fn literal_addresses_are_classified_in_every_spelling() {
        let policy = Policy::default();
        for url in [
            "http://127.0.0.1/",
            "http://127.1/",
            "http://2130706433/",
            "http://0x7f000001/",
            "http://0177.0.0.1/",
            "http://[::1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://[::ffff:7f00:1]/",
        ] {
            is_refused(&policy, url, "loopback address");
        }
        assert_eq!(check(&policy, "http://93.184.215.14/"), Ok(()));
    }

    #[test]
    fn metadata_stays_closed_even_when_everything_is_opened() {
        let policy = Policy {
            allow: vec![
                "0.0.0.0/0".parse().expect("a range"),
                "::/0".parse().expect("a range"),
            ],
            hosts: None,
        };
        assert_eq!(check(&policy, "http://127.0.0.1/"), Ok(()));
        is_refused(&policy, "http://169.254.169.254/", "metadata");
        is_refused(&policy, "http://[::ffff:169.254.169.254]/", "metadata");
        is_refused(&policy, "http://[fd00:ec2::254]/", "metadata");
    }

    #[test]
    fn declared_hosts_are_the_only_ones() {
        let policy = Policy {
            allow: Vec::new(),
            hosts: Some(vec!["API.example.com:443".parse().expect("a host")]),
        };
        assert_eq!(check(&policy, "https://api.example.com/v1"), Ok(()));
        is_refused(
            &policy,
            "https://api.example.com:8443/",
            "api.example.com:8443",
        );
        is_refused(&policy, "http://api.example.com/", "api.example.com:80");
        is_refused(
            &policy,
            "https://other.example.com/",
            "other.example.com:443",
        );
        is_refused(&policy, "https://api.example.com.evil.example/", "evil");
    }
}
