-- What the requests of one kind have in common stands once beside them, and their bodies are
-- compressed against it: those of one service name the same repository, people and addresses each
-- time.
create table dictionaries (
    id              text   not null primary key,
    workspace_id    text   not null,
    subscription_id text   not null,
    encoding        text   not null check (encoding in ('plain', 'lz4')),
    -- Nothing that was received more than a day later is compressed against it.
    made_at         bigint not null,
    body            blob   not null
);
create index dictionaries_made on dictionaries (made_at);

-- None: the body needs no other bytes to be read.
alter table requests add column dictionary_id text;
