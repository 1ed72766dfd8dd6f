//! One step further in a flow: what its steps did is read, what follows is planned, and both what begins
//! and that the flow waits for it are one commit. The flow keeps no place meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Value, json};

use crate::flows::{End, Facts, FlowSpec, Plan, StepStart, on_own_stack, plan};
use crate::id::JobId;
use crate::jobs::ends::Ended;
use crate::jobs::executor::Inner;
use crate::jobs::remembered::Known;
use crate::model::{Advance, AttemptOutcome, ClaimedJob, FlowState, JobState, NewStep, Pins};
use crate::runnables::{AttemptReport, JobContext, Retry};
use crate::store::StoreError;

/// The results of all steps together, in bytes.
const RESULTS_MAX: u64 = 16 << 20;
/// Flows in flows: one that runs itself ends.
const DEPTH_MAX: u32 = 10;
/// Never what a flow's pokes are: it is ready again at once.
const AT_ONCE: i64 = -1;

/// What became of a flow that was planned.
pub(super) enum Went {
    /// It waits for its steps.
    On,
    /// It ended.
    Ended(AttemptReport),
}

/// Plans a claimed flow and commits what follows, unless it ended.
pub(super) async fn advance(
    host: &Inner,
    claimed: &ClaimedJob,
    context: &JobContext,
    flow: &Arc<FlowSpec>,
) -> Result<Went, StoreError> {
    let job = &claimed.job;
    let Some((state, known)) = look(host, claimed).await? else {
        return Ok(failed("the flow's job is not there"));
    };
    let pins = match &state.pins {
        Some(pins) => pins.clone(),
        None => match begin(host, claimed, flow, state.depth).await? {
            Ok(pins) => pins,
            Err(error) => return Ok(failed(error)),
        },
    };
    if let Some(answer) = &state.answer {
        // Another host may have committed it, and who waits for it waits here.
        tell(host, claimed, answer);
    }
    let (plan, mut known) = if state.results_size > RESULTS_MAX {
        (too_large(&state), known)
    } else {
        match think(claimed, context, flow, known).await {
            Some(planned) => planned,
            None => return Ok(failed("the flow's expressions could not be evaluated")),
        }
    };
    let answer = plan.answer.filter(|_| state.answer.is_none());
    // Who waits is answered before the flow ends with another result.
    let (pokes, end) = match (&answer, plan.end) {
        (Some(_), Some(_)) => (AT_ONCE, None),
        (_, end) => (state.pokes, end),
    };
    match end {
        Some(End::Done(result)) => return Ok(Went::Ended(AttemptReport::ok(Some(result)))),
        Some(End::Failed(error)) => return Ok(failed(error)),
        None => {}
    }
    let mut steps = Vec::with_capacity(plan.starts.len());
    for start in plan.starts {
        match step_of(host, start, &pins).await? {
            Ok(step) => steps.push(step),
            Err(error) => return Ok(failed(error)),
        }
    }
    let made = steps.len() as u64;
    known.begin(&steps);
    let advance = Advance {
        job_id: job.id.clone(),
        workspace_id: job.workspace_id.clone(),
        fence: job.fence,
        pokes,
        pins,
        answer: answer.clone(),
        steps,
        at: host.clock.now(),
    };
    if !host.store.advance_flow(advance).await? {
        tracing::warn!(job = %job.id, "a flow was planned too late: its job is no longer ours");
        return Ok(Went::On);
    }
    host.remembered.keep(&job.id, job.fence, known);
    host.metrics.jobs.add("flow", made);
    if let Some(answer) = &answer {
        tell(host, claimed, answer);
    }
    Ok(Went::On)
}

