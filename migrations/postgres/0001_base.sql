-- The first tables. The same numbers, names, tables and columns stand in migrations/sqlite;
-- only `bytea` is `blob` there. Times are milliseconds since the epoch (bigint), booleans 0 or 1,
-- ids text with their printed prefix, documents JSON text, secrets sealed envelopes.

create table workspaces (
    id         text   not null primary key,
    name       text   not null unique,
    created_at bigint not null
);

-- The keys that seal secrets: `check_value` is a known text sealed by the key, so that a wrong key
-- is noticed at start and not at the first webhook.
create table seal_keys (
    key_id      text   not null primary key,
    check_value bytea   not null,
    created_at  bigint not null,
    retired_at  bigint
);

-- API tokens. Only the SHA-256 of a token (32 random bytes) is kept. No workspace: the whole instance.
create table tokens (
    id           text   not null primary key,
    workspace_id text   references workspaces (id),
    name         text   not null,
    hash         bytea   not null unique,
    scopes       text   not null,
    created_at   bigint not null,
    expires_at   bigint,
    last_used_at bigint,
    revoked_at   bigint
);

create table subscriptions (
    id           text   not null primary key,
    workspace_id text   not null references workspaces (id),
    name         text   not null,
    provider     text   not null,
    endpoint     text   not null unique,
    -- manual: someone else registered the address at the service; managed: this host did.
    mode         text   not null check (mode in ('manual', 'managed')),
    parameters   text   not null,
    properties   text   not null,
    secrets      bytea,
    state        text   not null check (state in ('pending', 'active', 'degraded', 'paused')),
    state_reason text,
    state_since  bigint not null,
    revision     bigint not null,
    created_at   bigint not null,
    updated_at   bigint not null,
    unique (workspace_id, name)
);

create table runnables (
    id           text   not null primary key,
    workspace_id text   not null references workspaces (id),
    path         text   not null,
    version_id   text   not null,
    -- disabled: the target said it is gone (410) or an operator switched it off; its jobs wait.
    state        text   not null check (state in ('enabled', 'disabled')),
    state_reason text,
    created_at   bigint not null,
    updated_at   bigint not null,
    -- A deleted runnable keeps its row while jobs name it.
    deleted_at   bigint
);
create unique index runnables_path on runnables (workspace_id, path) where deleted_at is null;

-- A version is never changed. `hash` names its content; the same content again is the same version.
create table runnable_versions (
    id          text   not null primary key,
    runnable_id text   not null references runnables (id),
    number      bigint not null,
    hash        text   not null,
    kind        text   not null,
    spec        text   not null,
    secrets     bytea,
    created_at  bigint not null,
    unique (runnable_id, number),
    unique (runnable_id, hash)
);

create table triggers (
    id              text   not null primary key,
    workspace_id    text   not null references workspaces (id),
    name            text   not null,
    subscription_id text   not null references subscriptions (id),
    event           text   not null,
    parameters      text   not null,
    runnable_id     text   not null references runnables (id),
    enabled         bigint not null check (enabled in (0, 1)),
    revision        bigint not null,
    created_at      bigint not null,
    updated_at      bigint not null,
    unique (workspace_id, name)
);
create index triggers_subscription on triggers (subscription_id);
create index triggers_runnable on triggers (runnable_id);

-- What arrived at an endpoint, also when it was refused. The body stays as it came (`encoding`
-- plain) or compressed (lz4).
create table requests (
    id              text   not null primary key,
    workspace_id    text   not null,
    subscription_id text   not null,
    provider        text   not null,
    method          text   not null,
    path            text   not null,
    query           text   not null,
    headers         text   not null,
    body            bytea,
    encoding        text   not null check (encoding in ('plain', 'lz4')),
    body_size       bigint not null,
    received_at     bigint not null,
    outcome         text   not null check (outcome in ('accepted', 'duplicate', 'refused', 'answered')),
    status          bigint not null,
    reason          text,
    delivery_id     text,
    events          bigint not null
);
create index requests_workspace on requests (workspace_id, id);
create index requests_subscription on requests (subscription_id, id);

