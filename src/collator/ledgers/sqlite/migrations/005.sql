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

-- What open resources take counts as backlog too, and of packets more than their payload (collator.footprint).
update ledger set counts = json_set(counts, '$.open_bytes', (
  select coalesce(sum(3 * name + iif(row <= 1024, row, (row + 2047) / 2048 * 2048)), 0) from (
    select octet_length(id) as name, 128 + octet_length(id) + ifnull(octet_length(metadata), 0) as row
    from resource where state = 'open')));
update ledger set counts = json_set(counts, '$.backlog', (counts ->> '$.open_bytes') + (
  select coalesce(sum(56 + iif(octet_length(p.payload) <= 1024, octet_length(p.payload),
                               (octet_length(p.payload) + 2047) / 2048 * 2048)), 0)
  from resource r join packet p on p.k between r.rk << 24 and r.rk << 24 | 16777215
  where r.state = 'open' and r.received > r.done + r.failed
    and not exists (select 1 from outcome o where o.k = p.k)));
