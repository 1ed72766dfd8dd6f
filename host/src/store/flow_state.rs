//! How far a flow is: its own row, and the jobs of its steps.

use bytes::Bytes;
use sqlx::AnyConnection;

use super::flows::read;
use super::rows::{ManyRows, chunks};
use super::sql::{FromRow, Number, Row, Statement};
use super::{Store, StoreError};
use crate::id::JobId;
use crate::model::{FlowState, Pins, StepState};

impl Store {
    /// How far a flow's job is. The results of its steps are left out where they have more than
    /// `results_max` bytes together.
    pub async fn flow_state(
        &self,
        job: &JobId,
        results_max: u64,
    ) -> Result<Option<FlowState>, StoreError> {
        let mut connection = self.database.read().await?;
        let Some(head) = head(&mut connection, job).await? else {
            return Ok(None);
        };
        let size: Option<Number> = Statement::new(
            "read the size of a flow's results",
            "select cast(coalesce(sum(length(result)), 0) as bigint) as n from jobs \
             where flow_id = $1 and state = 'done'",
        )
        .bind(job)
        .one(&mut connection)
        .await?;
        let results_size = size.map_or(0, |size| size.0.unsigned_abs());
        let steps = match results_size > results_max {
            false => "select id, step, state, result, error from jobs where flow_id = $1",
            true => {
                "select id, step, state, null as result, error from jobs where flow_id = $1 \
                 and state in ('ready', 'running', 'waiting')"
            }
        };
        let steps = Statement::new("read the steps of a flow", steps).bind(job);
        let steps = steps.all(&mut connection).await?;
        let depth = match head.pins {
            Some(_) => 0,
            None => depth(&mut connection, job).await?,
        };
        Ok(Some(FlowState {
            pokes: head.pokes,
            pins: head.pins,
            answer: head.answer,
            depth,
            results_size,
            steps,
        }))
    }

    /// The same for who knows a flow's steps but for what became of these: those of them that ended.
    /// `None`: their results have more than `results_max` bytes, or the flow is not there.
    pub async fn flow_news(
        &self,
        job: &JobId,
        open: &[JobId],
        results_max: u64,
    ) -> Result<Option<FlowState>, StoreError> {
        let mut connection = self.database.read().await?;
        let Some(head) = head(&mut connection, job).await? else {
            return Ok(None);
        };
        let (mut ended, mut results_size) = (Vec::new(), 0);
        for chunk in chunks(open) {
            let text = SELECT_ENDED_STEPS.text(self.database.backend, chunk.len());
            let mut select = Statement::composed("find the steps of a flow that ended", text);
            for step in chunk {
                select.push(step);
            }
            let found: Vec<EndedRow> = select.all(&mut connection).await?;
            for step in found {
                results_size += step.size;
                ended.push(step.id);
            }
        }
        if results_size > results_max {
            return Ok(None);
        }
        let mut steps = Vec::with_capacity(ended.len());
        for chunk in chunks(&ended) {
            let text = SELECT_STEPS.text(self.database.backend, chunk.len());
            let mut select = Statement::composed("read steps of a flow", text);
            for step in chunk {
                select.push(step);
            }
            steps.extend(select.all::<StepState>(&mut connection).await?);
        }
        Ok(Some(FlowState {
            pokes: head.pokes,
            pins: head.pins,
            answer: head.answer,
            depth: 0,
            results_size,
            steps,
        }))
    }
}

static SELECT_ENDED_STEPS: ManyRows = ManyRows::new(
    "select id, cast(coalesce(length(result), 0) as bigint) as size from jobs where id in (",
    "?",
    ") and state in ('done', 'dead', 'cancelled')",
);

static SELECT_STEPS: ManyRows = ManyRows::new(
    "select id, step, state, result, error from jobs where id in (",
    "?",
    ")",
);

/// To be read before the steps: one that ends between the two pokes the flow once more.
async fn head(connection: &mut AnyConnection, job: &JobId) -> Result<Option<HeadRow>, StoreError> {
    Statement::new(
        "read a flow",
        "select pokes, pins, answer from jobs where id = $1",
    )
    .bind(job)
    .one(connection)
    .await
}

/// How many flows a job is in.
async fn depth(connection: &mut AnyConnection, job: &JobId) -> Result<u32, StoreError> {
    let depth: Option<Number> = Statement::new(
        "read how deep a flow is",
        "with recursive above (id, depth) as (select flow_id, 1 from jobs \
         where id = $1 and flow_id is not null union all \
         select j.flow_id, a.depth + 1 from jobs j join above a on j.id = a.id \
         where j.flow_id is not null and a.depth < 100) \
         select cast(count(*) as bigint) as n from above",
    )
    .bind(job)
    .one(connection)
    .await?;
    Ok(depth.map_or(0, |depth| u32::try_from(depth.0).unwrap_or(u32::MAX)))
}

struct HeadRow {
    pokes: i64,
    pins: Option<Pins>,
    answer: Option<Bytes>,
}

impl FromRow for HeadRow {
    fn from_row(row: &Row<'_>) -> Result<HeadRow, StoreError> {
        let pins = row.text_opt("pins")?;
        Ok(HeadRow {
            pokes: row.int("pokes")?,
            pins: pins.map(|pins| read("pins", &pins)).transpose()?,
            answer: row.bytes_opt("answer")?.map(Bytes::from),
        })
    }
}

/// A step that ended, and the bytes of its result.
struct EndedRow {
    id: JobId,
    size: u64,
}

impl FromRow for EndedRow {
    fn from_row(row: &Row<'_>) -> Result<EndedRow, StoreError> {
        Ok(EndedRow {
            id: row.parsed("id")?,
            size: row.int("size")?.unsigned_abs(),
        })
    }
}

impl FromRow for StepState {
    fn from_row(row: &Row<'_>) -> Result<StepState, StoreError> {
        Ok(StepState {
            job_id: row.parsed("id")?,
            step: row.text("step")?,
            state: row.parsed("state")?,
            result: row.bytes_opt("result")?.map(Into::into),
            error: row.text_opt("error")?,
        })
    }
}
