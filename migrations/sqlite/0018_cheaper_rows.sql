-- Rows that cost less to write. SQLite changes neither a key nor a check of a table, so that the four
-- busiest tables are made anew: that copies the logs once, and needs as much room on the disk again
-- while it does.
--
-- A check with a list of more than two words makes a table of them for each row; words with `or`
-- between them do not. What may be long stands last in a row, so that the rest is read without it.

-- The keys of the logs are what these are read by, a workspace and an id: each request and each event
-- was written into one or two indexes more.
create table requests_by_workspace (
    id              text   not null,
    workspace_id    text   not null,
    subscription_id text   not null,
    provider        text   not null,
    method          text   not null,
    path            text   not null,
    query           text   not null,
    headers         text   not null,
    encoding        text   not null check (encoding in ('plain', 'lz4')),
    body_size       bigint not null,
    received_at     bigint not null,
    outcome         text   not null
                    check (outcome = 'accepted' or outcome = 'duplicate' or outcome = 'refused' or
                        outcome = 'answered'),
    status          bigint not null,
    reason          text,
    delivery_id     text,
    events          bigint not null,
    runnable_id     text,
    job_id          text,
    body            blob,
    primary key (workspace_id, id)
);
insert into requests_by_workspace
    (id, workspace_id, subscription_id, provider, method, path, query, headers, encoding, body_size,
     received_at, outcome, status, reason, delivery_id, events, runnable_id, job_id, body)
select id, workspace_id, subscription_id, provider, method, path, query, headers, encoding, body_size,
       received_at, outcome, status, reason, delivery_id, events, runnable_id, job_id, body
from requests;
drop table requests;
alter table requests_by_workspace rename to requests;
create index requests_subscription on requests (subscription_id, id);

-- Rows of events are short, so that the key and the row are one.
create table events_by_workspace (
    id              text   not null,
    workspace_id    text   not null,
    subscription_id text   not null,
    request_id      text,
    ordinal         bigint not null,
    provider        text   not null,
    name            text   not null,
    encoding        text   not null check (encoding in ('plain', 'lz4')),
    occurred_at     bigint,
    received_at     bigint not null,
    state           text   not null
                    check (state = 'pending' or state = 'handled' or state = 'failed'),
    reason          text,
    matched         bigint not null,
    tries           bigint not null,
    due_at          bigint not null,
    handled_at      bigint,
    payload         blob,
    primary key (workspace_id, id)
) without rowid;
insert into events_by_workspace
    (id, workspace_id, subscription_id, request_id, ordinal, provider, name, encoding, occurred_at,
     received_at, state, reason, matched, tries, due_at, handled_at, payload)
select id, workspace_id, subscription_id, request_id, ordinal, provider, name, encoding, occurred_at,
       received_at, state, reason, matched, tries, due_at, handled_at, payload
from events order by workspace_id, id;
drop table events;
alter table events_by_workspace rename to events;
create index events_subscription on events (subscription_id, id);
create index events_pending on events (due_at, id) where state = 'pending';

