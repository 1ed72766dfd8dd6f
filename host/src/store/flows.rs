//! Flows: jobs that are steps of another job. A flow is poked by each step that ends, in the same
//! commit, and is ready again then; what it does next it commits with the jobs of its next steps.
//!
//! ```text
//!            claim                     its steps are made
//!   ready ──────────► running ──────────────────────────► waiting
//!     ▲                  │ a step ended meanwhile             │
//!     └──────────────────┴──────────── a step ends ───────────┘
//! ```

use bytes::Bytes;
use sqlx::AnyConnection;

use super::body::Stored;
use super::connection::Connection;
use super::jobs::{cancel, job_columns};
use super::open::Backend;
use super::rows::{ManyRows, chunks};
use super::sql::{Row, Statement, Text};
use super::writer::{Write, Written};
use super::{Store, StoreError};
use crate::clock::Millis;
use crate::id::{JobId, RunnableId, WorkspaceId};
use crate::model::{Advance, Job, JobState, NewStep, Pin, Pins, StepOf};

/// A job and all jobs below it; its id is the only value.
macro_rules! with_steps {
    () => {
        "with recursive below (id) as (select id from jobs where id = $1 union all \
         select j.id from jobs j join below b on j.flow_id = b.id) select id from below"
    };
}
pub(super) use with_steps;

impl Store {
    /// The versions that these runnables have now; those that are not there are left out.
    pub async fn find_pins(
        &self,
        workspace: &WorkspaceId,
        paths: &[String],
    ) -> Result<Pins, StoreError> {
        let mut pins = Pins::new();
        for path in paths {
            if let Some(runnable) = self.runnable_by_path(workspace, path).await? {
                let pin = Pin {
                    runnable_id: runnable.id,
                    version_id: runnable.version_id,
                };
                pins.insert(path.clone(), pin);
            }
        }
        Ok(pins)
    }

    /// Commits what a flow does next. `false`: it is no longer this host's to say.
    pub async fn advance_flow(&self, mut advance: Advance) -> Result<bool, StoreError> {
        let mut steps = Vec::with_capacity(advance.steps.len());
        for step in std::mem::take(&mut advance.steps) {
            let arguments = Stored::pack(Some(step.arguments.clone())).await;
            steps.push((step, arguments));
        }
        let packed = Box::new(PackedAdvance { advance, steps });
        match self
            .writer
            .write("advance a flow", Write::Advance(packed))
            .await?
        {
            Written::Advance(is_held) => Ok(is_held),
            _ => unreachable!("invariant: an advance is answered with whether it held"),
        }
    }

    /// The jobs below a flow's job that were cancelled.
    pub async fn cancelled_steps(&self, job: &JobId) -> Result<Vec<JobId>, StoreError> {
        let mut connection = self.database.read().await?;
        let found: Vec<Text> = Statement::new(
            "find the cancelled steps of a flow",
            concat!(
                "select id as text from jobs where state = 'cancelled' and id <> $1 and id in (",
                with_steps!(),
                ")"
            ),
        )
        .bind(job)
        .all(&mut connection)
        .await?;
        let ids = found.into_iter().map(|id| {
            id.0.parse()
                .map_err(|error| StoreError::corrupt("id", error))
        });
        ids.collect()
    }
}

/// An advance with its steps' arguments as they are stored.
pub(super) struct PackedAdvance {
    advance: Advance,
    steps: Vec<(NewStep, Stored)>,
}

impl PackedAdvance {
    pub(super) fn job_id(&self) -> &JobId {
        &self.advance.job_id
    }

    pub(super) fn size(&self) -> usize {
        let steps: usize = self
            .steps
            .iter()
            .map(|(_, stored)| stored.len() + 512)
            .sum();
        steps + self.advance.answer.as_ref().map_or(0, Bytes::len)
    }
}

static INSERT_STEPS: ManyRows = ManyRows::new(
    "insert into jobs (id, workspace_id, cause, runnable_id, version_id, arguments, encoding, \
     state, attempts_made, attempts_max, due_at, fence, created_at, flow_id, step, retry) values ",
    "(?, ?, 'flow', ?, ?, ?, ?, 'ready', 0, ?, ?, 0, ?, ?, ?, ?)",
    " on conflict do nothing",
);

