//! A target that is down for a day: nothing is lost, and it is not hammered meanwhile.

use std::time::Duration;

use serde_json::json;
use triggerd::model::{AttemptOutcome, JobState, RunnableKind};

use crate::host::{Host, until_idle};
use crate::target::{Answer, Target};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const MINUTES_OF_A_DAY: u32 = 24 * 60;

#[tokio::test]
async fn jobs_of_a_target_that_is_down_for_a_day_are_tried_ever_more_rarely_and_none_is_lost() {
    let host = Host::start().await;
    let mut target = Target::start(Answer::HangUp).await;
    let spec = json!({
        "url": target.url("/"),
        "allow": ["127.0.0.0/8"],
        "retry": {"attempts_max": 100, "first_ms": 1000, "delay_max_ms": 3_600_000, "jitter": 0.0},
    });
    let runnable = host.runnable("f/down", RunnableKind::Http, spec).await;
    let executor = host.executor();
    let (mut jobs, mut tried) = (Vec::new(), Vec::new());
    for minute in 0..MINUTES_OF_A_DAY {
        if minute % (8 * 60) == 0 {
            jobs.push(host.add_job(&runnable, 100).await);
        }
        let before = attempts(&host, &jobs).await;
        executor.tick().await.expect("a tick");
        until_idle(&executor).await;
        if attempts(&host, &jobs).await > before {
            tried.push(minute);
        }
        host.clock.advance(MINUTE);
    }
    for id in &jobs {
        let job = host.job(id).await;
        assert_eq!(job.state, JobState::Ready, "it waits for its next attempt");
        let wait = Duration::from_millis(job.due_at.0.abs_diff(host.clock.now().0));
        assert!(wait <= HOUR, "{wait:?}");
    }
    // Once a second in the beginning, once an hour in the end: 35 times for the first job at most.
    let in_all = attempts(&host, &jobs).await;
    assert!((30..=90).contains(&in_all), "{in_all} attempts");
    let last_hour = tried.iter().filter(|minute| **minute >= 23 * 60).count();
    assert!((1..=4).contains(&last_hour), "{tried:?}");

    while target.has_seen_more() {}
    target.answer_from_now(Answer::Raw(
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into(),
    ));
    host.clock.advance(HOUR);
    for _ in &jobs {
        executor.tick().await.expect("a tick");
        until_idle(&executor).await;
    }
    for id in &jobs {
        let job = host.until_state(id, JobState::Done).await;
        let seen = target.seen().await;
        assert!(
            jobs.iter()
                .any(|one| Some(one.as_str()) == seen.header("webhook-id"))
        );
        let outcomes = host.attempts(id).await;
        let (last, others) = outcomes.split_last().expect("attempts");
        assert_eq!(last.outcome, AttemptOutcome::Ok);
        assert_eq!(others.len() + 1, job.attempts_made as usize);
        assert!(
            others
                .iter()
                .all(|one| one.outcome == AttemptOutcome::Failed)
        );
    }
    assert!(!target.has_seen_more(), "each came once");
}

async fn attempts(host: &Host, jobs: &[triggerd::id::JobId]) -> u32 {
    let mut made = 0;
    for id in jobs {
        made += host.job(id).await.attempts_made;
    }
    made
}
