-- When it was noticed that a host ended in the middle of a renewal: what the service gave it may be
-- lost, and the older refresh token be dead. Null: no renewal was cut off since the last one that
-- was kept.
alter table credentials add column cut_off_at bigint;
