"""Readers and senders beside a stream: what they take of a service, and how late events are."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bench.commits import Watched
from bench.figures import Samples
from bench.live_clients import LiveFigures, LiveOrder
from bench.processes import Helper, ServiceProcess, helper
from bench.quantiles import quantile

READERS, SENDERS = 1000, 200
_FREE = 8 / 9
"""The share of all places that one caller may have."""
_MORE = 64
"""Connections of all others."""
_SHARES = {"p50": 0.5, "p99": 0.99}


def settings(readers: int, senders: int) -> Mapping[str, str]:
    """The settings of a service that lets so many *readers* and *senders*, all of one caller, have a place."""
    places = {"max_connections": readers + senders, "max_waits": readers, "max_streams": senders}
    return {name: str(int((number + _MORE) / _FREE)) for name, number in places.items()}


class LiveLoad:
    """Readers and senders at work."""

    def __init__(self, clients: Helper, commits: Helper, readers: int) -> None:
        """Those of *clients*; *commits* watches the resource that the *readers* follow."""
        self.pid = clients.pid
        self._clients, self._commits, self._readers = clients, commits, readers

    async def end(self) -> tuple[Samples, list[str]]:
        """End it: packets a second that were done for them, and how late events were; and what went wrong."""
        self._clients.order("")
        found = msgspec.json.decode(await self._clients.answer(), type=LiveFigures)
        self._commits.order("")
        committed = msgspec.json.decode(await self._commits.answer(), type=dict[int, float])
        arrivals = {seq: found.arrivals.get(seq, []) for seq in found.events}
        missing = sum([len(times) != self._readers for times in arrivals.values()])
        if missing or not committed.keys() >= arrivals.keys():
            return {}, [f"of {len(arrivals)} events {missing} did not reach every reader once"]
        late = [at - committed[seq] for seq, times in arrivals.items() for at in times]
        return {
            "live_per_second": (found.told + len(arrivals)) / found.seconds,
            **{f"event_{name}_ms": quantile(late, share) for name, share in _SHARES.items()},
        }, []


@asynccontextmanager
async def live_load(service: ServiceProcess, readers: int, senders: int) -> AsyncIterator[LiveLoad]:
    """Have *readers* and *senders* at work on *service*: a packet a second of each sender, and one for the readers."""
    resource_id = "followed"
    async with helper("live_clients") as clients, helper("commits") as commits:
        _order(clients, LiveOrder(service.port, resource_id, readers, senders))
        await clients.answer()
        _order(commits, Watched(str(service.database), resource_id))
        clients.order("")
        yield LiveLoad(clients, commits, readers)


def _order(child: Helper, order: Any) -> None:  # noqa: ANN401 - any of theirs
    child.order(msgspec.json.encode(order).decode())
