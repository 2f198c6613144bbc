-- The statements of the ledger on PostgreSQL, by name. Batches come as an array for each column.
-- k = rk << 24 | index; the packets of resource rk are k between rk << 24 and rk << 24 | 16777215.
-- What locks rows before it changes them does so in a materialized part: a plan may run a subquery again for each row, and
-- one with a limit then locks and gives others each time.
-- No plan may go through a table, or an index, as a whole, though plans are made once, maybe while all tables are empty (address.py). To
-- join on `=` allows it, as an index gives the order that a merge would want. So it is `r.rk = any (array[t.rk])`, for which an index
-- can only be asked, `offset 0` in a subquery that asks for one row, and `order by id || ''` or `gk + 0` for few rows in an order that an
-- index has.
-- Rows are locked in this order: node, resources by id, leases by token, ledger.

-- name: look_around (see the function)
select * from look_around();

-- name: store_counts (of writer $2 of node $1, at its step $3)
insert into writer as l values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
on conflict (node, writer) do update
set step = excluded.step, open = l.open + excluded.open, collated = l.collated + excluded.collated,
    incomplete = l.incomplete + excluded.incomplete, cancelled = l.cancelled + excluded.cancelled,
    waiting = l.waiting + excluded.waiting, backlog = l.backlog + excluded.backlog,
    open_bytes = l.open_bytes + excluded.open_bytes, due = l.due + excluded.due, dead = l.dead + excluded.dead,
    remembered = l.remembered + excluded.remembered, leased = l.leased + excluded.leased;

-- name: fold_counts (of nodes that are gone, into one row)
with gone as (delete from writer w where node <> 0 and not exists (select from node n where n.node = w.node) returning *)
insert into writer as l
select 0, 0, 0, sum(open), sum(collated), sum(incomplete), sum(cancelled), sum(waiting), sum(backlog), sum(open_bytes), sum(due),
       sum(dead), sum(remembered), sum(leased) from gone having count(*) > 0
on conflict (node, writer) do update
set open = l.open + excluded.open, collated = l.collated + excluded.collated,
    incomplete = l.incomplete + excluded.incomplete, cancelled = l.cancelled + excluded.cancelled,
    waiting = l.waiting + excluded.waiting, backlog = l.backlog + excluded.backlog,
    open_bytes = l.open_bytes + excluded.open_bytes, due = l.due + excluded.due, dead = l.dead + excluded.dead,
    remembered = l.remembered + excluded.remembered, leased = l.leased + excluded.leased;

-- name: last_step (of writer $2 of node $1, once nobody else changes it)
select step from writer where node = $1 and writer = $2 for update;

-- Nodes and time.

-- name: register_node (one that has not beaten yet is alive for as long as any)
insert into node (seen, name, version, since)
select x.now - x.stood - greatest(0, x.now - x.beat_at - most_between_beats()), $1, $2, x.wall
from (select greatest(l.clock, w.wall) as now, w.wall, l.stood, l.beat_at from ledger l, (select wall() as wall) w) x returning node;

-- name: unfinished_move (the data directory that is being moved into this store)
select directory from move where not finished;

-- name: forget_node
delete from node where node = $1;

-- name: other_nodes (that are alive at $2)
select count(*) from node where node <> $1 and seen >= $2::float8 - dead_after();

-- name: see_node (node $1 is alive at $2; its name $3 and version $4, where others took it for dead)
insert into node (node, seen, name, version, since) overriding system value values ($1, $2, $3, $4, wall())
on conflict (node) do update set seen = greatest(node.seen, excluded.seen);

-- name: tick (beat; the time since the last one counts as uptime, unless a refusal was noted)
update ledger set (clock, beat_at, stood, uptime, ticked_at, refused) = (
  select x.now, x.now, x.stood, uptime + case when not refused then x.now - x.stood - ticked_at else 0 end,
         x.now - x.stood, false
  from (select y.now, stood + greatest(0, y.now - beat_at - most_between_beats()) as stood
        from (select greatest(clock, w.wall) as now from (select wall() as wall) w) y) x);

-- name: skip_time (nothing since the last tick counts as uptime, of which there is so much)
update ledger set ticked_at = $1 returning uptime;

-- name: note_refusal
update ledger set refused = true where not refused;

-- name: one_at_a_time (the row of the ledger would hold up beats)
select pg_advisory_xact_lock(hashtext('collator.suspects'));

-- name: take_space (1 MiB that does not compress: an error while the disk is full)
insert into audit (act, at, kept_at, who, peer, verb, target, changed, refused)
select 'take_space', 0, 0, '', '', '', string_agg(md5(random()::text), ''), 0, false from generate_series(1, 32768);

-- name: next_share (of endpoint $1 and large ones or not: whether the odd delivery is the one that became due last)
insert into share as s values ($1, $2, false) on conflict (endpoint, large) do update set latest = not s.latest returning latest;

-- Packets come in.

-- name: look (see the function)
select * from look($1, $2, $3, $4);

-- name: accept_plain (see the function)
select * from accept_plain($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23);

-- name: record_plain (see the function)
select * from record_plain($1, $2, $3, $4, $5, $6, $7, $8);

-- name: lock_all (see the function)
select lock_all($1, $2);

-- name: lock_resources (by handle, in the order of their ids)
select rk, id, generation, state, total, total_by, metadata, received, highest, done, failed, body_size, withdrawn, purging
from resource where rk = any ($1::bigint[]) order by id || '' for update;

-- name: lock_resource (by id)
select rk, id, generation, state, total, total_by, metadata, received, highest, done, failed, body_size, withdrawn, purging
from resource where id = $1 for update;

-- name: drop_resources (that were created in this step)
delete from resource where rk = any ($1::bigint[]);

-- name: open_resources (new generations; $7 is the uptime, $8 the wall clock)
update resource r set total = t.total, total_by = t.total_by, metadata = t.metadata, received = t.received,
                      highest = t.highest, active_at = $7::float8, opened_at = $8::float8, idle_at = $9::float8, deadline_at = $10::float8
