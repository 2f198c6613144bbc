-- Schema 5. Who did what; and failures are found without a look at all outcomes of their resource.

create index outcome_failed on outcome (k) where output is null;

create table audit (              -- what people did, and tokens that were refused; the oldest go
  id integer primary key,
  act text not null unique,       -- of one request, whose steps add up
  at real not null,               -- wall clock, for people
  kept_at real not null,          -- ledger time
  who text not null,              -- the name of a token
  peer text not null,             -- the address that asked
  verb text not null,
  target text not null,           -- an id, or which of many
  changed integer not null,       -- how many that were; of refusals, how often
  refused integer not null        -- 1: nothing was done
);
create index audit_refused on audit (refused, id);
