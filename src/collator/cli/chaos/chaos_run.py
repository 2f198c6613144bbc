"""The run: a sender that never rests, a receiver that never loses, and a service that is killed between them."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from collator.cli.chaos.checker import Checker
from collator.cli.chaos.service_process import DATA, ServiceProcess
from collator.cli.packet_plan import Plan
from collator.client import Client, Tally
from collator.errors import CollatorError
from collator.signals import cancel_on_stop
from collator.signing import Secret, SecretFile
from collator.web.inbox import Inbox
from collator.webhook import Received, Reply

YOUNG = 4
"""One of so many processes is killed within `START` seconds of its start; the others once they have done some work."""
START = 0.8
WORK = 600
"""Packets acknowledged before a kill, at most."""
PAUSE = (0.0, 0.001)
"""Seconds before a packet: so many that there is always work, and so few that what is left is done soon."""
REFUSED = 20
"""Of so many webhooks the receiver refuses one, so that some are on their way a second time."""
REFUSALS = 2
"""Of one webhook, at most: after a third it would come in 30 s, after a fourth in 5 minutes, beyond all patience."""
PATIENCE = 60.0
"""Seconds without any progress after which the rest is given up as lost."""
UP = 60.0
"""Seconds within which a service listens, on a machine that is busy, and takes packets."""
_LOOK = 0.05


class ChaosRun:
    """One run, to be carried out once."""

    def __init__(self, home: Path, *, rounds: int, seed: int) -> None:
        """Kill *rounds* times, in the directory *home*; the same *seed* gives the same packets."""
        self._home = home
        self._rounds = rounds
        self._seed = seed
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, and no secret
        self._moods = random.Random(seed)  # noqa: S311 - of the receiver
        self._refused: Counter[str] = Counter()
        self._checker = Checker()
        self._tally = Tally()
        self._enough = asyncio.Event()
        self._secrets: SecretFile | None = None
        self._kills = 0

    @property
    def complaints(self) -> Sequence[str]:
        """The promises that were broken, in words; empty where all were kept."""
        return self._checker.complaints

    async def run(self, say: Callable[[str], None]) -> None:
        """Kill, and judge; *say* tells how far it is. SIGTERM ends it as Ctrl-C does, so that no child outlives it."""
        cancel_on_stop()
        async with Inbox(self._take, secrets=self._known) as inbox:
            with ServiceProcess(self._home, inbox.url) as service_process:
                async with Client(service_process.url, in_flight=4, patience=None) as client:
                    await self._kill_repeatedly(service_process, client, say)
                code = service_process.stop()
                if code != 0:
                    self._complain(f"the service was stopped and exited with {code}", *service_process.log_end())
        await asyncio.to_thread(self._check, service_process.data_dir)

    async def _kill_repeatedly(
        self, service_process: ServiceProcess, client: Client, say: Callable[[str], None]
    ) -> None:
        sending = asyncio.create_task(client.send(self._packets(), tally=self._tally))
        try:
            await self._kill(service_process, sending, say)
            await self._finish(service_process, sending)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)

    def as_dict(self) -> dict[str, Any]:
        """The result, for programs."""
        return {
            "seed": self._seed,
            "kills": self._kills,
            "sent": self._tally.sent,
            "acknowledged": self._tally.acknowledged,
            "duplicates": self._tally.duplicates,
            "resources": len(self._tally.resources),
            "delivered": len(self._checker.delivered),
            "repeats": self._checker.repeats,
            "unlucky": self._checker.unlucky,
            "complaints": list(self.complaints),
        }

    async def _kill(
        self, service_process: ServiceProcess, sending: asyncio.Task[Tally], say: Callable[[str], None]
    ) -> None:
        for number in range(1, self._rounds + 1):
            service_process.start()
            await self._run_for_a_while(service_process, sending)
            if sending.done():
                return
            if service_process.ended() is not None:
                self._complain(
                    f"the service ended by itself with {service_process.ended()}", *service_process.log_end()
                )
            service_process.kill()
            self._kills = number
            say(f"kill {number} of {self._rounds}: {self._progress()}")

    async def _run_for_a_while(self, service_process: ServiceProcess, sending: asyncio.Task[Tally]) -> None:
        """Return at a random moment: while it starts, or a little after so many acknowledgements."""
        goal, rest = self._tally.acknowledged + self._chance.randint(1, WORK), self._chance.uniform(0, 2 * _LOOK)
        if self._chance.randrange(YOUNG) == 0:
            goal, rest = 0, self._chance.uniform(0, START)
        end = time.monotonic() + UP
        while self._tally.acknowledged < goal and not sending.done() and service_process.ended() is None:
            await asyncio.wait({sending}, timeout=_LOOK)
            if time.monotonic() > end:
                self._complain(f"the service accepted nothing for {UP:g} s", *service_process.log_end())
                break
        await asyncio.wait({sending}, timeout=rest)

    async def _finish(self, service_process: ServiceProcess, sending: asyncio.Task[Tally]) -> None:
        """Let the service live, and wait until all is delivered, as long as there is progress."""
        service_process.start()
        self._enough.set()
        end = time.monotonic() + UP
        while not service_process.listens() and service_process.ended() is None and time.monotonic() < end:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(_LOOK)
        seen, since = self._progress(), time.monotonic()
        while not sending.done() or self._checker.undelivered:
            await asyncio.sleep(_LOOK)
            if self._progress() != seen:
                seen, since = self._progress(), time.monotonic()
            if time.monotonic() - since > PATIENCE or (sending.done() and sending.exception()):
                break
        if sending.done() and (error := sending.exception()):
            self._complain(f"the sender failed: {error}")
        lost = self._checker.undelivered
        self._checker.complaints += [f"{resource_id} was sent but never delivered" for resource_id in lost]

    def _check(self, data_dir: Path) -> None:
        from collator.ledgers.sqlite.check import check_directory

        try:
            report = check_directory(data_dir)
        except CollatorError as error:
            self._complain(f"the database cannot be checked: {error}")
        else:
            for complaint in report.complaints:
                self._complain(f"the database: {complaint.what}", *complaint.where)

    async def _packets(self) -> AsyncIterator[dict[str, Any]]:
        """Plan after plan, each to its end."""
        number = 0
        while not self._enough.is_set():
            number += 1
            for step in Plan(self._seed * 10_000 + number, resources=20, packets=(1, 20), pause=PAUSE).steps():
                self._checker.sends(step.packet)
                yield step.packet
                await asyncio.sleep(step.pause)

    async def _take(self, received: Received) -> Reply:
        taken = self._moods.randrange(REFUSED) > 0 or self._refused[received.webhook_id] == REFUSALS
        self._refused[received.webhook_id] += not taken
        self._checker.sees(received.webhook_id, received.body, taken=taken)
        return Reply(204 if taken else 503)

    def _known(self) -> Sequence[Secret]:
        self._secrets = self._secrets or SecretFile(self._home / DATA / "webhook.secret")
        return self._secrets.current()

    def _progress(self) -> str:
        return f"{self._tally.acknowledged} packets acknowledged, {len(self._checker.delivered)} resources delivered"

    def _complain(self, *words: str) -> None:
        self._checker.complaints.append("; ".join(words))
