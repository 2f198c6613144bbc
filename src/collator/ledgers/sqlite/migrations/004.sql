-- Schema 4. Endpoints that are paused; deliveries with a large body are claimed apart, so that no other waits for them.

create table paused_endpoint (    -- to which nothing is sent until a person resumes it
  endpoint text primary key not null,
  paused_at real not null,        -- wall clock, for people
  reason text not null
) without rowid;

alter table delivery add column large integer not null default 0;   -- 1: its body has more than `LARGE_BODY` bytes
update delivery set large = 1
where rk in (select rk from resource where body_size + octet_length(coalesce(tail, '')) > 1048576);

drop index delivery_due;
create index delivery_due on delivery (endpoint, large, due_at) where state = 'due';
