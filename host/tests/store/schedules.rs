//! Schedules: each time once, whoever sees it; halts, clocks that jump, runs that do not end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value, json};
use triggerd::clock::Millis;
use triggerd::id::ScheduleId;
use triggerd::metrics::Metrics;
use triggerd::model::*;
use triggerd::schedules::{Clockwork, ClockworkParts, Tick};

use crate::fixture::{Fixture, host, on_both};

on_both! {
    a_time_is_run_for_once_on_two_hosts
    a_tick_says_when_the_next_time_comes
    a_run_that_has_not_ended_is_waited_for_or_left_out
    missed_times_are_dealt_with_as_the_schedule_says
    all_missed_times_are_run_one_after_the_other
    after_a_clock_was_put_back_no_time_is_run_for_twice
    a_host_that_starts_after_the_clock_was_put_back_looks_anew
    a_clock_that_ran_ahead_and_left_times_out_stops_no_schedule
    a_clock_that_ran_ahead_while_a_schedule_waited_stops_it_no_longer_than_its_run
    a_paused_schedule_does_not_run_and_misses_nothing
    a_change_between_look_and_firing_wins
    a_hundred_schedules_and_more_are_all_run_for_their_time
    a_runnable_is_not_deleted_under_its_schedule
    a_schedule_is_changed_by_who_read_it_last
}

/// The first full minute after the clock of every fixture starts.
const FIRST: Millis = Millis(1_700_000_040_000);
const MINUTE: u64 = 60;

fn clockwork(fixture: &Fixture) -> Clockwork {
    Clockwork::new(ClockworkParts {
        store: fixture.store.clone(),
        clock: fixture.clock.clone(),
        metrics: Arc::new(Metrics::default()),
        jobs_wake: Arc::default(),
    })
}

fn new_schedule(fixture: &Fixture, runnable: &Runnable) -> NewSchedule {
    NewSchedule {
        id: ScheduleId::generate(fixture.now()),
        workspace_id: fixture.workspace.clone(),
        name: "each-minute".to_owned(),
        cron: "0 * * * * *".to_owned(),
        timezone: "UTC".to_owned(),
        runnable_id: runnable.id.clone(),
        arguments: Map::new(),
        overlap: false,
        missed: Missed::Skip,
        paused: false,
        due_at: Some(FIRST),
    }
}

/// A schedule for each full minute, changed; the clock stands at its first time.
async fn at_first(fixture: &Fixture, change: impl FnOnce(&mut NewSchedule)) -> ScheduleId {
    let runnable = fixture.runnable("f/a").await;
    let mut new = new_schedule(fixture, &runnable);
    change(&mut new);
    let id = new.id.clone();
    fixture.apply(vec![Change::CreateSchedule(new)]).await;
    fixture.clock.set(FIRST);
    id
}

async fn jobs(fixture: &Fixture) -> Vec<Job> {
    let filter = JobFilter {
        cause: Some(JobCause::Schedule),
        ..JobFilter::default()
    };
    let page = PageQuery::first(PageQuery::LIMIT_MAX);
    let found = fixture.store.list_jobs(&fixture.workspace, &filter, &page);
    let mut jobs = found.await.expect("read").items;
    jobs.reverse();
    jobs
}

async fn scheduled_for(fixture: &Fixture) -> Vec<String> {
    let mut times = Vec::new();
    for job in jobs(fixture).await {
        let arguments = fixture.store.job_arguments(&job.id).await.expect("read");
        let arguments: Value =
            serde_json::from_slice(&arguments.expect("arguments")).expect("JSON");
        let at = &arguments["trigger"]["schedule"]["scheduled_for"];
        times.push(at.as_str().expect("a time")[11..19].to_owned());
    }
    times
}

async fn read(fixture: &Fixture, id: &ScheduleId) -> Schedule {
    let found = fixture.store.schedule(&fixture.workspace, id).await;
    found.expect("read").expect("it is there")
}

/// Ends every job that is ready.
async fn end_all(fixture: &Fixture) {
    let runnable = fixture.store.runnable_by_path(&fixture.workspace, "f/a");
    let runnable = runnable.await.expect("read").expect("it is there");
    for claimed in fixture.claim(&runnable, &host(), 1000).await {
        let finished = vec![fixture.finished(&claimed.job, Next::Done)];
        fixture.store.finish_attempts(finished).await.expect("kept");
    }
}

