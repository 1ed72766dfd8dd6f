//! What is to be done next in a flow: a walk over its steps that begins what can begin and stops where
//! something has to be waited for.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};

use super::expression::{Given, Variables};
use super::memory::Memory;
use super::reading::PREPROCESSOR;
use super::spec::{Body, Branch, FlowSpec, OnError, Run, STEPS_MADE_MAX, Step};
use super::template::Template;
use crate::backoff::RetryPolicy;
use crate::id::JobId;
use crate::model::JobState;

/// The time for all expressions of a flow together, each time it is planned.
const TIME_MAX: Duration = Duration::from_secs(10);
/// The largest result of a flow, in bytes.
const RESULT_MAX: usize = 4 << 20;

/// What is known of a flow's job.
pub struct Facts {
    /// As they were handed over.
    pub arguments: Bytes,
    /// The trigger that fired and its event, or null.
    pub trigger: Value,
    /// The flow's job: id, path, workspace.
    pub job: Value,
    /// The jobs of its steps, by key.
    pub steps: HashMap<String, StepFact>,
}

/// The job of a step.
#[derive(Clone, Debug)]
pub struct StepFact {
    /// Which.
    pub job_id: JobId,
    /// How far it is.
    pub state: JobState,
    /// JSON.
    pub result: Option<Bytes>,
    /// Why it did not work.
    pub error: Option<String>,
}

/// What is to be done next.
#[derive(Debug, Default)]
pub struct Plan {
    /// Steps whose jobs are to be made.
    pub starts: Vec<StepStart>,
    /// The result that answers who waits for the flow, once it is there.
    pub answer: Option<Bytes>,
    /// The flow has ended; nothing of it runs any more.
    pub end: Option<End>,
    /// How many steps were looked at for it.
    pub looked_at: usize,
}

/// A step whose job is to be made.
#[derive(Debug, PartialEq)]
pub struct StepStart {
    /// Names it among the steps: `fetch`, `each[3].ship`, `fetch!error`.
    pub key: String,
    /// The runnable's path.
    pub path: String,
    /// JSON.
    pub arguments: Bytes,
    /// Instead of the runnable's own.
    pub retry: Option<RetryPolicy>,
}

/// How a flow ended.
#[derive(Debug, PartialEq)]
pub enum End {
    /// It worked; its result.
    Done(Bytes),
    /// It did not; why.
    Failed(String),
}

/// Plans. Wants a deep stack. What is remembered of the flow's last plan is not looked at again; it is
/// good for the next plan only if what this one begins is made.
pub fn plan(flow: &FlowSpec, facts: &Facts, memory: &mut Memory) -> Plan {
    plan_until(flow, facts, memory, Instant::now() + TIME_MAX)
}

fn plan_until(flow: &FlowSpec, facts: &Facts, memory: &mut Memory, until: Instant) -> Plan {
    let mut planning = Planning {
        flow,
        facts,
        memory,
        until,
        plan: Plan::default(),
    };
    let outcome = planning.walk();
    let mut plan = planning.plan;
    if facts.steps.len() + plan.starts.len() > STEPS_MADE_MAX {
        plan.starts.clear();
        plan.end = Some(End::Failed(format!(
            "its steps would become more than {STEPS_MADE_MAX} jobs"
        )));
        return plan;
    }
    plan.end = match outcome {
        Outcome::Waits => None,
        Outcome::Failed(error) => Some(End::Failed(error)),
        Outcome::Done(result) => Some(ended(&result)),
    };
    plan
}

fn ended(result: &Given) -> End {
    let text = result.value.to_string();
    match text.len() > RESULT_MAX {
        true => End::Failed(format!(
            "its result has {} bytes, more than {RESULT_MAX}",
            text.len()
        )),
        false => End::Done(text.into()),
    }
}

/// How far some steps are.
pub(super) enum Outcome {
    Done(Given),
    Waits,
    Failed(String),
}

pub(super) struct Planning<'a> {
    flow: &'a FlowSpec,
    pub(super) facts: &'a Facts,
    pub(super) memory: &'a mut Memory,
    until: Instant,
    plan: Plan,
}

