//! Flows in the store: steps are jobs that poke their flow, a flow waits only for what it has seen, and
//! whoever is late changes nothing.

use serde_json::json;
use triggerd::backoff::RetryPolicy;
use triggerd::id::*;
use triggerd::model::*;

use crate::fixture::{Fixture, host, on_both};

on_both! {
    a_flow_waits_for_its_steps_and_is_ready_when_one_ended
    a_step_that_ended_while_its_flow_was_planned_is_not_missed
    a_flow_that_a_step_made_ready_while_the_clock_was_ahead_goes_on
    whoever_plans_a_flow_too_late_makes_no_steps
    a_step_is_made_once
    a_step_that_is_cancelled_or_lost_is_told_to_its_flow
    a_cancelled_flow_cancels_its_steps_and_theirs
    a_flow_answers_before_its_end
    results_that_are_too_large_are_left_out
    of_steps_that_are_known_those_are_read_that_ended
    steps_of_a_flow_that_goes_on_are_kept
    a_deleted_runnable_takes_its_flows_and_steps_along
    a_deleted_flow_that_is_about_to_go_on_takes_its_steps_along
    the_most_specific_handler_is_told_once
    a_failing_handler_is_told_to_nobody
    a_wiped_flow_leaves_nothing_of_its_steps
}

/// A flow that was claimed once and waits for one step.
struct Begun {
    flow: Runnable,
    step: Runnable,
    id: JobId,
    step_id: JobId,
}

fn pin(runnable: &Runnable) -> Pin {
    Pin {
        runnable_id: runnable.id.clone(),
        version_id: runnable.version_id.clone(),
    }
}

fn new_step(fixture: &Fixture, key: &str, runnable: &Runnable) -> NewStep {
    NewStep {
        id: JobId::generate(fixture.now()),
        step: key.to_owned(),
        pin: pin(runnable),
        arguments: json!({"of": key}).to_string().into(),
        attempts_max: 2,
        retry: Some(RetryPolicy {
            attempts_max: 2,
            ..RetryPolicy::default()
        }),
    }
}

fn advance(fixture: &Fixture, job: &Job, pokes: i64, steps: Vec<NewStep>) -> Advance {
    let pins = steps
        .iter()
        .map(|step| ("f/a".to_owned(), step.pin.clone()));
    Advance {
        job_id: job.id.clone(),
        workspace_id: job.workspace_id.clone(),
        fence: job.fence,
        pokes,
        pins: pins.collect(),
        answer: None,
        steps,
        at: fixture.now(),
    }
}

async fn claim_one(fixture: &Fixture, runnable: &Runnable) -> Job {
    let mut claimed = fixture.claim(runnable, &host(), 1).await;
    assert_eq!(claimed.len(), 1, "it is ready");
    claimed.remove(0).job
}

async fn begun(fixture: &Fixture) -> Begun {
    let (flow, step) = (
        fixture.runnable("f/flow").await,
        fixture.runnable("f/a").await,
    );
    let id = fixture.job(&flow).await;
    let job = claim_one(fixture, &flow).await;
    let made = new_step(fixture, "a", &step);
    let step_id = made.id.clone();
    let state = state(fixture, &id).await;
    assert_eq!((state.pokes, state.pins, state.steps.len()), (0, None, 0));
    assert!(go(fixture, advance(fixture, &job, 0, vec![made])).await);
    Begun {
        flow,
        step,
        id,
        step_id,
    }
}

async fn go(fixture: &Fixture, advance: Advance) -> bool {
    let went = fixture.store.advance_flow(advance).await;
    went.expect("advanced")
}

async fn state(fixture: &Fixture, id: &JobId) -> FlowState {
    let state = fixture.store.flow_state(id, 1 << 20).await;
    state.expect("read").expect("it is there")
}

async fn end(fixture: &Fixture, job: &Job, next: Next) {
    let finished = fixture.finished(job, next);
    let held = fixture.store.finish_attempts(vec![finished]).await;
    assert_eq!(held.expect("recorded"), [true]);
}

async fn state_of(fixture: &Fixture, id: &JobId) -> JobState {
    fixture.read_job(id).await.state
}