async fn a_time_is_run_for_once_on_two_hosts(fixture: Fixture) {
    let id = at_first(&fixture, |new| {
        new.arguments = json!({"depth": 2}).as_object().cloned().expect("a map");
    })
    .await;
    let (one, other) = (clockwork(&fixture), clockwork(&fixture));
    for _ in 0..5 {
        let (first, second) = tokio::join!(one.tick(), other.tick());
        first.expect("a tick");
        second.expect("a tick");
    }
    let made = jobs(&fixture).await;
    assert_eq!(made.len(), 1);
    assert_eq!(
        (made[0].cause, made[0].state),
        (JobCause::Schedule, JobState::Ready)
    );
    let arguments = fixture
        .store
        .job_arguments(&made[0].id)
        .await
        .expect("read");
    let arguments: Value = serde_json::from_slice(&arguments.expect("there")).expect("JSON");
    let expected = json!({"depth": 2, "trigger": {"kind": "schedule", "schedule":
        {"name": "each-minute", "scheduled_for": "2023-11-14T22:14:00+00:00"}}});
    assert_eq!(arguments, expected);
    let row = read(&fixture, &id).await;
    assert_eq!(row.fired_for, Some(FIRST));
    assert_eq!(row.last_job_id.as_ref(), Some(&made[0].id));
    assert_eq!(row.due_at, Some(FIRST.plus(Duration::from_secs(MINUTE))));
    assert_eq!((row.skipped, row.skip_reason), (0, None));
}

async fn a_tick_says_when_the_next_time_comes(fixture: Fixture) {
    at_first(&fixture, |_| {}).await;
    let clockwork = clockwork(&fixture);
    fixture.clock.set(Millis(FIRST.0 - 400));
    let tick = clockwork.tick().await.expect("a tick");
    assert_eq!(tick, Tick::After(Duration::from_millis(400)));
    assert!(jobs(&fixture).await.is_empty());
    fixture.clock.set(FIRST);
    let tick = clockwork.tick().await.expect("a tick");
    assert_eq!(tick, Tick::After(Duration::from_secs(1)));
    assert_eq!(jobs(&fixture).await.len(), 1);
}

async fn a_run_that_has_not_ended_is_waited_for_or_left_out(fixture: Fixture) {
    let id = at_first(&fixture, |_| {}).await;
    let clockwork = clockwork(&fixture);
    clockwork.tick().await.expect("a tick");
    fixture.advance(MINUTE);
    clockwork.tick().await.expect("a tick");
    assert_eq!(scheduled_for(&fixture).await, ["22:14:00"]);
    let row = read(&fixture, &id).await;
    let reason = "the run before had not ended";
    assert_eq!((row.skipped, row.skip_reason.as_deref()), (1, Some(reason)));

    // The same with a policy that makes up for it.
    let update = Change::UpdateSchedule(ScheduleUpdate {
        id: id.clone(),
        revision: row.revision,
        cron: row.cron,
        timezone: row.timezone,
        runnable_id: row.runnable_id,
        arguments: row.arguments,
        overlap: false,
        missed: Missed::Once,
        paused: false,
        next: NextTime::Keep,
    });
    fixture.apply(vec![update]).await;
    fixture.advance(MINUTE);
    clockwork.tick().await.expect("a tick");
    fixture.advance(1);
    clockwork.tick().await.expect("a tick");
    assert_eq!(jobs(&fixture).await.len(), 1, "it waits");
    fixture.advance(10);
    end_all(&fixture).await;
    clockwork.tick().await.expect("a tick");
    assert_eq!(scheduled_for(&fixture).await, ["22:14:00", "22:16:00"]);
}

async fn missed_times_are_dealt_with_as_the_schedule_says(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    for (name, missed) in [("skip", Missed::Skip), ("once", Missed::Once)] {
        let mut new = new_schedule(&fixture, &runnable);
        new.name = name.to_owned();
        new.missed = missed;
        new.cron = "0 14 * * * *".to_owned();
        fixture.apply(vec![Change::CreateSchedule(new)]).await;
    }
    // Three hours and a half later.
    fixture.clock.set(FIRST.plus(Duration::from_secs(12_600)));
    clockwork(&fixture).tick().await.expect("a tick");
    assert_eq!(scheduled_for(&fixture).await, ["01:14:00"]);
    for (name, skipped) in [("skip", 4), ("once", 3)] {
        let row = fixture.store.schedule_by_name(&fixture.workspace, name);
        let row = row.await.expect("read").expect("it is there");
        assert_eq!(row.skipped, skipped, "{name}");
        assert_eq!(row.due_at, Some(FIRST.plus(Duration::from_secs(4 * 3600))));
    }
}

