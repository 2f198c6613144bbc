"""The machine of the ledger over WebSocket, followed by server-sent events, both with cuts at any byte (R26)."""

from __future__ import annotations

import json
from contextlib import aclosing, suppress
from itertools import groupby
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule, run_state_machine_as_test

from tests.harness.event_stream import Event, EventReader
from tests.http.listener import PATIENCE, connect, request
from tests.http.sockets import frame, offered, socket
from tests.http.test_machine import NAMES, Given, ServiceMachine, as_packet, batches
from tests.wait import until

cuts = st.lists(st.integers(1, 600), max_size=2)


def subject(given: Given) -> dict[str, Any]:
    """What a `start` says for this packet."""
    return {name: given[name] for name in ("resource_id", "metadata") if name in given}


def said(given: Given) -> dict[str, Any]:
    return {"type": "packet", **{name: value for name, value in given.items() if name not in subject(given)}}


class StreamMachine(ServiceMachine):
    """As over HTTP, but that packets come over WebSocket, and that each resource is followed all the time."""

    most_open = len(NAMES)  # so that none is refused for now: the service would wait for a place

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[str, list[Event]] = {}
        """The events of each generation, by its webhook id."""
        self.cuts: list[int] = []

    @rule(given=batches, cuts=cuts)
    def give(self, given: list[Given], cuts: list[int]) -> None:
        self.cuts = cuts
        self.it.host_check.close()
        for start, packets in groupby(given, subject):
            self.do(self.conversation(start, [*packets]))
        self.it.host_check.open()
        self.settle()

    async def conversation(self, start: dict[str, Any], given: list[Given]) -> None:
        """Send packets, cut off now and then, and at last whole: repeats are harmless."""
        whole = b"".join(map(frame, [{"type": "start", **start}, *map(said, given)]))
        for cut in self.cuts:
            wire = await connect(self.port)
            await offered(wire)
            await wire.send(whole[:cut])
            await wire.aclose()
            await until(lambda: b"collator_streams 0.0" in self.it.service.metrics.text(), PATIENCE)
        expected = self.model.accept([as_packet(one) for one in given])
        async with socket(self.port) as client:
            assert (await client.start(**start))["type"] == "begin"
            for number, (one, status) in enumerate(zip(given, expected, strict=True), 1):
                await client.connection.send(json.dumps(said(one)))
                *errors, ack = await client.until("ack")
                assert ack["packets"] == number
                codes = [error["problem"]["code"] for error in errors]
                assert codes == ([] if status in {"accepted", "duplicate"} else [status])

    @property
    def port(self) -> int:
        return int(self.it.service.url.rpartition(":")[2])

    def settle(self) -> None:
        super().settle()
        for name in self.model.things:
            self.do(self.follow(name))

    async def follow(self, name: str) -> None:
        """Read the events of a resource on, cut off now and then: each outcome comes once, in order."""
        page = (await self.it.ask("GET", f"/v1/resources/{quote(name, safe='')}/outputs?after_seq=0")).json
        seen = self.seen.setdefault(page["webhook_id"], [])
        last = seen[-1].id if seen else ""
        place = int(last.partition(".")[0] or 0)
        expected = [one["seq"] for one in page["outputs"] if one["seq"] > place]
        ended = page["state"] != "open"
        for cut in [*self.cuts, 1_000_000]:
            got = [event.data["seq"] for event in seen if "seq" in event.data and event.data["seq"] > place]
            if got == expected and (not ended or last.endswith(".end")):
                break
            last = await self.read(name, seen, last, cut, to=(expected or [place])[-1], ended=ended)
        got = [event.data["seq"] for event in seen if "seq" in event.data and event.data["seq"] > place]
        assert got == expected
        assert not ended or last.endswith(".end")

    async def read(self, name: str, seen: list[Event], last: str, cut: int, *, to: int, ended: bool) -> str:
        """Read up to *cut* bytes behind the id *last*, or to the `seq` *to*, or the end; the id of the last event."""
        wire, reader = await connect(self.port), EventReader()
        more = {"last_event_id": last} if last else {}
        await wire.send(request("GET", f"/v1/resources/{quote(name, safe='')}/events", None, **more))
        if (await wire.head())[0] == 200:
            async with aclosing(wire.chunks()) as chunks:
                async for chunk in chunks:
                    seen += reader.feed(chunk[:cut])
                    last, cut = seen[-1].id if seen else last, cut - len(chunk)
                    if cut <= 0 or last.endswith(".end") or (not ended and int(last.partition(".")[0] or 0) >= to):
                        break
        with suppress(ConnectionError):
            await wire.aclose()
        return last


@pytest.mark.usefixtures("each_ledger_if_asked")
def test_r26_over_websocket_and_events_the_service_agrees_with_the_model() -> None:
    bounded = settings(max_examples=3, stateful_step_count=6, phases=[Phase.generate])
    run_state_machine_as_test(StreamMachine, settings=bounded)
