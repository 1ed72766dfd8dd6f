-- Schedules: runnables that are run at known times.

create table schedules (
    id           text   not null primary key,
    workspace_id text   not null references workspaces (id),
    name         text   not null,
    -- Five or six fields; six begin with seconds.
    cron         text   not null,
    -- A name of the IANA's time zones.
    timezone     text   not null,
    runnable_id  text   not null references runnables (id),
    arguments    text   not null,
    -- Whether a run may begin while the one before has not ended.
    overlap      bigint not null check (overlap in (0, 1)),
    missed       text   not null check (missed in ('skip', 'once', 'all')),
    paused       bigint not null check (paused in (0, 1)),
    -- The next time that it is for; none: it is paused, or there is none.
    due_at       bigint,
    -- When it is looked at: at that time, or soon, while the run before has not ended.
    look_at      bigint,
    -- The last time that it was run for, when that was, and the job.
    fired_for    bigint,
    fired_at     bigint,
    last_job_id  text,
    -- Times that it was not run for, and why it was not the last time.
    skipped      bigint not null,
    skipped_at   bigint,
    skip_reason  text,
    revision     bigint not null,
    created_at   bigint not null,
    updated_at   bigint not null,
    unique (workspace_id, name),
    check ((due_at is null) = (look_at is null)),
    check (paused = 0 or due_at is null)
);
create index schedules_due on schedules (look_at, id) where look_at is not null;
create index schedules_runnable on schedules (runnable_id);

alter table jobs add column schedule_id text;
alter table jobs add column scheduled_for bigint;
-- A schedule is run once for each of its times, however many hosts see that it is due.
create unique index jobs_once_per_time on jobs (schedule_id, scheduled_for)
    where schedule_id is not null;
-- Whether the run before has ended.
create index jobs_open_of_schedule on jobs (schedule_id)
    where schedule_id is not null and state in ('ready', 'running', 'waiting');

-- How often a subscription is pulled, where that is not left to its provider: so many milliseconds
-- after the last time, or at the times of a cron expression.
alter table subscriptions add column poll_every bigint;
alter table subscriptions add column poll_cron text;
alter table subscriptions add column poll_timezone text;
