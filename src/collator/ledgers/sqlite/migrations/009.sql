-- Schema 9. Two indexes had an entry, each at a place of its own, of every resource that had ended: where many are kept,
-- each end and each removal changed a page of both.

-- Resources that ended whole, which nearly all do, are found by their ids alone.
drop index resource_state;
create index resource_state on resource (state, id) where state <> 'collated';

-- What is added to an index of hashes lies all over it. Divided in 64, each in the order of time, it is added at 64 ends;
-- a look goes through one of the 64.
drop index resource_wid;
create index resource_wid on resource (wid & 63, rk, wid) where wid is not null;
