-- What must hold of a store that nobody writes to, by name. The words in brackets are the complaint; each row of the
-- answer is one case of it: the handle of its resource, the index of its packet and more words, each or null.
-- k = rk << 24 | index. A resource that is being purged has lost some of its rows already.

-- name: packet_alone (a packet belongs to no resource)
select k >> 24, k & 16777215, null from packet where k >> 24 not in (select rk from resource);

-- name: outcome_alone (an outcome belongs to no packet)
select o.rk, o.k & 16777215, null from outcome o left join packet p on p.k = o.k left join resource r on r.rk = o.rk
where p.k is null and coalesce(r.purging, 0) = 0;

-- name: ready_alone (a packet waits that is not there)
select k >> 24, k & 16777215, null from ready where k not in (select k from packet);

-- name: ready_again (a packet waits that has an outcome)
select o.rk, o.k & 16777215, null from outcome o cross join ready y on y.k = o.k;

-- name: ready_late (a packet waits in a resource that has ended)
select r.rk, y.k & 16777215, r.state from ready y join resource r on r.rk = y.k >> 24 where r.state <> 'open';

-- name: attempt_alone (an attempt belongs to no packet)
select k >> 24, k & 16777215, null from attempt where k not in (select k from packet);

-- name: attempt_again (a packet that has an outcome is to be tried again)
select o.rk, o.k & 16777215, null from outcome o cross join attempt a on a.k = o.k;

-- name: twice (a packet has two outcomes)
select rk, place, null from (
  select rk, (select o.k & 16777215 from outcome o where o.rk = r.rk group by o.k having count(*) > 1 limit 1) as place
  from resource r) where place is not null;

-- name: delivery_alone (a delivery belongs to no resource)
select rk, null, endpoint from delivery
where rk not in (select rk from resource) and rk not in (select gk from superseded);

-- name: superseded_alone (a superseded generation belongs to no resource)
select rk, null, null from superseded where rk not in (select rk from resource);

-- name: superseded_outputs (a superseded generation has not the outputs that it counts)
select s.rk, null, format('%d of %d bytes counted, %d of %d there', s.done, s.body_size,
                          coalesce(sum(number_of(o.indexes)), 0), coalesce(sum(octet_length(o.outputs) - 1), 0))
from superseded s join resource r using (rk)
left join outrun o on o.rk = s.rk and o.outputs is not null and o.seq <= s.last_seq
where not r.purging group by s.gk
having coalesce(sum(number_of(o.indexes)), 0) <> s.done or coalesce(sum(octet_length(o.outputs) - 1), 0) <> s.body_size;

-- name: superseded_numbers (a superseded generation has a number that its resource has not given)
select s.rk, null, format('%d of %d', s.last_seq, r.done + r.failed + r.withdrawn) from superseded s join resource r using (rk)
where s.last_seq >= r.done + r.failed + r.withdrawn or r.withdrawn = 0;

-- name: delivery_early (a delivery belongs to a resource that has not ended with one)
select r.rk, null, d.endpoint from delivery d join resource r on r.rk = d.rk where r.state in ('open', 'cancelled');

-- name: delivery_forgotten (a delivery is due in a resource that is about to be forgotten)
select r.rk, null, d.endpoint from delivery d left join superseded s on s.gk = d.rk
join resource r on r.rk = ifnull(s.rk, d.rk) where d.state = 'due' and r.purge_at is not null;

-- name: log_alone (an attempt to deliver belongs to no delivery)
select null, null, format('delivery %d, attempt %d', did, attempt) from delivery_log
where did not in (select did from delivery);

-- name: webhook_id (the deliveries of a resource are not found by their id)
select rk, null, null from resource
where rk in (select rk from delivery) and wid is not webhook_number(cast(id as blob), cast(generation as blob))
union all
select s.rk, null, null from superseded s join resource r using (rk)
where s.gk in (select rk from delivery) and s.wid is not webhook_number(cast(r.id as blob), cast(s.generation as blob));

-- name: remembered (a resource that is there is remembered as gone)
select r.rk, null, null from tombstone t join resource r using (id);

-- name: tombstones (what is remembered of a resource that is gone cannot be)
select null, null, cast(id as blob) || ': ' || column from (
  select id, 'state' as column from tombstone where state not in ('collated', 'incomplete', 'cancelled')
  union all
  select id, 'ended_by' from tombstone where (state in ('collated', 'incomplete')) <> (ended_by is not null)
    or ended_by not in ('last', 'total', 'idle_timeout', 'deadline', 'failure', 'forced')
  union all
  select id, 'total' from tombstone where total < 0 or (state = 'collated' and total is null)
  union all
  select id, 'seen' from tombstone where not json_valid(seen) or seen glob '*[^][0-9,]*'
    or (state <> 'collated' and seen is null)
  union all
  select id, 'closed_at' from tombstone where closed_at not between 0 and 253402300799);

-- name: states (a state is unknown)
select rk, null, state from resource where state not in ('open', 'collated', 'incomplete', 'cancelled')
union all
select rk, null, endpoint || ': ' || state from delivery where state not in ('due', 'delivered', 'dead');

