-- Schema 6. A resource that ended early may be opened again: the generation that it was, and its deliveries, stay here.

create table superseded (         -- a generation that a retry has superseded; written once
  gk integer primary key,         -- its handle, which `delivery.rk` has: below 0, so that it is that of no resource; falls
  rk integer not null,            -- the resource, which has its packets and outputs
  generation text not null,
  closed_at real,                 -- wall clock, for people
  done integer not null,
  body_size integer not null,
  last_seq integer not null,      -- its body has the outputs up to this number: those of later generations are beyond it
  head text,                      -- frame of its body, as it was: also where it is damaged
  tail text,
  frame_crc integer,
  wid integer                     -- `webhook_number`, where it has deliveries
);
create index superseded_rk on superseded (rk);
create index superseded_wid on superseded (wid) where wid is not null;