/// What is known of the flow, and what its steps did since. Nothing of that, if their results are too large.
async fn look(
    host: &Inner,
    claimed: &ClaimedJob,
) -> Result<Option<(FlowState, Known)>, StoreError> {
    let (store, job) = (&host.store, &claimed.job);
    if let Some(mut known) = host.remembered.take(&job.id, job.fence) {
        let room = RESULTS_MAX.saturating_sub(known.results_size());
        if let Some(mut news) = store.flow_news(&job.id, &known.open(), room).await? {
            host.metrics.flow_steps_read.add(news.steps.len() as u64);
            known.learn(std::mem::take(&mut news.steps), news.results_size);
            return Ok(Some((news, known)));
        }
    }
    let Some(mut state) = store.flow_state(&job.id, RESULTS_MAX).await? else {
        return Ok(None);
    };
    host.metrics.flow_steps_read.add(state.steps.len() as u64);
    let mut known = Known::with_arguments(claimed.arguments.len());
    if state.results_size <= RESULTS_MAX {
        known.learn(std::mem::take(&mut state.steps), state.results_size);
    }
    Ok(Some((state, known)))
}

/// Plans. `None`: it panicked.
async fn think(
    claimed: &ClaimedJob,
    context: &JobContext,
    flow: &Arc<FlowSpec>,
    mut known: Known,
) -> Option<(Plan, Known)> {
    let facts = Facts {
        arguments: claimed.arguments.clone(),
        trigger: trigger_of(context),
        job: json!({
            "id": context.job_id,
            "path": context.runnable,
            "workspace": context.workspace,
            "created_at": claimed.job.created_at.to_string(),
        }),
        steps: std::mem::take(&mut known.steps),
    };
    let flow = Arc::clone(flow);
    on_own_stack(move || {
        let plan = plan(&flow, &facts, &mut known.memory);
        known.steps = facts.steps;
        (plan, known)
    })
    .await
}

/// Answers who waits for a flow that goes on.
fn tell(host: &Inner, claimed: &ClaimedJob, answer: &Bytes) {
    host.ends.tell(&claimed.job.id, || Ended {
        state: JobState::Done,
        result: Some(answer.clone()),
        error: None,
    });
}

/// The versions that the steps of a flow run from now on, or why it cannot begin.
async fn begin(
    host: &Inner,
    claimed: &ClaimedJob,
    flow: &FlowSpec,
    depth: u32,
) -> Result<Result<Pins, String>, StoreError> {
    if depth >= DEPTH_MAX {
        let error = format!("it is a flow in {depth} flows: does one of them run itself?");
        return Ok(Err(error));
    }
    let workspace = &claimed.job.workspace_id;
    let pins = host.store.find_pins(workspace, &flow.paths).await?;
    let gone = flow.paths.iter().find(|path| !pins.contains_key(*path));
    Ok(match gone {
        Some(path) => Err(format!("it runs `{path}`, which is not there")),
        None => Ok(pins),
    })
}

/// Nothing is read any more of a flow whose results are too large together; what runs comes to its end.
fn too_large(state: &FlowState) -> Plan {
    let error = format!(
        "the results of its steps have {} bytes together, more than {RESULTS_MAX}",
        state.results_size
    );
    Plan {
        end: state.steps.is_empty().then_some(End::Failed(error)),
        ..Plan::default()
    }
}

fn trigger_of(context: &JobContext) -> Value {
    let Some(trigger) = &context.trigger else {
        return Value::Null;
    };
    let event = context.event.as_ref().map(|event| {
        json!({
            "id": event.id,
            "name": event.name,
            "provider": event.provider,
            "subscription": event.subscription,
            "at": event.at.to_string(),
        })
    });
    json!({ "name": trigger, "event": event })
}

async fn step_of(
    host: &Inner,
    start: StepStart,
    pins: &Pins,
) -> Result<Result<NewStep, String>, StoreError> {
    let Some(pin) = pins.get(&start.path) else {
        let error = format!(
            "step `{}` runs `{}`, which is not there",
            start.key, start.path
        );
        return Ok(Err(error));
    };
    let attempts_max = match &start.retry {
        Some(retry) => retry.attempts_max,
        None => host.versions.attempts_max(&pin.version_id).await?,
    };
    Ok(Ok(NewStep {
        id: JobId::generate(host.clock.now()),
        step: start.key,
        pin: pin.clone(),
        arguments: start.arguments,
        attempts_max,
        retry: start.retry,
    }))
}

/// A flow that failed is not tried again: its steps were.
fn failed(error: impl Into<String>) -> Went {
    Went::Ended(AttemptReport {
        retry: Retry::Never,
        ..AttemptReport::not_ok(AttemptOutcome::Failed, error)
    })
}
