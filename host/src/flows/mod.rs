//! Flows: a runnable made of steps, and what follows from what its steps did so far. Pure: jobs are
//! made and ended elsewhere.
//!
//! - [`FlowSpec`]: what a flow says, checked whole; `reading` reads it and `notes` what is wrong with it,
//!   `template` is its inputs.
//! - `expression`: one expression of the Common Expression Language, `check` what it may say,
//!   `guard` what bounds its evaluation, `value` its values.
//! - [`plan`]: what is to be done next; [`Facts`]: what it is decided by.
//!   `each` goes on with loops; [`Memory`]: what a flow's next plan need not look at again.
//! - `own_stack`: where expressions are read and evaluated.
//!
//! ```text
//!   spec (never changes) ─┐
//!   arguments, trigger ───┼─► plan ─► steps to begin │ an answer for who waits │ the end
//!   steps and results ────┘
//! ```
//!
//! A flow keeps no state of its own: where it stands follows from the jobs of its steps, which are
//! committed with their results. Whoever plans it again, on whichever host, finds the same; who planned it
//! last remembers what ended, so that a loop of a thousand items does not look at all of them at each step.
//!
//! Promises: an expression is bounded in length, depth and nested loops when it is read, and in
//! iterations, bytes and time when it is evaluated; a hostile one overflows no stack and holds no
//! worker of the runtime. Not promised: that an expression which fits its bounds finds what it
//! names in the arguments; then its step fails, and says so.

mod check;
mod each;
mod expression;
mod guard;
mod memory;
mod notes;
mod own_stack;
mod plan;
mod reading;
mod spec;
mod template;
mod value;

pub use memory::Memory;
pub use own_stack::on_own_stack;
pub use plan::{End, Facts, Plan, StepFact, StepStart, plan};
pub use spec::{Body, FlowMistake, FlowSpec, OnError, Run, STEPS_MADE_MAX, Step};
