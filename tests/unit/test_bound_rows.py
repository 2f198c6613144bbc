"""A row that is bound by itself is stored as it would be from JSON, and rows are stored all or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import apsw
import pytest

from collator.clock import SystemClock
from collator.ledgers.sqlite.statements import bound_forms
from collator.ledgers.sqlite.store import BULKY, Store
from collator.rules.resource import LedgerLimits
from collator.states import EndedBy, State

OPENING = [1, "a", "00" * 16, None, None, '{"a":1}', 1, 0, 1_800_000_000.5, 1.0, 3601.0, None]
DELIVERY = (1, 1, "default", 0)
END = (1, State.COLLATED, EndedBy.LAST, 1, 1, 0, 7, 5.0, -(2**62), 9, '{"é":[', "]}", None)
ATTEMPT = (1, "due", 1, 1, 2.0, "HTTP 503", None, 1.0, 0.25, "failed")
STEPS: dict[str, tuple[str, Sequence[object], tuple[object, ...]]] = {
    "packet": ("insert_packets", (1 << 24, '"é \\u0000"', 5), ()),
    "growth": ("grow_resources", [1, 3, EndedBy.TOTAL, "{}", 2, 1], (2.0,)),
    "progress": ("progress_resources", (1, 1, 0, 7), (2.5,)),
    "outputs": ("insert_outruns", (1, 1, 1, "[0]", 5, None, "[7]"), ()),
    "failure": ("insert_outruns", (1, 1, 1, "[0]", 5, "why", None), ()),
    "retry": ("retry_later", (1 << 24, 1, 2.0, "why"), ()),
    "end": ("close_resources", END, (1_800_000_001.0,)),
    "attempt": ("update_deliveries", ATTEMPT, ()),
    "log": ("log_attempts", (1, 1, 1.0, 0.25, "failed", "HTTP 503"), ()),
    "answer": ("keep_answers", (1, "{}"), ()),
    "look": ("look_again", (1, 7.5), ()),
}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "collator.db", ledger_limits=LedgerLimits(), clock=SystemClock(), route=lambda _: ())
    yield store
    store.connection.close()


def everything(store: Store) -> list[list[tuple[object, ...]]]:
    """All that is stored, with its types: 1 is not 1.0."""
    tables = [*store.connection.execute("select name from sqlite_schema where type = 'table' order by name")]
    rows = [store.connection.execute(f'select * from "{table}"').fetchall() for (table,) in tables]  # noqa: S608 - of its own schema
    return [[tuple((type(value), value) for value in row) for row in some] for some in rows]


def stored(store: Store, name: str, row: Sequence[object], parameters: tuple[object, ...]) -> object:
    """What is stored after *row*; undone again."""
    store.connection.execute("begin")
    try:
        store.run_rows("open_resources", [OPENING])
        store.run_rows("insert_deliveries", [DELIVERY], 1.5)
        assert store.run_rows(name, [row], *parameters) == 1
        return everything(store)
    finally:
        store.connection.execute("rollback")


@pytest.mark.parametrize("step", STEPS)
def test_a_row_alone_is_stored_as_from_json(store: Store, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = stored(store, *STEPS[step])
    monkeypatch.setattr(store, "_bound", {})
    assert stored(store, *STEPS[step]) == bound


def test_each_statement_that_takes_rows_is_compared(store: Store) -> None:
    compared = {name for name, _, _ in STEPS.values()} | {"open_resources", "insert_deliveries", "count_lost"}
    assert {*bound_forms(store.statements)} == compared


@pytest.mark.parametrize("size", [0, 3 * BULKY + 1])
def test_rows_are_stored_all_or_none(store: Store, size: int) -> None:
    store.run_rows("insert_packets", [(2, '"b"', 5)])
    with pytest.raises(apsw.ConstraintError):
        store.run_rows("insert_packets", [(1, '"a"', 5), (2, '"b"', 5), (3, '"c"', 5)], size=size)
    assert store.connection.execute("select k from packet").fetchall() == [(2,)]
    assert store.run_rows("insert_packets", [(1, '"a"', 5), (3, '"c"', 5), (4, '"d"', 5)], size=size) == 3
