#!/usr/bin/env bash
# apsw 3.54.1.0 (SQLite 3.54.1): the cost that SQLITE_TRACE_PROFILE tells of a statement adds up over its executions
# where the text of the statement begins with a `--` comment. Seen: `select ?` takes 5 steps of the virtual machine each
# time; with a comment of a line before it 5, 10, 15, 20; with a comment in /* */ 5 each time. Whoever finds the dear
# statements of a program by this trace, and has named them in a comment, finds those that run often.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check apsw==3.54.1.0
"$folder/venv/bin/python" - <<'PYTHON'
import apsw

database = apsw.Connection(":memory:")
steps: dict[str, list[int]] = {}


def note(trace: dict) -> None:
    steps.setdefault(trace["sql"], []).append(trace["stmt_status"]["SQLITE_STMTSTATUS_VM_STEP"])


database.trace_v2(apsw.SQLITE_TRACE_PROFILE, note)
for sql in ("select ?", "-- named\nselect ?", "/* named */ select ?"):
    for _ in range(4):
        database.execute(sql, (1,)).fetchall()
print(apsw.sqlite_lib_version(), steps)
once = steps["select ?"][0]
assert steps["select ?"] == steps["/* named */ select ?"] == [once] * 4
assert steps["-- named\nselect ?"] == [once, 2 * once, 3 * once, 4 * once]
PYTHON
