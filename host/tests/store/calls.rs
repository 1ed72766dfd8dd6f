//! Calls of runnables: what a key stands for, and for how long.

use std::time::Duration;

use bytes::Bytes;
use sqlx::Executor as _;
use triggerd::id::*;
use triggerd::model::*;

use crate::fixture::{Fixture, on_both, pool};

on_both! {
    a_key_stands_for_the_same_jobs_until_its_time_is_over
    a_key_of_another_token_is_taken_also_in_the_same_commit
    a_key_whose_jobs_are_not_kept_is_gone
    a_call_that_only_asks_what_a_key_stands_for_takes_no_key
    a_key_whose_time_is_over_is_trimmed
    jobs_beside_a_request_leave_no_row
    what_a_call_made_may_begin_and_what_was_made_before_does_not_begin_again
    what_a_call_names_is_as_it_was_changed_last
}

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn call(
    fixture: &Fixture,
    runnable: &Runnable,
    key: Option<&str>,
    has_row: bool,
) -> (JobId, Called) {
    let (job, new) = new_call(fixture, runnable, key, has_row);
    (job, fixture.store.call(new).await.expect("kept"))
}

fn new_call(
    fixture: &Fixture,
    runnable: &Runnable,
    key: Option<&str>,
    has_row: bool,
) -> (JobId, NewCall) {
    let now = fixture.now();
    let job = JobId::generate(now);
    let request = CallRequest {
        id: RequestId::generate(now),
        workspace_id: fixture.workspace.clone(),
        runnable_id: Some(runnable.id.clone()),
        method: "POST".to_owned(),
        path: "/x".to_owned(),
        query: String::new(),
        headers: "[]".to_owned(),
        body_size: 2,
        received_at: now,
        outcome: RequestOutcome::Accepted,
        status: 201,
        reason: None,
    };
    let new = NewCall {
        workspace_id: fixture.workspace.clone(),
        request: has_row.then_some(request),
        key: key.map(|key| CallKey {
            key: key.to_owned(),
            runnable_id: runnable.id.clone(),
            jobs: vec![job.clone()],
            expires_at: now.plus(DAY),
        }),
        jobs: vec![CallJob {
            job: NewJob {
                id: job.clone(),
                workspace_id: fixture.workspace.clone(),
                cause: JobCause::Webhook,
                event_id: None,
                trigger_id: None,
                runnable_id: runnable.id.clone(),
                version_id: runnable.version_id.clone(),
                arguments: Some(Bytes::from_static(b"{}")),
                attempts_max: 1,
                due_at: now,
                created_at: now,
            },
            lease: None,
            is_wiped: false,
        }],
        token_id: None,
    };
    (job, new)
}

async fn a_key_stands_for_the_same_jobs_until_its_time_is_over(fixture: Fixture) {
    let runnable = fixture.runnable("f/t/a").await;
    let (first, called) = call(&fixture, &runnable, Some("k"), true).await;
    assert_eq!(called, Called::Made);
    let again = Called::Again {
        jobs: vec![first.clone()],
    };
    fixture.advance(24 * 3600 - 1);
    assert_eq!(call(&fixture, &runnable, Some("k"), true).await.1, again);
    fixture.advance(1);
    let (second, called) = call(&fixture, &runnable, Some("k"), true).await;
    assert_eq!(called, Called::Made);
    assert_ne!(second, first);
    let found = fixture
        .store
        .job_of_key(&fixture.workspace, "k", fixture.now());
    assert_eq!(found.await.expect("read"), Some(second));
}

async fn a_key_of_another_token_is_taken_also_in_the_same_commit(fixture: Fixture) {
    let runnable = fixture.runnable("f/t/a").await;
    let by = |token: Option<&TokenId>, jobs: usize| {
        let (_, mut new) = new_call(&fixture, &runnable, Some("k"), true);
        new.token_id = token.cloned();
        let more: Vec<CallJob> = (1..jobs)
            .map(|_| {
                let mut job = new.jobs[0].clone();
                job.job.id = JobId::generate(fixture.now());
                job
            })
            .collect();
        new.jobs.extend(more);
        let ids: Vec<JobId> = new.jobs.iter().map(|job| job.job.id.clone()).collect();
        new.key.as_mut().expect("a key").jobs = ids;
        new
    };
    let (one, other) = (
        TokenId::generate(fixture.now()),
        TokenId::generate(fixture.now()),
    );
    // Many at once are one commit or several: one token has its jobs, whichever came first.
    let calls = (0..20).map(|number| {
        let token = if number % 2 == 0 { &one } else { &other };
        fixture.store.call(by(Some(token), 3))
    });
    let called: Vec<Called> = futures_util::future::join_all(calls)
        .await
        .into_iter()
        .map(|called| called.expect("kept"))
        .collect();
    let made = called.iter().position(|called| *called == Called::Made);
    let made = made.expect("one was made");
    for (number, called) in called.iter().enumerate() {
        match called {
            Called::Made => assert_eq!(number, made),
            Called::Again { jobs } => assert_eq!((number % 2, jobs.len()), (made % 2, 3)),
            called => assert_eq!((called, number % 2), (&Called::Taken, 1 - made % 2)),
        }
    }
    // In a commit of its own, and for who has no token, it is the same.
    let loser = if made % 2 == 0 { &other } else { &one };
    for token in [Some(loser), None] {
        let called = fixture.store.call(by(token, 1)).await.expect("kept");
        assert_eq!(called, Called::Taken);
    }
    let rows = fixture
        .store
        .list_requests(
            &fixture.workspace,
            &RequestFilter::default(),
            &PageQuery::first(50),
        )
        .await
        .expect("read");
    assert_eq!(rows.items.len(), 10, "who is refused has no row here");
}

