//! A request as it arrived at an endpoint: borrowed while it is dispatched, owned when it is kept.

use std::fmt;

use serde::{Deserialize, Serialize};
use trigger_plugin_abi::plugin::WireHeader;

use crate::{Error, Result};

/// The method of a message that came over a connection which the host itself made (`transport`). No
/// request from outside has it: the host refuses it there.
pub const SOCKET_MESSAGE: &str = "MESSAGE";

/// A request, borrowed from the host for the length of one call.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// In capitals, as HTTP has it.
    pub method: &'a str,
    /// From the first slash, percent-encoded as it came.
    pub path: &'a str,
    /// What follows the question mark, without it; empty when there was none.
    pub query: &'a str,
    /// In the order in which they came.
    pub headers: Headers<'a>,
    /// The bytes as they came, which is what signatures are made over.
    pub body: &'a [u8],
    /// The host's clock when the request arrived, in milliseconds since 1970. Time for a
    /// signature's tolerance is read from here: a provider has no clock of its own.
    pub received_at_ms: i64,
}

impl Request<'_> {
    /// Whether it came over a connection that the host made.
    #[must_use]
    pub fn is_socket_message(&self) -> bool {
        self.method == SOCKET_MESSAGE
    }
}

/// The headers of a request. Names are compared without regard to case.
#[derive(Clone, Copy)]
pub struct Headers<'a>(Source<'a>);

#[derive(Clone, Copy)]
enum Source<'a> {
    /// As the host passes them, uncopied.
    Wire(&'a [WireHeader<'a>]),
    /// As tests and samples hold them.
    Owned(&'a [(String, Vec<u8>)]),
}

impl<'a> Headers<'a> {
    /// The first value of this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a [u8]> {
        match self.0 {
            Source::Wire(headers) => headers
                .iter()
                .find(|header| header.name().eq_ignore_ascii_case(name))
                .map(WireHeader::value),
            Source::Owned(headers) => headers
                .iter()
                .find(|(each, _)| each.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_slice()),
        }
    }

    /// The first value of this name, if it is text.
    #[must_use]
    pub fn get_str(&self, name: &str) -> Option<&'a str> {
        self.get(name)
            .and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Every value of this name, in order.
    pub fn all<'n>(&self, name: &'n str) -> impl Iterator<Item = &'a [u8]> + use<'a, 'n> {
        self.iter()
            .filter(move |(each, _)| each.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The only value of this name, or none.
    ///
    /// # Errors
    /// `INVALID_INPUT` when the header came twice: which of two signatures counts is not ours to guess.
    pub fn single(&self, name: &str) -> Result<Option<&'a [u8]>> {
        let mut values = self.all(name);
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(Error::invalid_input(format!(
                "the header {name} came more than once"
            ))),
        }
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a [u8])> + use<'a> {
        let (wire, owned): (&'a [WireHeader<'a>], &'a [(String, Vec<u8>)]) = match self.0 {
            Source::Wire(headers) => (headers, &[]),
            Source::Owned(headers) => (&[], headers),
        };
        let wire = wire.iter().map(|header| (header.name(), header.value()));
        wire.chain(
            owned
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_slice())),
        )
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Wire(headers) => headers.len(),
            Source::Owned(headers) => headers.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<'a> From<&'a [WireHeader<'a>]> for Headers<'a> {
    fn from(headers: &'a [WireHeader<'a>]) -> Self {
        Self(Source::Wire(headers))
    }
}

impl<'a> From<&'a [(String, Vec<u8>)]> for Headers<'a> {
    fn from(headers: &'a [(String, Vec<u8>)]) -> Self {
        Self(Source::Owned(headers))
    }
}

/// The names alone: values may be secrets.
impl fmt::Debug for Headers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

/// A request that owns its bytes: a sample, a fixture of a test, a request that was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnedRequest {
    /// In capitals, as HTTP has it.
    #[serde(default = "post")]
    pub method: String,
    /// From the first slash.
    #[serde(default = "root")]
    pub path: String,
    /// Without the question mark.
    #[serde(default)]
    pub query: String,
    /// In order; as JSON a list of pairs, a value that is not UTF-8 not being allowed there.
    #[serde(default, with = "header_pairs")]
    pub headers: Vec<(String, Vec<u8>)>,
    /// As JSON: base64.
    #[serde(default, with = "base64_bytes")]
    pub body: Vec<u8>,
    /// Milliseconds since 1970.
    #[serde(default)]
    pub received_at_ms: i64,
}

impl OwnedRequest {
    /// The same request, borrowed.
    #[must_use]
    pub fn as_request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            path: &self.path,
            query: &self.query,
            headers: Headers::from(self.headers.as_slice()),
            body: &self.body,
            received_at_ms: self.received_at_ms,
        }
    }
}

fn post() -> String {
    "POST".to_owned()
}

fn root() -> String {
    "/".to_owned()
}

mod header_pairs {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::Error};

    pub fn serialize<S: Serializer>(
        headers: &[(String, Vec<u8>)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let pairs: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| match std::str::from_utf8(value) {
                Ok(value) => Ok((name.as_str(), value)),
                Err(_) => Err(Error::custom(format!("the header {name} is not text"))),
            })
            .collect::<Result<_, _>>()?;
        pairs.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(String, Vec<u8>)>, D::Error> {
        let pairs = Vec::<(String, String)>::deserialize(deserializer)?;
        Ok(pairs
            .into_iter()
            .map(|(name, value)| (name, value.into_bytes()))
            .collect())
    }
}

/// Bytes as base64 text.
pub(crate) mod base64_bytes {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    pub fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        STANDARD.encode(bytes).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        STANDARD
            .decode(String::deserialize(deserializer)?)
            .map_err(Error::custom)
    }
}
