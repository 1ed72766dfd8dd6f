//! What a flow says.

use serde_json::Value;

use super::expression::Expression;
use super::own_stack::run_on_own_stack;
use super::reading;
use super::template::Template;
use crate::backoff::RetryPolicy;

/// The most jobs that the steps of one flow's job become.
pub const STEPS_MADE_MAX: usize = 10_000;
/// The most items that one loop goes over.
pub(super) const ITEMS_MAX: usize = 1_000;

/// One version of a flow. Stored as it is written, but for durations, which are in milliseconds.
#[derive(Debug)]
pub struct FlowSpec {
    /// The paths of all runnables that it names, sorted.
    pub paths: Vec<String>,
    /// Shapes the arguments before the first step.
    pub preprocessor: Option<Run>,
    /// In their order.
    pub steps: Vec<Step>,
    /// The step whose result answers who waits for the flow.
    pub early_return: Option<String>,
    /// What the flow gives; the last step's result if absent.
    pub(super) result: Option<Template>,
}

/// One step.
#[derive(Debug)]
pub struct Step {
    /// Names its result; unique in the flow.
    pub id: String,
    /// What it does.
    pub body: Body,
}

/// What a step does.
#[derive(Debug)]
pub enum Body {
    /// Runs a runnable.
    Run(Run),
    /// Goes one of two ways.
    Branch(Branch),
    /// Goes the same way for each item of a list.
    Each(Each),
}

/// A runnable that a step runs.
#[derive(Debug)]
pub struct Run {
    /// Its path.
    pub path: String,
    pub(super) inputs: Option<Template>,
    /// When its job is tried again, instead of as the runnable says.
    pub retry: Option<RetryPolicy>,
    /// What follows when its job is given up.
    pub on_error: Option<OnError>,
}

/// Two ways, and what decides between them.
#[derive(Debug)]
pub struct Branch {
    pub(super) condition: Expression,
    pub(super) then: Vec<Step>,
    pub(super) otherwise: Vec<Step>,
}

/// A loop.
#[derive(Debug)]
pub struct Each {
    pub(super) items: Expression,
    /// How many items are worked on at the same time.
    pub(super) concurrency: usize,
    pub(super) steps: Vec<Step>,
}

/// What follows when the job of a step is given up.
#[derive(Debug)]
pub struct OnError {
    /// The path of a runnable that is told.
    pub path: Option<String>,
    pub(super) inputs: Option<Template>,
    /// The flow goes on, with what the handler gave as the step's result.
    pub(super) goes_on: bool,
}

/// A mistake in a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowMistake {
    /// A JSON pointer (RFC 6901) into the flow.
    pub pointer: String,
    /// What was found and what was expected.
    pub message: String,
    /// What may stand there, if it is a closed set.
    pub allowed: Vec<String>,
    /// The key is wrong, not its value.
    pub is_key: bool,
}

impl FlowSpec {
    /// Reads the stored form; all mistakes are found at once.
    pub fn parse(spec: &Value) -> Result<FlowSpec, Vec<FlowMistake>> {
        run_on_own_stack(|| reading::read(spec)).unwrap_or_else(|| {
            let message = "the flow cannot be read: its expressions are too much for the parser";
            Err(vec![FlowMistake {
                pointer: String::new(),
                message: message.to_owned(),
                allowed: Vec::new(),
                is_key: false,
            }])
        })
    }
}
