"""A follower of the resources of a run: asks the service until each is delivered, or will not be by itself.

A receiver that fails is waited for as long as anything else moves, and then for the patience of the sender: what waits
for it may be delivered after hours, or never. While packets are processed it is waited on: the service bounds that.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from enum import Enum
from itertools import islice
from typing import Any

from collator.client import Client, Tally, Unreachable
from collator.errors import Unknown
from collator.states import DeliveryState, State
from collator.text import counted

ROUND = 16
"""Resources that are asked for at a time; politeness, as each is a request."""
PAUSE = 0.2
"""Seconds between two rounds where the one before brought no news."""

UNDER_WAY = frozenset({DeliveryState.DUE, DeliveryState.LEASED})
"""The states of a delivery that may still succeed by itself."""


class Progress(Enum):
    """The progress of one resource of the run."""

    UNDER_WAY = "under way"
    STUCK = "stuck"  #: open, and nothing that the service does can move it
    DELIVERED = "delivered"
    LOST = "lost"  #: ended, and no webhook will come


def progress(report: Mapping[str, Any]) -> Progress:
    """The progress of the resource of *report*, as the service shows it. Pure."""
    if report["state"] == State.OPEN:
        unfinished = report["unfinished"] or report.get("unfinished_more")
        return Progress.UNDER_WAY if unfinished else Progress.STUCK
    if report["state"] == State.CANCELLED:
        return Progress.LOST
    states = {delivery["state"] for delivery in report["deliveries"]}
    if states & UNDER_WAY:
        return Progress.UNDER_WAY
    return Progress.LOST if DeliveryState.DEAD in states else Progress.DELIVERED


def why_incomplete(report: Mapping[str, Any]) -> str:
    """The reason why the resource of *report* has not all its outputs, in words. Pure."""
    if not report["failures"]:
        return f"closed by {report['completed_by']}, with {report['done']} of its packets processed"
    first = report["failures"][0]
    return f"{counted(report['failed'], 'packet')} failed, packet {first['index']}: {first['reason']}"


class Follower:
    """Follows the resources of *tally*."""

    def __init__(self, client: Client, tally: Tally, *, patience: float | None) -> None:
        """Ask *client*; give up after *patience* seconds (`None`: never) without an answer, or without a delivery."""
        self.delivered = 0
        """Resources that ended and have no delivery open."""
        self.incomplete: dict[str, str] = {}
        """Why, by id, for those of them that ended without all their outputs."""
        self.trouble = ""
        """Why nothing is known at the moment; empty while the service answers."""
        self.undelivered: dict[str, str] = {}
        """Why, by id, for those whose delivery fails, and once all is sent for all that are not delivered."""
        self.given_up = 0
        """How many of them were waited for no more, though their deliveries go on."""
        self.sending_ended = asyncio.Event()
        self._client = client
        self._tally = tally
        self._patience = patience
        self._pending: deque[str] = deque()
        self._known = 0
        self._answered = time.monotonic()
        self._moved = self._answered
        self._still = 0  # looks at a resource since then
        self._processed: dict[str, int] = {}
        self._processed_before = 0

    @property
    def processed(self) -> int:
        """Packets of the resources that have an outcome, as far as it was asked."""
        return self._processed_before + sum(self._processed.values())

    async def run(self) -> None:
        """Follow until every resource is settled. Raises `Unreachable`."""
        while True:
            ended = self.sending_ended.is_set()
            if len(self._tally.resources) > self._known:
                self._pending.extend(islice(self._tally.resources, self._known, None))
                self._known = len(self._tally.resources)
            if not ended:
                self._note_movement()
            elif not self._pending:
                return
            elif self._patience_is_over():
                self.given_up = len(self._pending)
                return
            batch = [self._pending.popleft() for _ in range(min(ROUND, len(self._pending)))]
            news = await asyncio.gather(*(self._look(resource_id, ended=ended) for resource_id in batch))
            self._pending.extend(resource_id for resource_id, settled in zip(batch, news, strict=True) if not settled)
            if not any(news):
                await asyncio.sleep(PAUSE)

    def _note_movement(self) -> None:
        self._moved, self._still = time.monotonic(), 0

    def _patience_is_over(self) -> bool:
        """Return whether nothing has moved for too long, at a look at every resource that is left."""
        if self._patience is None or self._still < len(self._pending):
            return False
        return time.monotonic() - self._moved > self._patience

    async def _look(self, resource_id: str, *, ended: bool) -> bool:
        """Return whether *resource_id* is settled."""
        try:
            report = await self._client.resource(resource_id)
        except Unknown:
            self.undelivered[resource_id] = "the service does not know it any more"
            return True
        except Unreachable as error:
            self.trouble = error.detail
            self._note_movement()  # unknown, and it has a patience of its own
            if self._patience is not None and time.monotonic() - self._answered > self._patience:
                raise
            return False
        self._answered, self.trouble = time.monotonic(), ""
        self._processed[resource_id] = report["done"] + report["failed"]
        return self._finish(resource_id, report, ended=ended)

    def _finish(self, resource_id: str, report: Mapping[str, Any], *, ended: bool) -> bool:
        now = progress(report)
        if now is Progress.DELIVERED or report["state"] == State.OPEN:
            self._note_movement()
        else:
            self._still += 1
        if now is Progress.DELIVERED:
            self.delivered += 1
            if report["state"] == State.INCOMPLETE:
                self.incomplete[resource_id] = why_incomplete(report)
            self.undelivered.pop(resource_id, None)
            self._processed_before += self._processed.pop(resource_id)
            return True
        settled = now is Progress.LOST or (now is Progress.STUCK and ended)
        failing = any(one["reason"] for one in report["deliveries"] if one["state"] in UNDER_WAY)
        if settled or ended or failing:  # before the end of the sending every other resource lacks something
            self.undelivered[resource_id] = str(report["why_undelivered"])
        return settled
