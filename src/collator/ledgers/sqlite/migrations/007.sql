-- Schema 7. Outputs by runs: those of one resource that were recorded together are one row with one checksum, written once.
-- What `outcome` holds is packed into it by `collator.ledgers.sqlite.packer`, in the same transaction.

alter table outcome rename to old_outcome;
drop index outcome_seq;
drop index outcome_failed;

create table outrun (             -- outputs of one resource with the same number of attempts, or one failure
  n integer primary key,          -- rises: rows are appended, however resources interleave
  rk integer not null,
  seq integer not null,           -- number of the first; the others follow in order
  attempts integer not null,      -- of each of them
  indexes text not null,          -- JSON, in the order of the outputs
  crc integer not null,           -- of indexes and outputs
  reason text,                    -- of a failure
  outputs text                    -- "[", the outputs as they came, with commas between, "]"; null where it has failed
) strict;
create index outrun_seq on outrun (rk, seq);

-- A failure is found by its key, which its one index gives without a look at JSON that may be damaged.
create index outrun_failed on outrun (rk << 24 | cast(substr(indexes, 2) as integer)) where outputs is null;

create view failure as
select rk << 24 | cast(substr(indexes, 2) as integer) as k, n, rk, seq, attempts, reason from outrun where outputs is null;

create view outcome as            -- one by one; of a run whose indexes are damaged none
select o.rk << 24 | i.value as k, o.n as n, o.rk as rk, o.seq + i.key as seq, o.attempts as attempts,
       o.outputs is null as failed
from outrun o join json_each(iif(json_valid(cast(o.indexes as text)), cast(o.indexes as text), '[]')) i
where i.type = 'integer';