async fn all_missed_times_are_run_one_after_the_other(fixture: Fixture) {
    at_first(&fixture, |new| new.missed = Missed::All).await;
    let clockwork = clockwork(&fixture);
    fixture.advance(3 * MINUTE + 5);
    for made in 1..=4 {
        clockwork.tick().await.expect("a tick");
        clockwork.tick().await.expect("a tick");
        assert_eq!(jobs(&fixture).await.len(), made);
        end_all(&fixture).await;
        fixture.advance(1);
    }
    clockwork.tick().await.expect("a tick");
    let times = ["22:14:00", "22:15:00", "22:16:00", "22:17:00"];
    assert_eq!(scheduled_for(&fixture).await, times);
}

async fn after_a_clock_was_put_back_no_time_is_run_for_twice(fixture: Fixture) {
    at_first(&fixture, |new| new.overlap = true).await;
    let clockwork = clockwork(&fixture);
    clockwork.tick().await.expect("a tick");
    // A day ahead: the times between are missed, the one of then is run for.
    fixture.advance(86_400);
    clockwork.tick().await.expect("a tick");
    assert_eq!(
        jobs(&fixture).await.len(),
        3,
        "its minute and the one before"
    );
    // And back: goes on at the next minute, and not in a day.
    fixture.clock.set(FIRST.plus(Duration::from_secs(10)));
    clockwork.tick().await.expect("a tick");
    assert_eq!(jobs(&fixture).await.len(), 3);
    fixture.advance(50);
    clockwork.tick().await.expect("a tick");
    assert_eq!(jobs(&fixture).await.len(), 4);
    // Until it comes to the times that were run for.
    fixture.clock.set(FIRST.plus(Duration::from_secs(86_400)));
    clockwork.tick().await.expect("a tick");
    assert_eq!(jobs(&fixture).await.len(), 4);
    let mut times = scheduled_for(&fixture).await;
    times.sort();
    assert_eq!(times, ["22:13:00", "22:14:00", "22:14:00", "22:15:00"]);
}

async fn a_host_that_starts_after_the_clock_was_put_back_looks_anew(fixture: Fixture) {
    let id = at_first(&fixture, |_| {}).await;
    fixture.advance(86_400);
    clockwork(&fixture).tick().await.expect("a tick");
    end_all(&fixture).await;
    fixture.clock.set(FIRST.plus(Duration::from_secs(10)));
    clockwork(&fixture).tick().await.expect("a tick");
    let row = read(&fixture, &id).await;
    assert_eq!(row.due_at, Some(FIRST.plus(Duration::from_secs(MINUTE))));
}

/// As long as a clock was ahead, for a moment.
const TWO_YEARS: u64 = 2 * 365 * 86_400;

async fn a_clock_that_ran_ahead_and_left_times_out_stops_no_schedule(fixture: Fixture) {
    // Daily, so that what was left out in two years is not late, but gone: nothing is run for it.
    let id = at_first(&fixture, |new| new.cron = "0 14 22 * * *".to_owned()).await;
    let clockwork = clockwork(&fixture);
    clockwork.tick().await.expect("a tick");
    end_all(&fixture).await;
    fixture.advance(TWO_YEARS + 3600);
    clockwork.tick().await.expect("a tick");
    let row = read(&fixture, &id).await;
    assert_eq!(row.fired_for, Some(FIRST), "nothing was run for");
    fixture.clock.set(FIRST.plus(Duration::from_secs(10)));
    clockwork.tick().await.expect("a tick");
    let next = FIRST.plus(Duration::from_secs(86_400));
    let row = read(&fixture, &id).await;
    assert_eq!((row.due_at, row.look_at), (Some(next), Some(next)));
    fixture.clock.set(next);
    clockwork.tick().await.expect("a tick");
    assert_eq!(scheduled_for(&fixture).await.len(), 2);
}

async fn a_clock_that_ran_ahead_while_a_schedule_waited_stops_it_no_longer_than_its_run(
    fixture: Fixture,
) {
    let id = at_first(&fixture, |new| new.missed = Missed::Once).await;
    let one = clockwork(&fixture);
    one.tick().await.expect("a tick");
    fixture.advance(MINUTE);
    one.tick().await.expect("a tick");
    fixture.advance(TWO_YEARS);
    one.tick().await.expect("a tick");
    let second = FIRST.plus(Duration::from_secs(MINUTE));
    let row = read(&fixture, &id).await;
    assert_eq!(row.due_at, Some(second), "it waits for the run before");
    // Set back while no host was up, or before this one came.
    fixture.clock.set(second.plus(Duration::from_secs(5)));
    let other = clockwork(&fixture);
    other.tick().await.expect("a tick");
    assert_eq!(jobs(&fixture).await.len(), 1, "it has not ended");
    fixture.advance(1);
    end_all(&fixture).await;
    other.tick().await.expect("a tick");
    assert_eq!(scheduled_for(&fixture).await, ["22:14:00", "22:15:00"]);
}

