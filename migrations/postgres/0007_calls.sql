-- Calls of runnables over HTTP, and what a workspace is told of its changes.

-- A token for one runnable: its path, and the kind of call. It has no scopes.
alter table tokens add column runs_path text;
alter table tokens add column runs_kind text check (runs_kind in ('runnable', 'flow'));

-- A request that called a runnable names it and the (first) job it made; its `subscription_id` is ''.
alter table requests add column runnable_id text;
alter table requests add column job_id text;

-- Whose token made the job: that token may ask what became of it.
alter table jobs add column token_id text;

-- A fixed version is called by its hash.
create index runnable_versions_hash on runnable_versions (hash);

-- The keys that callers marked their calls with: the same key gives the same jobs until it expires.
create table call_keys (
    workspace_id text   not null,
    key          text   not null,
    runnable_id  text   not null,
    -- Ids, separated by spaces.
    jobs         text   not null,
    expires_at   bigint not null,
    primary key (workspace_id, key, runnable_id)
);
create index call_keys_expiry on call_keys (expires_at);

-- Jobs whose arguments, logs and result are wiped once their caller was answered.
create table job_wipes (
    job_id text not null primary key
);

-- Who is told of changes in a workspace, and the secret that this is signed with.
create table workspace_hooks (
    workspace_id text   not null primary key references workspaces (id) on delete cascade,
    url          text   not null,
    secret       bytea   not null,
    -- Ranges of addresses opened beyond public ones, a JSON list.
    allow        text   not null,
    -- Of the last notice: null, or why it was not taken.
    failure      text,
    told_at      bigint,
    created_at   bigint not null,
    updated_at   bigint not null
);

-- Changes that are still to be told; made in the same commit as the change.
create table workspace_notices (
    id           text   not null primary key,
    workspace_id text   not null,
    action       text   not null,
    object       text   not null,
    detail       text   not null,
    tries        bigint not null,
    due_at       bigint not null,
    created_at   bigint not null
);
create index workspace_notices_due on workspace_notices (due_at, id);