async fn a_flow_waits_for_its_steps_and_is_ready_when_one_ended(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let flow = fixture.read_job(&begun.id).await;
    assert_eq!((flow.state, flow.attempts_made), (JobState::Waiting, 0));
    assert!(fixture.claim(&begun.flow, &host(), 9).await.is_empty());
    let recovered = fixture.store.recover_jobs(fixture.later(9_999)).await;
    assert_eq!(
        recovered.expect("looked"),
        [],
        "a flow that waits has no lease"
    );

    let step = claim_one(&fixture, &begun.step).await;
    assert_eq!(step.cause, JobCause::Flow);
    let of = step.step.clone().expect("a step");
    assert_eq!((of.flow_id, of.step.as_str()), (begun.id.clone(), "a"));
    assert_eq!(of.retry.map(|retry| retry.attempts_max), Some(2));
    let due_at = fixture.now();
    end(&fixture, &step, Next::Retry { due_at }).await;
    assert_eq!(state_of(&fixture, &begun.id).await, JobState::Waiting);
    fixture.advance(1);
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;

    let flow = fixture.read_job(&begun.id).await;
    assert_eq!((flow.state, flow.due_at), (JobState::Ready, fixture.now()));
    let state = state(&fixture, &begun.id).await;
    assert_eq!(state.pokes, 1);
    assert_eq!(state.pins.expect("pinned")["f/a"], pin(&begun.step));
    assert_eq!(state.steps[0].result.as_deref(), Some(&b"\"fine\""[..]));
    let started_at = fixture.read_job(&begun.id).await.started_at;
    fixture.advance(1);
    let flow = claim_one(&fixture, &begun.flow).await;
    assert_eq!(flow.started_at, started_at, "it began once");
    end(&fixture, &flow, Next::Done).await;
    let attempts = fixture.store.list_attempts(&begun.id).await.expect("read");
    assert_eq!(attempts.len(), 1, "planning is no attempt");
}

async fn a_flow_that_a_step_made_ready_while_the_clock_was_ahead_goes_on(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let step = claim_one(&fixture, &begun.step).await;
    let before = fixture.now();
    fixture.advance(2 * 365 * 86_400);
    end(&fixture, &step, Next::Done).await;
    fixture.clock.set(before);
    assert!(fixture.claim(&begun.flow, &host(), 9).await.is_empty());
    for moved in [1, 0] {
        let caught_up = fixture.store.catch_up_with_clock(fixture.now()).await;
        assert_eq!(caught_up.expect("moved"), moved);
    }
    assert_eq!(claim_one(&fixture, &begun.flow).await.id, begun.id);
}

async fn a_step_that_ended_while_its_flow_was_planned_is_not_missed(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;
    let flow = claim_one(&fixture, &begun.flow).await;
    let seen = state(&fixture, &begun.id).await;
    let (b, c) = (
        new_step(&fixture, "b", &begun.step),
        new_step(&fixture, "c", &begun.step),
    );
    assert!(go(&fixture, advance(&fixture, &flow, seen.pokes, vec![b, c])).await);
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;
    let flow = claim_one(&fixture, &begun.flow).await;
    let seen = state(&fixture, &begun.id).await;
    // The other one ends after the flow's steps were read.
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Dead).await;
    assert!(go(&fixture, advance(&fixture, &flow, seen.pokes, Vec::new())).await);
    assert_eq!(state_of(&fixture, &begun.id).await, JobState::Ready);
}

async fn whoever_plans_a_flow_too_late_makes_no_steps(fixture: Fixture) {
    let (flow, step) = (
        fixture.runnable("f/flow").await,
        fixture.runnable("f/a").await,
    );
    let id = fixture.job(&flow).await;
    let late = claim_one(&fixture, &flow).await;
    fixture.advance(60);
    fixture
        .store
        .recover_jobs(fixture.now())
        .await
        .expect("recovered");
    let job = claim_one(&fixture, &flow).await;
    let made = new_step(&fixture, "late", &step);
    assert!(!go(&fixture, advance(&fixture, &late, 0, vec![made])).await);
    assert!(state(&fixture, &id).await.steps.is_empty());
    let made = new_step(&fixture, "a", &step);
    assert!(go(&fixture, advance(&fixture, &job, 0, vec![made])).await);
    assert_eq!(state(&fixture, &id).await.steps[0].step, "a");
}

