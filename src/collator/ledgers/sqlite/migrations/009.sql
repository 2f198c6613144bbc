-- Schema 9. Two indexes had an entry, each at a place of its own, of every resource that had ended: where many are kept,
-- each end and each removal changed a page of both.

-- Resources that ended whole, which nearly all do, are found by their ids alone.
drop index resource_state;
create index resource_state on resource (state, id) where state <> 'collated';

-- What is added to an index of hashes lies all over it. Divided in parts of 4,096 resources, which are opened one after the
-- other, it is added to the last parts; a look goes to each part.
drop index resource_wid;
create index resource_wid on resource (rk >> 12, wid) where wid is not null;
