//! What becomes of a job, and what is learnt about its target, when an attempt ends. Pure.

use crate::backoff::RetryPolicy;
use crate::clock::Millis;
use crate::jobs::breaker::Verdict;
use crate::model::{Job, Next};
use crate::runnables::{AttemptReport, Retry};

/// What becomes of the job; `fraction` is random, in `[0, 1)`.
pub(super) fn next_of(
    report: &AttemptReport,
    job: &Job,
    policy: &RetryPolicy,
    now: Millis,
    fraction: f64,
) -> Next {
    if report.is_ok() {
        return Next::Done;
    }
    let wait = match report.retry {
        Retry::Never => return Next::Dead,
        // It waits until an operator enables its runnable again, however many attempts it made.
        Retry::DisableTarget => return Next::Again { due_at: now },
        Retry::After(wait) => wait,
        Retry::Policy => policy.delay(job.attempts_made, fraction),
    };
    if job.attempts_made >= job.attempts_max {
        return Next::Dead;
    }
    Next::Retry {
        due_at: now.plus(wait),
    }
}

/// What is learnt about the target.
pub(super) fn verdict_of(report: &AttemptReport) -> Verdict {
    match report.retry {
        Retry::After(wait) if !report.is_ok() => Verdict::Busy(wait),
        _ if report.is_targets_trouble() => Verdict::Trouble,
        _ => Verdict::Well,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::id::{JobId, RunnableId, VersionId, WorkspaceId};
    use crate::model::{AttemptOutcome, JobCause, JobState};

    const NOW: Millis = Millis(1_000_000);

    fn next(report: AttemptReport, attempts_made: u32) -> Next {
        let job = Job {
            id: JobId::generate(NOW),
            workspace_id: WorkspaceId::generate(NOW),
            cause: JobCause::Event,
            event_id: None,
            trigger_id: None,
            runnable_id: RunnableId::generate(NOW),
            version_id: VersionId::generate(NOW),
            state: JobState::Running,
            attempts_made,
            attempts_max: 3,
            due_at: NOW,
            lease_owner: None,
            lease_expires_at: None,
            fence: 1,
            result: None,
            error: None,
            origin_job_id: None,
            step: None,
            created_at: NOW,
            started_at: Some(NOW),
            finished_at: None,
        };
        next_of(&report, &job, &RetryPolicy::default(), NOW, 0.5)
    }

    fn failed(retry: Retry) -> AttemptReport {
        AttemptReport {
            retry,
            ..AttemptReport::not_ok(AttemptOutcome::Failed, "no")
        }
    }

    fn retry_in(ms: i64) -> Next {
        Next::Retry {
            due_at: Millis(NOW.0 + ms),
        }
    }

    #[test]
    fn a_job_is_tried_again_until_its_attempts_are_used_up() {
        assert_eq!(next(AttemptReport::ok(None), 3), Next::Done);
        assert_eq!(next(failed(Retry::Policy), 1), retry_in(1_000));
        assert_eq!(next(failed(Retry::Policy), 2), retry_in(2_000));
        assert_eq!(next(failed(Retry::Policy), 3), Next::Dead);
    }

    #[test]
    fn a_target_that_asked_for_time_gets_it_but_no_more_attempts() {
        let busy = Retry::After(Duration::from_secs(60));
        assert_eq!(next(failed(busy), 1), retry_in(60_000));
        assert_eq!(next(failed(busy), 3), Next::Dead);
        assert_eq!(
            verdict_of(&failed(busy)),
            Verdict::Busy(Duration::from_secs(60))
        );
    }

    #[test]
    fn what_cannot_end_differently_is_given_up_at_once() {
        assert_eq!(next(failed(Retry::Never), 1), Next::Dead);
    }

    #[test]
    fn jobs_of_a_target_that_is_gone_wait_for_an_operator() {
        assert_eq!(
            next(failed(Retry::DisableTarget), 3),
            Next::Again { due_at: NOW }
        );
    }

    #[test]
    fn only_the_targets_own_trouble_counts_against_it() {
        let check = |outcome, exit_code, http_status| {
            verdict_of(&AttemptReport {
                exit_code,
                http_status,
                ..AttemptReport::not_ok(outcome, "no")
            })
        };
        assert_eq!(verdict_of(&AttemptReport::ok(None)), Verdict::Well);
        assert_eq!(check(AttemptOutcome::Failed, Some(1), None), Verdict::Well);
        assert_eq!(
            check(AttemptOutcome::Failed, None, Some(422)),
            Verdict::Well
        );
        assert_eq!(
            check(AttemptOutcome::Failed, None, Some(500)),
            Verdict::Trouble
        );
        assert_eq!(check(AttemptOutcome::Failed, None, None), Verdict::Trouble);
        assert_eq!(check(AttemptOutcome::Timeout, None, None), Verdict::Trouble);
        assert_eq!(check(AttemptOutcome::Refused, None, None), Verdict::Trouble);
    }
}