/// Lets a flow wait and makes its next steps, if its fence holds.
pub(super) async fn advance(
    connection: &mut impl Connection,
    backend: Backend,
    packed: &PackedAdvance,
) -> Result<bool, StoreError> {
    let advance = &packed.advance;
    let pins = serde_json::to_string(&advance.pins).expect("invariant: paths and ids are JSON");
    let moved = Statement::new(
        "let a flow wait",
        "update jobs set state = case when pokes = $1 then 'waiting' else 'ready' end, \
         due_at = $2, lease_owner = null, lease_expires_at = null, attempts_made = 0, pins = $3, \
         answer = coalesce(answer, $4) where id = $5 and fence = $6 and state = 'running'",
    )
    .bind(advance.pokes)
    .bind(advance.at)
    .bind(pins)
    .bind(&advance.answer)
    .bind(&advance.job_id)
    .bind(advance.fence)
    .run(connection)
    .await?;
    if moved == 0 {
        return Ok(false);
    }
    for chunk in chunks(&packed.steps) {
        let mut insert =
            Statement::composed("insert steps", INSERT_STEPS.text(backend, chunk.len()));
        for (step, arguments) in chunk {
            insert.push(&step.id);
            insert.push(&advance.workspace_id);
            insert.push(&step.pin.runnable_id);
            insert.push(&step.pin.version_id);
            insert.push(arguments.bytes.clone());
            insert.push(arguments.encoding);
            insert.push(step.attempts_max);
            insert.push(advance.at);
            insert.push(advance.at);
            insert.push(&advance.job_id);
            insert.push(&step.step);
            insert.push(
                step.retry.map(|retry| {
                    serde_json::to_string(&retry).expect("invariant: numbers are JSON")
                }),
            );
        }
        insert.run(connection).await?;
    }
    Ok(true)
}

static POKE: ManyRows = ManyRows::new(
    "with ended (id) as (values ",
    "(?)",
    ") update jobs set pokes = jobs.pokes + 1, \
     due_at = case when jobs.state = 'waiting' then ? else jobs.due_at end, \
     state = case when jobs.state = 'waiting' then 'ready' else jobs.state end \
     from ended where jobs.id = ended.id and jobs.state in ('ready', 'running', 'waiting')",
);

/// A step of these flows ended: they are ready to go on.
pub(super) async fn poke(
    connection: &mut impl Connection,
    backend: Backend,
    flows: impl IntoIterator<Item = JobId>,
    now: Millis,
) -> Result<(), StoreError> {
    let mut flows: Vec<JobId> = flows.into_iter().collect();
    flows.sort_unstable();
    flows.dedup();
    for chunk in chunks(&flows) {
        let mut update = Statement::composed("poke flows", POKE.text(backend, chunk.len()));
        for flow in chunk {
            update.push(flow);
        }
        update.bind(now).run(connection).await?;
    }
    Ok(())
}

/// Cancels what has not ended below a flow's job, which makes no more steps by now.
pub(super) async fn cancel_steps(
    connection: &mut AnyConnection,
    for_update: &'static str,
    flow: &JobId,
    now: Millis,
) -> Result<(), StoreError> {
    loop {
        let steps: Vec<Job> = Statement::composed(
            "find the steps of a flow",
            format!(
                "select {} from jobs where id <> $1 and id in ({}) \
                 and state in ('ready', 'running', 'waiting') order by id limit 500{for_update}",
                job_columns!(),
                with_steps!()
            ),
        )
        .bind(flow)
        .all(connection)
        .await?;
        if steps.is_empty() {
            return Ok(());
        }
        for step in &steps {
            cancel(connection, step, now).await?;
        }
    }
}

/// Cancels the flows of a runnable that wait for their steps, and the steps of those that are about
/// to go on; flows that wait for its jobs are told. Its ready jobs are left to the caller.
pub(super) async fn cancel_flows_of(
    connection: &mut AnyConnection,
    for_update: &'static str,
    runnable: &RunnableId,
    now: Millis,
) -> Result<(), StoreError> {
    Statement::new(
        "poke the flows of a runnable's jobs",
        "update jobs set pokes = pokes + 1, due_at = $1, \
         state = case when state = 'waiting' then 'ready' else state end \
         where state in ('ready', 'running', 'waiting') and id in (select flow_id from jobs \
         where runnable_id = $2 and state in ('ready', 'waiting') and flow_id is not null)",
    )
    .bind(now)
    .bind(runnable)
    .run(connection)
    .await?;
    let begun: Vec<Job> = Statement::composed(
        "find the flows of a runnable",
        format!(
            "select {} from jobs where runnable_id = $1 and state in ('ready', 'waiting') \
             and pins is not null order by id{for_update}",
            job_columns!()
        ),
    )
    .bind(runnable)
    .all(connection)
    .await?;
    for flow in &begun {
        if flow.state == JobState::Waiting {
            cancel(connection, flow, now).await?;
        }
        cancel_steps(connection, for_update, &flow.id, now).await?;
    }
    Ok(())
}

/// The flow that a job is a step of.
pub(super) fn step_of(row: &Row<'_>) -> Result<Option<StepOf>, StoreError> {
    let Some(flow_id) = row.parsed_opt("flow_id")? else {
        return Ok(None);
    };
    let retry = row.text_opt("retry")?;
    Ok(Some(StepOf {
        flow_id,
        step: row.text("step")?,
        retry: retry.map(|retry| read("retry", &retry)).transpose()?,
    }))
}

pub(super) fn read<T: serde::de::DeserializeOwned>(
    column: &'static str,
    text: &str,
) -> Result<T, StoreError> {
    serde_json::from_str(text)
        .map_err(|_| StoreError::corrupt(column, "it is not the JSON that was expected"))
}
