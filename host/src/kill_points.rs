//! Labelled steps at which a test has the host killed, as a power loss would: what lies between two
//! commits can end anywhere. Release builds know none of them.

/// Names the step at which a debug build kills itself.
pub const VARIABLE: &str = "KILL_TRIGGERD_AT";

/// Steps on the way from a request to the end of its job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The provider found the request genuine; nothing is written.
    Verified,
    /// Its row and its events are written; the transaction is open.
    Inserted,
    /// All of the transaction is written.
    BeforeCommit,
    /// It is committed; nobody was answered.
    Committed,
    /// It is synced; its sender was not answered.
    Kept,
    /// The jobs of its events are written; their transaction is open.
    Matched,
    /// An attempt ended; nothing says so yet.
    Attempted,
    /// The attempt is written; its transaction is open.
    Marked,
}

impl Step {
    /// All of them, in their order.
    pub const ALL: [Step; 8] = [
        Step::Verified,
        Step::Inserted,
        Step::BeforeCommit,
        Step::Committed,
        Step::Kept,
        Step::Matched,
        Step::Attempted,
        Step::Marked,
    ];
}

/// The host is at this step.
#[cfg(debug_assertions)]
pub fn reached(step: Step) {
    static CHOSEN: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    let chosen = CHOSEN.get_or_init(|| std::env::var(VARIABLE).ok());
    if chosen.as_deref() == Some(format!("{step:?}").as_str()) {
        let own = rustix::process::getpid();
        let _ = rustix::process::kill_process(own, rustix::process::Signal::KILL);
    }
}

/// The host is at this step.
#[cfg(not(debug_assertions))]
pub fn reached(_: Step) {}