async fn a_key_whose_jobs_are_not_kept_is_gone(fixture: Fixture) {
    let runnable = fixture.runnable("f/t/a").await;
    let (job, _) = call(&fixture, &runnable, Some("k"), true).await;
    let pool = pool(&fixture).await;
    let deleted = pool.execute("delete from jobs").await;
    deleted.expect("deleted");
    let (_, called) = call(&fixture, &runnable, Some("k"), true).await;
    assert_eq!(called, Called::Gone { jobs: vec![job] });
}

async fn a_call_that_only_asks_what_a_key_stands_for_takes_no_key(fixture: Fixture) {
    let runnable = fixture.runnable("f/t/a").await;
    let ask = async || {
        let (_, mut new) = new_call(&fixture, &runnable, Some("k"), true);
        new.jobs.clear();
        new.key.as_mut().expect("a key").jobs.clear();
        fixture.store.call(new).await.expect("kept")
    };
    assert_eq!(ask().await, Called::Made);
    let (job, called) = call(&fixture, &runnable, Some("k"), true).await;
    assert_eq!(called, Called::Made, "nobody has the key yet");
    assert_eq!(ask().await, Called::Again { jobs: vec![job] });
    fixture.advance(24 * 3600);
    assert_eq!(ask().await, Called::Made);
}

async fn a_key_whose_time_is_over_is_trimmed(fixture: Fixture) {
    let runnable = fixture.runnable("f/t/a").await;
    call(&fixture, &runnable, Some("k"), true).await;
    let trim = async || {
        let trimmed = fixture.store.trim_call_keys(fixture.now(), 100).await;
        trimmed.expect("trimmed")
    };
    assert_eq!(trim().await, 0);
    fixture.advance(24 * 3600);
    assert_eq!(trim().await, 1);
}

async fn jobs_beside_a_request_leave_no_row(fixture: Fixture) {
    let runnable = fixture.runnable("f/t/a").await;
    let (job, _) = call(&fixture, &runnable, None, false).await;
    let found = fixture.store.job(&fixture.workspace, &job).await;
    assert!(found.expect("read").is_some());
    let page = PageQuery::first(10);
    let rows = fixture
        .store
        .list_requests(&fixture.workspace, &RequestFilter::default(), &page)
        .await
        .expect("read");
    assert_eq!(rows.items.len(), 0);
}

async fn what_a_call_made_may_begin_and_what_was_made_before_does_not_begin_again(
    fixture: Fixture,
) {
    let runnable = fixture.runnable("f/t/a").await;
    let (job, new) = new_call(&fixture, &runnable, Some("k"), true);
    let (begin, begun) = tokio::sync::oneshot::channel();
    let called = fixture.store.call_and_begin(new, begin);
    let (called, job) = tokio::join!(called, async {
        begun.await.expect("told");
        fixture.read_job(&job).await
    });
    assert_eq!(called.expect("kept"), Called::Made);
    assert_eq!(job.state, JobState::Ready);
    let (_, new) = new_call(&fixture, &runnable, Some("k"), true);
    let (begin, begun) = tokio::sync::oneshot::channel();
    let called = fixture.store.call_and_begin(new, begin).await;
    assert_eq!(called.expect("kept"), Called::Again { jobs: vec![job.id] });
    begun.await.expect_err("there is nothing to begin");
}

async fn what_a_call_names_is_as_it_was_changed_last(fixture: Fixture) {
    let store = &fixture.store;
    let runnable = fixture.runnable("f/x").await;
    let workspace = store.workspace(&fixture.workspace).await.expect("read");
    let name = workspace.expect("it is there").name;
    let token = NewToken {
        runs: None,
        id: TokenId::generate(fixture.now()),
        workspace_id: Some(fixture.workspace.clone()),
        name: "ci".to_owned(),
        hash: [7; 32],
        scopes: vec![Scope::Run],
        expires_at: None,
    };
    store.insert_token(token.clone()).await.expect("kept");
    // Asked twice each time: the second answer may be the one that is remembered.
    let ask = async || {
        let ask = || store.find_called(&[7; 32], &name, Callee::Path("f/x"));
        let once = ask().await.expect("read").expect("a token");
        let again = ask().await.expect("read").expect("a token");
        assert_eq!(format!("{once:?}"), format!("{again:?}"));
        again
    };
    assert_eq!(ask().await.runnables[0].version_id, runnable.version_id);

    fixture
        .apply(vec![Change::UpdateRunnable(RunnableUpdate {
            id: runnable.id.clone(),
            version: fixture.new_version("./other.sh"),
        })])
        .await;
    let changed = ask().await.runnables;
    assert_ne!(changed[0].version_id, runnable.version_id);

    let disabled = RunnableState::Disabled;
    let set = store.set_runnable_state(&runnable.id, disabled, None);
    set.await.expect("set");
    assert_eq!(ask().await.runnables[0].runnable.state, disabled);

    fixture
        .apply(vec![Change::DeleteRunnable(runnable.id.clone())])
        .await;
    assert!(ask().await.runnables.is_empty());
    // One that was missed is there as soon as it is made.
    fixture.runnable("f/x").await;
    assert_eq!(ask().await.runnables.len(), 1);

    store.revoke_token(&token.id).await.expect("revoked");
    assert!(ask().await.token.revoked_at.is_some());
}