async fn a_step_is_made_once(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;
    let flow = claim_one(&fixture, &begun.flow).await;
    let again = vec![
        new_step(&fixture, "a", &begun.step),
        new_step(&fixture, "b", &begun.step),
    ];
    assert!(go(&fixture, advance(&fixture, &flow, 1, again)).await);
    let mut steps = state(&fixture, &begun.id).await.steps;
    steps.sort_by(|x, y| x.step.cmp(&y.step));
    let keys: Vec<&str> = steps.iter().map(|step| step.step.as_str()).collect();
    assert_eq!(keys, ["a", "b"]);
    assert_eq!(steps[0].job_id, begun.step_id);
}

async fn a_step_that_is_cancelled_or_lost_is_told_to_its_flow(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let cancelled = fixture
        .store
        .cancel_job(&fixture.workspace, &begun.step_id)
        .await;
    cancelled.expect("cancelled");
    assert_eq!(state_of(&fixture, &begun.id).await, JobState::Ready);
    let flow = claim_one(&fixture, &begun.flow).await;
    let mut last = new_step(&fixture, "b", &begun.step);
    last.attempts_max = 1;
    assert!(go(&fixture, advance(&fixture, &flow, 1, vec![last])).await);
    claim_one(&fixture, &begun.step).await;
    fixture.advance(60);
    let lost = fixture
        .store
        .recover_jobs(fixture.now())
        .await
        .expect("looked");
    assert_eq!(lost[0].state, JobState::Dead);
    assert_eq!(state_of(&fixture, &begun.id).await, JobState::Ready);
    let untold = fixture.store.untold_failures(9).await.expect("read");
    assert_eq!(untold, [], "a step is its flow's business");
}

async fn a_cancelled_flow_cancels_its_steps_and_theirs(fixture: Fixture) {
    let begun = begun(&fixture).await;
    // The step is a flow itself, with one step that runs and one that waits.
    let inner = claim_one(&fixture, &begun.step).await;
    let leaf = fixture.runnable("f/leaf").await;
    let made = vec![
        new_step(&fixture, "x", &leaf),
        new_step(&fixture, "y", &leaf),
    ];
    let ids: Vec<JobId> = made.iter().map(|step| step.id.clone()).collect();
    assert!(go(&fixture, advance(&fixture, &inner, 0, made)).await);
    let running = claim_one(&fixture, &leaf).await;
    let cancelled = fixture
        .store
        .cancel_job(&fixture.workspace, &begun.id)
        .await;
    assert_eq!(cancelled.expect("cancelled").state, JobState::Cancelled);
    for id in ids.iter().chain([&begun.step_id]) {
        assert_eq!(state_of(&fixture, id).await, JobState::Cancelled);
    }
    let attempts = fixture
        .store
        .list_attempts(&running.id)
        .await
        .expect("read");
    assert_eq!(attempts[0].outcome, AttemptOutcome::Cancelled);
    let mut told = fixture
        .store
        .cancelled_steps(&begun.id)
        .await
        .expect("read");
    let mut all: Vec<JobId> = ids.into_iter().chain([begun.step_id]).collect();
    told.sort();
    all.sort();
    assert_eq!(told, all);
    let filter = JobFilter {
        flow_id: Some(begun.id.clone()),
        ..JobFilter::default()
    };
    let page = PageQuery::first(10);
    let listed = fixture.store.list_jobs(&fixture.workspace, &filter, &page);
    assert_eq!(listed.await.expect("listed").items.len(), 1);
}

