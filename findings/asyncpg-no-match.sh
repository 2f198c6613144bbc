#!/usr/bin/env bash
# asyncpg 0.32.0: connect(..., target_session_attrs="read-write") raises TargetServerAttributeNotMatched where every host is
# a standby. Seen: it is neither a PostgresError nor an InterfaceError nor an OSError, which are what programs catch of a
# connection that cannot be made, but an InternalClientError, "all unexpected errors not classified otherwise". So a
# program that tries again while a failover lasts ends instead: catch it by name, or ask the server itself.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check asyncpg==0.32.0
"$folder/venv/bin/python" - <<'PYTHON'
import asyncpg
from asyncpg.exceptions import InternalClientError, TargetServerAttributeNotMatched

print([one.__name__ for one in TargetServerAttributeNotMatched.__mro__])
assert issubclass(TargetServerAttributeNotMatched, InternalClientError)
assert not issubclass(TargetServerAttributeNotMatched, (asyncpg.PostgresError, asyncpg.InterfaceError, OSError))
PYTHON
