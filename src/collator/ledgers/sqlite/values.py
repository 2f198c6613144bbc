"""Is every value of the kind that its column says? Asked of each row of each table, the schema says what of.

A bit that flips in the header of a row makes another kind of what stands in it, and one in a text may leave bytes that
are no UTF-8. Texts that have a checksum are left to it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import apsw

_SUMMED = frozenset({"payload", "indexes", "outputs", "head", "tail"})
_PACKET = "k >> 24, k & 16777215"
_PLACES = {
    "ledger": "null, null",
    "resource": "rk, null",
    "packet": _PACKET,
    "outrun": "rk, null",
    "ready": _PACKET,
    "attempt": _PACKET,
    "delivery": "rk, null",
    "superseded": "rk, null",
    "tombstone": "null, null",
    "paused_endpoint": "null, null",
    "delivery_log": "(select d.rk from delivery d where d.did = delivery_log.did), null",
}
"""The tables, and for each the resource and the index that a row belongs to."""


def strays(connection: apsw.Connection) -> Iterator[str]:
    """For each table a statement that gives the place of every row with a value of another kind, and which it is."""
    connection.create_scalar_function("is_text", _is_text, 1, deterministic=True)
    for table, place in _PLACES.items():
        columns = connection.execute(
            'select name, lower(type), "notnull" from pragma_table_info(?)', (table,)
        ).fetchall()
        wrong = " ".join(
            f"when {_wrong(str(name), str(kind), always=bool(always))} then '{table}.{name}'"
            for name, kind, always in columns
        )
        yield (
            f"select {place}, stray from (select *, case {wrong} end as stray from {table}) as {table} "  # noqa: S608 - ours
            "where stray is not null"
        )


def _wrong(name: str, kind: str, *, always: bool) -> str:
    """The condition in SQL under which a value does not fit its column."""
    kinds = f"'{kind}'" if always else f"'{kind}', 'null'"
    wrong = f"typeof({name}) not in ({kinds})"
    if kind == "real":
        return f"{wrong} or abs({name}) > 1e300"  # an infinity
    if kind == "text" and name not in _SUMMED:
        return f"{wrong} or not is_text(cast({name} as blob))"
    return wrong


def _is_text(*columns: Any) -> bool:  # noqa: ANN401 - what they hold
    (data,) = columns
    try:
        (data or b"").decode()
    except UnicodeDecodeError:
        return False
    return True