async fn a_flow_answers_before_its_end(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let ended = async || {
        let ended = fixture
            .store
            .ended_jobs(std::slice::from_ref(&begun.id))
            .await;
        ended.expect("read")
    };
    assert!(ended().await.is_empty());
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;
    let flow = claim_one(&fixture, &begun.flow).await;
    let mut answering = advance(
        &fixture,
        &flow,
        1,
        vec![new_step(&fixture, "b", &begun.step)],
    );
    answering.answer = Some("\"early\"".into());
    assert!(go(&fixture, answering).await);
    let early = ended().await.remove(0);
    assert_eq!(
        (early.state, early.result.as_deref()),
        (JobState::Done, Some(&b"\"early\""[..]))
    );
    assert_eq!(state_of(&fixture, &begun.id).await, JobState::Waiting);
    let answer = state(&fixture, &begun.id).await.answer;
    assert_eq!(answer.as_deref(), Some(&b"\"early\""[..]));
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;
    let flow = claim_one(&fixture, &begun.flow).await;
    end(&fixture, &flow, Next::Dead).await;
    assert_eq!(state_of(&fixture, &begun.id).await, JobState::Dead);
    // Who looks only now is answered like everyone before.
    let late = ended().await.remove(0);
    assert_eq!(
        (late.state, late.result, late.error),
        (early.state, early.result, None)
    );
}

async fn results_that_are_too_large_are_left_out(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;
    let state = fixture.store.flow_state(&begun.id, 5).await;
    let state = state.expect("read").expect("it is there");
    assert_eq!((state.results_size, state.steps.len()), (6, 0));
}

async fn of_steps_that_are_known_those_are_read_that_ended(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let open = [begun.step_id.clone(), JobId::generate(fixture.now())];
    let news = async |room: u64| {
        let news = fixture.store.flow_news(&begun.id, &open, room).await;
        news.expect("read")
    };
    let before = news(100).await.expect("it is there");
    assert_eq!((before.pokes, before.steps.len()), (0, 0));
    assert!(before.pins.is_some());
    let step = claim_one(&fixture, &begun.step).await;
    assert_eq!(news(100).await.expect("it is there").steps.len(), 0);
    end(&fixture, &step, Next::Done).await;
    let after = news(6).await.expect("it is there");
    assert_eq!((after.pokes, after.results_size), (1, 6));
    let ended = &after.steps[0];
    assert_eq!((&ended.job_id, ended.step.as_str()), (&begun.step_id, "a"));
    assert_eq!(ended.result.as_deref(), Some(&b"\"fine\""[..]));
    assert!(news(5).await.is_none(), "its result is too large");
}

async fn steps_of_a_flow_that_goes_on_are_kept(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;
    fixture.advance(3600);
    assert_eq!(
        fixture
            .store
            .trim_jobs(fixture.now(), 10)
            .await
            .expect("trimmed"),
        0
    );
    let flow = claim_one(&fixture, &begun.flow).await;
    end(&fixture, &flow, Next::Done).await;
    fixture.advance(3600);
    assert_eq!(
        fixture
            .store
            .trim_jobs(fixture.now(), 10)
            .await
            .expect("trimmed"),
        2
    );
}

async fn a_deleted_runnable_takes_its_flows_and_steps_along(fixture: Fixture) {
    let begun = begun(&fixture).await;
    fixture
        .apply(vec![Change::DeleteRunnable(begun.step.id.clone())])
        .await;
    assert_eq!(
        state_of(&fixture, &begun.step_id).await,
        JobState::Cancelled
    );
    assert_eq!(state_of(&fixture, &begun.id).await, JobState::Ready);

    let other = fixture.runnable("f/b").await;
    let flow = claim_one(&fixture, &begun.flow).await;
    let made = new_step(&fixture, "b", &other);
    let step_id = made.id.clone();
    assert!(go(&fixture, advance(&fixture, &flow, 1, vec![made])).await);
    fixture
        .apply(vec![Change::DeleteRunnable(begun.flow.id.clone())])
        .await;
    for id in [&begun.id, &step_id] {
        assert_eq!(state_of(&fixture, id).await, JobState::Cancelled);
    }
}

