-- Flows: jobs that are the steps of another job, and who is told when a job is given up.

-- flow: a step of a flow; error: another job was given up.
alter table jobs drop constraint jobs_cause_check;
alter table jobs add constraint jobs_cause_check
    check (cause in ('event', 'webhook', 'schedule', 'replay', 'test', 'flow', 'error'));
-- waiting: a flow whose steps run; it is ready again when one of them ended.
alter table jobs drop constraint jobs_state_check;
alter table jobs add constraint jobs_state_check
    check (state in ('ready', 'running', 'waiting', 'done', 'dead', 'cancelled'));
-- The job whose step this is, and which.
alter table jobs add column flow_id text;
alter table jobs add column step text;
-- How a step is tried again, if not as its runnable says: JSON.
alter table jobs add column retry text;
-- Of a flow: the versions that its steps run, by path, as they were when it began: JSON.
alter table jobs add column pins text;
-- Of a flow: rises with each step that ended, so that none is missed while it is planned.
alter table jobs add column pokes bigint not null default 0;
-- Of a flow: what answers who waits for it, before its end: JSON.
alter table jobs add column answer bytea;
alter table jobs add constraint jobs_step_check check ((flow_id is null) = (step is null));
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
);
create index error_handlers_runnable on error_handlers (runnable_id);

-- Jobs that were given up and of which nobody was told yet; made in the same commit as their end.
create table job_failures (
    job_id text   not null primary key,
    at     bigint not null
);
