//! Which servers, and under which rules.

use std::fmt;
use std::str::FromStr;

use url::{Host, Url};

use super::login::NatsLogin;
use crate::outbound::address::Cidr;
use crate::outbound::policy::{Policy, Refusal};

const PORT: u16 = 4222;

/// Where messages go. Two that are equal share a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NatsTarget {
    /// Tried one after the other; all lead to the same subjects.
    pub servers: Vec<NatsServer>,
    /// Ranges of addresses opened beyond public ones.
    pub allow: Vec<Cidr>,
    /// As whom.
    pub login: NatsLogin,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct NatsServer {
    pub(super) host: Host<String>,
    pub(super) port: u16,
    /// Whether nothing is said without TLS. A server may ask for TLS in any case.
    pub(super) is_tls: bool,
}

/// What is wrong with a server's address. The address is not repeated: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a server like `nats://nats.example.org:4222`, or `tls://…`, without user, password and path"
)]
pub struct NatsServerError;

impl FromStr for NatsServer {
    type Err = NatsServerError;

    fn from_str(text: &str) -> Result<NatsServer, NatsServerError> {
        let url = Url::parse(text).map_err(|_| NatsServerError)?;
        let is_tls = match url.scheme() {
            "nats" => false,
            "tls" => true,
            _ => return Err(NatsServerError),
        };
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && matches!(url.path(), "" | "/")
            && url.query().is_none()
            && url.fragment().is_none();
        // Schemes that are not the web's keep numbers as names; read again, they are addresses.
        let host = url.host_str().filter(|_| is_bare).ok_or(NatsServerError)?;
        Ok(NatsServer {
            host: Host::parse(host).map_err(|_| NatsServerError)?,
            port: url.port().unwrap_or(PORT),
            is_tls,
        })
    }
}

impl fmt::Display for NatsServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl NatsServer {
    /// Checks all that can be known without resolving the name.
    pub fn check(&self, policy: &Policy) -> Result<(), Refusal> {
        policy.check_host(&self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_hosts_with_or_without_a_port() {
        for (text, shown, is_tls) in [
            ("nats://nats.example.org", "nats.example.org:4222", false),
            ("tls://nats.example.org:443/", "nats.example.org:443", true),
            ("nats://127.0.0.1:1", "127.0.0.1:1", false),
            ("nats://2130706433:1", "127.0.0.1:1", false),
            ("nats://[::1]", "[::1]:4222", false),
        ] {
            let server: NatsServer = text.parse().expect(text);
            assert_eq!(
                (server.to_string().as_str(), server.is_tls),
                (shown, is_tls)
            );
        }
        for text in [
            "",
            "nats.example.org",
            "nats://",
            "http://nats.example.org",
            "ws://nats.example.org",
            "nats://user@nats.example.org",
            "nats://:hunter2@nats.example.org",
            "nats://nats.example.org/subject",
            "nats://nats.example.org?tls=no",
        ] {
            let error = text.parse::<NatsServer>().expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn literal_addresses_are_classified_in_every_spelling() {
        let check = |text: &str, policy: &Policy| {
            let server: NatsServer = text.parse().expect(text);
            server.check(policy).is_ok()
        };
        let closed = Policy::default();
        for text in [
            "nats://127.0.0.1",
            "nats://0x7f000001",
            "nats://[::1]",
            "nats://10.1",
        ] {
            assert!(!check(text, &closed), "{text}");
        }
        assert!(check("nats://nats.example.org", &closed));
        let opened = Policy {
            allow: vec!["127.0.0.0/8".parse().expect("a range")],
            hosts: None,
        };
        assert!(check("nats://127.1", &opened));
        assert!(!check("nats://169.254.169.254", &opened));
    }
}
