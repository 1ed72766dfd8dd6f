//! For the tests of a provider: a suite that every provider must pass, a host that follows a
//! script, and HTTP messages from files.
//!
//! ```text
//! // tests/conformance.rs of a provider
//! trigger_plugin_api::conformance!(acme::Acme);
//! // or, if it cannot be opened without a configuration:
//! trigger_plugin_api::conformance!(acme::Acme, serde_json::json!({"region": "eu"}));
//! ```
//!
//! Everything here panics on a failure, with a sentence that says what was expected: it is for tests.

mod conformance;
mod fake_host;
mod forgeries;
mod proof;
mod subject;

pub use conformance::{
    declaration_is_complete, dispatch_is_repeatable, genuine_samples_are_accepted,
    poison_payloads_are_survived, samples_yield_variables,
};
pub use fake_host::{FakeHost, LoggedLine, Served, block_on};
pub use proof::{
    forgeries_are_refused, header_names_are_of_any_case, rotated_secrets_are_accepted,
    secrets_are_required, timestamps_hold_up_to_the_edge,
};
pub use subject::Subject;

pub use crate::http_file::{HttpFileError, parse_request, parse_response};

/// The configuration of a provider that needs none.
#[doc(hidden)]
#[must_use]
pub fn no_config() -> serde_json::Value {
    serde_json::Value::Null
}
