"""The workers on other machines, as people see them."""

from __future__ import annotations

import msgspec


class WorkerReport(msgspec.Struct, frozen=True, kw_only=True):
    """A Celery worker that a node hears of, as it last described itself."""

    name: str
    host: str
    """The name of its machine."""
    pool: str
    """Celery's pool: prefork, threads, solo or gevent."""
    processor: str
    """What it calls, without credentials."""
    version: str
    """Its version of Collator."""
    calls: int
    """How many calls it makes at a time; of a batch each packet counts. None, if it cannot read what the node sends."""
    jobs: int
    """How many jobs of the node that answers it has in hand."""
    packets: int
    """How many packets of these have no outcome."""
    beat: float
    """Seconds since its last sign of life. One that is silent for 10 s is gone, and what it had is sent again."""
    trouble: str
    """Why its calls get nowhere, or why it refuses packets; empty while neither is so."""
