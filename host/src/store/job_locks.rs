//! The one order in which jobs are held.
//!
//! A job's end moves its flow, a flow's cancellation its steps, and two hosts that take the same rows
//! in different orders wait for each other until the database cuts one of them off. PostgreSQL changes
//! the rows of one statement in an order of its own, so whoever changes several jobs first holds them
//! all, by their ids. SQLite has one writer.

use std::collections::HashSet;

use super::StoreError;
use super::connection::Connection;
use super::flows::with_steps;
use super::open::Backend;
use super::sql::{Statement, Text};
use crate::id::{JobId, RunnableId};

/// Around what selects the ids. Not by the database's own collation: each has another.
macro_rules! hold {
    ($ids:expr) => {
        concat!(
            "select j.id as text from jobs j where j.id in (",
            $ids,
            ") order by j.id collate \"C\" for no key update"
        )
    };
}

/// The values of a list; a list of values would be another statement for each length.
macro_rules! listed {
    () => {
        "select unnest(string_to_array($1, ','))"
    };
}

/// Holds jobs and the flows that they are steps of.
pub(super) async fn hold_jobs(
    connection: &mut impl Connection,
    backend: Backend,
    jobs: impl Iterator<Item = &JobId>,
) -> Result<(), StoreError> {
    const HOLD: &str = hold!(concat!(
        listed!(),
        " union select s.flow_id from jobs s where s.id in (",
        listed!(),
        ") and s.flow_id is not null"
    ));
    if backend == Backend::Sqlite {
        return Ok(());
    }
    let jobs: Vec<&str> = jobs.map(JobId::as_str).collect();
    if jobs.is_empty() {
        return Ok(());
    }
    run(
        connection,
        Statement::new("hold jobs", HOLD).bind(jobs.join(",")),
    )
    .await
}

/// Holds a job, all below it, and the flow that it is a step of.
pub(super) async fn hold_with_steps(
    connection: &mut impl Connection,
    backend: Backend,
    job: &JobId,
) -> Result<(), StoreError> {
    const HOLD: &str = hold!(concat!(
        with_steps!(),
        " union select flow_id from jobs where id = $1 and flow_id is not null"
    ));
    if backend == Backend::Sqlite {
        return Ok(());
    }
    run(
        connection,
        Statement::new("hold a job and its steps", HOLD).bind(job),
    )
    .await
}

/// Holds the jobs of a runnable that do not run, all below them, and the flows that they are steps of.
pub(super) async fn hold_jobs_of(
    connection: &mut impl Connection,
    backend: Backend,
    runnable: &RunnableId,
) -> Result<(), StoreError> {
    const HOLD: &str = hold!(
        "with recursive below (id) as (select id from jobs where runnable_id = $1 \
         and state in ('ready', 'waiting') union all \
         select s.id from jobs s join below b on s.flow_id = b.id) select id from below \
         union select flow_id from jobs where runnable_id = $1 \
         and state in ('ready', 'waiting') and flow_id is not null"
    );
    if backend == Backend::Sqlite {
        return Ok(());
    }
    run(
        connection,
        Statement::new("hold the jobs of a runnable", HOLD).bind(runnable),
    )
    .await
}

async fn run(connection: &mut impl Connection, hold: Statement<'_>) -> Result<(), StoreError> {
    let _: Vec<Text> = hold.all(connection).await?;
    Ok(())
}

/// Which of these flows another host holds at this moment; all others are held now. Waits for nobody.
pub(super) async fn held_elsewhere(
    connection: &mut impl Connection,
    backend: Backend,
    flows: &[&JobId],
) -> Result<HashSet<String>, StoreError> {
    const OPEN: &str = concat!(
        "select j.id as text from jobs j where j.state in ('ready', 'running', 'waiting') \
         and j.id in (",
        listed!(),
        ")"
    );
    if backend == Backend::Sqlite || flows.is_empty() {
        return Ok(HashSet::new());
    }
    let flows: Vec<&str> = flows.iter().map(|flow| flow.as_str()).collect();
    let flows = flows.join(",");
    let open: Vec<Text> = Statement::new("find flows", OPEN)
        .bind(flows.clone())
        .all(connection)
        .await?;
    let hold = Statement::composed(
        "hold flows",
        format!("{OPEN} for no key update skip locked"),
    );
    let held: Vec<Text> = hold.bind(flows).all(connection).await?;
    let held: HashSet<String> = held.into_iter().map(|id| id.0).collect();
    let open = open.into_iter().map(|id| id.0);
    Ok(open.filter(|id| !held.contains(id)).collect())
}