from unnest($1::bigint[], $2::int[], $3::text[], $4::bytea[], $5::int[], $6::int[])
  as t (rk, total, total_by, metadata, received, highest) where r.rk = any (array[t.rk]);

-- name: grow_resources (packets came; $7 is the uptime)
update resource r set total = t.total, total_by = t.total_by, metadata = t.metadata, received = t.received,
                      highest = t.highest, active_at = $7::float8
from unnest($1::bigint[], $2::int[], $3::text[], $4::bytea[], $5::int[], $6::int[])
  as t (rk, total, total_by, metadata, received, highest) where r.rk = any (array[t.rk]);

-- name: insert_packets
insert into packet select * from unnest($1::bigint[], $2::bytea[], $3::bigint[]);

-- name: sizes_of_packets (by key, of those that are there)
select k, octet_length(payload) as size from packet where k = any ($1::bigint[]);

-- name: stored_payloads
select k, payload from packet where k = any ($1::bigint[]);

-- name: received_before (by the resource $1, while it is being forgotten: its ranges)
select seen from resource where rk = $1 and purging <> 0;

-- name: find_tombstones
select id, state, total, seen from tombstone where id = any ($1::text[]);

-- name: tombstone (how a resource that is gone had ended)
select state, total, closed_at from tombstone where id = $1;

-- Work.

-- name: hand_out_allowed (no packet waits, or is to be alone)
select not exists (select from waiting) and not exists (select from attempt where stops > 0 and waits)
  and not exists (select from attempt where due_at <= $2)
  and not exists (select from lease where alone_until > 0 and alone_until > $1) and not exists (select from lease where until <= $1);

-- name: is_alone (a packet is handed out beside which nothing may be)
select exists (select from lease where alone_until > 0 and alone_until > $1);

-- name: none_beside (all that is handed out has been alone)
select coalesce(bool_and(alone_until > 0 and alone_until <= $1), true) from lease;

-- name: work_waits
select exists (select from waiting) or exists (select from attempt where stops > 0 and waits);

-- name: store_waiting (a row for each resource: its handle, and the stretch of the indexes $4)
insert into waiting as w (rk, first, indexes)
select t.rk, ($4::int[])[t.a], ($4::int[])[t.a:t.b] from unnest($1::bigint[], $2::int[], $3::int[]) as t (rk, a, b)
on conflict (rk, first) do update set indexes = w.indexes || excluded.indexes;

-- name: forget_waiting (of resource $1)
delete from waiting where rk = $1;

-- name: next_resources (up to $1 resources with waiting packets, once round from behind the one that had its turn last)
with recursive behind (rk) as (
  select min(w.rk) from waiting w where w.rk > (select last_value from turn)
  union all
  select (select min(w.rk) from waiting w where w.rk > behind.rk) from behind where behind.rk is not null
), before (rk) as (
  select min(w.rk) from waiting w where w.rk <= (select last_value from turn)
  union all
  select (select min(w.rk) from waiting w where w.rk > before.rk and w.rk <= (select last_value from turn))
  from before where before.rk is not null
)
select rk from ((select rk from behind where rk is not null limit $1) union all (select rk from before where rk is not null limit $1)) x
limit $1;

-- name: set_turn
select setval('turn', $1);

-- name: take_waiting (rows of the resources $1, up to $2 of each, unless another claim is just taking them)
with mine as materialized (
  select l.rk, l.first from unnest($1::bigint[]) as t (rk) cross join lateral (
    select rk, first from waiting where rk = t.rk order by first limit $2 for update skip locked) l)
delete from waiting w using mine where w.rk = any (array[mine.rk]) and w.first = any (array[mine.first]) returning w.rk, w.indexes;

-- name: load_tasks (all that a worker needs, by key; payloads as long as all before have $2 bytes, and the first where $3)
select x.k, r.id, r.generation, r.state, r.metadata, a.attempts, x.crc,
       case when x.total <= $2 or (x.place = 1 and $3) then x.payload end as payload
from (select p.k, p.payload, p.crc, t.place, sum(octet_length(p.payload)) over (order by t.place) as total
      from unnest($1::bigint[]) with ordinality as t (k, place) join packet p on p.k = any (array[t.k])) x
join resource r on r.rk = any (array[x.k >> 24]) left join attempt a on a.k = any (array[x.k]);

-- name: grant_leases (a row for each: token, resource, the stretch of the indexes $7, the sizes $8 …)
insert into lease (token, rk, indexes, sizes, attempts, tried, suspect, alone_until, node, until)
select t.token, t.rk, ($7::int[])[t.a:t.b], ($8::int[])[t.a:t.b], ($9::int[])[t.a:t.b], ($10::boolean[])[t.a:t.b],
       t.suspect, t.alone_until, $11, $12
from unnest($1::bigint[], $2::bigint[], $3::int[], $4::int[], $5::boolean[], $6::float8[])
  as t (token, rk, a, b, suspect, alone_until);

-- name: lock_leases (by token, in order)
select token, rk, indexes, sizes, attempts, tried, suspect from lease where token = any ($1::bigint[]) order by token for update;

-- name: end_leases (that are still held, and end by $2)
with mine as materialized (select token from lease where token = any ($1::bigint[]) and until <= $2 order by token for update)
delete from lease l using mine where l.token = any (array[mine.token])
returning l.token, l.rk, l.indexes, l.sizes, l.attempts, l.tried, l.suspect;

-- name: shrink_lease
update lease set indexes = $1 where token = $2;

-- name: renew_leases
update lease set until = $2 where token = any ($1::bigint[]);

-- name: drop_leases (of which nothing is held any more)
delete from lease where token = any ($1::bigint[]);

-- name: ended_leases (up to $2)
select token, rk from lease where until <= $1 order by until limit $2;

-- name: end_strays (now, $1: leases that a node was granted in a step which it committed after it was found dead)
with mine as materialized (
  select token from lease where until > $1 and node not in (select node from node) for update skip locked)
update lease l set until = $1 from mine where l.token = any (array[mine.token]);

-- name: leases_of_node
select token, rk from lease where node = $1;

