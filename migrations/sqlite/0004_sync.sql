-- Keeping subscriptions alive: what was made at the service, when to look again, what a plugin keeps.

-- The events to ask for, a JSON list; none: those that enabled triggers wait for.
alter table subscriptions add column events text;
-- What a check does about a registration that is gone, or that differs.
alter table subscriptions add column on_missing text not null default 'recreate'
    check (on_missing in ('recreate', 'report'));
alter table subscriptions add column on_drift text not null default 'repair'
    check (on_drift in ('repair', 'adopt', 'report'));
-- It is being ended at the service; the row goes when that is done.
alter table subscriptions add column is_deleting bigint not null default 0
    check (is_deleting in (0, 1));

-- Where the next pull begins, and when the last one was committed.
alter table subscriptions add column cursor text;
alter table subscriptions add column pulled_at bigint;
alter table subscriptions add column checked_at bigint;

-- The earliest of the times below, and what is done then. None: nothing, until something changes.
alter table subscriptions add column due_at bigint;
alter table subscriptions add column next_action text;
alter table subscriptions add column renew_at bigint;
alter table subscriptions add column check_at bigint;
alter table subscriptions add column pull_at bigint;
-- After a failure: what `retry_action` names is not tried before; none: nothing is.
alter table subscriptions add column retry_at bigint;
alter table subscriptions add column retry_action text;
-- Rises with every hint from outside (a push, a change), so that none is lost under a run.
alter table subscriptions add column pokes bigint not null default 0;
-- Failures in a row.
alter table subscriptions add column tries bigint not null default 0;

alter table subscriptions add column sync_owner text;
alter table subscriptions add column sync_until bigint;
-- Rises with every claim; a run that comes home with an older number is too late.
alter table subscriptions add column sync_fence bigint not null default 0;

-- What the last check found to differ: JSON list of {field, ours, theirs}.
alter table subscriptions add column drift text;
-- What an operator should know, newest last: JSON list of {at, text}.
alter table subscriptions add column notes text;
alter table subscriptions add column last_error text;
alter table subscriptions add column last_error_at bigint;

-- The claim reads this index alone, also where a throttled service is passed over.
create index subscriptions_due on subscriptions (due_at, credential_id, provider, id)
    where due_at is not null;
create index subscriptions_leased on subscriptions (sync_owner) where sync_owner is not null;

-- One thing made at the service for a subscription: a hook, a channel.
create table registrations (
    id              text   not null primary key,
    subscription_id text   not null references subscriptions (id),
    -- making: committed before the service is called; live: it is the one; old: it has a successor
    -- and is to be ended; lost: nobody knows whether it was made, and it is to be ended.
    state           text   not null check (state in ('making', 'live', 'old', 'lost')),
    external_id     text   not null,
    endpoint_url    text   not null,
    -- What was asked for when it was made or changed last.
    parameters      text   not null,
    events          text   not null,
    -- What the service answered, and what its genuine requests taught since.
    properties      text   not null,
    learned         text   not null,
    secrets         blob,
    expires_at      bigint,
    created_at      bigint not null,
    updated_at      bigint not null
);
create index registrations_subscription on registrations (subscription_id);
-- A subscription has at most one that is the one.
create unique index registrations_live on registrations (subscription_id) where state = 'live';

-- What a plugin keeps for a subscription.
create table subscription_state (
    subscription_id text not null,
    key             text not null,
    value           text not null,
    primary key (subscription_id, key)
) without rowid;

-- Events that will happen at a known time unless withdrawn.
create table timers (
    subscription_id text   not null,
    key             text   not null,
    due_at          bigint not null,
    name            text   not null,
    payload         blob   not null,
    encoding        text   not null check (encoding in ('plain', 'lz4')),
    occurred_at     bigint,
    delivery_id     text,
    primary key (subscription_id, key)
) without rowid;
create index timers_due on timers (due_at);
