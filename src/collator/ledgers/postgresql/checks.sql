-- What must hold of a store at any moment, by name. The words in brackets are the complaint; each row of the answer is one
-- case of it: the handle of its resource, the index of its packet and more words, each or null. A resource that is being
-- purged has lost some of its rows already.

-- name: packet_alone (a packet belongs to no resource)
select p.k >> 24, (p.k & 16777215)::int, null from packet p left join resource r on r.rk = p.k >> 24 where r.rk is null;

-- name: outcome_alone (an outcome belongs to no packet)
select o.k >> 24, (o.k & 16777215)::int, null from outcome o left join packet p on p.k = o.k left join resource r on r.rk = o.k >> 24
where p.k is null and coalesce(r.purging, 0) = 0;

-- name: packet_lost (a packet without an outcome is in nobody's hands)
select k >> 24, (k & 16777215)::int, null from (
  select p.k from resource r join packet p on p.k between r.rk << 24 and r.rk << 24 | 16777215
  where r.state = 'open' and not exists (select from outcome o where o.k = p.k)
  except
  (select rk << 24 | i from (select rk, unnest(indexes) as i from waiting union all select rk, unnest(indexes) from lease) h where i >= 0
   union all select k from attempt where due_at is not null or waits)) x;

-- name: packet_twice (a packet is in the hands of two)
select rk, i, null from (
  select rk, unnest(indexes) as i from waiting union all select rk, unnest(indexes) from lease
  union all select k >> 24, (k & 16777215)::int from attempt where due_at is not null or waits) x
where i >= 0 and rk in (select rk from resource where state = 'open') group by rk, i having count(*) > 1;

-- name: waiting_again (a packet of an open resource waits that has an outcome)
select w.rk, i, null from waiting w cross join unnest(w.indexes) as i join resource r on r.rk = w.rk
join outcome o on o.k = w.rk << 24 | i where r.state = 'open';

-- name: attempt_alone (an attempt belongs to no packet)
select a.k >> 24, (a.k & 16777215)::int, null from attempt a left join packet p on p.k = a.k where p.k is null;

-- name: delivery_alone (a delivery belongs to no resource)
select d.rk, null, d.endpoint from delivery d where not exists (select from resource r where r.rk = d.rk)
  and not exists (select from superseded s where s.gk = d.rk);

-- name: superseded_alone (a superseded generation belongs to no resource)
select s.rk, null, null from superseded s left join resource r on r.rk = s.rk where r.rk is null;

-- name: superseded_outputs (a superseded generation has not the outputs that it counts)
select s.rk, null, format('%s of %s bytes counted, %s of %s there', s.done, s.body_size, count(o.k), coalesce(sum(octet_length(o.output) + 1), 0))
from superseded s join resource r on r.rk = s.rk
left join outcome o on o.k between s.rk << 24 and s.rk << 24 | 16777215 and o.output is not null and o.seq <= s.last_seq
where r.purging = 0 group by s.gk having count(o.k) <> s.done or coalesce(sum(octet_length(o.output) + 1), 0) <> s.body_size;

-- name: delivery_early (a delivery belongs to a resource that has not ended with one)
select r.rk, null, d.endpoint from delivery d join resource r on r.rk = d.rk where r.state in ('open', 'cancelled');

-- name: delivery_forgotten (a delivery is due in a resource that is about to be forgotten)
select r.rk, null, d.endpoint from delivery d left join superseded s on s.gk = d.rk join resource r on r.rk = coalesce(s.rk, d.rk)
where d.state = 'due' and r.purge_at is not null and r.purging = 0;

-- name: log_alone (an attempt to deliver belongs to no delivery)
select null, null, format('delivery %s, attempt %s', l.did, l.attempt) from delivery_log l left join delivery d on d.did = l.did where d.did is null;

-- name: remembered (a resource that is there is remembered as gone)
select r.rk, null, null from tombstone t join resource r on r.id = t.id;

-- name: states (a state is unknown)
select rk, null, state from resource where state not in ('open', 'collated', 'incomplete', 'cancelled')
union all
select rk, null, endpoint || ': ' || state from delivery where state not in ('due', 'delivered', 'dead');

-- name: received (the packets of a resource are not as many as it counts)
select r.rk, null, format('%s counted, %s there', r.received, count(p.k)) from resource r
left join packet p on p.k between r.rk << 24 and r.rk << 24 | 16777215
where r.purging = 0 group by r.rk having count(p.k) <> r.received;

-- name: outcomes (the outcomes of a resource are not as many as it counts)
select r.rk, null, format('%s done and %s failed counted, %s and %s there', r.done, r.failed, count(o.output), count(o.k) - count(o.output))
from resource r left join outcome o on o.k between r.rk << 24 and r.rk << 24 | 16777215
where r.purging = 0 group by r.rk having count(o.output) <> r.done or count(o.k) - count(o.output) <> r.failed;

-- name: numbers (the outcomes of a resource are not numbered one by one)
select r.rk, null, format('%s numbers up to %s for %s outcomes, %s were given', count(distinct o.seq), max(o.seq), count(o.k), r.done + r.failed + r.withdrawn)
from resource r join outcome o on o.k between r.rk << 24 and r.rk << 24 | 16777215 where r.purging = 0 group by r.rk
having count(distinct o.seq) <> count(o.k) or min(o.seq) < 1 or max(o.seq) > r.done + r.failed + r.withdrawn;

-- name: body_size (the outputs of a resource have not the size that it counts)
select r.rk, null, format('%s bytes counted, %s there', r.body_size, coalesce(sum(octet_length(o.output) + 1), 0))
from resource r left join outcome o on o.k between r.rk << 24 and r.rk << 24 | 16777215 and o.output is not null
where r.purging = 0 group by r.rk having coalesce(sum(octet_length(o.output) + 1), 0) <> r.body_size;

-- name: highest (the highest index of a resource is another than it says)
select r.rk, (max(p.k) & 16777215)::int, format('%s is said', r.highest) from resource r
join packet p on p.k between r.rk << 24 and r.rk << 24 | 16777215
where r.purging = 0 group by r.rk having max(p.k) & 16777215 <> r.highest;

-- name: beyond (a resource has a packet at or beyond its total)
select rk, highest, format('total %s', total) from resource where total <= highest;

-- name: whole (a resource is collated without being whole)
select rk, null, format('%s outputs, total %s', done, total) from resource
where state = 'collated' and (failed > 0 or done <> received or done is distinct from total);

-- name: ending (a resource has ended without its time or its body, or is open with them)
select rk, null, state from resource
where (state = 'open') <> (closed_at is null) or (state = 'open') <> (frame_crc is null)
   or (state in ('collated', 'incomplete')) <> (ended_by is not null);

-- name: failures (a packet has failed without a reason)
select k >> 24, (k & 16777215)::int, null from outcome where output is null and coalesce(reason, '') = '';