create table jobs_checked (
    id               text   not null primary key,
    workspace_id     text   not null,
    -- flow: a step of a flow; error: another job was given up.
    cause            text   not null
                     check (cause = 'event' or cause = 'webhook' or cause = 'schedule' or
                         cause = 'replay' or cause = 'test' or cause = 'flow' or cause = 'error'),
    event_id         text,
    trigger_id       text,
    runnable_id      text   not null,
    version_id       text   not null,
    encoding         text   not null check (encoding in ('plain', 'lz4')),
    -- waiting: a flow whose steps run; it is ready again when one of them ended.
    state            text   not null
                     check (state = 'ready' or state = 'running' or state = 'waiting' or
                         state = 'done' or state = 'dead' or state = 'cancelled'),
    attempts_made    bigint not null,
    attempts_max     bigint not null,
    due_at           bigint not null,
    lease_owner      text,
    lease_expires_at bigint,
    -- Rises with every claim; an attempt that comes home with an older number is too late.
    fence            bigint not null,
    origin_job_id    text,
    created_at       bigint not null,
    started_at       bigint,
    finished_at      bigint,
    -- Whose token made the job: that token may ask what became of it.
    token_id         text,
    -- The job whose step this is, and which.
    flow_id          text,
    step             text,
    schedule_id      text,
    scheduled_for    bigint,
    -- Of a flow: rises with each step that ended, so that none is missed while it is planned.
    pokes            bigint not null default 0,
    -- How a step is tried again, if not as its runnable says: JSON.
    retry            text,
    error            text,
    -- No arguments: the payload of the event.
    arguments        blob,
    result           blob,
    -- Of a flow: the versions that its steps run, by path, as they were when it began: JSON.
    pins             text,
    -- Of a flow: what answers who waits for it, before its end: JSON.
    answer           blob,
    check ((state = 'running') = (lease_owner is not null)),
    check ((flow_id is null) = (step is null))
);
insert into jobs_checked
    (id, workspace_id, cause, event_id, trigger_id, runnable_id, version_id, encoding, state,
     attempts_made, attempts_max, due_at, lease_owner, lease_expires_at, fence, origin_job_id,
     created_at, started_at, finished_at, token_id, flow_id, step, schedule_id, scheduled_for, pokes,
     retry, error, arguments, result, pins, answer)
select id, workspace_id, cause, event_id, trigger_id, runnable_id, version_id, encoding, state,
       attempts_made, attempts_max, due_at, lease_owner, lease_expires_at, fence, origin_job_id,
       created_at, started_at, finished_at, token_id, flow_id, step, schedule_id, scheduled_for, pokes,
       retry, error, arguments, result, pins, answer
from jobs;
drop table jobs;
alter table jobs_checked rename to jobs;
create index jobs_workspace on jobs (workspace_id, id);
create index jobs_ready on jobs (runnable_id, due_at, id) where state = 'ready';
create index jobs_running on jobs (lease_expires_at) where state = 'running';
create index jobs_finished on jobs (finished_at) where finished_at is not null;
create index jobs_of_event on jobs (event_id) where event_id is not null;
-- One event fires one trigger once, however often matching is repeated.
create unique index jobs_once on jobs (event_id, trigger_id) where cause = 'event';
-- One step of a flow is one job, however often the flow is planned.
create unique index jobs_step on jobs (flow_id, step) where flow_id is not null;
-- A schedule is run once for each of its times, however many hosts see that it is due.
create unique index jobs_once_per_time on jobs (schedule_id, scheduled_for)
    where schedule_id is not null;
-- Whether the run before has ended.
create index jobs_open_of_schedule on jobs (schedule_id)
    where schedule_id is not null and state in ('ready', 'running', 'waiting');

-- The attempts of a job are read together, and their order is that of its fence.
create table attempts_checked (
    id          text   not null,
    job_id      text   not null,
    number      bigint not null,
    fence       bigint not null,
    host_id     text   not null,
    started_at  bigint not null,
    finished_at bigint not null,
    outcome     text   not null
                check (outcome = 'ok' or outcome = 'failed' or outcome = 'timeout' or
                    outcome = 'refused' or outcome = 'lost' or outcome = 'cancelled'),
    exit_code   bigint,
    signal      bigint,
    http_status bigint,
    error       text,
    stdout      blob,
    stderr      blob,
    result      blob,
    primary key (job_id, fence)
) without rowid;
insert into attempts_checked
    (id, job_id, number, fence, host_id, started_at, finished_at, outcome, exit_code, signal,
     http_status, error, stdout, stderr, result)
select id, job_id, number, fence, host_id, started_at, finished_at, outcome, exit_code, signal,
       http_status, error, stdout, stderr, result
from attempts order by job_id, fence;
drop table attempts;
alter table attempts_checked rename to attempts;
