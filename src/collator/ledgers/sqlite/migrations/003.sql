-- Schema 3. Outcomes have a number, in the order in which they were recorded; ids of resources that are gone are known.

-- The numbers of a resource are 1, 2, 3 …; a failure that a retry withdraws takes its number with it.
alter table resource add column withdrawn integer not null default 0;   -- numbers that were withdrawn
alter table outcome add column seq integer not null default 0;

-- The order in which outcomes of before were recorded is not known: they are numbered in the order of their indexes. Where
-- those have gaps they are counted, which takes memory for each, so that it is done only there.
update outcome set seq = (k & 16777215) + 1;
update outcome set seq = n.seq from (
  select o.k, row_number() over (partition by r.rk order by o.k) as seq
  from resource r join outcome o on o.k between r.rk << 24 and r.rk << 24 | 16777215
  where r.highest + 1 <> r.done + r.failed) n where n.k = outcome.k;

-- An outcome whose number is that of its place (index + 1) is found by its key, and costs nothing here.
create index outcome_seq on outcome (k >> 24, seq) where seq <> (k & 16777215) + 1;

create table tombstone (          -- a resource that is gone after its retention; written once
  tk integer primary key,         -- rises with removed_at
  id text not null unique,
  state text not null,
  ended_by text,
  total integer,
  seen text,                      -- ranges received, as JSON, where they are not 0 … total-1
  closed_at real not null,        -- wall clock, for people
  removed_at real not null        -- ledger time
);