async fn a_paused_schedule_does_not_run_and_misses_nothing(fixture: Fixture) {
    let id = at_first(&fixture, |new| new.missed = Missed::All).await;
    let clockwork = clockwork(&fixture);
    let switch = |paused, next| Change::SwitchSchedule {
        id: id.clone(),
        paused,
        next: NextTime::Set(next),
    };
    fixture.apply(vec![switch(true, None)]).await;
    fixture.advance(3 * MINUTE);
    clockwork.tick().await.expect("a tick");
    assert!(jobs(&fixture).await.is_empty());
    let next = FIRST.plus(Duration::from_secs(4 * MINUTE));
    fixture.apply(vec![switch(false, Some(next))]).await;
    clockwork.tick().await.expect("a tick");
    assert!(jobs(&fixture).await.is_empty());
    fixture.clock.set(next);
    clockwork.tick().await.expect("a tick");
    assert_eq!(scheduled_for(&fixture).await, ["22:18:00"]);
}

async fn a_change_between_look_and_firing_wins(fixture: Fixture) {
    let id = at_first(&fixture, |_| {}).await;
    let due = fixture.store.due_schedules(FIRST, 10).await.expect("read");
    let seen = &due[0];
    let runnable = fixture.runnable("f/b").await;
    let firing = Firing {
        schedule_id: id.clone(),
        revision: seen.schedule.revision,
        due_at: seen.due_at,
        look_at: FIRST,
        runs: vec![Run {
            scheduled_for: FIRST,
            job: fixture.new_job(&runnable, b"{}"),
        }],
        skipped: None,
        next_due_at: None,
        next_look_at: None,
    };
    let pause = Change::SwitchSchedule {
        id,
        paused: true,
        next: NextTime::Set(None),
    };
    fixture.apply(vec![pause]).await;
    let made = fixture.store.fire_schedules(vec![firing], FIRST).await;
    assert_eq!(made.expect("kept"), 0);
    assert!(jobs(&fixture).await.is_empty());
}

async fn a_hundred_schedules_and_more_are_all_run_for_their_time(fixture: Fixture) {
    let runnable = fixture.runnable("f/a").await;
    let new = |number: usize| {
        let mut new = new_schedule(&fixture, &runnable);
        new.name = format!("s-{number}");
        Change::CreateSchedule(new)
    };
    fixture.apply((0..150).map(new).collect()).await;
    fixture.clock.set(FIRST);
    let clockwork = clockwork(&fixture);
    assert_eq!(clockwork.tick().await.expect("a tick"), Tick::AtOnce);
    clockwork.tick().await.expect("a tick");
    assert_eq!(jobs(&fixture).await.len(), 150);
}

async fn a_runnable_is_not_deleted_under_its_schedule(fixture: Fixture) {
    let id = at_first(&fixture, |_| {}).await;
    let runnable = read(&fixture, &id).await.runnable_id;
    let delete = || vec![Change::DeleteRunnable(runnable.clone())];
    let refused = fixture.store.apply(&fixture.actor(), delete()).await;
    let refused = refused.expect_err("it is used").to_string();
    assert!(refused.contains("schedules (each-minute)"), "{refused}");
    fixture.apply(vec![Change::DeleteSchedule(id)]).await;
    assert_eq!(fixture.apply(delete()).await, [ChangedKind::Deleted]);
}

async fn a_schedule_is_changed_by_who_read_it_last(fixture: Fixture) {
    let id = at_first(&fixture, |_| {}).await;
    let row = read(&fixture, &id).await;
    let update = |cron: &str| {
        Change::UpdateSchedule(ScheduleUpdate {
            id: id.clone(),
            revision: row.revision,
            cron: cron.to_owned(),
            timezone: "Europe/Berlin".to_owned(),
            runnable_id: row.runnable_id.clone(),
            arguments: Map::new(),
            overlap: true,
            missed: Missed::All,
            paused: true,
            next: NextTime::Set(None),
        })
    };
    fixture.apply(vec![update("0 0 * * * *")]).await;
    let refused = fixture
        .store
        .apply(&fixture.actor(), vec![update("0 1 * * * *")])
        .await;
    assert!(refused.expect_err("changed meanwhile").is_conflict());
    let now = read(&fixture, &id).await;
    assert_eq!(
        (now.cron.as_str(), now.paused, now.due_at),
        ("0 0 * * * *", true, None)
    );
}