async fn a_deleted_flow_that_is_about_to_go_on_takes_its_steps_along(fixture: Fixture) {
    let begun = begun(&fixture).await;
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;
    let flow = claim_one(&fixture, &begun.flow).await;
    let (b, c) = (
        new_step(&fixture, "b", &begun.step),
        new_step(&fixture, "c", &begun.step),
    );
    let ids = [b.id.clone(), c.id.clone()];
    assert!(go(&fixture, advance(&fixture, &flow, 1, vec![b, c])).await);
    let step = claim_one(&fixture, &begun.step).await;
    end(&fixture, &step, Next::Done).await;
    assert_eq!(state_of(&fixture, &begun.id).await, JobState::Ready);
    let running = claim_one(&fixture, &begun.step).await;
    assert!(ids.contains(&running.id));
    fixture
        .apply(vec![Change::DeleteRunnable(begun.flow.id.clone())])
        .await;
    assert_eq!(state_of(&fixture, &running.id).await, JobState::Cancelled);
    let flow = fixture.read_job(&begun.id).await;
    assert_eq!(flow.state, JobState::Cancelled);
    assert_eq!(flow.error.as_deref(), Some("its runnable was deleted"));
}

async fn set_handler(fixture: &Fixture, scope: HandlerScope, object: &str, to: Option<&Runnable>) {
    let change = Change::SetErrorHandler(HandlerChange {
        scope,
        object_id: object.to_owned(),
        runnable_id: to.map(|runnable| runnable.id.clone()),
    });
    assert_eq!(
        fixture.apply(vec![change.clone()]).await,
        [ChangedKind::Updated]
    );
    assert_eq!(fixture.apply(vec![change]).await, [ChangedKind::Unchanged]);
}

async fn the_most_specific_handler_is_told_once(fixture: Fixture) {
    let failing = fixture.runnable("f/failing").await;
    fixture.job(&failing).await;
    let unheard = claim_one(&fixture, &failing).await;
    end(&fixture, &unheard, Next::Dead).await;
    let nobody = fixture.store.untold_failures(9).await.expect("read");
    assert_eq!(nobody, [], "nobody is to be told");
    let [of_trigger, of_runnable, of_workspace] = [
        fixture.runnable("f/t").await,
        fixture.runnable("f/r").await,
        fixture.runnable("f/w").await,
    ];
    let subscription = fixture.new_subscription("repo");
    let trigger = fixture.new_trigger("on-push", &subscription.id, &failing.id);
    fixture
        .apply(vec![
            Change::CreateSubscription(subscription),
            Change::CreateTrigger(trigger.clone()),
        ])
        .await;
    let mut new = fixture.new_job(&failing, b"{}");
    (new.trigger_id, new.id) = (Some(trigger.id.clone()), JobId::generate(fixture.now()));
    let id = new.id.clone();
    fixture.store.insert_job(new).await.expect("inserted");
    let job = claim_one(&fixture, &failing).await;
    let handler = async || {
        let found = fixture.store.error_handler_of(&job).await;
        found.expect("read").map(|pin| pin.runnable_id)
    };
    assert_eq!(handler().await, None);
    let workspace = fixture.workspace.as_str();
    set_handler(
        &fixture,
        HandlerScope::Workspace,
        workspace,
        Some(&of_workspace),
    )
    .await;
    assert_eq!(handler().await, Some(of_workspace.id.clone()));
    set_handler(
        &fixture,
        HandlerScope::Runnable,
        failing.id.as_str(),
        Some(&of_runnable),
    )
    .await;
    assert_eq!(handler().await, Some(of_runnable.id.clone()));
    set_handler(
        &fixture,
        HandlerScope::Trigger,
        trigger.id.as_str(),
        Some(&of_trigger),
    )
    .await;
    assert_eq!(handler().await, Some(of_trigger.id.clone()));

    end(&fixture, &job, Next::Dead).await;
    let untold = fixture.store.untold_failures(9).await.expect("read");
    assert_eq!(untold, std::slice::from_ref(&id));
    let mut told = fixture.new_job(&of_trigger, b"{}");
    told.cause = JobCause::Error;
    let tell = async || {
        let told = fixture.store.tell_failure(&id, Some(told.clone())).await;
        told.expect("told")
    };
    assert!(tell().await);
    assert!(!tell().await, "another host was first");
    let made = fixture.read_job(&told.id).await;
    assert_eq!(
        (made.cause, made.origin_job_id),
        (JobCause::Error, Some(id))
    );

    // Who is told of errors stays as long as it is.
    let conflict = fixture
        .store
        .apply(
            &fixture.actor(),
            vec![Change::DeleteRunnable(of_trigger.id.clone())],
        )
        .await;
    assert!(conflict.expect_err("a trigger uses it").is_conflict());
    fixture.apply(vec![Change::DeleteTrigger(trigger.id)]).await;
    let delete = Change::DeleteRunnable(of_runnable.id.clone());
    let actor = fixture.actor();
    let conflict = fixture.store.apply(&actor, vec![delete.clone()]);
    let conflict = conflict.await.expect_err("a runnable tells it of errors");
    assert!(conflict.is_conflict() && conflict.to_string().contains("(f/failing)"));
    let of_failing = failing.id.as_str();
    set_handler(&fixture, HandlerScope::Runnable, of_failing, None).await;
    fixture.apply(vec![delete]).await;
    assert_eq!(handler().await, Some(of_workspace.id.clone()));
    set_handler(&fixture, HandlerScope::Workspace, workspace, None).await;
    assert_eq!(handler().await, None);
}

