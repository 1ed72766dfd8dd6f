//! The numbers of errors. Never reused; a number that is not known counts as [`INTERNAL`].

/// A fault of the provider itself.
pub const INTERNAL: u32 = 1;
/// The provider panicked; the detail is the place.
pub const PANIC: u32 = 2;
/// The provider does not offer this.
pub const UNSUPPORTED: u32 = 3;
/// A parameter or a request that cannot be right.
pub const INVALID_INPUT: u32 = 4;
/// The request does not prove who sent it.
pub const UNAUTHENTICATED: u32 = 5;
/// The service refuses our credential.
pub const CREDENTIALS: u32 = 6;
/// The service failed, or answered what it should not.
pub const UPSTREAM: u32 = 7;
/// The service asks us to wait.
pub const RATE_LIMITED: u32 = 8;
/// The service does not know the thing.
pub const NOT_FOUND: u32 = 9;
/// The host gave the call up.
pub const CANCELLED: u32 = 10;
/// The host could not give what the provider asked of it.
pub const HOST: u32 = 11;

/// The name of a code, as logs show it.
#[must_use]
pub const fn name(code: u32) -> &'static str {
    match code {
        PANIC => "panic",
        UNSUPPORTED => "unsupported",
        INVALID_INPUT => "invalid_input",
        UNAUTHENTICATED => "unauthenticated",
        CREDENTIALS => "credentials",
        UPSTREAM => "upstream",
        RATE_LIMITED => "rate_limited",
        NOT_FOUND => "not_found",
        CANCELLED => "cancelled",
        HOST => "host",
        _ => "internal",
    }
}