-- name: count_lost (a lease ended; whether the packet is a suspect stays as it is)
insert into attempt (k, attempts, reason) select k, attempts, $3 from unnest($1::bigint[], $2::int[]) as t (k, attempts)
on conflict (k) do update set attempts = excluded.attempts, reason = excluded.reason;

-- name: take_due_retries (up to $2, those that are longest due)
with due as materialized (select k from attempt where due_at <= $1 order by due_at, k limit $2 for update skip locked)
update attempt a set due_at = null from due where a.k = any (array[due.k]) returning a.k;

-- name: retry_later (an attempt failed; it is due again)
insert into attempt (k, attempts, due_at, reason) select * from unnest($1::bigint[], $2::int[], $3::float8[], $4::text[])
on conflict (k) do update set attempts = excluded.attempts, due_at = excluded.due_at, reason = excluded.reason, stops = 0, waits = false;

-- name: forget_attempts
delete from attempt where k = any ($1::bigint[]);

-- name: attempt_range
delete from attempt where k between $1 and $2;

-- name: suspect (they were in work at one more death, which is on their account where $2 and it is not among the first $3)
insert into attempt as a (k, deaths, stops, waits) select k, case when 1 > $3 then $2 else 0 end, 1, true from unnest($1::bigint[]) as t (k)
on conflict (k) do update set deaths = a.deaths + case when a.stops + 1 > $3 then $2 else 0 end, stops = a.stops + 1, waits = true;

-- name: suspects_wait (they were handed out, and wait again)
update attempt set waits = true where k = any ($1::bigint[]) and stops > 0;

-- name: suspect_waits (one that was in work at more than $1 deaths)
select exists (select from attempt where stops > 0 and stops > $1 and waits);

-- name: take_suspects (that wait, up to $3, of those that were in work at more than $1 and up to $2 deaths)
with mine as materialized (
  select k from attempt where stops > $1 and stops <= $2 and stops > 0 and waits order by k limit $3 for update)
update attempt a set waits = false from mine where a.k = any (array[mine.k]) returning a.k, a.stops;

-- name: lethal (of these, those whose node died $2 times while they were in work alone)
select a.k, octet_length(p.payload), a.attempts, a.deaths from attempt a join packet p on p.k = any (array[a.k])
where a.k = any ($1::bigint[]) and a.stops > 0 and a.deaths >= $2;

-- Outcomes and ends.

-- name: insert_outcomes
insert into outcome (k, output, crc, reason, attempts, seq)
select * from unnest($1::bigint[], $2::bytea[], $3::bigint[], $4::text[], $5::int[], $6::int[]);

-- name: progress_resources (outcomes came; $5 is the uptime)
update resource r set done = t.done, failed = t.failed, body_size = t.size, active_at = $5
from unnest($1::bigint[], $2::int[], $3::int[], $4::bigint[]) as t (rk, done, failed, size) where r.rk = any (array[t.rk]);

-- name: close_resources (the atomic end; and the deliveries $12 … that are due for it, leased where they have a token. What
--   was created of these, and the outputs of the resources $20 in index order)
with closed as (
  update resource r set state = t.state, ended_by = t.ended_by, closed_at = t.closed_at, seen = t.seen, head = t.head,
                        tail = t.tail, frame_crc = t.crc, total = t.total, purge_at = t.purge_at, wid = t.wid,
                        idle_at = null, deadline_at = null
  from unnest($1::bigint[], $2::text[], $3::text[], $4::float8[], $5::text[], $6::bytea[], $7::bytea[], $8::bigint[], $9::int[],
              $10::float8[], $11::bigint[]) as t (rk, state, ended_by, closed_at, seen, head, tail, crc, total, purge_at, wid)
  where r.rk = any (array[t.rk])),
created as (
  insert into delivery (rk, endpoint, large, due_at, token, node, until)
  select rk, endpoint, large, $17::float8, nullif(token, 0), case when token <> 0 then $18::bigint end, case when token <> 0 then $19::float8 end
  from unnest($12::int[], $13::bigint[], $14::text[], $15::boolean[], $16::bigint[]) as t (place, rk, endpoint, large, token)
  order by place returning did, rk, endpoint)
select did, rk, endpoint, null::bigint as k, null::bytea as output, null::bigint as crc from created
union all
select null, null, null, o.k, o.output, o.crc from unnest($20::bigint[]) as t (rk)
join outcome o on o.k between t.rk << 24 and t.rk << 24 | 16777215 where o.output is not null order by k;

-- name: packet_ranges (indexes received, of the keys $1 to $2, as ranges)
select (min(k) & 16777215)::int as first, (max(k) & 16777215)::int as last
from (select k, k - row_number() over (order by k) as island from packet where k between $1 and $2) x group by island order by 1;

-- name: unfinished_ranges (indexes received without an outcome)
select (min(k) & 16777215)::int as first, (max(k) & 16777215)::int as last
from (select k, k - row_number() over (order by k) as island from packet p
      where k between $1 and $2 and not exists (select from outcome o where o.k = p.k offset 0)) x group by island order by 1;

-- name: failed_ranges (indexes that have failed)
select (min(k) & 16777215)::int as first, (max(k) & 16777215)::int as last
from (select k, k - row_number() over (order by k) as island from outcome where k between $1 and $2 and output is null) x
group by island order by 1;

-- name: unfinished_size (what packets without an outcome count as backlog)
select coalesce(sum(footprint(octet_length(payload))), 0)::bigint from packet p
where k between $1 and $2 and not exists (select from outcome o where o.k = p.k offset 0);

-- name: failures_of (failed packets, the first $3)
select (k & 16777215)::int, coalesce(reason, ''), attempts from outcome where k between $1 and $2 and output is null order by k limit $3;

-- name: frames_of (by resource)
select rk, state, head, tail, frame_crc, done from resource where rk = any ($1::bigint[]);

-- name: outputs_of (all outputs of these resources, in index order)
select o.k, o.output, o.crc from unnest($1::bigint[]) as t (rk)
join outcome o on o.k between t.rk << 24 and t.rk << 24 | 16777215 where o.output is not null order by o.k + 0;

