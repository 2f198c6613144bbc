-- The statements of the embedded ledger, by name. Batches come as one JSON text (?1) and answers leave as one.
-- k = rk << 24 | index; the packets of resource rk are k between rk << 24 and rk << 24 | 16777215.
-- "state <> 'collated'" is what the index of resources by state says, and has to be said to have it used.
-- The views `outcome` and `failure` have what single packets of runs of outputs are.
-- What has a checksum is cast to what it was, so that damage is told by the checksum, of the one row that has it.

-- name: load (the ledger's own row)
select clock, uptime, clean, counts from ledger;

-- name: handles (next resource and delivery handles; packets ready; suspects that wait)
select (select coalesce(max(rk), 0) + 1 from resource), (select coalesce(max(did), 0) + 1 from delivery),
       (select count(*) from ready), (select count(*) from attempt where alone > 0 and alone % 2 = 1);

-- name: next_retry (ledger time of the next packet that falls due)
select min(due_at) from attempt where due_at is not null;

-- name: persist (what every commit carries)
update ledger set clock = ?1, uptime = ?2, counts = ?3;

-- name: set_clean (0 while running)
update ledger set clean = ?1;

-- name: find_resources (resources by id; not which indexes they had received, which may be megabytes, see `received`)
select json_group_array(json_array(r.rk, r.id, r.generation, r.state, r.total, r.total_by, r.metadata, r.received,
                                   r.highest, r.done, r.failed, r.body_size, iif(r.state = 'open', r.withdrawn, 0), null))
from jsonb_each(?1) j join resource r on r.id = j.value;

-- name: find_handles (resources by handle, as above)
select json_group_array(json_array(r.rk, r.id, r.generation, r.state, r.total, r.total_by, r.metadata, r.received,
                                   r.highest, r.done, r.failed, r.body_size, iif(r.state = 'open', r.withdrawn, 0), null))
from jsonb_each(?1) j join resource r on r.rk = j.value;

-- name: open_resources (new generations)
insert into resource (rk, id, generation, state, total, total_by, metadata, received, highest, done, failed, body_size,
                      opened_at, active_at, idle_at, deadline_at)
select value->>0, value->>1, value->>2, 'open', value->>3, value->>4, value->>5, value->>6, value->>7, 0, 0, 0,
       value->>8, value->>9, value->>10, value->>11
from jsonb_each(?1) where true;

-- name: grow_resources (packets came; ?2 is the uptime)
update resource set total = j.value->>1, total_by = j.value->>2, metadata = j.value->>3, received = j.value->>4,
                    highest = j.value->>5, active_at = ?2
from jsonb_each(?1) j where rk = j.value->>0;

-- name: progress_resources (outcomes came; ?2 is the uptime)
update resource set done = j.value->>1, failed = j.value->>2, body_size = j.value->>3, active_at = ?2
from jsonb_each(?1) j where rk = j.value->>0;

-- name: insert_packets (each index once: none of them where one is there)
insert into packet select value->>0, value->>1, value->>2 from jsonb_each(?1) where true;

-- name: stored_payloads (payloads by key)
select json_group_array(json_array(p.k, p.payload)) from jsonb_each(?1) j join packet p on p.k = j.value;

-- name: received (packets by key: those that are there)
select json_group_array(p.k order by p.k) from jsonb_each(?1) j join packet p on p.k = j.value;

-- name: received_before (by the resource ?1, while it is being forgotten: its ranges)
select seen from resource where rk = ?1 and purging;

-- name: add_ready (packets wait for a worker)
insert into ready select value from jsonb_each(?1) where true on conflict do nothing;

-- name: take_ready (packets stop waiting)
delete from ready where k in (select value from jsonb_each(?1));

-- name: ready_range (stop waiting: all of one resource)
delete from ready where k between ?1 and ?2;

-- name: attempt_range
delete from attempt where k between ?1 and ?2;

-- name: suspects_range (suspects of one resource that wait)
select count(*) from attempt where alone > 0 and alone % 2 = 1 and k between ?1 and ?2;

-- name: due_retries (retries whose time has come become ready, the ?2 that are longest due)
insert into ready select k from attempt where due_at <= ?1 order by due_at, k limit ?2 on conflict do nothing;

-- name: clear_due_retries (the same)
update attempt set due_at = null where k in (select k from attempt where due_at <= ?1 order by due_at, k limit ?2);

-- name: next_ready_resources (up to ?2 resources with ready packets, by handle, behind handle ?1)
with recursive turn (rk) as (
  select min(k) >> 24 from ready where k > (?1 << 24 | 16777215)
  union all
  select (select min(k) >> 24 from ready where k > (turn.rk << 24 | 16777215)) from turn where turn.rk is not null
  limit ?2
)
select json_group_array(rk) from turn where rk is not null;

-- name: ready_of (up to ?2 ready packets of each resource, ?3 of all)
select json_group_array(k) from (
  select r.k from jsonb_each(?1) j join ready r
  on r.k in (select k from ready where k between j.value << 24 and j.value << 24 | 16777215 order by k limit ?2) limit ?3);

-- name: next_suspects (that wait, up to ?3, of those that were in work at more than ?1 and up to ?2 unclean stops). The
--   column `alone` counts these, n: 2n - 1 while the packet waits, 2n while it is in work; 0 for who is no suspect.
select json_group_array(json_array(k, (alone + 1) / 2)) from (
  select k, alone from attempt
  where alone > 0 and alone % 2 = 1 and alone > 2 * ?1 and alone <= 2 * ?2 order by k limit ?3);

-- name: suspects_begin (they wait no longer)
update attempt set alone = alone + 1 where k in (select value from jsonb_each(?1)) and alone % 2 = 1;

-- name: suspects_wait (they were handed out, and wait again)
update attempt set alone = alone - 1 where k in (select value from jsonb_each(?1)) and alone > 0 and alone % 2 = 0;

-- name: still_open (of these packets, those of open resources; joined in this order, as all open resources are many)
select json_group_array(j.value) from jsonb_each(?1) j cross join resource r on r.rk = j.value >> 24 where r.state = 'open';

-- name: sizes_of_packets (by key, in bytes; read from the heads of the rows alone)
select json_group_array(json_array(k, ifnull(octet_length(payload), 0))) from packet
where k in (select value from jsonb_each(?1));

-- name: load_packets (all that a worker needs of them, by key)
select json_group_array(json_array(p.k, cast(ifnull(p.payload, '') as text), cast(ifnull(p.crc, -1) as integer),
                                   cast(a.attempts as integer)))
from jsonb_each(?1) j join packet p on p.k = j.value left join attempt a on a.k = p.k;

-- name: load_resources (the same of their resources; metadata where ?2)
select json_group_array(json_array(rk, id, generation, iif(?2, metadata, null)))
from resource where rk in (select value from jsonb_each(?1));

-- name: insert_outruns (runs of outputs, and failures)
insert into outrun (rk, seq, attempts, indexes, crc, reason, outputs)
select value->>0, value->>1, value->>2, value->>3, value->>4, value->>5, value->>6 from jsonb_each(?1) where true;

-- name: retry_later (an attempt failed; it is due again)
insert into attempt (k, attempts, due_at, reason)
select value->>0, value->>1, value->>2, value->>3 from jsonb_each(?1) where true
on conflict do update set attempts = excluded.attempts, due_at = excluded.due_at, reason = excluded.reason, alone = 0;

-- name: count_lost (a lease ended; whether the packet runs alone stays as it is)
insert into attempt (k, attempts, reason) select value->>0, value->>1, value->>2 from jsonb_each(?1) where true
on conflict do update set attempts = excluded.attempts, reason = excluded.reason;

-- name: forget_attempts
delete from attempt where k in (select value from jsonb_each(?1));

-- name: outputs_of (all runs of outputs of these resources, in the order of time)
select json_group_array(json_array(o.rk, cast(o.indexes as text), cast(o.outputs as text), cast(ifnull(o.crc, -1) as integer))
                        order by o.rk, o.seq)
from jsonb_each(?1) j join outrun o on o.rk = j.value where o.outputs is not null;

-- name: outruns_behind (runs of outputs of resource ?1 behind the number ?2: where each is, and its bytes)
select n, seq, cast(ifnull(attempts, 0) as integer), cast(indexes as blob), octet_length(outputs) from outrun
where rk = ?1 and seq > ?2 and outputs is not null order by seq;

-- name: outrun (the run ?1)
select seq, cast(indexes as blob), cast(ifnull(crc, -1) as integer), cast(outputs as blob) from outrun where n = ?1;

-- name: head_of_outrun (the same without its outputs)
select cast(indexes as blob), cast(ifnull(crc, -1) as integer) from outrun where n = ?1;

-- name: outruns_from (runs of resource ?1 from the one on that has the number ?2: all of each)
select seq, attempts, cast(indexes as blob), cast(ifnull(crc, -1) as integer),
       cast(iif(typeof(reason) = 'text', reason, 'the reason is damaged') as blob), cast(outputs as blob)
from outrun where rk = ?1 and seq >= ifnull((select max(seq) from outrun where rk = ?1 and seq <= ?2), 0) order by seq;

-- name: packet_ranges (indexes received, of the keys ?1 to ?2, as ranges)
select json_group_array(json_array(first, last) order by first) from (
  select min(k) & 16777215 as first, max(k) & 16777215 as last
  from (select k, k - row_number() over (order by k) as island from packet where k between ?1 and ?2) group by island);

-- name: packet_keys (from ?1 to ?2; row by row, as its ranges in SQL take twice the time, and memory for each)
select k from packet where k between ?1 and ?2 order by k;

-- name: unfinished_keys (the same without an outcome)
select k from packet where k between ?1 and ?2 and k not in (select k from outcome where rk = ?1 >> 24) order by k;

-- name: count_packets (of the keys ?1 to ?2)
select json_quote(count(*)) from packet where k between ?1 and ?2;

-- name: unfinished_size (what packets without an outcome count as backlog, as `collator.footprint` has it)
select coalesce(sum(56 + iif(octet_length(payload) <= 1024, octet_length(payload),
                             (octet_length(payload) + 2047) / 2048 * 2048)), 0) from packet
where k between ?1 and ?2 and k not in (select k from outcome where rk = ?1 >> 24);

-- name: failures_of (failed packets, the first ?3)
select json_group_array(json_array(k & 16777215, iif(typeof(reason) = 'text', reason, 'the reason is damaged'),
                                   cast(ifnull(attempts, 0) as integer)) order by k) from (
  select k, reason, attempts from failure where k between ?1 and ?2 order by k limit ?3);

-- name: retrying_of (packets without an outcome whose last attempt failed, the first ?3 behind the key ?1 - 1 and up to ?2)
select json_group_array(json_array(k & 16777215, iif(typeof(reason) = 'text', reason, 'the reason is damaged'),
                                   cast(ifnull(attempts, 0) as integer), cast(due_at as real)) order by k) from (
  select k, reason, attempts, due_at from attempt
  where k between ?1 and ?2 and reason is not null order by k limit ?3);

-- name: packet_detail (by key: its payload, where it waits, what came of it before, and its failure)
select json_array(
  cast(ifnull(p.payload, '') as text), cast(ifnull(p.crc, -1) as integer),
  exists (select 1 from ready y where y.k = p.k) or ifnull(a.due_at is not null or a.alone % 2 = 1, 0),
  cast(ifnull(a.attempts, 0) as integer),
  iif(typeof(a.reason) = 'text', a.reason, iif(a.reason is null, '', 'the reason is damaged')), cast(a.due_at as real),
  json((select json_array(iif(typeof(reason) = 'text', reason, 'the reason is damaged'), cast(ifnull(attempts, 0) as integer),
                     seq) from failure f where f.k = ?1)))
from packet p left join attempt a on a.k = p.k where p.k = ?1;

-- name: failed_keys_from (from ?1 to ?2)
select k from failure where k between ?1 and ?2 order by k;

-- name: failed_between (the same as one answer)
select json_group_array(k) from failure where k between ?1 and ?2;

-- name: close_resources (the atomic end, at ?2 by the wall clock)
update resource set state = j.value->>1, ended_by = j.value->>2, total = j.value->>3, done = j.value->>4,
                    failed = j.value->>5, body_size = j.value->>6, purge_at = j.value->>7, wid = j.value->>8,
                    frame_crc = j.value->>9, head = j.value->>10, tail = j.value->>11, seen = j.value->>12,
                    closed_at = ?2, idle_at = null, deadline_at = null
from jsonb_each(?1) j where rk = j.value->>0;

-- name: insert_deliveries (born due)
insert into delivery (did, rk, endpoint, large, state, due_at)
select value->>0, value->>1, value->>2, value->>3, 'due', ?2 from jsonb_each(?1) where true;

-- name: due_deliveries (of endpoint ?1, due by ?2, large or not as ?4 says, the longest due first)
select json_group_array(did) from (
  select did from delivery where state = 'due' and endpoint = ?1 and large = ?4 and due_at <= ?2
  order by due_at limit ?3);

-- name: latest_deliveries (as `due_deliveries`, the shortest due first)
select json_group_array(did) from (
  select did from delivery where state = 'due' and endpoint = ?1 and large = ?4 and due_at <= ?2
  order by due_at desc limit ?3);

-- name: deliveries_to_probe (of endpoint ?1: of the 1,000 that became due last by ?2 those that were tried least, the
--   longest due first; then those that are due next)
select json_group_array(did) from (
  select * from (select did from (select did, step, due_at from delivery
                                  where state = 'due' and endpoint = ?1 and large = ?4 and due_at <= ?2
                                  order by due_at desc limit 1000)
                 order by step, due_at limit ?3)
  union all
  select * from (select did from delivery where state = 'due' and endpoint = ?1 and large = ?4 and due_at > ?2
                 order by due_at limit ?3)
  limit ?3);

-- name: bring_forward (of endpoint ?1, large or not as ?4 says: of the 1,000 that are due next after ?2, those that are due by ?3
--   or were put off)
update delivery set due_at = ?2 where did in (
  select did from (select did, due_at, note from delivery
                   where state = 'due' and endpoint = ?1 and large = ?4 and due_at > ?2 order by due_at limit 1000)
  where due_at <= ?3 or note is not null);

-- name: load_deliveries (what a sender needs, with the bytes of the frame in place of it; octet_length looks at the
--   header of a row. The bodies of superseded generations are read piece by piece alone: see `frames_of`)
select json_group_array(json_array(
  d.did, d.rk, r.id, ifnull(s.generation, r.generation), iif(s.gk is null, r.state, 'incomplete'), d.endpoint, d.attempts,
  d.step, ifnull(s.body_size, r.body_size),
  ifnull(octet_length(iif(s.gk is null, r.head, s.head)), 0) + ifnull(octet_length(iif(s.gk is null, r.tail, s.tail)), 0),
  ifnull(s.done, r.done), d.large))
from jsonb_each(?1) j join delivery d on d.did = j.value
left join superseded s on s.gk = d.rk join resource r on r.rk = ifnull(s.rk, d.rk);

-- name: frames_of (by resource)
select json_group_array(json_array(rk, state, cast(ifnull(head, '') as text), cast(ifnull(tail, '') as text),
                                   cast(ifnull(frame_crc, -1) as integer), done))
from jsonb_each(?1) j join resource on rk = j.value;

-- name: body_to_read (of the delivery of resource id ?1, generation ?2, to endpoint ?3: where its frame is, the resource
--   that has its outputs, and the number of the last of them, which the end of the resource says)
select 'resource', r.rk, r.rk, r.state, r.done, 9223372036854775807, cast(ifnull(r.frame_crc, -1) as integer)
from resource r join delivery d on d.rk = r.rk where r.id = ?1 and r.generation = ?2 and d.endpoint = ?3;

-- name: superseded_body (the same of a generation that was superseded)
select 'superseded', s.gk, s.rk, 'incomplete', s.done, s.last_seq, s.frame_crc
from resource r join superseded s on s.rk = r.rk join delivery d on d.rk = s.gk
where r.id = ?1 and s.generation = ?2 and d.endpoint = ?3;

-- name: delivery_states (of these [resource id, generation, endpoint], in order)
select json_group_array(json_array(j.key, d.did, d.rk, d.state, d.attempts, d.step, d.due_at, d.reason, d.note,
                                   d.tried_at, d.seconds, d.result) order by j.key)
from jsonb_each(?1) j join resource r on r.id = j.value->>0 and r.generation = j.value->>1
join delivery d on d.rk = r.rk and d.endpoint = j.value->>2;

-- name: superseded_states (the same of generations that were superseded, with the handles of their resources)
select json_group_array(json_array(j.key, d.did, s.rk, d.state, d.attempts, d.step, d.due_at, d.reason, d.note,
                                   d.tried_at, d.seconds, d.result) order by j.key)
from jsonb_each(?1) j join resource r on r.id = j.value->>0
join superseded s on s.rk = r.rk and s.generation = j.value->>1
join delivery d on d.rk = s.gk and d.endpoint = j.value->>2;

-- name: update_deliveries (an attempt has ended)
update delivery set state = j.value->>1, attempts = j.value->>2, step = j.value->>3, due_at = j.value->>4,
                    reason = j.value->>5, note = j.value->>6, tried_at = j.value->>7, seconds = j.value->>8,
                    result = j.value->>9
from jsonb_each(?1) j where did = j.value->>0;

-- name: keep_answers (of receivers that did not accept: [delivery, answer])
update delivery set answer = j.value->>1 from jsonb_each(?1) j where did = j.value->>0;

-- name: log_attempts (those that are no longer the last of their delivery)
insert or replace into delivery_log
select value->>0, value->>1, value->>2, value->>3, value->>4, value->>5 from jsonb_each(?1) where true;

-- name: trim_log ([delivery, attempt]: that one and those before it)
delete from delivery_log where (did, attempt) in (
  select l.did, l.attempt from jsonb_each(?1) j
  join delivery_log l on l.did = j.value->>0 and l.attempt <= j.value->>1);

-- name: set_retention (of these resources, where no delivery of any generation is due: to the time ?2, or ?3 where one
-- is dead; one that is being forgotten stays so, and one that is open again stays)
update resource set purge_at = iif(e.due, null, iif(e.dead, ?3, ?2)) from (
  select h.rk, sum(d.state = 'due') as due, sum(d.state = 'dead') as dead
  from (select value as rk, value as handle from jsonb_each(?1)
        union all select s.rk, s.gk from jsonb_each(?1) j join superseded s on s.rk = j.value) h
  join delivery d on d.rk = h.handle group by h.rk) e
where resource.rk = e.rk and not purging and resource.state <> 'open';

-- name: shorten_dead_retention (to the time ?1, of resources that have a dead delivery and none that is due;
--   "state <> 'delivered'" is what the index of them says)
update resource set purge_at = ?1
where rk in (select ifnull(s.rk, d.rk) from delivery d left join superseded s on s.gk = d.rk
             where d.state <> 'delivered' and d.state = 'dead')
  and (purge_at is null or purge_at > ?1) and state <> 'open'
  and not exists (select 1 from delivery d where d.state = 'due' and d.rk in (
    select resource.rk union all select gk from superseded s where s.rk = resource.rk));

-- name: deliveries_to_repair (by handle, with that of their resource)
select json_group_array(json_array(d.did, r.rk, d.endpoint, d.state))
from jsonb_each(?1) j join delivery d on d.did = j.value
left join superseded s on s.gk = d.rk join resource r on r.rk = ifnull(s.rk, d.rk) where not r.purging;

-- name: replay_deliveries (?2 is the ledger's time)
update delivery set state = 'due', step = 0, due_at = ?2, note = 'replayed'
where did in (select value from jsonb_each(?1));

-- name: stop_delivery (by a person)
update delivery set state = 'dead', note = 'given up by a person' where did = ?1;

-- name: bury_delivery (whose row cannot be read)
update delivery set state = 'dead', note = 'what is stored of it is damaged' where did = ?1;

-- name: idle_resources (whose time to look has come)
select json_group_array(json_array(rk, cast(ifnull(active_at, 0) as real))) from (
  select rk, active_at from resource where idle_at <= ?1 order by idle_at limit ?2);

-- name: look_again ([resource, uptime of the next look])
update resource set idle_at = j.value->>1 from jsonb_each(?1) j where rk = j.value->>0;

-- name: count_idle_times
select count(*) from resource where idle_at is not null;

-- name: set_idle_times (of open resources that have none; ?1 is the timeout)
update resource set idle_at = active_at + ?1 where state = 'open' and state <> 'collated' and idle_at is null;

-- name: shorten_idle_times (to the timeout ?1; ?2 is the uptime)
update resource set idle_at = active_at + ?1 where idle_at > ?1 + ?2;

-- name: past_deadline
select json_group_array(rk) from (select rk from resource where deadline_at <= ?1 order by deadline_at limit ?2);

-- name: failed_keys (behind the key ?1 and up to ?2, at most ?3; and the last of them, unless they are all)
select json_object('keys', json_group_array(k), 'last', iif(count(*) = ?3, max(k), null)) from (
  select k from failure where k > ?1 and k <= ?2 order by k limit ?3);

-- name: withdraw_failures (by key: a run of outputs is never deleted before its resource)
delete from outrun where n in (select f.n from jsonb_each(?1) j join failure f on f.k = j.value);

-- name: withdraw_numbers (?2 more of resource ?1)
update resource set withdrawn = withdrawn + ?2 where rk = ?1;

-- name: before_reopening (of resource ?1: numbers withdrawn, whether it is being forgotten, generations superseded)
select withdrawn, purging, (select count(*) from superseded s where s.rk = r.rk) from resource r where rk = ?1;

-- name: failed_size (what the failed packets of the keys ?1 to ?2 will count as backlog)
select coalesce(sum(56 + iif(octet_length(p.payload) <= 1024, octet_length(p.payload),
                             (octet_length(p.payload) + 2047) / 2048 * 2048)), 0)
from failure f join packet p on p.k = f.k where f.k between ?1 and ?2;

-- name: supersede (the generation that resource ?1 has ended as; handles fall, so that none comes twice)
insert into superseded
select (select coalesce(min(gk), 0) - 1 from superseded), rk, generation, closed_at, done, body_size,
       done + failed + withdrawn, head, tail, frame_crc, wid from resource where rk = ?1;

-- name: leave_deliveries (of resource ?1 to the generation that was superseded last)
update delivery set rk = (select min(gk) from superseded where rk = ?1) where rk = ?1;

-- name: ready_failures (failed packets of the keys ?1 to ?2 wait for a worker)
insert into ready select k from failure where k between ?1 and ?2;

-- name: forget_failures (the same have no outcome)
delete from outrun where n in (select n from failure where k between ?1 and ?2);

-- name: ready_unfinished (packets of the keys ?1 to ?2 that have no outcome wait for a worker)
insert into ready select k from packet
where k between ?1 and ?2 and k not in (select k from outcome where rk = ?1 >> 24) on conflict do nothing;

-- name: reopen_resource
update resource set generation = ?2, state = 'open', failed = 0, withdrawn = ?3, opened_at = ?4, active_at = ?5,
                    idle_at = ?6, deadline_at = ?7, closed_at = null, ended_by = null, seen = null, head = null,
                    tail = null, frame_crc = null, purge_at = null, wid = null
where rk = ?1;

-- name: superseded_by (resource ?1: the generation before it; deliveries of all before it that are due, and dead)
select (select generation from superseded where rk = ?1 order by gk limit 1),
       (select count(*) from superseded s join delivery d on d.rk = s.gk where s.rk = ?1 and d.state = 'due'),
       (select count(*) from superseded s join delivery d on d.rk = s.gk where s.rk = ?1 and d.state = 'dead');

-- name: list_unfinished (resources of state ?1, not 'collated', id from ?2 below ?3, of which packets have no output; those
--   up to the handle ?4, ended since ?5, by ?6, with ?7 in one of the first 100 reasons of failures, or all; ?8 are looked at. For
--   each its id, its generation, and how many packets; and the last id, where there may be others behind)
with looked as materialized (
  select rk, id from resource
  where state = ?1 and state <> 'collated' and id >= ?2 and id < ifnull(?3, x'') order by id limit ?8
)
select json_object('last', iif((select count(*) from looked) = ?8, (select max(id) from looked), null), 'rows', json((
  select json_group_array(json_array(id, generation, iif(state = 'open', failed, received - done)) order by id) from (
    select r.* from looked l cross join resource r on r.rk = l.rk
    where iif(r.state = 'open', r.failed > 0, r.received > r.done) and r.rk <= ?4 and not r.purging
      and (?5 is null or r.closed_at >= ?5) and (?6 is null or r.ended_by = ?6)
      and (?7 is null or exists (
        select 1 from (select reason from failure
                       where k between r.rk << 24 and r.rk << 24 | 16777215 order by k limit 100)
        where instr(reason, ?7)))))));

-- name: last_resource (the latest handle)
select json_quote(coalesce(max(rk), 0)) from resource;

-- name: backlog_of (what these packets count as backlog, by keys)
select coalesce(sum(56 + iif(octet_length(p.payload) <= 1024, octet_length(p.payload),
                             (octet_length(p.payload) + 2047) / 2048 * 2048)), 0)
from jsonb_each(?1) j join packet p on p.k = j.value;

-- name: purge_due (up to ?2 resources to forget, in their order: handle, state, how many packets each had, the bytes of its
--   outputs, and whether it is being forgotten already)
select json_group_array(json_array(rk, state, received, body_size, purging)) from (
  select rk, state, received, body_size, purging from resource where purge_at <= ?1 order by purge_at limit ?2);

-- name: purge_outruns (of resource ?1: the first ?2, of ?3 bytes at most or a single one)
delete from outrun where n in (
  select n from (
    select n, row_number() over (order by seq) as place, sum(size) over (order by seq) as size from (
      select n, seq, ifnull(octet_length(outputs), 0) as size from outrun where rk = ?1 order by seq limit ?2))
  where place = 1 or size <= ?3);

-- name: purge_packets (of the keys ?1 to ?2: the same)
delete from packet where k in (
  select k from (
    select k, row_number() over (order by k) as place, sum(size) over (order by k) as size from (
      select k, octet_length(payload) as size from packet where k between ?1 and ?2 order by k limit ?3))
  where place = 1 or size <= ?4);

-- name: payload_bytes (of each of these resources, in order)
select json_group_array(ifnull((
  select sum(octet_length(payload)) from packet where k between j.value << 24 and j.value << 24 | 16777215), 0))
from jsonb_each(?1) j;

-- name: delete_outruns (of these resources)
delete from outrun where rk in (select value from jsonb_each(?1));

-- name: delete_packets (of these resources)
delete from packet where k in (
  select p.k from jsonb_each(?1) j join packet p on p.k between j.value << 24 and j.value << 24 | 16777215);

-- name: delete_packet_range (of the keys ?1 to ?2: a third of the time, as no list of them is made)
delete from packet where k between ?1 and ?2;

-- name: delete_log (of the deliveries of these handles, of resources and of generations)
delete from delivery_log where did in (
  select d.did from jsonb_each(?1) j join delivery d on d.rk = j.value);

-- name: delete_deliveries (of these handles)
delete from delivery where rk in (select value from jsonb_each(?1));

-- name: delete_superseded (of these resources)
delete from superseded where rk in (select value from jsonb_each(?1));

-- name: delete_resources
delete from resource where rk in (select value from jsonb_each(?1));

-- name: superseded_handles (of these resources)
select json_group_array(gk) from superseded where rk in (select value from jsonb_each(?1));

-- name: dead_of (dead deliveries of these handles, and whether any may be in the log: the last attempt is not)
select count(*) filter (where state = 'dead'), ifnull(max(attempts not in (0, 1)), 0) from delivery
where rk in (select value from jsonb_each(?1));

-- name: due_of
select count(*) from delivery where rk in (select ?1 union all select gk from superseded where rk = ?1) and state = 'due';

-- name: purge_begins (after its retention)
update resource set purging = 1 where rk = ?1 and not purging;

-- name: purge_now (by a person: before all that is due to be forgotten, and without a tombstone; once, as it writes the whole
--   row, in which the ranges of what was received are)
update resource set purge_at = 0, purging = 2 where rk = ?1 and purging < 2;

-- name: leave_tombstones (of these resources, which are removed at the ledger time ?2)
insert into tombstone (id, state, ended_by, total, seen, closed_at, removed_at)
select id, state, ended_by, total, seen, ifnull(closed_at, 0), ?2 from resource
where rk in (select value from jsonb_each(?1)) on conflict do nothing;

-- name: find_tombstones (resources by id that are gone, as `find_resources` gives those that are there)
select json_group_array(json_array(0, t.id, '', t.state, t.total, null, null, 0, -1, 0, 0, 0, 0, t.seen))
from jsonb_each(?1) j join tombstone t on t.id = j.value;

-- name: tombstone (how a resource that is gone had ended)
select json_array(state, total, closed_at) from tombstone where id = ?1;

-- name: old_tombstones (the last of the first ?2 that were removed by ?1, of ?3 bytes at most or a single one)
select max(tk) from (
  select tk, removed_at, row_number() over (order by tk) as place, sum(size) over (order by tk) as size from (
    select tk, removed_at, ifnull(octet_length(seen), 0) as size from tombstone order by tk limit ?2))
where removed_at <= ?1 and (place = 1 or size <= ?3);

-- name: delete_tombstones (up to ?1)
delete from tombstone where tk <= ?1;

-- name: delete_tombstone (by id)
delete from tombstone where id = ?1;

-- name: unfinished_resources (that are open: handles, and how many outcomes each has)
select rk, done + failed from resource where state = 'open' and state <> 'collated' and received > done + failed;

-- name: in_work (packets of these resources that were in work when the process died, by key)
select json_group_array(p.k)
from jsonb_each(?1) j join packet p on p.k between j.value << 24 and j.value << 24 | 16777215
where p.k not in (select o.k from jsonb_each(?1) h join outcome o on o.rk = h.value)
  and not exists (select 1 from ready y where y.k = p.k)
  and not exists (select 1 from attempt a where a.k = p.k and (a.due_at is not null or a.alone % 2 = 1));

-- name: suspect (they were in work at one more unclean stop, which is on their account where ?2 and it is not among the
--   first ?3)
insert into attempt (k, deaths, alone) select value, ?2 and 1 > ?3, 1 from jsonb_each(?1) where true
on conflict do update set deaths = deaths + (?2 and alone / 2 + 1 > ?3), alone = alone + 1;

-- name: deadly (packets that ended the process ?1 times)
select json_group_array(json_array(a.k, octet_length(p.payload), a.attempts, a.deaths))
from attempt a join packet p on p.k = a.k where a.alone > 0 and a.deaths >= ?1;

-- name: report (one resource, for people)
select json_object('resource_row', rk, 'resource_id', id, 'generation', generation, 'state', state, 'completed_by', ended_by,
                   'total', total, 'metadata', json(coalesce(metadata, '{}')), 'received', received,
                   'highest', highest, 'done', done, 'failed', failed, 'withdrawn', withdrawn, 'opened_at', opened_at, 'closed_at', closed_at,
                   'superseded', (select s.generation from superseded s where s.rk = resource.rk order by gk limit 1))
from resource where id = ?1 and not purging;

-- name: list_resources (id from ?1 below ?2, at most ?3; no ?2 is x'', as a blob sorts behind all text: an `or` here
--   would have all ids behind ?1 looked at, 13 ms instead of 1 where 200,000 are)
select json_group_array(json_array(id, state, total, received, done, failed, opened_at, closed_at)) from (
  select id, state, total, received, done, failed, opened_at, closed_at from resource
  where id >= ?1 and id < ifnull(?2, x'') and not purging order by id limit ?3);

-- name: list_resources_in (of state ?4, which is not 'collated', id from ?1 below ?2, at most ?3)
select json_group_array(json_array(id, state, total, received, done, failed, opened_at, closed_at)) from (
  select id, state, total, received, done, failed, opened_at, closed_at from resource
  where state = ?4 and state <> 'collated' and id >= ?1 and id < ifnull(?2, x'') and not purging order by id limit ?3);

-- name: list_collated (of the first ?4 of all resources, id from ?1 below ?2, those that ended whole, at most ?3; and the
--   last id of the ?4, where others may be behind. Nearly all ended whole, so that no index has these alone)
with looked as materialized (select rk, id from resource where id >= ?1 and id < ifnull(?2, x'') order by id limit ?4)
select json_object('last', iif((select count(*) from looked) = ?4, (select max(id) from looked), null), 'rows', json((
  select json_group_array(json_array(id, state, total, received, done, failed, opened_at, closed_at) order by id) from (
    select r.* from looked l cross join resource r on r.rk = l.rk
    where r.state = 'collated' and not r.purging order by l.id limit ?3))));

-- name: search_resources (?1: 'all', 'early' of those that ended without being whole, or 'undelivered'; handles behind ?2
--   up to ?3, which are those of deliveries where these are looked at; the latest first where ?4; ?5 are looked at, of
--   which fit: state ?6 or all, id from ?7 and below ?8 or all, opened since ?9 and until ?10, ended since ?11 and until
--   ?12, or ever, with failures where ?13; at most ?14, as in `list_deliveries`. With several deliveries it is at the first)
with looked (place, rk) as not materialized (
  select * from (select rk, rk from resource where ?1 = 'all' and not ?4 and rk > ?2 and rk <= ?3 order by rk limit ?5)
  union all
  select * from (select rk, rk from resource where ?1 = 'all' and ?4 and rk > ?2 and rk <= ?3 order by rk desc limit ?5)
  union all
  select * from (select rk, rk from resource where ?1 = 'early' and not ?4 and state in ('incomplete', 'cancelled')
                   and rk > ?2 and rk <= ?3 order by rk limit ?5)
  union all
  select * from (select rk, rk from resource where ?1 = 'early' and ?4 and state in ('incomplete', 'cancelled')
                   and rk > ?2 and rk <= ?3 order by rk desc limit ?5)
  union all
  select * from (select d.did, ifnull(s.rk, d.rk) from delivery d left join superseded s on s.gk = d.rk
                 where ?1 = 'undelivered' and not ?4 and d.state <> 'delivered' and d.did > ?2 and d.did <= ?3
                 order by d.did limit ?5)
  union all
  select * from (select d.did, ifnull(s.rk, d.rk) from delivery d left join superseded s on s.gk = d.rk
                 where ?1 = 'undelivered' and ?4 and d.state <> 'delivered' and d.did > ?2 and d.did <= ?3
                 order by d.did desc limit ?5)
), chosen as materialized (
  select l.place, l.rk from looked l cross join resource r on r.rk = l.rk
  where not r.purging and (?6 is null or r.state = ?6) and r.id >= ?7 and (?8 is null or r.id < ?8)
    and (?9 is null or r.opened_at >= ?9) and (?10 is null or r.opened_at <= ?10)
    and (?11 is null or r.closed_at >= ?11) and (?12 is null or r.closed_at <= ?12) and (not ?13 or r.failed > 0)
    and not (?1 = 'undelivered' and exists (
      select 1 from delivery o where o.state <> 'delivered' and iif(?4, o.did > l.place, o.did < l.place)
        and o.rk in (select l.rk union all select gk from superseded where rk = l.rk)))
  limit ?14
)
select json_object('looked', iif((select count(*) from chosen) < ?14, (select count(*) from looked), 0),
                   'last', iif((select count(*) from chosen) < ?14, (select iif(?4, min(place), max(place)) from looked), 0),
                   'rows', json((
  select json_group_array(json_array(c.place, r.id, r.state, r.total, r.received, r.done, r.failed, r.opened_at, r.closed_at)
                          order by iif(?4, -c.place, c.place))
  from chosen c cross join resource r on r.rk = c.rk)));

-- name: list_deliveries (?1: 'all', 'undelivered', or 'one' resource ?2; handles behind ?3 up to ?4; ?5 are looked at,
--   of which fit: state ?6 or all, endpoint ?7 or all, resource id from ?8 and below ?9 or all, closed since ?10 or ever,
--   until ?11 or now, ?12 in the reason or all; the latest first where ?13; at most ?14. Where so many fit, those behind
--   them are not looked at, and not counted as looked at)
with looked as not materialized (
  select * from (select did from delivery where ?1 = 'all' and not ?13 and did > ?3 and did <= ?4 order by did limit ?5)
  union all
  select * from (select did from delivery where ?1 = 'all' and ?13 and did > ?3 and did <= ?4 order by did desc limit ?5)
  union all
  select * from (select did from delivery where ?1 = 'undelivered' and not ?13 and state <> 'delivered'
                   and did > ?3 and did <= ?4 order by did limit ?5)
  union all
  select * from (select did from delivery where ?1 = 'undelivered' and ?13 and state <> 'delivered'
                   and did > ?3 and did <= ?4 order by did desc limit ?5)
  union all
  select * from (select did from delivery
                 where ?1 = 'one' and rk in (select ?2 union all select gk from superseded where rk = ?2)
                   and did > ?3 and did <= ?4 order by iif(?13, -did, did) limit ?5)
), chosen as materialized (  -- joined in this order: looked, which is the smallest, has the order already, and the join keeps it
  select l.did from looked l cross join delivery d on d.did = l.did left join superseded s on s.gk = d.rk
  cross join resource r on r.rk = ifnull(s.rk, d.rk)
  where (?6 is null or d.state = ?6) and (?7 is null or d.endpoint = ?7) and not r.purging
    and r.id >= ?8 and (?9 is null or r.id < ?9) and (?10 is null or ifnull(s.closed_at, r.closed_at) >= ?10)
    and (?11 is null or ifnull(s.closed_at, r.closed_at) <= ?11) and (?12 is null or instr(coalesce(d.note, d.reason), ?12))
  limit ?14
)
select json_object('looked', iif((select count(*) from chosen) < ?14, (select count(*) from looked), 0),
                   'last', iif((select count(*) from chosen) < ?14, (select iif(?13, min(did), max(did)) from looked), 0),
                   'rows', json((
  select json_group_array(json_array(d.did, r.id, ifnull(s.generation, r.generation), d.endpoint, d.state, d.attempts,
                                     coalesce(d.note, d.reason), d.tried_at, d.due_at, ifnull(s.closed_at, r.closed_at))
                          order by iif(?13, -d.did, d.did))
  from chosen c cross join delivery d on d.did = c.did left join superseded s on s.gk = d.rk
  cross join resource r on r.rk = ifnull(s.rk, d.rk))));

-- name: deliveries_of (resource ?1: how many, and up to ?2 of them as `list_deliveries` has it, the undelivered before others)
select json_object('count', (select count(*) from delivery where rk = ?1), 'rows', json((
  select json_group_array(json_array(d.did, r.id, r.generation, d.endpoint, d.state, d.attempts,
                                     coalesce(d.note, d.reason), d.tried_at, d.due_at, r.closed_at)
                          order by d.state = 'delivered', d.did)
  from (select did from delivery where rk = ?1 order by state = 'delivered', did limit ?2) c
  cross join delivery d on d.did = c.did cross join resource r on r.rk = d.rk where not r.purging)));

-- name: last_delivery (the latest handle)
select json_quote(coalesce(max(did), 0)) from delivery;

-- name: resource_handle (by id; 0 for none)
select json_quote(coalesce((select rk from resource where id = ?1 and not purging), 0));

-- name: resources_by_number (of a webhook id, to endpoint ?2 or all: handles of both, and whose. The index of numbers is in
--   parts of 4,096 resources, of which each that there is is looked into)
with recursive part (place) as (
  select min(rk) >> 12 from resource
  union all
  select (select min(rk) >> 12 from resource where rk >= part.place + 1 << 12) from part where part.place is not null
)
select json_group_array(json_array(did, rk, id, generation)) from (
  select d.did, r.rk, r.id, r.generation
  from part cross join resource r on r.rk >> 12 = part.place and r.wid = ?1
  join delivery d on d.rk = r.rk and d.endpoint = ifnull(?2, d.endpoint) where not r.purging
  union all
  select d.did, r.rk, r.id, s.generation
  from superseded s join delivery d on d.rk = s.gk and d.endpoint = ifnull(?2, d.endpoint) join resource r on r.rk = s.rk
  where s.wid = ?1 and not r.purging);

-- name: delivery_history (attempts of a delivery, oldest first, the last ?2)
select json_group_array(json_array(attempt, tried_at, seconds, result, reason) order by attempt) from (
  select attempt, tried_at, seconds, result, reason from delivery_log where did = ?1
  union all
  select attempts, tried_at, seconds, result, reason from delivery where did = ?1 and tried_at is not null
  order by attempt desc limit ?2);

-- name: delivery_answer (the last that was no success; null for none)
select ifnull(answer, 'null') from delivery where did = ?1;

-- name: pause_endpoint
insert into paused_endpoint values (?1, ?2, ?3);

-- name: resume_endpoint
delete from paused_endpoint where endpoint = ?1;

-- name: paused_names
select json_group_array(endpoint) from paused_endpoint;

-- name: paused_endpoints (with the time and the reason)
select json_group_array(json_array(endpoint, paused_at, reason)) from paused_endpoint;

-- name: due_endpoints (that have something due by ?1, and are not paused)
with recursive name (endpoint) as (
  select min(endpoint) from delivery where state = 'due'
  union all
  select (select min(endpoint) from delivery where state = 'due' and endpoint > name.endpoint)
  from name where name.endpoint is not null
)
select json_group_array(endpoint) from name
where endpoint is not null and endpoint not in (select endpoint from paused_endpoint)
  and exists (select 1 from delivery d
              where d.state = 'due' and d.endpoint = name.endpoint and d.large in (0, 1) and d.due_at <= ?1);

-- name: fix_total (by a person)
update resource set total = ?2, total_by = 'total' where rk = ?1;

-- name: count_suspects (that wait)
select count(*) from attempt where alone > 0 and alone % 2 = 1;

-- name: record_act (of [act, wall clock, ledger time, who, peer, verb, target, changed, refused]; its steps add up)
insert into audit (act, at, kept_at, who, peer, verb, target, changed, refused)
select ?1->>0, ?1->>1, ?1->>2, ?1->>3, ?1->>4, ?1->>5, ?1->>6, ?1->>7, ?1->>8 where true
on conflict (act) do update set changed = changed + excluded.changed;

-- name: trim_audit (of those that were refused, or not, as ?1 says, all but the latest ?2)
delete from audit where refused = ?1
  and id <= (select id from audit where refused = ?1 order by id desc limit 1 offset ?2);

-- name: forget_audit (the first ?2, where they were recorded before ?1)
delete from audit where id in (select id from audit order by id limit ?2) and kept_at < ?1;

-- name: list_audit (those before the record ?1, the latest first, at most ?2)
select json_group_array(json_array(id, at, who, peer, verb, target, changed) order by id desc) from (
  select id, at, who, peer, verb, target, changed from audit where id < ?1 order by id desc limit ?2);
