-- What arrives when a data directory is moved into the store, by name. Handles beyond those in the row of `move` are its own.

-- name: keep_nodes_out (until the end of the transaction nobody registers as a node)
lock table node in share row exclusive mode;

-- name: times (of the store; and without what no node could act in)
select t.now, t.now - l.stood - greatest(0, t.now - l.beat_at - most_between_beats()) as running
from ledger l, (select greatest(clock, wall()) as now from ledger) t;

-- name: moves (of the directory $1, and those that are not finished)
select * from move where directory = $1 or not finished order by move;

-- name: reserve_resources (for $1 more handles, behind the one that this gives)
select setval(pg_get_serial_sequence('resource', 'rk'), x.last + $1::bigint) - $1::bigint
from (select nextval(pg_get_serial_sequence('resource', 'rk')) as last) x;

-- name: reserve_superseded (they fall)
select setval('superseded_handle', x.last - $1::bigint) + $1::bigint from (select nextval('superseded_handle') as last) x;

-- name: reserve_deliveries
select setval(pg_get_serial_sequence('delivery', 'did'), x.last + $1::bigint) - $1::bigint
from (select nextval(pg_get_serial_sequence('delivery', 'did')) as last) x;

-- name: begin_move (of the directory $1 in the state $2, at its time $3 and uptime $4; it is $8 here)
insert into move (directory, state, resource, superseded, delivery, tombstone, node, clock, uptime, moved_at)
select $1, $2, $5::bigint, $6::bigint, $7::bigint, (select coalesce(max(tk), 0) from tombstone),
       nextval(pg_get_serial_sequence('node', 'node')), least(0, $8::float8 - $3::float8), l.uptime - $4::float8, $8::float8
from ledger l returning *;

-- name: known (of these ids the first that is there, or remembered)
select min(id) from (
  select id from resource where id = any ($1::text[]) union all select id from tombstone where id = any ($1::text[])) x;

-- name: has_arrived (of the move $1: up to the position $3 of the stage $2)
update move set stage = $2, position = $3 where move = $1;

-- name: forget_move
delete from move where move = $1;

-- name: count_rows (that have arrived of the move $1)
select (select count(*) from resource r where r.rk > m.resource) as resources,
       (select count(*) from packet p where p.k > (m.resource << 24 | 16777215)) as packets,
       (select count(*) from outcome o where o.k > (m.resource << 24 | 16777215)) as outcomes,
       (select count(*) from delivery d where d.did > m.delivery) as deliveries,
       (select count(*) from superseded s where s.gk < m.superseded) as superseded,
       (select count(*) from tombstone t where t.tk > m.tombstone) as remembered
from move m where move = $1;

-- name: pause_endpoint
insert into paused_endpoint values ($1, $2, $3) on conflict (endpoint) do nothing;

-- name: bury_node (the node $1, where it holds anything, is found dead)
insert into node (node, seen, name, version, since) overriding system value
select $1::bigint, -1e9::float8, 'the data directory that was moved', '', wall() where exists (select from lease where node = $1);

-- name: bytes_in_work (that the node $1 holds)
select coalesce(sum(size), 0)::bigint from lease l cross join unnest(l.sizes) as size where l.node = $1;

-- name: finish_move
update move set finished = true where move = $1;
