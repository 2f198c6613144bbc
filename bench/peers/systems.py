"""The peers: what of a load is handed over at a time, what an acknowledgement is worth, and how much they get."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import NamedTuple

from bench.peers.brief import peer as brief
from bench.peers.bullmq import peer as bullmq
from bench.peers.children import Peer
from bench.peers.chord import peer as chord
from bench.peers.restate import peer as restate
from bench.peers.taskiq import peer as taskiq

MEMORY, SYNCED = "none: memory of Valkey", "synced before the ack"
"""Durability of what was acknowledged."""


class System(NamedTuple):
    """A peer, and what is known of it before it is measured."""

    start: Callable[[str], AbstractAsyncContextManager[Peer]]
    """Starts it, for the URL of a receiver."""
    durability: str = MEMORY
    whole: bool = False
    """Whether it has to be given all packets of a resource at once."""
    divisor: int = 1
    """What the resources of a run are divided by: slow peers get fewer."""
    missing: Callable[[], str | None] = lambda: None
    """Why it cannot run here; `None` where it can."""
    asks_outside: bool = False
    """Whether it looks up a host outside as it starts: it is measured where its name is given, and not else."""


PEERS: Mapping[str, System] = {
    "brief": System(brief.start, divisor=20),
    "chord": System(chord.start, whole=True, divisor=20),
    "taskiq": System(taskiq.start, divisor=6),
    "taskiq-synced": System(partial(taskiq.start, synced=True), SYNCED, divisor=6),
    "restate": System(restate.start, SYNCED, divisor=20, missing=restate.missing, asks_outside=True),
    "bullmq": System(bullmq.each, divisor=2, missing=bullmq.missing),
    "bullmq-synced": System(partial(bullmq.each, synced=True), SYNCED, divisor=2, missing=bullmq.missing),
    "bullmq-flow": System(bullmq.flow, whole=True, divisor=2, missing=bullmq.missing),
    "bullmq-flow-synced": System(
        partial(bullmq.flow, synced=True), SYNCED, whole=True, divisor=2, missing=bullmq.missing
    ),
}
