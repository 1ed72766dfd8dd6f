//! Everything that leaves this host over HTTP goes through here: runnables and plugins alike.
//!
//! - [`address`]: what kind of address this is, and which kinds may be dialled.
//! - [`policy`]: what one caller may reach.
//! - [`resolver`]: names to addresses; one forbidden address refuses the name.
//! - [`message`]: the request, the response, and what can go wrong.
//! - [`client`]: [`Outbound`], which sends; [`socket`]: connections that stay open.
//! - [`api_client`]: apart from all that, the command line's own way to its server.
//!
//! Promises: http and https only, no user info, no redirects, no proxy unless configured; what is
//! dialled is exactly what was classified; the deadline covers the whole exchange, from the name's
//! resolution to the last byte of the body; what is kept of a response is bounded; TLS is always
//! verified. Not promised: that a permitted target is well-behaved; its answer is only bounded.

pub mod address;
pub mod api_client;
pub mod policy;

mod client;
mod message;
mod resolver;
mod socket;

pub use address::{Cidr, Class};
pub use client::{Outbound, OutboundConfig, SetupError};
pub use message::{BodyLimit, OutboundError, OutboundRequest, OutboundResponse};
pub use policy::{HostPort, Policy, Refusal};
pub use socket::{Frame, Socket, SocketError, SocketRequest, header_value, is_of_handshake};
