-- Connections that hosts hold for subscriptions.

-- A host keeps all that it holds by this one row: when it falls silent, others take it.
create table socket_hosts (
    host_id text   not null primary key,
    until   bigint not null
);

create table sockets (
    subscription_id text   not null primary key references subscriptions (id),
    -- The host that holds the connection, or tries to.
    owner           text,
    -- Rises with every claim; messages of who held it before are not kept any more.
    fence           bigint not null,
    updated_at      bigint not null
);
create index sockets_owner on sockets (owner);
create index subscriptions_provider on subscriptions (provider);
