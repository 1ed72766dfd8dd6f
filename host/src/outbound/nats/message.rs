//! What is sent, what comes back, and what can go wrong between.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::outbound::message::OutboundError;

/// One message.
#[derive(Clone, Debug)]
pub struct NatsMessage {
    pub subject: String,
    /// Names and values of one line each.
    pub headers: Vec<(String, String)>,
    pub payload: Bytes,
    /// What is waited for.
    pub expects: NatsExpects,
    /// The time for all of it, a connection to be made included.
    pub timeout: Duration,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NatsExpects {
    /// That a server has read the message.
    Taken,
    /// A message in return: of whoever listens, or of a stream.
    Reply,
}

/// What came of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NatsTaken {
    /// A server has read it.
    Taken,
    /// It was answered.
    Reply(NatsReply),
}

/// A message in return.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NatsReply {
    pub headers: Vec<(String, String)>,
    pub payload: Bytes,
}

impl NatsReply {
    /// The first header of this name, in any case of its letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// Why there is no such thing. What a server said stands in it shortened, on one line.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NatsError {
    /// The rules do not permit the server, it has no address, or it cannot be connected.
    #[error("{0}")]
    Unreachable(#[source] Arc<OutboundError>),
    /// The login is wrong, or one is missing.
    #[error("the server refuses the login: {0}")]
    Login(String),
    /// The login may not publish there, or not listen for answers.
    #[error("the login has no right to this: {0}")]
    Forbidden(String),
    /// Nobody listens on the subject.
    #[error("nobody listens on the subject")]
    NoResponders,
    /// Larger than the server takes.
    #[error("the message is larger than the {max} bytes that the server takes")]
    TooLarge { max: usize },
    /// Not NATS, too old, or beyond all bounds.
    #[error("the server speaks otherwise than NATS does: {0}")]
    Protocol(String),
    /// The connection broke. Whether the message arrived is not known.
    #[error("the connection to the server was lost: {0}")]
    Lost(String),
    /// The deadline passed.
    #[error("no answer within {} ms", after.as_millis())]
    Timeout { after: Duration },
}

impl NatsError {
    /// Whether the rules refuse the target.
    pub fn is_refused(&self) -> bool {
        matches!(self, NatsError::Unreachable(error) if !error.is_transient())
    }

    /// The error and its causes in one line.
    pub fn chain(&self) -> String {
        match self {
            NatsError::Unreachable(error) => error.chain(),
            other => other.to_string(),
        }
    }
}

impl From<OutboundError> for NatsError {
    fn from(error: OutboundError) -> NatsError {
        NatsError::Unreachable(Arc::new(error))
    }
}

/// What a server said, as it may be shown.
pub(super) fn shown(said: &str) -> String {
    let printable = |letter: &char| !letter.is_control();
    let text: String = said.chars().filter(printable).take(200).collect();
    text.trim_matches('\'').to_owned()
}
