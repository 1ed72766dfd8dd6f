-- The attempt of a job that was cancelled while it ran has an outcome of its own.
alter table attempts drop constraint attempts_outcome_check;
alter table attempts add constraint attempts_outcome_check
    check (outcome in ('ok', 'failed', 'timeout', 'refused', 'lost', 'cancelled'));
