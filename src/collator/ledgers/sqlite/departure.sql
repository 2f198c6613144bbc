-- What leaves a data directory that is moved, by name: a statement for each stage, which gives its rows in their order from
-- behind the position ?1. Texts that have a checksum come as bytes.

-- name: whole (which resources are moved whole)
create temp table whole as
select rk, state = 'open' as open from resource r
where not purging and (state in ('open', 'incomplete')
  or exists (select 1 from delivery d where d.rk in (select r.rk union all select gk from superseded s where s.rk = r.rk)
                                      and d.state <> 'delivered')
  or state = 'collated' and not exists (
    select 1 from delivery d where d.rk in (select r.rk union all select gk from superseded s where s.rk = r.rk)))
order by rk;

-- name: finished (packets of open resources that have an outcome)
create temp table finished as select o.k from whole w cross join outcome o on o.rk = w.rk where w.open;

-- name: extent (how much that is, by the numbers of the resources)
select (select count(*) from whole),
       (select coalesce(sum(received), 0) from whole w cross join resource r on r.rk = w.rk),
       (select coalesce(sum(done + failed), 0) from whole w cross join resource r on r.rk = w.rk),
       (select count(*) from delivery d left join superseded s on s.gk = d.rk
        where ifnull(s.rk, d.rk) in (select rk from whole)),
       (select count(*) from superseded where rk in (select rk from whole)),
       (select count(*) from resource where purging < 2 and rk not in (select rk from whole)) + (select count(*) from tombstone);

-- name: origin (what the target has to know)
select json_array(clock, uptime, clean, counts), clock, uptime, (select coalesce(max(rk), 0) from resource),
       (select coalesce(min(gk), 0) from superseded), (select coalesce(max(did), 0) from delivery) from ledger;

-- name: ids (of all resources that are there, or remembered)
select id from resource where purging < 2 union all select id from tombstone;

-- name: PACKETS (and, where it has no outcome and its resource is open, where it waits)
select p.k, cast(ifnull(p.payload, '') as blob), ifnull(p.crc, -1), w.open and o.k is null, y.k is not null, a.attempts, a.deaths,
       a.alone, a.due_at, a.reason
from whole w cross join packet p on p.k between w.rk << 24 and w.rk << 24 | 16777215
left join temp.finished o on o.k = p.k left join ready y on y.k = p.k left join attempt a on a.k = p.k
where w.rk >= ?1 >> 24 and p.k > ?1 order by w.rk, p.k;

-- name: OUTCOMES (by runs, whose handles are the positions)
select n, rk, seq, attempts, reason, cast(indexes as blob), ifnull(crc, -1), cast(outputs as blob)
from outrun where n > ?1 and rk in (select rk from whole) order by n;

-- name: SUPERSEDED (their handles are below 0: the positions are those without the sign)
select -gk, rk, generation, closed_at, done, body_size, last_seq, cast(head as blob), cast(tail as blob), frame_crc, wid
from superseded where -gk > ?1 and rk in (select rk from whole) order by gk desc;

-- name: DELIVERIES
select d.did, d.rk, d.endpoint, d.large, d.state, d.attempts, d.step, d.due_at, d.reason, d.note, d.tried_at, d.seconds, d.result,
       d.answer
from delivery d left join superseded s on s.gk = d.rk
where d.did > ?1 and ifnull(s.rk, d.rk) in (select rk from whole) order by d.did;

-- name: attempts_of (the attempts before the last, of the delivery ?1)
select did, attempt, tried_at, seconds, result, reason from delivery_log where did = ?1 order by attempt;

-- name: RESOURCES
select r.rk, id, generation, state, total, total_by, cast(metadata as blob), received, highest, done, failed, withdrawn, body_size,
       opened_at, active_at, idle_at, deadline_at, closed_at, ended_by, seen, cast(head as blob), cast(tail as blob), frame_crc, wid,
       purge_at
from whole w cross join resource r on r.rk = w.rk where w.rk > ?1 order by w.rk;

-- name: DELIVERED (what is remembered of those that are not moved whole; nothing of one that a person purges)
select rk, id, state, ended_by, total, seen, ifnull(closed_at, 0) from resource
where rk > ?1 and purging < 2 and rk not in (select rk from whole) order by rk;

-- name: TOMBSTONES
select tk, id, state, ended_by, total, seen, closed_at, removed_at from tombstone where tk > ?1 order by tk;

-- name: paused
select endpoint, paused_at, reason from paused_endpoint;