-- Deliveries.

-- name: due_deliveries (of endpoint $1, large or not, due by $3, that nobody holds at $4: no node that is dead, either, as one is that
--   committed after it was found to be; the longest due first)
select did from delivery where state = 'due' and endpoint = $1 and large = $2 and due_at <= $3
  and (token is null or until <= $4 or node not in (select n.node from node n))
order by due_at, did limit $5 for update skip locked;

-- name: latest_deliveries (as `due_deliveries`, the shortest due first)
select did from delivery where state = 'due' and endpoint = $1 and large = $2 and due_at <= $3
  and (token is null or until <= $4 or node not in (select n.node from node n))
order by due_at desc, did desc limit $5 for update skip locked;

-- name: deliveries_to_probe (of endpoint $1: of the 1,000 that became due last those that were tried least, the longest due
--   first; then those that are due next)
select did from (
  select did from (
    (select * from (select did, step, due_at, 0 as later from delivery
                    where state = 'due' and endpoint = $1 and large = $2 and due_at <= $3
                      and (token is null or until <= $4 or node not in (select n.node from node n))
                    order by due_at desc limit 1000) x order by step, due_at limit $5)
    union all
    (select did, 0, due_at, 1 from delivery
     where state = 'due' and endpoint = $1 and large = $2 and due_at > $3
       and (token is null or until <= $4 or node not in (select n.node from node n)) order by due_at limit $5)) y
  order by later, step, due_at, did limit $5) z;

-- name: bring_forward (of endpoint $1, large or not: of the 1,000 that are due next after $3 and that nobody holds at $5, those
--   that are due by $4 or were put off)
with free as materialized (
  select l.did from delivery l where l.did = any (array(
    select did from (select did, due_at, note from delivery
                     where state = 'due' and endpoint = $1 and large = $2 and due_at > $3
                       and (token is null or until <= $5 or node not in (select n.node from node n))
                     order by due_at limit 1000) x
    where due_at <= $4 or note is not null))
    and coalesce(l.state, '') = 'due' for update of l skip locked)
update delivery d set due_at = $3 from free where d.did = any (array[free.did]);

-- name: lease_deliveries ($1 are the handles, $2 their tokens; those that somebody else has at $3 are left out. The state is
--   compared so that no index of states is taken for it, here and below)
with free as materialized (
  select x.did, x.token from unnest($1::bigint[], $2::bigint[]) as x (did, token) join delivery l on l.did = any (array[x.did])
  where coalesce(l.state, '') = 'due' and (l.token is null or l.until <= $3 or l.node not in (select n.node from node n))
  for update of l skip locked),
mine as (
  update delivery d set token = free.token, node = $4, until = $5 from free where d.did = any (array[free.did])
  returning d.did, d.rk, d.endpoint, d.attempts, d.step, d.token, d.large)
select m.*, r.id, coalesce(s.generation, r.generation) as generation, case when s.gk is null then r.state else 'incomplete' end as resource_state,
       coalesce(s.body_size, r.body_size) as body_size, coalesce(s.done, r.done) as done,
       case when s.gk is null then coalesce(octet_length(r.head), 0) + coalesce(octet_length(r.tail), 0)
            else coalesce(octet_length(s.head), 0) + coalesce(octet_length(s.tail), 0) end as frame
from mine m left join superseded s on s.gk = any (array[m.rk]) join resource r on r.rk = any (array[coalesce(s.rk, m.rk)]);

-- name: release_deliveries ([handle, token])
update delivery d set token = null, node = null, until = null
from unnest($1::bigint[], $2::bigint[]) as t (did, token) where d.did = any (array[t.did]) and d.token = t.token;

-- name: release_deliveries_of (a node)
update delivery set token = null, node = null, until = null where state = 'due' and node = $1;

-- name: lock_delivery_states (see the function)
select * from lock_delivery_states($1, $2, $3, $4);

-- name: update_deliveries (an attempt has ended; and the retention of resources, [$12, $13], as `set_retention`)
with kept as (
  update resource r set purge_at = t.at from unnest($12::bigint[], $13::float8[]) as t (rk, at)
  where r.rk = any (array[t.rk]) and r.purging = 0 and r.state <> 'open')
update delivery d set state = t.state, attempts = t.attempts, step = t.step, due_at = t.due_at, reason = t.reason, note = t.note,
                      tried_at = t.tried_at, seconds = t.seconds, result = t.result, token = t.token,
                      node = case when t.token is not null then d.node end, until = case when t.token is not null then d.until end
from unnest($1::bigint[], $2::text[], $3::int[], $4::int[], $5::float8[], $6::text[], $7::text[], $8::float8[], $9::float8[],
            $10::text[], $11::bigint[])
  as t (did, state, attempts, step, due_at, reason, note, tried_at, seconds, result, token) where d.did = any (array[t.did]);

-- name: keep_answers (of receivers that did not accept: [delivery, answer])
update delivery d set answer = t.answer from unnest($1::bigint[], $2::text[]) as t (did, answer) where d.did = any (array[t.did]);

-- name: log_attempts (those that are no longer the last of their delivery)
insert into delivery_log select * from unnest($1::bigint[], $2::int[], $3::float8[], $4::float8[], $5::text[], $6::text[])
on conflict (did, attempt) do nothing;

-- name: trim_log ([delivery, attempt]: that one and those before it)
delete from delivery_log l using unnest($1::bigint[], $2::int[]) as t (did, attempt) where l.did = any (array[t.did]) and l.attempt <= t.attempt;

-- name: delivery_ends (for these resources: deliveries due, deliveries dead, of all generations)
select h.rk, count(*) filter (where d.state = 'due'), count(*) filter (where d.state = 'dead')
from (select x.rk, x.rk as handle from unnest($1::bigint[]) as x (rk)
      union all select s.rk, s.gk from superseded s where s.rk = any ($1::bigint[])) h
join delivery d on d.rk = any (array[h.handle]) group by h.rk;

