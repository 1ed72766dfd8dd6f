-- Credentials: for whom this host acts at outside services, and how it came to that.

-- A provider's OAuth client and base URL in one workspace; a provider may have several. The client
-- that the whole instance shares stands in the manifest and has no row.
create table integrations (
    id            text   not null primary key,
    workspace_id  text   not null references workspaces (id),
    name          text   not null,
    provider      text   not null,
    -- Without a slash at its end. None: what the provider declares.
    base_url      text,
    client_id     text,
    client_secret bytea,
    -- Rises with every change.
    revision      bigint not null,
    created_at    bigint not null,
    updated_at    bigint not null,
    unique (workspace_id, name)
);

create table credentials (
    id               text   not null primary key,
    workspace_id     text   not null references workspaces (id),
    name             text   not null,
    provider         text   not null,
    -- None: the client that the instance shares, or no client at all.
    integration_id   text   references integrations (id),
    kind             text   not null check (kind in ('oauth', 'api-key')),
    -- What is not secret, by field.
    fields           text   not null,
    -- What is, by field: keys, passwords, tokens.
    secrets          bytea   not null,
    account_id       text,
    account_name     text,
    -- In the service's words, as a list.
    scopes           text   not null,
    -- needs_reconnect: the service refuses it for good; see the reason.
    state            text   not null check (state in ('active', 'needs_reconnect')),
    state_reason     text,
    state_since      bigint not null,
    -- Rises with every new content of `secrets`: who was refused with an older one looks again.
    generation       bigint not null,
    expires_at       bigint,
    -- When it is renewed ahead of its end. None: it has no end, or cannot be renewed.
    refresh_due_at   bigint,
    -- In a row.
    refresh_failures bigint not null,
    -- One host at a time renews it. The fence rises with every claim.
    lease_owner      text,
    lease_expires_at bigint,
    fence            bigint not null,
    -- The service asked us to leave it alone until then.
    throttled_until  bigint,
    -- Rises with every change by an operator.
    revision         bigint not null,
    created_at       bigint not null,
    updated_at       bigint not null,
    unique (workspace_id, name),
    check ((lease_owner is null) = (lease_expires_at is null)),
    check (state = 'active' or state_reason is not null)
);
create index credentials_due on credentials (refresh_due_at)
    where refresh_due_at is not null and state = 'active';
create index credentials_integration on credentials (integration_id)
    where integration_id is not null;

-- Accounts that are being connected: from `triggerd connect` until the service sent the browser back.
create table oauth_states (
    id             text   not null primary key,
    workspace_id   text   not null,
    -- Who asked for it.
    token_id       text   not null,
    provider       text   not null,
    integration_id text,
    -- The name of the credential to be made, or made anew.
    name           text   not null,
    -- SHA-256 of the last part of the address that a person opens.
    ticket_hash    bytea   not null unique,
    -- SHA-256 of the `state` that the service sends back; gone once it came.
    state_hash     bytea   unique,
    -- SHA-256 of the cookie of the browser that set out.
    session_hash   bytea,
    -- The PKCE verifier, sealed.
    verifier       bytea,
    redirect_url   text   not null,
    -- waiting: nobody opened the address; started: a browser is at the service; exchanging: it came
    -- back; done, failed: see the credential, the reason.
    phase          text   not null check (phase in ('waiting', 'started', 'exchanging', 'done', 'failed')),
    reason         text,
    credential_id  text,
    created_at     bigint not null,
    expires_at     bigint not null,
    check ((phase = 'started') = (state_hash is not null))
);
create index oauth_states_expiry on oauth_states (expires_at);

-- The account that a managed subscription acts for.
alter table subscriptions add column credential_id text references credentials (id);
create index subscriptions_credential on subscriptions (credential_id)
    where credential_id is not null;
