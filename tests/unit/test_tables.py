"""Tables of commands: ages, columns that fit a terminal, and whole values with --wide."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len

from collator.cli.table import CellType, Column, age, aligned, listed, span

NOW = 1_795_485_900.0  # 2026-11-24T02:05:00Z
COLUMNS = (
    Column("ID", "id", CellType.WIDE),
    Column("RESOURCE", "resource"),
    Column("LAST", "at", CellType.AGE),
    Column("NEXT", "due_in", CellType.SPAN),
    Column("REASON", "reason"),
)
ROW = {"id": "msg_" + "a" * 52, "resource": "call-17", "at": "2026-11-24T02:04:00.123456Z", "due_in": 305.2}
LONG = "HTTP 503: " + "the receiver has a lot to say about this, " * 5


class Screen:
    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collator.cli.table.sys", SimpleNamespace(stdout=Screen()))
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59.4, "59s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (86_399, "23h"), (86_400, "1d"), (9e6, "104d")],
)
def test_a_span_is_in_its_largest_unit(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_an_age_is_never_negative_as_clocks_differ() -> None:
    assert age("2026-11-24T02:03:59.500000Z", NOW) == "1m"
    assert age("2026-11-24T02:06:00Z", NOW) == "0s"


def page(*rows: dict[str, Any], cursor: str | None = None) -> dict[str, Any]:
    return {"deliveries": [*rows], "next_cursor": cursor}


def test_a_table_fits_the_terminal_and_cuts_what_is_longest(screen: None) -> None:
    rows = [ROW | {"reason": LONG}, ROW | {"resource": "日本語" * 20, "reason": "", "due_in": None}]
    heads, first, second = listed(page(*rows), "deliveries", COLUMNS, wide=False)
    assert heads.split() == ["RESOURCE", "LAST", "NEXT", "REASON"]
    assert first.startswith("call-17 ")
    assert first.endswith("…")
    assert "  5m  " in first
    assert second.split()[2] == "-"
    assert max(map(cell_len, (heads, first, second))) == 80


def test_a_wide_table_has_everything_whole(screen: None) -> None:
    _, row = listed(page(ROW | {"reason": LONG}), "deliveries", COLUMNS, wide=True)
    assert row.split() == [ROW["id"], "call-17", ROW["at"], "305.2s", *LONG.split()]


def test_where_no_terminal_is_nothing_is_cut() -> None:
    _, row = listed(page(ROW | {"reason": LONG}), "deliveries", COLUMNS, wide=False)
    assert row.endswith(LONG.strip())


@pytest.mark.parametrize(
    ("cursor", "lines"),
    [(None, ["no deliveries"]), ("a b", ["no deliveries in this page", "… and more: --cursor 'a b'"])],
)
def test_where_there_is_nothing_it_says_so(cursor: str | None, lines: list[str]) -> None:
    assert [*listed(page(cursor=cursor), "deliveries", COLUMNS, wide=False)] == lines


def test_columns_stay_aligned_whatever_the_letters() -> None:
    lines = [*aligned(("A", "B"), [("日本", 1), ("x\x1b", 2)])]
    assert lines == ["A      B", "日本   1", "x\\x1b  2"]


def test_a_narrow_terminal_keeps_the_least_of_each_column() -> None:
    _, row = aligned(("A", "B"), [("a" * 50, "b" * 50)], width=5)
    assert row == "aaaaaaa…  bbbbbbb…"
