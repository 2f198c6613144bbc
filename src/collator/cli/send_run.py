"""One run of `send`: the packets, how far they have come, and how it ended."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, BinaryIO

from rich.console import Console

from collator.cli.exits import Exit
from collator.cli.input_lines import lines
from collator.cli.packet_plan import Plan
from collator.cli.progress import Bar, Picture, showing
from collator.cli.resource_follower import Follower
from collator.cli.service_call import QUIET, client, no_answer
from collator.client import Client, Packets, Rejected, Tally
from collator.settings import Settings
from collator.text import counted


@dataclass(frozen=True)
class Source:
    """The source of the packets of a run."""

    name: str
    """How a rejected packet is named: with its number behind."""
    packets: Packets
    count: int | None = None
    """How many there are, where it is known."""
    resources: int | None = None
    """Of how many resources, where it is known."""
    seed: int | None = None


def from_plan(plan: Plan) -> Source:
    """The packets of *plan*, with its pauses."""
    return Source("packet ", _paced(plan), sum(plan.sizes().values()), plan.resources, plan.seed)


def from_file(file: BinaryIO) -> Source:
    """The lines of *file*."""
    return Source(f"{file.name}:", lines(file))


@dataclass
class SendRun:
    """A run, to be carried out once; its numbers can be read at any time."""

    settings: Settings
    source: Source
    in_flight: int
    patience: float | None
    """Seconds; `None` for endless."""
    wait: bool
    """Whether to wait until every resource is delivered."""
    tally: Tally = field(default_factory=partial(Tally, keep_lines=False))
    follower: Follower | None = None
    seconds: float = 0.0
    _settled: int = 0
    _moved: float = field(default_factory=time.monotonic)

    async def carry_out(self, console: Console) -> None:
        """Send everything, and show on *console* how far it is. Raises `Unreachable`."""
        started = time.monotonic()
        try:
            async with client(self.settings, in_flight=self.in_flight, patience=self.patience) as asked:
                self.follower = Follower(asked, self.tally, patience=self.patience) if self.wait else None
                async with showing(self.picture, console):
                    await self._send_and_follow(asked)
        finally:
            self.seconds = time.monotonic() - started

    async def _send_and_follow(self, client: Client) -> None:
        following = asyncio.create_task(self.follower.run()) if self.follower else None
        try:
            with suppress(Rejected):  # the tally has them
                await client.send(self.source.packets, tally=self.tally)
            if self.follower and following:
                self.follower.sending_ended.set()
                await following
        finally:
            if following:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)

    @property
    def exit(self) -> Exit:
        """Whether everything that was asked is done."""
        if self.tally.rejected or self.tally.acknowledged != self.tally.sent:
            return Exit.FAILED
        follower = self.follower
        if follower is None:
            return Exit.OK
        if follower.delivered + follower.given_up < len(self.tally.resources):
            return Exit.FAILED
        if follower.given_up:
            return Exit.UNDELIVERED
        return Exit.INCOMPLETE if follower.incomplete else Exit.OK

    def picture(self) -> Picture:
        """The progress at this moment."""
        count = self.source.count
        bars = [Bar("sent", self.tally.sent, count), Bar("acknowledged", self.tally.acknowledged, count)]
        if self.follower:
            resources = self.source.resources or (len(self.tally.resources) or None)
            bars.append(Bar("processed", min(self.follower.processed, self.tally.acknowledged), count))
            bars.append(Bar("delivered", self.follower.delivered, resources))
        return Picture(tuple(bars), self.tally.trouble or self._silence() or self._waits_for())

    def summary(self) -> str:
        """The result, in a line."""
        tally = self.tally
        given = tally.sent + sum(not one.sent for one in tally.rejected)  # what is no JSON was never sent
        unknown = given - tally.acknowledged - len(tally.rejected)
        words = counted(given, "packet")
        words += f" of {counted(len(tally.resources), 'resource')}" * bool(tally.resources)
        words += f": {tally.acknowledged} acknowledged"
        words += f" ({tally.duplicates} duplicates)" * bool(tally.duplicates)
        words += f", {len(tally.rejected)} rejected" * bool(tally.rejected)
        words += f", {unknown} not acknowledged" * bool(unknown)
        if self.follower:
            words += f", {self.follower.delivered} delivered"
            words += f" ({len(self.follower.incomplete)} incomplete)" * bool(self.follower.incomplete)
        return f"{words}, in {self.seconds:.1f} s"

    def complaints(self) -> list[str]:
        """The failures, a line each: packets that were rejected, resources not delivered, and incomplete ones."""
        lines = [f"{self.source.name}{one.number}: {one.reason}" for one in self.tally.rejected]
        if self.follower:
            lines += [f"{one} is not delivered: {why}" for one, why in self.follower.undelivered.items()]
            lines += [f"{one} is incomplete: {why}" for one, why in self.follower.incomplete.items()]
        return lines

    def as_dict(self) -> dict[str, Any]:
        """The result, for programs."""
        tally, follower = self.tally, self.follower
        return {
            "seed": self.source.seed,
            "sent": tally.sent,
            "acknowledged": tally.acknowledged,
            "duplicates": tally.duplicates,
            "rejected": [{"number": one.number, "reason": one.reason} for one in self.tally.rejected],
            "resources": len(tally.resources),
            "delivered": follower.delivered if follower else None,
            "processed": follower.processed if follower else None,
            "incomplete": len(follower.incomplete) if follower else None,
            "why_incomplete": follower.incomplete if follower else None,
            "undelivered": follower.undelivered if follower else None,
            "seconds": round(self.seconds, 3),
        }

    def _silence(self) -> str:
        """The notice that requests have had no answer for long; empty otherwise. To be called again and again."""
        settled, now = self.tally.acknowledged + len(self.tally.rejected), time.monotonic()
        if settled != self._settled or settled >= self.tally.sent:
            self._settled, self._moved = settled, now
        return no_answer(self.settings) if now - self._moved >= QUIET else ""

    def _waits_for(self) -> str:
        if self.follower and self.follower.trouble:
            return self.follower.trouble
        if not self.follower:
            return ""
        resource_id, why = next(iter(self.follower.undelivered.items()), ("", ""))
        return f"{resource_id}: {why}" if resource_id else ""


async def _paced(plan: Plan) -> AsyncIterator[dict[str, Any]]:
    for step in plan.steps():
        if step.pause:
            await asyncio.sleep(step.pause)
        yield step.packet
