-- Schema 1. A packet's key k is rk << 24 | index: one B-tree holds the packets of a resource side by side, in index order.
-- Rows on the hot path are written once and never changed: a packet when it is accepted, an outcome when it is recorded.
-- What is rare has a table of its own: `ready` (waits for a worker), `attempt` (was tried before).
-- A packet without an outcome that is in neither of them is in work, in this process or in the one that died.

create table ledger (             -- one row; changed in every commit that changes anything
  one integer primary key check (one = 1),
  clock real not null,            -- high-water mark of the ledger's time, in seconds since 1970
  uptime real not null,           -- seconds during which packets were accepted, ever: idle timeouts run on this
  clean integer not null,         -- 1 after a clean stop
  counts text not null            -- `Counts` as JSON
);

create table resource (
  rk integer primary key,
  id text not null unique,
  generation text not null,       -- 32 hexadecimal digits
  state text not null,
  total integer,
  total_by text,                  -- last | total
  metadata text,                  -- canonical JSON
  received integer not null,      -- distinct indexes there
  highest integer not null,
  done integer not null,
  failed integer not null,
  body_size integer not null,     -- bytes of the outputs, with separators
  opened_at real not null,        -- wall clock, for people
  active_at real not null,        -- uptime of the last accepted packet or outcome
  idle_at real,                   -- uptime at which to look whether it is idle; never later than the truth
  deadline_at real,               -- ledger time
  closed_at real,                 -- wall clock, for people
  ended_by text,
  seen text,                      -- ranges received, as JSON, once it has ended
  head text,                      -- frame of the body, frozen at closing
  tail text,
  frame_crc integer,              -- crc32 of head and tail
  purge_at real,                  -- ledger time from which it may be forgotten
  purging integer not null default 0
);
create index resource_idle on resource (idle_at) where idle_at is not null;
create index resource_deadline on resource (deadline_at) where deadline_at is not null;
create index resource_purge on resource (purge_at) where purge_at is not null;
create index resource_state on resource (state, id);

create table packet (
  k integer primary key,
  payload text not null,          -- JSON as received
  crc integer not null
);

create table outcome (
  k integer primary key,
  output text,                    -- JSON; null where the packet failed
  crc integer not null,           -- of the output, or 0
  reason text,                    -- why it failed
  attempts integer not null
);

create table ready (k integer primary key);

create table attempt (
  k integer primary key,
  attempts integer not null default 0,   -- that were recorded as Retry
  deaths integer not null default 0,     -- unclean stops while it was in work
  alone integer not null default 0,      -- 1: runs alone, before all others; 2: handed out so
  due_at real,                           -- ledger time of the next attempt; null once it is ready or in work
  reason text
);
create index attempt_due on attempt (due_at) where due_at is not null;
create index attempt_alone on attempt (k) where alone > 0;

create table delivery (
  did integer primary key,
  rk integer not null,
  endpoint text not null,
  state text not null,            -- due | delivered | dead; a lease lives in memory
  attempts integer not null default 0,
  step integer not null default 0,
  due_at real not null,
  reason text not null default '',
  unique (rk, endpoint)
);
create index delivery_due on delivery (endpoint, due_at) where state = 'due';
create index delivery_dead on delivery (rk) where state = 'dead';
