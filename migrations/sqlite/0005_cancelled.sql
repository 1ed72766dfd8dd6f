-- The attempt of a job that was cancelled while it ran has an outcome of its own. SQLite changes no
-- check of a table, so the table is made anew.
create table attempts_with_cancelled (
    id          text   not null primary key,
    job_id      text   not null,
    number      bigint not null,
    fence       bigint not null,
    host_id     text   not null,
    started_at  bigint not null,
    finished_at bigint not null,
    outcome     text   not null check (outcome in ('ok', 'failed', 'timeout', 'refused', 'lost', 'cancelled')),
    exit_code   bigint,
    signal      bigint,
    http_status bigint,
    stdout      blob,
    stderr      blob,
    result      blob,
    error       text,
    unique (job_id, fence)
);
insert into attempts_with_cancelled
    (id, job_id, number, fence, host_id, started_at, finished_at, outcome, exit_code, signal,
     http_status, stdout, stderr, result, error)
select id, job_id, number, fence, host_id, started_at, finished_at, outcome, exit_code, signal,
       http_status, stdout, stderr, result, error
from attempts;
drop table attempts;
alter table attempts_with_cancelled rename to attempts;
