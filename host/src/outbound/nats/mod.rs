//! NATS: one message to a subject, taken by a server, kept by a stream or answered by whoever listens.
//!
//! - [`target`]: which servers, under which rules; [`login`]: as whom.
//! - [`message`]: what is sent, what comes back, what can go wrong.
//! - `wire`: the protocol's lines. `greeting`: a connection made, with TLS and login.
//! - `keeper`: one connection and all that is under way on it.
//! - [`Nats`]: connections shared by all who have the same target and login.
//!
//! ```text
//!  Nats::send ── connection for (servers, allow, login), made if there is none ──► keeper
//!  keeper ── HPUB, PING ──► server ── PONG: it has the message ──────► Taken
//!                                  ── message to our inbox ──────────► Reply (an answer, an ack)
//!                                  ── 503 to our inbox ──────────────► nobody listens
//!                                  ── -ERR before the PONG ──────────► the login may not
//! ```
//!
//! Promises: what is dialled is what was classified; servers that others advertise are not followed;
//! a message is sent once per call, and `Taken` means that a server has read it; what a server may
//! make us hold is bounded; a connection that broke is made anew by who needs it next, at most once a
//! second. Not promised: that a message which was taken reaches anybody, unless a stream acknowledged
//! it.
//!
//! The protocol is spoken here and not by a library, because of the first and the last but one of
//! these: `async-nats` resolves and dials names by itself, cannot tell that a server has read a
//! publication or refused it, and reads messages of any size into memory.

mod greeting;
mod keeper;
mod login;
mod message;
mod pool;
mod target;
mod wire;

pub use login::{NatsLogin, NatsLoginError};
pub use message::{NatsError, NatsExpects, NatsMessage, NatsReply, NatsTaken};
pub use pool::Nats;
pub use target::{NatsServer, NatsServerError, NatsTarget};
