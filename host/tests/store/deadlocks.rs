//! Two hosts on one PostgreSQL work on the same flows and never wait for each other in a circle.

use std::time::Duration;

use serde_json::json;
use sqlx::Connection as _;
use tokio::task::JoinSet;
use triggerd::id::*;
use triggerd::model::*;
use triggerd::store::{Claim, Store};

use crate::fixture::{Fixture, host};

const FLOWS: usize = 60;
const STEPS: usize = 4;
/// So often each flow makes so many steps.
const ROUNDS: usize = 3;

/// One of the hosts, and what it found out.
#[derive(Clone)]
struct Worker {
    store: Store,
    owner: HostId,
    fixture: std::sync::Arc<Fixture>,
    flow: Runnable,
    step: Runnable,
    /// Takes everything in the other order than its neighbour.
    is_second: bool,
}

impl Worker {
    async fn claim(&self, runnable: &Runnable, limit: u32) -> Vec<Job> {
        let claim = Claim {
            runnable_id: runnable.id.clone(),
            owner: self.owner.clone(),
            now: self.fixture.now(),
            lease_until: self.fixture.later(30),
            limit,
        };
        let claimed = self.store.claim_jobs(claim).await.expect("claimed");
        let mut jobs: Vec<Job> = claimed.into_iter().map(|claimed| claimed.job).collect();
        if self.is_second {
            jobs.reverse();
        }
        jobs
    }

    /// Works until nothing is left to do.
    async fn work(self) {
        loop {
            let steps = self.claim(&self.step, 40).await;
            let flows = self.claim(&self.flow, 20).await;
            if steps.is_empty() && flows.is_empty() && self.is_over().await {
                return;
            }
            let mut held: Vec<(JobId, i64)> = steps
                .iter()
                .chain(&flows)
                .map(|job| (job.id.clone(), job.fence))
                .collect();
            held.sort_by_key(|(id, _)| id.as_str().bytes().rev().collect::<Vec<u8>>());
            let mut at_once = JoinSet::new();
            for step in steps {
                let worker = self.clone();
                at_once.spawn(async move { worker.end(&step).await });
            }
            for flow in flows {
                let worker = self.clone();
                at_once.spawn(async move { worker.go_on(&flow).await });
            }
            let (store, until) = (self.store.clone(), self.fixture.later(60));
            at_once.spawn(async move {
                store.extend_leases(held, until).await.expect("extended");
            });
            while let Some(ended) = at_once.join_next().await {
                ended.expect("nothing fails");
            }
        }
    }

    async fn end(&self, job: &Job) {
        let finished = vec![self.fixture.finished(job, Next::Done)];
        let ended = self.store.finish_attempts(finished).await;
        ended.expect("recorded");
    }

    /// The next steps of a flow, or its end; every tenth flow is cancelled half way.
    async fn go_on(&self, flow: &Job) {
        let state = self.store.flow_state(&flow.id, 1 << 20).await;
        let state = state.expect("read").expect("it is there");
        let made = state.steps.len();
        if made == STEPS * ROUNDS {
            return match state.steps.iter().all(|step| step.state.is_final()) {
                true => self.end(flow).await,
                false => self.advance(flow, state.pokes, Vec::new()).await,
            };
        }
        if made == STEPS && flow.id.as_str().ends_with(['0', '1', '2']) {
            let cancelled = self.store.cancel_job(&flow.workspace_id, &flow.id).await;
            cancelled.expect("cancelled");
            return;
        }
        let steps = (made..made + STEPS).map(|number| NewStep {
            id: JobId::generate(self.fixture.now()),
            step: number.to_string(),
            pin: Pin {
                runnable_id: self.step.id.clone(),
                version_id: self.step.version_id.clone(),
            },
            arguments: json!({}).to_string().into(),
            attempts_max: 1,
            retry: None,
        });
        self.advance(flow, state.pokes, steps.collect()).await;
    }

    async fn advance(&self, flow: &Job, pokes: i64, steps: Vec<NewStep>) {
        let advance = Advance {
            job_id: flow.id.clone(),
            workspace_id: flow.workspace_id.clone(),
            fence: flow.fence,
            pokes,
            pins: Pins::new(),
            answer: None,
            steps,
            at: self.fixture.now(),
        };
        self.store.advance_flow(advance).await.expect("advanced");
    }

    async fn is_over(&self) -> bool {
        for state in [JobState::Ready, JobState::Running, JobState::Waiting] {
            let filter = JobFilter {
                state: Some(state),
                ..JobFilter::default()
            };
            let page = PageQuery::first(1);
            let open = self
                .store
                .list_jobs(&self.fixture.workspace, &filter, &page);
            if !open.await.expect("listed").items.is_empty() {
                return false;
            }
        }
        true
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_that_work_on_the_same_flows_never_deadlock() {
    let fixture = std::sync::Arc::new(Fixture::postgres().await);
    let (config, keys) = (fixture.config.clone(), fixture.keys.clone());
    let second = Store::open(config, keys, fixture.clock.clone()).await;
    let second = second.expect("opened");
    let (flow, step) = (
        fixture.runnable("f/flow").await,
        fixture.runnable("f/a").await,
    );
    for _ in 0..FLOWS {
        fixture.job(&flow).await;
    }
    let worker = |store: &Store, is_second| Worker {
        store: store.clone(),
        owner: host(),
        fixture: fixture.clone(),
        flow: flow.clone(),
        step: step.clone(),
        is_second,
    };
    let one = tokio::spawn(worker(&fixture.store, false).work());
    let other = tokio::spawn(worker(&second, true).work());
    one.await.expect("it worked");
    other.await.expect("it worked");
    fixture.store.close().await;
    second.close().await;
    assert_eq!(deadlocks(&fixture).await, 0);
}

/// How often the server found one. Sessions tell it at the latest when they end. Asked over one
/// connection: a pool that is asked again at once may open another, which would never end.
async fn deadlocks(fixture: &Fixture) -> i64 {
    let connection = sqlx::PgConnection::connect(fixture.config.url.expose()).await;
    let mut connection = connection.expect("connected");
    let ended = async {
        const SESSIONS: &str = "select count(*) from pg_stat_activity \
            where datname = current_database() and pid <> pg_backend_pid() \
            and backend_type = 'client backend'";
        while sqlx::query_scalar::<_, i64>(SESSIONS)
            .fetch_one(&mut connection)
            .await
            .expect("counted")
            > 0
        {
            tokio::task::yield_now().await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(60), ended).await;
    ended.expect("the sessions end");
    let count = "select deadlocks from pg_stat_database where datname = current_database()";
    let count = sqlx::query_scalar(count).fetch_one(&mut connection).await;
    count.expect("counted")
}
