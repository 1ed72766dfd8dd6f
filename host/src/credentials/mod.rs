//! Credentials: for whom this host acts at outside services, kept good without anybody watching.
//!
//! ```text
//!  triggerd connect ─► connecting ──► browser ──► the service ──► callback ─┐
//!                      ticket, state,                                       │ code
//!                      cookie, PKCE                                 exchange ▼
//!  triggerd apply ───► checking: the provider says whose it is ──► credentials (sealed)
//!                                                                           │
//!  a call into a plugin ─► calls ─► egress ─► attach ◄──────────────────────┤
//!                                     │ 401                                 │ due
//!                                     └────────► refreshing ◄───────────────┘
//!                                     one task of one host asks the service; the others wait
//! ```
//! - [`providers`]: what is asked of the registry.
//! - [`client`]: an OAuth client at its place: where to send browsers, codes, refresh tokens.
//! - [`exchange`], [`answer`], [`token_set`]: asking for tokens, and what services answer.
//! - [`connecting`], [`departing`], [`arriving`], [`waiting`]: from a printed address to a kept credential.
//! - [`checking`]: whose credential is it?
//! - [`refreshing`]: renewing, once for all who wait.
//! - [`ending`]: giving tokens back.
//! - [`attach`], [`calls`]: signing requests, and what plugins are told.
//!
//! A credential is `active` until the service says for good that it is not (`needs_reconnect`: a
//! refused grant, a refusal that a plugin reports); a failure that may pass leaves it active and is
//! tried again. Connecting it anew, or changing it, makes it active again.
//!
//! Promised: nothing begins before a person read who asks for what and agreed; a state is good once,
//! for ten minutes, in the browser that set out; of all tasks of all hosts one renews a credential at
//! a time; what a service gives, for a code or for a refresh token, is committed before it is used,
//! and is committed even if whoever waited for it went away; secrets for one server are never sent to
//! another, whoever moves the integration there; nothing of it is in a log, an error or an answer.
//! Not promised: that a host which dies between a service's answer and the commit loses nothing;
//! where refresh tokens are good once, the account must then be connected anew. The lease that such
//! a host leaves behind tells: its next start renews at once (some services take the older token
//! again for a short while), and says why it was refused, at the credential and at what hangs on it.

mod answer;
mod arriving;
mod attach;
mod calls;
mod checking;
mod client;
mod connecting;
mod departing;
mod ending;
mod exchange;
mod failure;
mod providers;
mod refreshing;
mod secrets;
mod state;
mod token_set;
mod waiting;

pub use arriving::{Arrival, Connected};
pub use attach::Attachment;
pub use calls::CallCredential;
pub use checking::{Checked, CredentialDraft};
pub use client::base_url_form;
pub use connecting::{ConnectOrder, Ordered};
pub use departing::{Cookie, Departure, Errand};
pub use ending::GivenBack;
pub use failure::{CallRefusal, CheckError, ConnectError};
pub use providers::{Providers, ValidateError};
pub use refreshing::Renewal;
pub use state::{Credentials, CredentialsParts};
pub use waiting::Waiting;

/// The name of the client that the instance shares, where an integration is named.
pub const SHARED: &str = "shared";
