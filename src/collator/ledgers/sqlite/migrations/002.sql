-- Schema 2. Deliveries that a person looks at and repairs: an id to ask for, the history of attempts, lists by state.

alter table resource add column wid integer;      -- `webhook_number`, once it has deliveries
create index resource_wid on resource (wid) where wid is not null;
update resource set wid = webhook_number(id, generation) where state in ('collated', 'incomplete');

-- The last attempt stands in the row of its delivery, so that one that succeeds at once writes no row of its own.
alter table delivery add column tried_at real;    -- wall clock, for people: when the last attempt began
alter table delivery add column seconds real;     -- how long it took
alter table delivery add column result text;      -- delivered | failed
alter table delivery add column note text;        -- what has kept it from an attempt since, in words

create table delivery_log (                       -- the attempts before the last
  did integer not null,
  attempt integer not null,
  tried_at real not null,
  seconds real not null,
  result text not null,
  reason text not null,
  primary key (did, attempt)
) without rowid;

create index delivery_undelivered on delivery (did) where state <> 'delivered';
drop index delivery_dead;