-- name: endings (what a resource ended by, or an attempt with, is unknown)
select rk, null, total_by from resource where total_by not in ('last', 'total')
union all
select rk, null, ended_by from resource
where ended_by not in ('last', 'total', 'idle_timeout', 'deadline', 'failure', 'forced')
union all
select rk, null, endpoint || ': ' || result from delivery where result not in ('delivered', 'failed')
union all
select d.rk, null, d.endpoint || ': ' || l.result from delivery_log l join delivery d using (did)
where l.result not in ('delivered', 'failed');

-- name: generation (the generation of a resource is no number of 32 hexadecimal digits)
select rk, null, generation from resource where length(generation) <> 32 or generation glob '*[^0-9a-f]*'
union all
select rk, null, generation from superseded where length(generation) <> 32 or generation glob '*[^0-9a-f]*';

-- name: json (what a resource has as JSON is none)
select rk, null, 'metadata' from resource where not json_valid(metadata)
union all
select rk, null, 'seen' from resource where not json_valid(seen) or seen glob '*[^][0-9,]*';

-- name: answers (what a receiver answered is no JSON)
select rk, null, endpoint from delivery where not json_valid(answer);

-- name: times (a time is out of bounds)
select rk, null, 'opened_at' from resource where opened_at not between 0 and 253402300799
union all
select rk, null, 'closed_at' from resource where closed_at not between 0 and 253402300799
union all
select rk, null, 'tried_at' from delivery where tried_at not between 0 and 253402300799
union all
select d.rk, null, format('tried_at, attempt %d', l.attempt) from delivery_log l join delivery d using (did)
where l.tried_at not between 0 and 253402300799;

-- name: received (the packets of a resource are not as many as it counts)
select r.rk, null, format('%d counted, %d there', r.received, count(p.k)) from resource r
left join packet p on p.k between r.rk << 24 and r.rk << 24 | 16777215
where not r.purging group by r.rk having count(p.k) <> r.received;

-- name: outcomes (the outcomes of a resource are not as many as it counts)
select r.rk, null, format('%d done and %d failed counted, %d and %d there', r.done, r.failed, o.done, o.failed)
from resource r join (
  select r.rk, coalesce(sum(number_of(iif(o.outputs is null, null, o.indexes))), 0) as done,
         count(o.n) - count(o.outputs) as failed
  from resource r left join outrun o on o.rk = r.rk group by r.rk) o using (rk)
where not r.purging and (o.done <> r.done or o.failed <> r.failed);

-- name: numbers (the outcomes of a resource are not numbered one by one)
select r.rk, null, format('%d numbers up to %d for %d outcomes, %d were given', count(distinct o.seq), max(o.seq),
                          count(o.k), r.done + r.failed + r.withdrawn) from resource r
join outcome o on o.rk = r.rk
where not r.purging group by r.rk
having count(distinct o.seq) <> count(o.k) or min(o.seq) < 1 or max(o.seq) > r.done + r.failed + r.withdrawn;

-- name: body_size (the outputs of a resource have not the size that it counts)
select r.rk, null, format('%d bytes counted, %d there', r.body_size, coalesce(sum(octet_length(o.outputs) - 1), 0))
from resource r left join outrun o on o.rk = r.rk and o.outputs is not null
where not r.purging group by r.rk having coalesce(sum(octet_length(o.outputs) - 1), 0) <> r.body_size;

-- name: highest (the highest index of a resource is another than it says)
select r.rk, max(p.k) & 16777215, format('%d is said', r.highest) from resource r
join packet p on p.k between r.rk << 24 and r.rk << 24 | 16777215
where not r.purging group by r.rk having max(p.k) & 16777215 <> r.highest;

-- name: beyond (a resource has a packet at or beyond its total)
select rk, highest, format('total %d', total) from resource where total <= highest;

-- name: whole (a resource is collated without being whole)
select rk, null, format('%d outputs, total %d', done, total) from resource
where state = 'collated' and (failed > 0 or done <> received or done is not total);

-- name: ending (a resource has ended without its time or its body, or is open with them)
select rk, null, state from resource
where (state = 'open') <> (closed_at is null) or (state = 'open') <> (frame_crc is null)
   or (state in ('collated', 'incomplete')) <> (ended_by is not null);

-- name: failures (a packet has failed without a reason)
select rk, k & 16777215, null from failure where coalesce(reason, '') = '';

-- name: payload_sum (a payload does not match its checksum)
select k >> 24, k & 16777215, null from packet where crc32(cast(payload as blob)) is not crc;

-- name: output_sum (an output does not match its checksum)
select rk, cast(substr(indexes, 2) as integer), iif(number_of(indexes) > 1, format('%d together', number_of(indexes)), null)
from outrun where crc32(cast(indexes || ifnull(outputs, '') as blob)) is not crc;

-- name: run (a run has not as many outputs as indexes)
select rk, cast(substr(indexes, 2) as integer), null from outrun
where number_of(indexes) <> iif(outputs is null, 1, iif(json_valid(outputs), json_array_length(outputs), 0))
  and crc32(cast(indexes || ifnull(outputs, '') as blob)) is crc;

-- name: frame_sum (the frame of a body does not match its checksum)
select rk, null, null from resource where frame_crc is not null and crc32(cast(head || tail as blob)) is not frame_crc
union all
select rk, null, null from superseded where crc32(cast(head || tail as blob)) is not frame_crc;
