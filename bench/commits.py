"""A child of the bench: when each outcome of a resource was committed, by a look at the store each millisecond.

Only the store knows, and a look costs it nothing but a read. The first order is a line of JSON (`Watched`); the next is
answered by the times, in monotonic seconds, by `seq`.
"""

from __future__ import annotations

import select
import sys
import time

import apsw
import msgspec

from bench.receiver import say

_TICK = 0.001
_COMMITTED = "select seq from outrun where rk = (select rk from resource where id = ?) and seq > ? order by seq"


class Watched(msgspec.Struct, frozen=True):
    """A resource, whose packets come one by one."""

    database: str
    resource_id: str


def main() -> None:
    """Serve both orders."""
    say(b"0")  # it listens on no port
    watched = msgspec.json.decode(sys.stdin.buffer.readline(), type=Watched)
    store = apsw.Connection(watched.database, flags=apsw.SQLITE_OPEN_READONLY)
    times: dict[int, float] = {}
    version = 0
    while not select.select([sys.stdin], [], [], _TICK)[0]:
        if version == (version := store.pragma("data_version")):
            continue
        now = time.monotonic()
        behind = max(times, default=0)
        times.update({seq: now for (seq,) in store.execute(_COMMITTED, (watched.resource_id, behind))})
    store.close()
    say(msgspec.json.encode(times))
    sys.stdin.buffer.read()


if __name__ == "__main__":
    main()
