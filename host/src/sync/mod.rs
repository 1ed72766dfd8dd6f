//! Sync: bringing what we hold and what services hold together, and reading what pushes only hint at.
//!
//! ```text
//!   due (an index) ──claim: lease, fence──► run ──► step, step, … ──► released until the next time
//!   ▲   push, change, credential renewed        │
//!   └── a poke makes it due in their commit ────┘ each step: commit ─► call the service ─► commit
//!
//!   registration:   making ──answered──► live ──successor──► old ──ended──► gone
//!                     │ cut off, failed                       ▲
//!                     └────────────► lost ────────────────────┘
//!   subscription:   pending ──► active ⇄ degraded        (paused: kept alive, nothing runs)
//! ```
//! - [`engine`]: claims what is due and runs it; [`lanes`]: bounds for one account or service.
//! - [`next`]: what is to be done, from what is stored; [`times`]: when it is done again.
//! - [`run`]: one claimed subscription, step by step; [`making`], [`changing`], [`checking`],
//!   [`pulling`]: the steps; [`failing`]: what follows from a failure; [`health`]: the state shown.
//! - [`service`], [`calls`], [`accounts`]: plugins and credentials, as they are asked here;
//!   [`kept_state`]: what plugins keep.
//! - [`timers`]: events that happen at a known time.
//!
//! Promises: everything a service may call back about is committed before it is called; a run that
//! is cut off anywhere is taken up by the next one, so that nothing is left at a service that nobody
//! owns, nothing is held twice, and no time is without a registration that is accepted; of all
//! hosts one works on a subscription at a time, and who comes home late changes nothing; a service
//! that asks for time gets it; a million idle subscriptions cost rows and nothing else; that one
//! became degraded, or well again, is in the audit log and told to whom its workspace named. Not
//! promised: that a service which was cut off from us for longer than its leases last told us of
//! what happened then, unless it can be pulled.

pub mod engine;
pub mod service;

mod accounts;
mod calls;
mod changing;
mod checking;
mod failing;
mod health;
mod kept_state;
mod lanes;
mod making;
mod next;
mod pulling;
mod run;
mod timers;
mod times;

pub use calls::{Calls, said};
pub use engine::{Engine, EngineConfig, EngineParts, RunError, Tick};
pub use kept_state::KeptState;
pub use service::{AccountRefusal, Accounts, CallAccount, Service, Services};