-- The delivery ids a service marked its requests with, for as long as it may repeat them.
create table deliveries (
    subscription_id text   not null,
    delivery_id     text   not null,
    request_id      text   not null,
    expires_at      bigint not null,
    primary key (subscription_id, delivery_id)
);
create index deliveries_expiry on deliveries (expires_at);

create table events (
    id              text   not null primary key,
    workspace_id    text   not null,
    subscription_id text   not null,
    request_id      text,
    -- The place in its request: one request can carry several events.
    ordinal         bigint not null,
    provider        text   not null,
    name            text   not null,
    -- No payload: the body of the request is the payload.
    payload         bytea,
    encoding        text   not null check (encoding in ('plain', 'lz4')),
    occurred_at     bigint,
    received_at     bigint not null,
    -- pending: not yet matched; handled: its jobs exist; failed: matching was given up, see reason.
    state           text   not null check (state in ('pending', 'handled', 'failed')),
    reason          text,
    -- How many triggers it fired; 0 with `handled` is an unmatched event.
    matched         bigint not null,
    tries           bigint not null,
    due_at          bigint not null,
    handled_at      bigint
);
create index events_workspace on events (workspace_id, id);
create index events_subscription on events (subscription_id, id);
create index events_request on events (request_id) where request_id is not null;
create index events_pending on events (due_at, id) where state = 'pending';

create table jobs (
    id               text   not null primary key,
    workspace_id     text   not null,
    cause            text   not null check (cause in ('event', 'webhook', 'schedule', 'replay', 'test')),
    event_id         text,
    trigger_id       text,
    runnable_id      text   not null,
    version_id       text   not null,
    -- No arguments: the payload of the event.
    arguments        bytea,
    encoding         text   not null check (encoding in ('plain', 'lz4')),
    state            text   not null check (state in ('ready', 'running', 'done', 'dead', 'cancelled')),
    attempts_made    bigint not null,
    attempts_max     bigint not null,
    due_at           bigint not null,
    lease_owner      text,
    lease_expires_at bigint,
    -- Rises with every claim; an attempt that comes home with an older number is too late.
    fence            bigint not null,
    result           bytea,
    error            text,
    origin_job_id    text,
    created_at       bigint not null,
    started_at       bigint,
    finished_at      bigint,
    check ((state = 'running') = (lease_owner is not null))
);
create index jobs_workspace on jobs (workspace_id, id);
create index jobs_ready on jobs (runnable_id, due_at, id) where state = 'ready';
create index jobs_running on jobs (lease_expires_at) where state = 'running';
create index jobs_finished on jobs (finished_at) where finished_at is not null;
create index jobs_of_event on jobs (event_id) where event_id is not null;
-- One event fires one trigger once, however often matching is repeated.
create unique index jobs_once on jobs (event_id, trigger_id) where cause = 'event';

-- Attempts are written once, when they end, and never changed.
create table attempts (
    id          text   not null primary key,
    job_id      text   not null,
    number      bigint not null,
    fence       bigint not null,
    host_id     text   not null,
    started_at  bigint not null,
    finished_at bigint not null,
    outcome     text   not null check (outcome in ('ok', 'failed', 'timeout', 'refused', 'lost')),
    exit_code   bigint,
    signal      bigint,
    http_status bigint,
    stdout      bytea,
    stderr      bytea,
    result      bytea,
    error       text,
    unique (job_id, fence)
);

-- Who changed what. `detail` never holds a secret.
create table audit_log (
    id           text   not null primary key,
    workspace_id text,
    token_id     text,
    action       text   not null,
    object       text   not null,
    detail       text   not null,
    at           bigint not null
);
create index audit_log_workspace on audit_log (workspace_id, id);

create table hosts (
    id         text   not null primary key,
    started_at bigint not null,
    seen_at    bigint not null
);
