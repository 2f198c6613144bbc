#!/bin/sh
# A standby with the name that the primary waits for: a copy of it, at the first start, and then what it writes.
set -eu
PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
export PGPASSWORD
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 700 "$PGDATA"
    pg_basebackup --pgdata "$PGDATA" --write-recovery-conf --wal-method stream \
        --dbname "host=${PRIMARY:-postgres-1} user=collator application_name=standby"
fi
exec postgres
