#!/bin/sh
# Run once, when the primary makes its database: the standby may copy it.
set -eu
echo "host replication collator samenet scram-sha-256" >>"$PGDATA/pg_hba.conf"
