-- Rows that cost less to write.

-- The keys of the logs are what these are read by, a workspace and an id: each request and each event
-- was written into one index more.

alter table requests drop constraint requests_pkey;
alter table requests add primary key (workspace_id, id);
drop index requests_workspace;
alter table events drop constraint events_pkey;
alter table events add primary key (workspace_id, id);
drop index events_workspace;

-- The attempts of a job are read together, and their order is that of its fence.
alter table attempts drop constraint attempts_pkey;
alter table attempts drop constraint attempts_job_id_fence_key;
alter table attempts add primary key (job_id, fence);