async fn a_failing_handler_is_told_to_nobody(fixture: Fixture) {
    let handler = fixture.runnable("f/handler").await;
    let workspace = fixture.workspace.as_str();
    set_handler(&fixture, HandlerScope::Workspace, workspace, Some(&handler)).await;
    let mut told = fixture.new_job(&handler, b"{}");
    (told.cause, told.attempts_max) = (JobCause::Error, 1);
    fixture.store.insert_job(told).await.expect("inserted");
    let job = claim_one(&fixture, &handler).await;
    end(&fixture, &job, Next::Dead).await;
    assert_eq!(fixture.store.untold_failures(9).await.expect("read"), []);
    let mut lost = fixture.new_job(&handler, b"{}");
    (lost.cause, lost.attempts_max) = (JobCause::Error, 1);
    fixture.store.insert_job(lost).await.expect("inserted");
    claim_one(&fixture, &handler).await;
    fixture.advance(60);
    fixture
        .store
        .recover_jobs(fixture.now())
        .await
        .expect("recovered");
    assert_eq!(fixture.store.untold_failures(9).await.expect("read"), []);
}

async fn a_wiped_flow_leaves_nothing_of_its_steps(fixture: Fixture) {
    let (flow, step) = (
        fixture.runnable("f/flow").await,
        fixture.runnable("f/a").await,
    );
    let new = fixture.new_job(&flow, b"{}");
    let id = new.id.clone();
    let call = NewCall {
        workspace_id: fixture.workspace.clone(),
        request: Some(CallRequest {
            id: RequestId::generate(fixture.now()),
            workspace_id: fixture.workspace.clone(),
            runnable_id: Some(flow.id.clone()),
            method: "POST".to_owned(),
            path: "/x".to_owned(),
            query: String::new(),
            headers: "[]".to_owned(),
            body_size: 0,
            received_at: fixture.now(),
            outcome: RequestOutcome::Accepted,
            status: 200,
            reason: None,
        }),
        key: None,
        jobs: vec![CallJob {
            job: new,
            lease: None,
            is_wiped: true,
        }],
        token_id: None,
    };
    fixture.store.call(call).await.expect("called");
    let job = claim_one(&fixture, &flow).await;
    let made = new_step(&fixture, "a", &step);
    let step_id = made.id.clone();
    assert!(go(&fixture, advance(&fixture, &job, 0, vec![made])).await);
    let running = claim_one(&fixture, &step).await;
    assert!(
        !fixture.store.wipe_job(&id).await.expect("tried"),
        "it goes on"
    );
    end(&fixture, &running, Next::Done).await;
    let job = claim_one(&fixture, &flow).await;
    end(&fixture, &job, Next::Done).await;
    assert!(fixture.store.wipe_job(&id).await.expect("wiped"));
    let step = fixture.read_job(&step_id).await;
    assert_eq!(step.result, None);
    assert_eq!(
        fixture.store.job_arguments(&step_id).await.expect("read"),
        None
    );
    let attempts = fixture.store.list_attempts(&step_id).await.expect("read");
    assert_eq!(attempts[0].stdout, None);
}