impl Planning<'_> {
    fn walk(&mut self) -> Outcome {
        let flow = self.flow;
        let arguments = &mut self.memory.arguments;
        let arguments = arguments.get_or_insert_with(|| Given::of(read(&self.facts.arguments)));
        let mut variables = Variables {
            named: BTreeMap::from([
                ("args", arguments.clone()),
                ("trigger", Given::of(self.facts.trigger.clone())),
                ("job", Given::of(self.facts.job.clone())),
            ]),
            results: BTreeMap::new(),
        };
        if let Some(run) = &flow.preprocessor {
            match self.run(run, PREPROCESSOR, &variables) {
                Outcome::Done(shaped) => variables.named.insert("args", shaped),
                other => return other,
            };
        }
        let last = match self.steps(&flow.steps, "", &mut variables) {
            Outcome::Done(last) => last,
            other => return other,
        };
        match &flow.result {
            None => Outcome::Done(last),
            Some(template) => match fill(template, &variables) {
                Ok(result) => Outcome::Done(Given::of(result)),
                Err(error) => Outcome::Failed(format!("`result`{error}")),
            },
        }
    }

    /// One after the other; gives the last one's result.
    pub(super) fn steps(
        &mut self,
        steps: &[Step],
        prefix: &str,
        variables: &mut Variables,
    ) -> Outcome {
        let mut last = Given::of(Value::Null);
        for step in steps {
            self.plan.looked_at += 1;
            let key = format!("{prefix}{}", step.id);
            if Instant::now() > self.until {
                let limit = TIME_MAX.as_secs();
                return Outcome::Failed(format!(
                    "step `{key}`: the flow's expressions take more than {limit} s together"
                ));
            }
            let outcome = match &step.body {
                Body::Run(run) => self.run(run, &key, variables),
                Body::Branch(branch) => self.branch(branch, &key, prefix, variables),
                Body::Each(each) => self.each(each, &key, variables),
            };
            let Outcome::Done(result) = outcome else {
                return outcome;
            };
            if self.flow.early_return.as_ref() == Some(&step.id) {
                self.plan.answer = Some(result.value.to_string().into());
            }
            variables.results.insert(step.id.clone(), result.clone());
            last = result;
        }
        Outcome::Done(last)
    }

    fn branch(
        &mut self,
        branch: &Branch,
        key: &str,
        prefix: &str,
        variables: &mut Variables,
    ) -> Outcome {
        let decide = || match branch.condition.evaluate(variables) {
            Ok(Value::Bool(way)) => Ok(way),
            Ok(_) => Err(format!("step `{key}`: `if` gives neither true nor false")),
            Err(error) => Err(format!("step `{key}`: `if`: {error}")),
        };
        match self.memory.way(key, decide) {
            Ok(true) => self.steps(&branch.then, prefix, variables),
            Ok(false) => self.steps(&branch.otherwise, prefix, variables),
            Err(error) => Outcome::Failed(error),
        }
    }

    fn run(&mut self, run: &Run, key: &str, variables: &Variables) -> Outcome {
        let Some(fact) = self.facts.steps.get(key) else {
            let begin = StepStart {
                key: key.to_owned(),
                path: run.path.clone(),
                arguments: Bytes::new(),
                retry: run.retry,
            };
            return self.begin(begin, run.inputs.as_ref(), variables);
        };
        match fact.state {
            JobState::Done => Outcome::Done(self.memory.result(key, || result_of(fact))),
            JobState::Dead | JobState::Cancelled => match &run.on_error {
                Some(handler) => self.handle(handler, run, (key, fact), variables),
                None => Outcome::Failed(failure(key, fact)),
            },
            _ => Outcome::Waits,
        }
    }

    fn handle(
        &mut self,
        handler: &OnError,
        run: &Run,
        (key, fact): (&str, &StepFact),
        variables: &Variables,
    ) -> Outcome {
        let error = json!({
            "message": fact.error.as_deref().unwrap_or("the job was cancelled"),
            "step": key,
            "job_id": fact.job_id,
            "path": run.path,
        });
        let Some(path) = &handler.path else {
            return Outcome::Done(Given::of(json!({ "error": error })));
        };
        let handled = format!("{key}!error");
        let Some(told) = self.facts.steps.get(&handled) else {
            let mut inner = variables.clone();
            inner.named.insert("error", Given::of(error.clone()));
            let begin = StepStart {
                key: handled,
                path: path.clone(),
                arguments: json!({ "error": error }).to_string().into(),
                retry: None,
            };
            return self.begin(begin, handler.inputs.as_ref(), &inner);
        };
        match told.state {
            JobState::Done if handler.goes_on => Outcome::Done(result_of(told)),
            JobState::Done => Outcome::Failed(failure(key, fact)),
            JobState::Dead | JobState::Cancelled => Outcome::Failed(format!(
                "{}; and its error handler: {}",
                failure(key, fact),
                told.error.as_deref().unwrap_or("it was cancelled")
            )),
            _ => Outcome::Waits,
        }
    }

    /// Begins a step with its inputs; without any it gets what it has, or else the flow's arguments.
    fn begin(
        &mut self,
        mut start: StepStart,
        inputs: Option<&Template>,
        variables: &Variables,
    ) -> Outcome {
        match inputs {
            Some(template) => match fill(template, variables) {
                Ok(filled) => start.arguments = filled.to_string().into(),
                Err(error) => {
                    return Outcome::Failed(format!("step `{}`: `inputs`{error}", start.key));
                }
            },
            None if start.arguments.is_empty() => {
                let is_shaped = start.key != PREPROCESSOR && self.flow.preprocessor.is_some();
                start.arguments = match variables.named.get("args") {
                    Some(args) if is_shaped => args.value.to_string().into(),
                    _ => self.facts.arguments.clone(),
                };
            }
            None => {}
        }
        self.plan.starts.push(start);
        Outcome::Waits
    }
}

fn fill(template: &Template, variables: &Variables) -> Result<Value, String> {
    template.fill(variables).map_err(|(field, error)| {
        let field = match field.is_empty() {
            true => String::new(),
            false => format!(".{field}"),
        };
        format!("{field}: {error}")
    })
}

fn failure(key: &str, fact: &StepFact) -> String {
    let error = match (&fact.error, fact.state) {
        (_, JobState::Cancelled) => "it was cancelled",
        (Some(error), _) => error,
        (None, _) => "it failed",
    };
    format!("step `{key}`: {error}")
}

fn result_of(fact: &StepFact) -> Given {
    let bytes = fact.result.as_deref().unwrap_or(b"null");
    Given {
        value: Arc::new(read(bytes)),
        size: bytes.len(),
    }
}

/// JSON as it is, anything else as a text.
fn read(bytes: &[u8]) -> Value {
    if bytes.trim_ascii().is_empty() {
        return json!({});
    }
    crate::json::read(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
