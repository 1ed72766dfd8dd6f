-- Indexes that each request paid for and that hardly anybody read.

-- The events of a request were made in the same millisecond as it, and ids begin with the time.
drop index events_request;
-- Delivery ids whose window is over are found by looking at all of them, a few at a time.
drop index deliveries_expiry;
