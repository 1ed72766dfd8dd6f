-- In whose name a registration was made: it is ended in the same name when its subscription has
-- another credential by then. Null: in that of the subscription.
alter table registrations add column credential_id text references credentials (id);
create index registrations_credential on registrations (credential_id) where credential_id is not null;
