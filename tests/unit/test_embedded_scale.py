"""The embedded ledger with much in it: what a step does must not grow with what is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from collator.engines.embedded.migrating import migrate
from collator.engines.embedded.store import connect, load_statements

SCANS = re.compile(
    r"SCAN (?!ledger|\w+ USING INDEX attempt_alone)"  # one row; the suspects, which are few
    r"(resource|packet|outcome|ready|attempt|delivery|delivery_log|[aodpry])\b"  # or by alias
)
WHOLE = {"handles": "ready", "some_due": "ready"}
"""What may be gone through besides: at a start; in order, up to a limit."""


@pytest.mark.parametrize("name", [*load_statements()])
def test_no_statement_goes_through_a_whole_table(tmp_path: Path, name: str) -> None:
    connection = connect(tmp_path / "collator.db")
    migrate(connection)
    statement = load_statements()[name]
    if statement.startswith(("savepoint", "rollback")):
        return
    numbers = [int(number) for number in re.findall(r"\?(\d+)", statement)]
    plan = connection.execute("explain query plan " + statement, [None] * max(numbers, default=0))
    steps = [str(row[3]) for row in plan]
    connection.close()
    assert [step for step in steps if SCANS.match(step) and step != f"SCAN {WHOLE.get(name)}"] == []
