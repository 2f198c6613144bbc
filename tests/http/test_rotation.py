"""A secret is rotated under load (R21): receivers with the old and with the new one verify, and no webhook is lost."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest
import standardwebhooks

from collator.delivery import Dispatcher, Endpoint
from collator.signing import SecretFile, generate_secret
from collator.states import DeliveryState
from tests.http.stage import Stage
from tests.receiver import Judge, Receiver, Request
from tests.wait import until

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

BATCH = 5
ENOUGH = 60
"""Webhooks that each receiver gets in each phase."""


class Verifier:
    """A receiver's side: it trusts one secret, and refuses what is not signed with it."""

    def __init__(self, secret: str) -> None:
        self.trusted = secret
        self.refused = 0
        self.ids: list[str] = []
        self.signatures: list[int] = []
        """How many each had."""

    def judge(self, request: Request) -> int:
        try:
            standardwebhooks.Webhook(self.trusted).verify(request.body, dict(request.headers))
        except standardwebhooks.WebhookVerificationError:
            self.refused += 1
            return 401
        self.ids.append(request.headers["webhook-id"])
        self.signatures.append(len(request.headers["webhook-signature"].split(" ")))
        return 200


class Load:
    """Resources that end, one batch after another, never far ahead of the receivers."""

    def __init__(self, stage: Stage, dispatcher: Dispatcher, *receivers: Verifier) -> None:
        self._stage, self._dispatcher, self._receivers = stage, dispatcher, receivers
        self.finished = 0
        self.over = anyio.Event()

    def arrived(self) -> int:
        return min(len(receiver.ids) for receiver in self._receivers)

    async def run(self) -> None:
        while not self.over.is_set():
            names = [f"r{self.finished + number}" for number in range(BATCH)]
            await self._stage.finish(*names, dispatcher=self._dispatcher)
            self.finished += BATCH
            await until(lambda: self.arrived() + 4 * BATCH > self.finished)

    async def signed(self, signatures: int) -> None:
        """Wait until each receiver has got one with so many, and all that was on its way then has arrived."""
        await until(lambda: all(receiver.signatures[-1] == signatures for receiver in self._receivers))
        await self.goes_on()

    async def goes_on(self) -> None:
        """Wait until all that is on its way by now has arrived, and enough more."""
        wanted = self.finished + ENOUGH
        await until(lambda: self.arrived() >= wanted)


def write(path: Path, *secrets: str) -> None:
    """As the documentation has it: written aside and renamed, so that nobody reads half a file."""
    aside = path.with_suffix(".new")
    aside.write_text("".join(f"{secret}\n" for secret in secrets))
    aside.replace(path)


async def test_r21_nobody_notices_that_a_secret_is_rotated_under_load(stage: Stage) -> None:
    old, new, path = generate_secret(), generate_secret(), stage.folder / "shared.secret"
    write(path, old)
    secrets, first, second = SecretFile(path), Verifier(old), Verifier(old)
    async with Receiver((Judge(first.judge),)) as one, Receiver((Judge(second.judge),)) as other:
        for name, receiver in (("first", one), ("second", other)):
            stage.endpoints[name] = Endpoint(name=name, url=receiver.url, secrets=secrets)
        async with stage.dispatcher() as dispatcher:
            load = Load(stage, dispatcher, first, second)
            async with anyio.create_task_group() as group:
                group.start_soon(load.run)
                await load.goes_on()
                write(path, new, old)
                await load.signed(2)  # and what was signed with the old one alone has arrived
                second.trusted = new  # one receiver has learnt the new secret, the other not yet
                await load.goes_on()
                first.trusted = new
                write(path, new)
                await load.signed(1)
                load.over.set()
            await stage.settled(2 * load.finished)
        states = [(report.state, report.attempts) for report in await stage.reports(prefix="r")]
    assert states == [(DeliveryState.DELIVERED, 1)] * min(2 * load.finished, 100)  # a page
    for verifier in (first, second):
        assert verifier.refused == 0
        assert len(set(verifier.ids)) == len(verifier.ids) == load.finished
        assert (verifier.signatures[0], max(verifier.signatures), verifier.signatures[-1]) == (1, 2, 1)
