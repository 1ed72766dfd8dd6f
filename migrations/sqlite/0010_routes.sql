-- Addresses of a workspace's own, each with who may call it and what it runs.
create table routes (
    id              text   not null primary key,
    workspace_id    text   not null references workspaces (id),
    name            text   not null,
    -- /hooks/… with {parameters}; no two routes share a method and a path that fits both.
    path            text   not null,
    -- Separated by spaces.
    methods         text   not null,
    -- None: it only answers.
    runnable_id     text   references runnables (id),
    -- Shapes the arguments first.
    preprocessor_id text   references runnables (id),
    -- JSON: who may call, what is handed over, what is answered.
    spec            text   not null,
    secrets         blob,
    enabled         bigint not null check (enabled in (0, 1)),
    revision        bigint not null,
    created_at      bigint not null,
    updated_at      bigint not null,
    unique (workspace_id, name)
);
create index routes_runnable on routes (runnable_id);
create index routes_preprocessor on routes (preprocessor_id);

-- Rises with every change of a route: one change at a time is made, and hosts see by one look whether
-- the routes that they hold are still those.
create table route_changes (
    id     bigint not null primary key check (id = 1),
    number bigint not null
);
insert into route_changes (id, number) values (1, 0);

-- Whoever is told of changes in a workspace is not told twice at once.
alter table workspace_notices add column lease_until bigint not null default 0;