-- name: set_retention ([resource, purge_at]; one that is being forgotten stays so, and one that is open again stays)
update resource r set purge_at = t.at from unnest($1::bigint[], $2::float8[]) as t (rk, at)
where r.rk = any (array[t.rk]) and r.purging = 0 and r.state <> 'open';

-- name: deliveries_to_repair (see the function)
select * from deliveries_to_repair($1);

-- name: replay_deliveries ($2 is the ledger's time)
update delivery set state = 'due', step = 0, due_at = $2, note = 'replayed', token = null, node = null, until = null
where did = any ($1::bigint[]);

-- name: stop_delivery (by a person)
update delivery set state = 'dead', note = 'given up by a person', token = null, node = null, until = null where did = $1;

-- name: pause_endpoint
insert into paused_endpoint values ($1, $2, $3) on conflict do nothing;

-- name: resume_endpoint
delete from paused_endpoint where endpoint = $1;

-- Upkeep and repair.

-- name: before_reopening (of resource $1: numbers withdrawn, whether it is being forgotten, generations superseded)
select withdrawn, purging, (select count(*) from superseded s where s.rk = r.rk) from resource r where rk = $1;

-- name: failed_size (what the failed packets of the keys $1 to $2 will count as backlog)
select coalesce(sum(footprint(octet_length(p.payload))), 0)::bigint from outcome o join packet p on p.k = any (array[o.k])
where o.k between $1 and $2 and o.output is null;

-- name: supersede (the generation that resource $1 has ended as, and its deliveries)
with gone as (
  insert into superseded
  select nextval('superseded_handle'), rk, generation, closed_at, done, body_size, done + failed + withdrawn, head, tail, frame_crc, wid
  from resource where rk = $1 returning gk)
update delivery set rk = gone.gk from gone where rk = $1;

-- name: forget_failures (failed packets of the keys $1 to $2 have no outcome)
delete from outcome where k between $1 and $2 and output is null;

-- name: end_leases_of (resource $1)
delete from lease where rk = $1 returning token, rk, indexes, sizes, attempts, tried, suspect;

-- name: wait_unfinished (packets of the keys $1 to $2 that have no outcome wait for a worker, in rows of 1,000)
insert into waiting
select $1::bigint >> 24, min(i), array_agg(i order by i)
from (select (k & 16777215)::int as i, (row_number() over (order by k) - 1) / 1000 as part from packet p
      where k between $1 and $2 and not exists (select from outcome o where o.k = p.k offset 0)) x group by part;

-- name: reopen_resource
update resource set generation = $2, state = 'open', failed = 0, withdrawn = $3, opened_at = $4, active_at = $5, idle_at = $6,
                    deadline_at = $7, closed_at = null, ended_by = null, seen = null, head = null, tail = null, frame_crc = null,
                    purge_at = null, wid = null
where rk = $1;

-- name: superseded_by (resource $1: the generation before it; deliveries of all before it that are due, and dead)
select (select generation from superseded where rk = $1 order by gk + 0 limit 1),
       (select count(*) from superseded s join delivery d on d.rk = any (array[s.gk]) where s.rk = $1 and coalesce(d.state, '') = 'due'),
       (select count(*) from superseded s join delivery d on d.rk = any (array[s.gk]) where s.rk = $1 and coalesce(d.state, '') = 'dead');

-- name: past_deadline (up to $2, locked)
select rk from resource where deadline_at <= $1 order by deadline_at limit $2 for update skip locked;

-- name: idle_resources (whose time to look has come by the uptime $1; up to $2, locked)
select rk, active_at from resource where idle_at <= $1 order by idle_at limit $2 for update skip locked;

-- name: look_again ([resource, uptime of the next look])
update resource r set idle_at = t.at from unnest($1::bigint[], $2::float8[]) as t (rk, at) where r.rk = any (array[t.rk]);

-- name: count_idle_times
select count(*) from resource where idle_at is not null;

-- name: set_idle_times (of open resources that have none; $1 is the timeout)
update resource set idle_at = active_at + $1 where state = 'open' and idle_at is null;

-- name: shorten_idle_times (to the timeout $1; $2 is the uptime)
update resource set idle_at = active_at + $1 where idle_at > $1::float8 + $2::float8;

-- name: shorten_dead_retention (to the time $1, of resources that have a dead delivery and none that is due)
update resource r set purge_at = $1
where rk = any (array(select coalesce(s.rk, d.rk) from delivery d left join superseded s on s.gk = any (array[d.rk])
                      where d.state is distinct from 'delivered' and d.state = 'dead'))
  and (purge_at is null or purge_at > $1) and state <> 'open'
  and not exists (select from delivery d where coalesce(d.state, '') = 'due'
                  and d.rk = any (r.rk || array(select s.gk from superseded s where s.rk = r.rk)));

-- name: fix_total (by a person)
update resource set total = $2, total_by = 'total' where rk = $1;

-- name: failed_keys (behind the key $1 and up to $2, at most $3)
select k from outcome where k > $1 and k <= $2 and output is null order by k limit $3;

-- name: forget_outcomes
delete from outcome where k = any ($1::bigint[]);

-- name: withdraw_numbers ($2 more of resource $1)
update resource set withdrawn = withdrawn + $2 where rk = $1;

-- name: backlog_of (what these packets count as backlog)
select coalesce(sum(footprint(octet_length(payload))), 0)::bigint from packet where k = any ($1::bigint[]);

-- name: purge_due (the next $2 resources to forget, unless another node does)
select rk, state, received, purging from resource where purge_at <= $1 order by purge_at limit $2 for update skip locked;

-- name: purge_outcomes (of the keys $1 to $2: the first $3)
delete from outcome where k = any (array(select k from outcome where k between $1 and $2 order by k limit $3));

-- name: purge_packets (the same)
delete from packet where k = any (array(select k from packet where k between $1 and $2 order by k limit $3));

-- name: purge_resources (these, and all that is stored of them; of $2 it is remembered how they ended, at the ledger time $3.
--   How many rows went, how many deliveries of them were dead, how many resources are remembered)
with outcomes as (
  delete from outcome o using unnest($1::bigint[]) as t (rk) where o.k between t.rk << 24 and t.rk << 24 | 16777215 returning 1),
packets as (
  delete from packet p using unnest($1::bigint[]) as t (rk) where p.k between t.rk << 24 and t.rk << 24 | 16777215 returning 1),
generations as (delete from superseded where rk = any ($1::bigint[]) returning 1),
deliveries as (
  delete from delivery where rk = any ($1::bigint[] || array(select gk from superseded where rk = any ($1::bigint[])))
  returning did, state),
log as (delete from delivery_log where did = any (array(select did from deliveries)) returning 1),
remembered as (
  insert into tombstone (id, state, ended_by, total, seen, closed_at, removed_at)
  select id, state, ended_by, total, seen, coalesce(closed_at, 0), $3 from resource where rk = any ($2::bigint[])
  on conflict do nothing returning 1),
resources as (delete from resource where rk = any ($1::bigint[]) returning 1)
select (select count(*) from outcomes) + (select count(*) from packets) + (select count(*) from generations)
       + (select count(*) from deliveries) + (select count(*) from log) + (select count(*) from resources) as rows,
       (select count(*) from deliveries where state = 'dead') as dead, (select count(*) from remembered) as remembered;

-- name: due_of
select count(*) from delivery where rk = any ($1::bigint || array(select gk from superseded where rk = $1)) and coalesce(state, '') = 'due';

-- name: purge_begins (after its retention)
update resource set purging = 1 where rk = $1 and purging = 0;

-- name: purge_now (by a person: before all that is due to be forgotten, and without a tombstone)
update resource set purge_at = 0, purging = 2 where rk = $1 and purging < 2;

-- name: delete_tombstones (up to $2 of those that were removed by $1)
delete from tombstone where tk = any (array(
  select tk from (select tk, removed_at from tombstone order by tk limit $2) x where removed_at <= $1));

-- name: delete_tombstone (by id)
delete from tombstone where id = $1;

-- name: record_act (its steps add up)
insert into audit as a (act, at, kept_at, who, peer, verb, target, changed, refused) values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
on conflict (act) do update set changed = a.changed + excluded.changed;

-- name: trim_audit (of those that were refused, or not, as $1 says, all but the latest $2)
delete from audit where refused = $1
  and id <= (select id from audit where refused = $1 order by id desc limit 1 offset $2);

-- name: forget_audit (the first $2, where they were recorded before $1)
delete from audit where id = any (array(select id from audit order by id limit $2)) and kept_at < $1;

-- Views.

-- name: counts
select coalesce(sum(open), 0)::bigint as open, coalesce(sum(collated), 0)::bigint as collated,
       coalesce(sum(incomplete), 0)::bigint as incomplete, coalesce(sum(cancelled), 0)::bigint as cancelled,
       coalesce(sum(waiting), 0)::bigint as waiting, coalesce(sum(backlog), 0)::bigint as backlog,
       coalesce(sum(open_bytes), 0)::bigint as open_bytes, coalesce(sum(due), 0)::bigint as due,
       coalesce(sum(dead), 0)::bigint as dead, coalesce(sum(remembered), 0)::bigint as remembered from writer;

-- name: list_nodes (with the seconds since their last beat, and the packets that each holds; at most $1)
select n.node, n.name, n.version, n.since, greatest(0, greatest(l.clock, w.wall) - l.stood - n.seen) as beat,
       coalesce((select sum(cardinality(array_remove(indexes, -1))) from lease where lease.node = n.node), 0)::bigint as leased
from node n, ledger l, (select wall() as wall) w order by n.node limit $1;

-- name: standbys (at most $1)
select application_name, sync_state, extract(epoch from flush_lag)::float8,
       pg_wal_lsn_diff(pg_current_wal_lsn(), flush_lsn)::bigint
from pg_stat_replication where coalesce(state, 'streaming') in ('streaming', 'catchup')
order by sync_priority, application_name limit $1;

-- name: counted_rows (what the counts should be)
select (select count(*) from resource where state = 'open') as open,
       (select count(*) from resource where state = 'collated') as collated,
       (select count(*) from resource where state = 'incomplete') as incomplete,
       (select count(*) from resource where state = 'cancelled') as cancelled,
       (select count(*) from delivery where state = 'due') as due,
       (select count(*) from delivery where state = 'dead') as dead,
       (select count(*) from tombstone) as remembered,
       w.waiting, o.open_bytes, o.open_bytes + w.bytes as backlog
from (select count(*) as waiting, coalesce(sum(footprint(octet_length(p.payload))), 0)::bigint as bytes
      from resource r join packet p on p.k between r.rk << 24 and r.rk << 24 | 16777215
      where r.state = 'open' and not exists (select from outcome o where o.k = p.k)) w,
     (select coalesce(sum(3 * name + case when row <= 1024 then row else (row + 2047) / 2048 * 2048 end), 0)::bigint as open_bytes
      from (select octet_length(id) as name, 128 + octet_length(id) + coalesce(octet_length(metadata), 0) as row
            from resource where state = 'open') x) o;

-- name: number_of_rows
select (select count(*) from resource) as resources, (select count(*) from packet) as packets,
       (select count(*) from outcome) as outcomes, (select count(*) from delivery) as deliveries;

-- name: now
select greatest(clock, w.wall) from ledger, (select wall() as wall) w;

-- name: report (one resource, for people)
select rk, id, generation, state, ended_by, total, metadata, received, highest, done, failed, withdrawn, opened_at, closed_at,
       (select s.generation from superseded s where s.rk = resource.rk order by gk + 0 limit 1) as superseded
from resource where id = $1 and purging = 0;

-- name: count_packets (of the keys $1 to $2)
select count(*) from packet where k between $1 and $2;

-- name: count_outcomes (of the keys $1 to $2)
select count(*) from outcome where k between $1 and $2;

-- name: list_resources (id from $1 below $2, at most $3)
select id, state, total, received, done, failed, opened_at, closed_at from resource
where id >= $1 and ($2::text is null or id < $2) and purging = 0 order by id limit $3;

-- name: list_resources_in (of state $4, id from $1 below $2, at most $3)
select id, state, total, received, done, failed, opened_at, closed_at from resource
where state = $4 and id >= $1 and ($2::text is null or id < $2) and purging = 0 order by id limit $3;

-- name: search_resources ($1: 'all', 'early' of those that ended without being whole, or 'undelivered'; handles behind $2 up to $3, which
--   are those of deliveries where these are looked at; the latest first where $4; $5 are looked at: whether each fits)
select l.place, r.id, r.state, r.total, r.received, r.done, r.failed, r.opened_at, r.closed_at,
       r.purging = 0 and ($6::text is null or r.state = $6) and r.id >= $7 and ($8::text is null or r.id < $8)
         and ($9::float8 is null or r.opened_at >= $9) and ($10::float8 is null or r.opened_at <= $10)
         and ($11::float8 is null or coalesce(r.closed_at >= $11, false)) and ($12::float8 is null or coalesce(r.closed_at <= $12, false))
         and (not $13::boolean or r.failed > 0)
         and not ($1 = 'undelivered' and exists (
           select from delivery o where o.rk = any (l.rk || array(select g.gk from superseded g where g.rk = l.rk))
             and coalesce(o.state, '') <> 'delivered' and case when $4 then o.did > l.place else o.did < l.place end)) as fits
from (
  (select rk as place, rk from resource where $1 = 'all' and not $4::boolean and rk > $2 and rk <= $3 order by rk limit $5)
  union all
  (select rk, rk from resource where $1 = 'all' and $4 and rk > $2 and rk <= $3 order by rk desc limit $5)
  union all
  (select rk, rk from resource where $1 = 'early' and not $4 and state in ('incomplete', 'cancelled') and rk > $2 and rk <= $3
   order by rk limit $5)
  union all
  (select rk, rk from resource where $1 = 'early' and $4 and state in ('incomplete', 'cancelled') and rk > $2 and rk <= $3
   order by rk desc limit $5)
  union all
  (select d.did, coalesce(s.rk, d.rk) from (
     (select did, rk from delivery where $1 = 'undelivered' and not $4 and state is distinct from 'delivered' and did > $2 and did <= $3 order by did limit $5)
     union all
     (select did, rk from delivery where $1 = 'undelivered' and $4 and state is distinct from 'delivered' and did > $2 and did <= $3 order by did desc limit $5)) d
   left join superseded s on s.gk = any (array[d.rk]))) l
join resource r on r.rk = any (array[l.rk]) order by case when $4 then -l.place else l.place end;

-- name: list_unfinished (resources of state $1, id from $2 below $3, at most $4 of them; up to the handle $5, ended since $6, by $7,
--   with $8 in one of the first 100 reasons of failures, or all: whether each fits, and how many of its packets have no output)
select r.id, r.generation, case when r.state = 'open' then r.failed else r.received - r.done end as packets,
       case when r.state = 'open' then r.failed > 0 else r.received > r.done end and r.rk <= $5 and r.purging = 0
         and ($6::float8 is null or r.closed_at >= $6) and ($7::text is null or r.ended_by = $7)
         and ($8::text is null or exists (
           select from (select reason from outcome where k between r.rk << 24 and r.rk << 24 | 16777215 and output is null
                        order by k limit 100) f where strpos(f.reason, $8) > 0)) as fits
from (select rk, id from resource where state = $1 and id >= $2 and ($3::text is null or id < $3) order by id limit $4) l
join resource r on r.rk = any (array[l.rk]) order by l.id;

-- name: last_resource (the latest handle)
select coalesce(max(rk), 0) from resource;

-- name: retrying_of (packets without an outcome whose last attempt failed, the first $3 of the keys $1 to $2)
select (k & 16777215)::int, reason, attempts, due_at from attempt where k between $1 and $2 and reason is not null order by k limit $3;

-- name: packet_detail (of resource $1, by index: its payload, where it waits, what came of it before, and its outcome)
select p.payload, p.crc,
       exists (select from waiting w where w.rk = $1 and w.first <= $2 and $2 = any (w.indexes))
         or coalesce(a.due_at is not null or a.waits, false) as waits,
       coalesce(a.attempts, 0) as attempts, coalesce(a.reason, '') as reason, a.due_at,
       o.k is not null as ended, o.output, o.crc as output_crc, coalesce(o.reason, '') as failure, o.attempts as used, o.seq
from packet p left join attempt a on a.k = any (array[p.k]) left join outcome o on o.k = any (array[p.k]) where p.k = $1::bigint << 24 | $2::int;

-- name: list_outputs (behind the key $1, up to the key $2, at most $3 + 1; those beyond $4 bytes, but for the first, without output)
select seq, (k & 16777215)::int as index, case when place = 1 or total <= $4 then output end as output, crc, '' as reason, 0 as attempts,
       place <= $3::bigint and (place = 1 or total <= $4) as shown
from (select k, seq, output, crc, row_number() over w as place, sum(octet_length(output)) over w as total from (
        select k, seq, output, crc from outcome where k > $1 and k <= $2 and output is not null order by k limit $3::bigint + 1) x
      window w as (order by k)) y order by k;

-- name: list_outcomes (of resource $1, numbered behind $2, of which $5 is the last; at most $3 + 1, as `list_outputs` has it)
select seq, (k & 16777215)::int as index, case when place = 1 or total <= $4 then output end as output, crc, coalesce(reason, '') as reason,
       attempts, place <= $3::bigint and (place = 1 or total <= $4) as shown, output is null as failed
from (select *, row_number() over w as place, sum(coalesce(octet_length(output), 2 * octet_length(reason), 0)) over w as total from (
        select * from (
          (select * from outcome where k >= ($1::bigint << 24 | $2::bigint) and k < ($1::bigint << 24) + $5::bigint
             and seq = (k & 16777215) + 1 order by k limit $3::bigint + 1)
          union all
          (select * from outcome where k >> 24 = $1 and seq > $2 and seq <> (k & 16777215) + 1 order by seq limit $3::bigint + 1)) u
        order by seq limit $3::bigint + 1) x
      window w as (order by seq)) y order by seq;

-- name: list_deliveries ($1: 'all', 'undelivered', or 'one' resource $2; handles behind $3 up to $4; $5 are looked at, the latest first
--   where $13)
select d.did, r.id, coalesce(s.generation, r.generation) as generation, d.endpoint, d.state, d.attempts, coalesce(d.note, d.reason) as reason,
       d.tried_at, d.due_at, coalesce(s.closed_at, r.closed_at) as created_at,
       r.purging = 0 and ($6::text is null or d.state = $6) and ($7::text is null or d.endpoint = $7) and r.id >= $8
         and ($9::text is null or r.id < $9) and ($10::float8 is null or coalesce(s.closed_at, r.closed_at) >= $10)
         and ($11::float8 is null or coalesce(s.closed_at, r.closed_at) <= $11)
         and ($12::text is null or strpos(coalesce(d.note, d.reason), $12) > 0) as fits
from (
  (select did from delivery where $1 = 'all' and not $13::boolean and did > $3 and did <= $4 order by did limit $5)
  union all
  (select did from delivery where $1 = 'all' and $13 and did > $3 and did <= $4 order by did desc limit $5)
  union all
  (select did from delivery where $1 = 'undelivered' and not $13 and state is distinct from 'delivered' and did > $3 and did <= $4 order by did limit $5)
  union all
  (select did from delivery where $1 = 'undelivered' and $13 and state is distinct from 'delivered' and did > $3 and did <= $4 order by did desc limit $5)
  union all
  (select did from delivery where $1 = 'one' and rk = any ($2::bigint || array(select gk from superseded where rk = $2))
     and did + 0 > $3 and did + 0 <= $4 order by case when $13 then -did else did end limit $5)) l
join delivery d on d.did = any (array[l.did]) left join superseded s on s.gk = any (array[d.rk]) join resource r on r.rk = any (array[coalesce(s.rk, d.rk)])
order by case when $13 then -l.did else l.did end;

-- name: deliveries_of (resource $1: up to $2 of them, the undelivered before others, and how many there are)
select d.did, r.id, r.generation, d.endpoint, d.state, d.attempts, coalesce(d.note, d.reason) as reason, d.tried_at, d.due_at,
       r.closed_at as created_at, count(*) over () as number
from delivery d join resource r on r.rk = any (array[d.rk]) where d.rk = $1 and r.purging = 0 order by d.state = 'delivered', d.did limit $2;

-- name: last_delivery (the latest handle)
select coalesce(max(did), 0) from delivery;

-- name: resource_handle (by id)
select rk from resource where id = $1 and purging = 0;

-- name: resources_by_number (of a webhook id, to endpoint $2 or all: handles of both, and whose)
select d.did, r.rk, r.id, r.generation
from resource r join delivery d on d.rk = any (array[r.rk]) and ($2::text is null or d.endpoint = $2)
where r.wid = $1 and r.purging = 0
union all
select d.did, r.rk, r.id, s.generation
from superseded s join delivery d on d.rk = any (array[s.gk]) and ($2::text is null or d.endpoint = $2)
join resource r on r.rk = any (array[s.rk]) where s.wid = $1 and r.purging = 0;

-- name: delivery_history (attempts of a delivery, the latest first, at most $2)
select attempt, tried_at, seconds, result, reason from (
  select attempt, tried_at, seconds, result, reason from delivery_log where did = $1
  union all
  select attempts, tried_at, seconds, result, reason from delivery where did = $1 and tried_at is not null) x
order by attempt desc limit $2;

-- name: delivery_answer (the last that was no success; null for none)
select coalesce(answer, 'null') from delivery where did = $1;

-- name: paused_endpoints (with the time and the reason)
select endpoint, paused_at, reason from paused_endpoint;

-- name: due_endpoints (that have something due by $1, and are not paused)
with recursive name (endpoint) as (
  select min(endpoint) from delivery where state = 'due'
  union all
  select (select min(endpoint) from delivery where state = 'due' and endpoint > name.endpoint) from name where name.endpoint is not null
)
select endpoint from name
where endpoint is not null and endpoint not in (select endpoint from paused_endpoint)
  and exists (select from delivery d where d.state = 'due' and d.endpoint = name.endpoint and d.large in (false, true) and d.due_at <= $1);

-- name: body_to_read (of the delivery of resource id $1, generation $2, to endpoint $3: with the number of its last output)
select r.rk, r.state, r.done, 2147483647 as last_seq, r.head, r.tail, r.frame_crc
from resource r join delivery d on d.rk = any (array[r.rk]) where r.id = $1 and r.generation = $2 and d.endpoint = $3
union all
select s.rk, 'incomplete', s.done, s.last_seq, s.head, s.tail, s.frame_crc
from resource r join superseded s on s.rk = any (array[r.rk]) join delivery d on d.rk = any (array[s.gk])
where r.id = $1 and s.generation = $2 and d.endpoint = $3;

-- name: last_output (the number of the last output of the generation $2 of resource id $1, once it is superseded)
select s.last_seq from resource r join superseded s on s.rk = any (array[r.rk]) where r.id = $1 and s.generation = $2;

-- name: piece_of_output (of key $1: $3 bytes from byte $2 on, the first is 1)
select substring(output from $2::int for $3::int) from outcome where k = $1;

-- name: outputs_behind (the key $1, up to the key $2: as many as have $3 bytes, or one, and $4 at most, numbered up to $5; of one that has more, no output)
select k, case when octet_length(output) <= $3 then output end as output, crc from (
  select k, output, crc, row_number() over w as place, sum(octet_length(output)) over w as total from (
    select k, output, crc from outcome where k > $1 and k <= $2 and output is not null and seq <= $5 order by k limit $4) x
  window w as (order by k)) y
where place = 1 or total <= $3 order by k;

-- name: list_audit (those before the record $1, the latest first, at most $2)
select id, at, who, peer, verb, target, changed from audit where id < $1 order by id desc limit $2;
