-- Flows: jobs that are the steps of another job, and who is told when a job is given up.

-- SQLite changes no check of a table, so the table is made anew.
create table jobs_with_steps (
    id               text   not null primary key,
    workspace_id     text   not null,
    -- flow: a step of a flow; error: another job was given up.
    cause            text   not null check (cause in ('event', 'webhook', 'schedule', 'replay', 'test', 'flow', 'error')),
    event_id         text,
    trigger_id       text,
    runnable_id      text   not null,
    version_id       text   not null,
    -- No arguments: the payload of the event.
    arguments        blob,
    encoding         text   not null check (encoding in ('plain', 'lz4')),
    -- waiting: a flow whose steps run; it is ready again when one of them ended.
    state            text   not null check (state in ('ready', 'running', 'waiting', 'done', 'dead', 'cancelled')),
    attempts_made    bigint not null,
    attempts_max     bigint not null,
    due_at           bigint not null,
    lease_owner      text,
    lease_expires_at bigint,
    -- Rises with every claim; an attempt that comes home with an older number is too late.
    fence            bigint not null,
    result           blob,
    error            text,
    origin_job_id    text,
    created_at       bigint not null,
    started_at       bigint,
    finished_at      bigint,
    -- Whose token made the job: that token may ask what became of it.
    token_id         text,
    -- The job whose step this is, and which.
    flow_id          text,
    step             text,
    -- How a step is tried again, if not as its runnable says: JSON.
    retry            text,
    -- Of a flow: the versions that its steps run, by path, as they were when it began: JSON.
    pins             text,
    -- Of a flow: rises with each step that ended, so that none is missed while it is planned.
    pokes            bigint not null default 0,
    -- Of a flow: what answers who waits for it, before its end: JSON.
    answer           blob,
    check ((state = 'running') = (lease_owner is not null)),
    check ((flow_id is null) = (step is null))
);
insert into jobs_with_steps
    (id, workspace_id, cause, event_id, trigger_id, runnable_id, version_id, arguments, encoding,
     state, attempts_made, attempts_max, due_at, lease_owner, lease_expires_at, fence, result, error,
     origin_job_id, created_at, started_at, finished_at, token_id)
select id, workspace_id, cause, event_id, trigger_id, runnable_id, version_id, arguments, encoding,
       state, attempts_made, attempts_max, due_at, lease_owner, lease_expires_at, fence, result, error,
       origin_job_id, created_at, started_at, finished_at, token_id
from jobs;
drop table jobs;
alter table jobs_with_steps rename to jobs;
create index jobs_workspace on jobs (workspace_id, id);
create index jobs_ready on jobs (runnable_id, due_at, id) where state = 'ready';
create index jobs_running on jobs (lease_expires_at) where state = 'running';
create index jobs_finished on jobs (finished_at) where finished_at is not null;
create index jobs_of_event on jobs (event_id) where event_id is not null;
-- One event fires one trigger once, however often matching is repeated.
create unique index jobs_once on jobs (event_id, trigger_id) where cause = 'event';
-- One step of a flow is one job, however often the flow is planned.
create unique index jobs_step on jobs (flow_id, step) where flow_id is not null;

-- Who is told when a job is given up. The most specific one that is there is told: the trigger's, the
-- runnable's, the workspace's.
create table error_handlers (
    scope        text   not null check (scope in ('trigger', 'runnable', 'workspace')),
    -- The id of the trigger, the runnable or the workspace.
    object_id    text   not null,
    workspace_id text   not null references workspaces (id),
    -- The runnable that is told.
    runnable_id  text   not null references runnables (id),
    created_at   bigint not null,
    primary key (scope, object_id)
) without rowid;
create index error_handlers_runnable on error_handlers (runnable_id);

-- Jobs that were given up and of which nobody was told yet; made in the same commit as their end.
create table job_failures (
    job_id text   not null primary key,
    at     bigint not null
) without rowid;
