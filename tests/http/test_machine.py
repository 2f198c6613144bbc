"""The machine of the ledger, over HTTP: single packets, arrays, streams and PUT, in any order.

The same model says what has to come of them (tests/conformance/model.py). The processor waits at a gate while packets
are given, so that their receipts are certain; then the service is left to itself until it is quiet, and all that it
shows, and every webhook that came, is compared with what the model says.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, cast
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from collator.clock import rfc3339
from collator.errors import Malformed, Unknown
from collator.messages import Counts, OutcomePage, OutcomeReport, ResourceReport, ResourceSummary
from collator.packet import Packet, Status
from collator.seams.ledger import Ledger
from collator.states import DeliveryState, EndedBy, OnFailure, State
from collator.web.health import ServiceStatus
from collator.web.outputs import FailureView, OutputsPage
from collator.web.resources import ResourcePage, ResourceView
from tests.conformance.model import DONE, FAILED, Model, Piece, Thing, body
from tests.conformance.steps import packet
from tests.conformance.views import compare
from tests.http.ledgers import STORES, ClockOfBoth
from tests.http.listener import Reply
from tests.http.service import Running, running

R = TypeVar("R")
Given = dict[str, Any]

# Ids that a path has to carry with care (R1).
NAMES = ("w", "a/b c", "ü%2F", "z")
ENDPOINTS: Mapping[str, Sequence[str]] = MappingProxyType(dict.fromkeys(NAMES, ("default",)))
MEMORY = Path("/dev/shm")  # noqa: S108 - the directory in it is made safely


def sound(given: Given) -> bool:
    """Whether *given* is a packet at all; what is none is the subject of other tests."""
    try:
        as_packet(given)
    except Malformed:
        return False
    return True


def as_packet(given: Given) -> Packet:
    more = {name: value for name, value in given.items() if name in {"last", "total"}}
    metadata = msgspec.json.encode(given["metadata"]) if "metadata" in given else None
    return packet(given["resource_id"], given["index"], encode(given["payload"]), metadata=metadata, **more)


encode = msgspec.json.Encoder().encode
names = st.sampled_from(NAMES)
payloads = st.sampled_from([{"at": 1}, {"at": 1}, {"at": 1}, {"at": 1}, {"fail": "bad"}])
good = st.fixed_dictionaries({"resource_id": names, "index": st.integers(0, 2), "payload": payloads})
last = st.fixed_dictionaries(
    {"resource_id": names, "index": st.just(2), "payload": payloads, "last": st.just(value=True)}
)
doubtful = st.fixed_dictionaries(
    {"resource_id": names, "index": st.integers(0, 4), "payload": payloads},
    optional={
        "last": st.booleans(),
        "total": st.sampled_from([3, 3, 4]),
        "metadata": st.sampled_from([{"a": 1}, {"a": 1}, {"b": 2}]),
    },
).filter(sound)
batches = st.lists(good | good | last | doubtful, min_size=1, max_size=8)


class Door:
    """The looks of a ledger, over HTTP, for `tests.conformance.views`."""

    def __init__(self, it: Running) -> None:
        self._it = it

    async def counts(self) -> Counts:
        stored = (await self._look("/v1/status", ServiceStatus)).stored
        assert stored is not None
        return stored

    async def resources(self) -> Sequence[ResourceSummary]:
        page = await self._look("/v1/resources?limit=2", ResourcePage)
        found = [*page.resources]
        while page.next_cursor is not None:
            cursor = quote(page.next_cursor, safe="")
            page = await self._look(f"/v1/resources?limit=2&cursor={cursor}", ResourcePage)
            found += page.resources
        return found

    async def resource(self, name: str) -> ResourceReport:
        return await self._look(f"/v1/resources/{quote(name, safe='')}", ResourceView)

    async def outputs(self, name: str) -> OutcomePage:
        return as_page(await self._look(f"/v1/resources/{quote(name, safe='')}/outputs", OutputsPage))

    async def outcomes(self, name: str) -> OutcomePage:
        return as_page(await self._look(f"/v1/resources/{quote(name, safe='')}/outputs?after_seq=0", OutputsPage))

    async def _look(self, path: str, kind: type[R]) -> R:
        reply = await self._it.ask("GET", path)
        if reply.status == 404:
            raise Unknown
        assert reply.status == 200, reply
        return msgspec.json.decode(reply.body, type=kind)


def as_page(page: OutputsPage) -> OutcomePage:
    """*page* as the ledger has it."""
    return OutcomePage(
        webhook_id=page.webhook_id,
        state=page.state,
        completed_by=page.completed_by,
        total=page.total,
        outcomes=[
            OutcomeReport(one.seq, one.index, None, one.failed.reason, one.failed.attempts)
            if isinstance(one.failed, FailureView)
            else OutcomeReport(one.seq, one.index, bytes(cast("msgspec.Raw", one.output)))
            for one in page.outputs
        ],
    )


class Host:
    """One running service after the other on one directory, each in a task of its own."""

    def __init__(self, data_dir: Path, **given: Any) -> None:  # noqa: ANN401 - settings, by their names
        self._data_dir, self._given = data_dir, given
        self.clock = ClockOfBoth(STORES.at(data_dir).clock)

    async def start(self) -> Running:
        self._stop = asyncio.Event()
        started: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
        self._task = asyncio.create_task(self._live(started))
        await asyncio.wait({started, self._task}, return_when=asyncio.FIRST_COMPLETED)
        return started.result() if started.done() else await self._task

    async def stop(self) -> None:
        self._stop.set()
        await self._task

    async def _live(self, started: asyncio.Future[Running]) -> Running:
        async with running(self._data_dir, clock=self.clock, **self._given) as it:
            started.set_result(it)
            await self._stop.wait()
        return it


class ServiceMachine(RuleBasedStateMachine):
    """One directory, one service after the other, and the model beside it."""

    model: Model
    it: Running
    most_open = 3

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None)
        self.ids: set[str] = set()
        self.told: dict[str, bytes] = {}
        """The body of each webhook, by its id."""
        self.came = 0

    # A failure that ends its resource at once would leave open which outputs came before it.
    @initialize(on_failure=st.sampled_from([OnFailure.INCOMPLETE, OnFailure.HOLD]))
    def open(self, on_failure: OnFailure) -> None:
        self.model = Model(on_failure, ENDPOINTS, self.most_open, max_deaths=3, retention=86_400.0, remember=86_400.0)
        self.host = Host(Path(self.directory.name), on_failure=on_failure.value, max_open=self.most_open)
        self.it = self.do(self.host.start())
        self.model.wall = rfc3339(self.host.clock.wall())

    def teardown(self) -> None:
        self.do(self.host.stop())
        self.do(STORES.leave(Path(self.directory.name)))
        self.loop.close()
        self.directory.cleanup()

    def do(self, step: Coroutine[Any, Any, R]) -> R:
        return self.loop.run(step)

    def ask(self, method: str, name: str, path: str = "", data: object = None) -> Reply:
        return self.do(self.it.ask(method, f"/v1/resources/{quote(name, safe='')}{path}", data))

    def code(self, reply: Reply) -> str:
        return "" if reply.status < 300 else str(reply.problem["code"])

    # Packets.

    @rule(given=batches, form=st.sampled_from(["alone", "array", "stream", "put"]))
    def give(self, given: list[Given], form: str) -> None:
        self.it.host_check.close()
        if form == "array":
            statuses = [receipt["status"] for receipt in self.do(self.it.post(encode(given))).json["receipts"]]
            assert statuses == self.model.accept([as_packet(one) for one in given])
        elif form == "stream":
            self.stream(given)
        else:
            for one in given:
                self.give_one(one, by_put=form == "put")
        self.it.host_check.open()
        self.settle()

    def stream(self, given: list[Given]) -> None:
        lines = b"".join(encode(one) + b"\n" for one in given)
        post = self.it.ask("POST", "/v1/packets?receipts=all", lines, media_type="application/x-ndjson")
        *receipts, summary = self.do(post).lines
        statuses = self.model.accept([as_packet(one) for one in given])
        assert [receipt["status"] for receipt in receipts] == statuses
        assert (summary["done"], summary["decided_lines"]) == (True, len(given))
        assert {status: summary[status] for status in Status} == {one: statuses.count(one) for one in Status}

    def give_one(self, one: Given, *, by_put: bool) -> None:
        if by_put:
            one = {name: value for name, value in one.items() if name != "metadata"}
            options = "&".join(f"{name}={encode(one[name]).decode()}" for name in ("last", "total") if name in one)
            data = encode(one["payload"])
            reply = self.ask("PUT", one["resource_id"], f"/packets/{one['index']}?{options}", data)
        else:
            reply = self.do(self.it.post(encode(one)))
        (status,) = self.model.accept([as_packet(one)])
        assert (reply.json["status"] if reply.status < 300 else reply.problem["code"]) == status
        assert reply.status == {"accepted": 202, "duplicate": 200, "refused": 429}.get(status, 409)

    # People.

    @rule(name=names, total=st.sampled_from([None, 3, 3, 1, 4, 0]), force=st.booleans())
    def complete(self, name: str, total: int | None, force: bool) -> None:
        if total is None and not force:
            return
        thing = self.model.things.get(name)
        code = self.code(self.ask("POST", name, "/complete", {"total": total, "force": force}))
        if thing is None and total == 0:
            thing = self.model.open_empty(name)
        if thing is None:
            assert code == "unknown"
        elif contradicts(thing, total):
            assert code == "conflict"
        else:
            assert code == ""
            self.completed(thing, total, force=force)
            self.settle()

    def completed(self, thing: Thing, total: int | None, *, force: bool) -> None:
        if thing.state is not State.OPEN:
            return
        if total is not None and thing.total is None:
            thing.total, thing.total_by = total, EndedBy.TOTAL
        self.model.close_finished()
        if force and thing.state is State.OPEN:
            self.model.force(thing)

    @rule(name=names)
    def cancel(self, name: str) -> None:
        thing = self.model.things.get(name)
        code = self.code(self.ask("POST", name, "/cancel"))
        if thing is None:
            assert code == "unknown"
        elif thing.state in {State.OPEN, State.CANCELLED}:
            assert code == ""
            if thing.state is State.OPEN:
                self.model.end(thing, State.CANCELLED, None)
        else:
            assert code == "ended"
        self.settle()

    @rule(name=names)
    def retry(self, name: str) -> None:
        thing = self.model.things.get(name)
        reply = self.ask("POST", name, "/retry")
        if thing is None or not (thing.state is State.OPEN or thing.mendable):
            assert self.code(reply) == ("unknown" if thing is None else "ended")
            return
        if thing.mendable and self.model.count(State.OPEN) == self.most_open:
            assert self.code(reply) == "unavailable"
            return
        retried = self.model.reopen(thing) if thing.mendable else self.retried(thing)
        assert reply.json == {"resource_id": name, "retried": retried}
        self.settle()

    @staticmethod
    def retried(thing: Thing) -> int:
        """The failed packets of an open resource are tried again: how many."""
        failed = thing.indexes(FAILED)
        thing.pieces |= {index: Piece(thing.pieces[index].payload) for index in failed}
        return len(failed)

    @rule(name=names)
    def forget(self, name: str) -> None:
        thing = self.model.things.get(name)
        reply = self.ask("DELETE", name)
        if thing is None or thing.state is State.OPEN:
            assert self.code(reply) == ("unknown" if thing is None else "conflict")
            return
        assert reply.json == {"resource_id": name, "purged": True}
        del self.model.things[name]
        self.settle()

    @rule()
    def restart(self) -> None:
        self.do(self.host.stop())
        self.it = self.do(self.host.start())
        self.came = 0
        self.settle()

    # What the service does by itself, and what it shows then.

    def settle(self) -> None:
        self.do(self.it.quiet())
        for thing in self.model.things.values():
            for piece in thing.pieces.values():
                if thing.state is State.OPEN and not piece.ended:
                    processed(piece)
                    thing.seq += 1  # in which order is the service's
        self.model.close_finished()
        for post in self.model.posts():
            post.state, post.attempts = DeliveryState.DELIVERED, 1
        self.do(compare(cast("Ledger", Door(self.it)), self.model, self.ids))
        self.hear()

    def hear(self) -> None:
        """Every webhook comes once, with the body that its generation has."""
        things = {thing.webhook_id: thing for thing in self.model.things.values() if thing.posts}
        for webhook in self.it.receiver.received[self.came :]:
            assert webhook.webhook_id not in self.told
            self.told[webhook.webhook_id] = webhook.body
            assert webhook.body == body(things[webhook.webhook_id])
        self.came = len(self.it.receiver.received)
        assert things.keys() <= self.told.keys()


def processed(piece: Piece) -> None:
    """What the processor makes of it."""
    piece.used += 1
    if b"fail" in piece.payload:
        piece.state, piece.reason = FAILED, "bad"
    else:
        piece.state, piece.output = DONE, piece.payload


def contradicts(thing: Thing, total: int | None) -> bool:
    """Whether *thing* cannot have *total*."""
    if total is None:
        return False
    return total != thing.total if thing.total or thing.state is not State.OPEN else total < thing.end


@pytest.mark.usefixtures("each_ledger_if_asked")
def test_a_running_service_agrees_with_the_model_after_every_step() -> None:
    # What fails is short as it is; to shrink it would take longer than a run may.
    bounded = settings(max_examples=15, stateful_step_count=12, phases=[Phase.generate])
    run_state_machine_as_test(ServiceMachine, settings=bounded)
