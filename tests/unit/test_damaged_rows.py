"""A row that is not what was written, in a store that is in use: who asks for it is told, and nobody else is harmed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collator.errors import Damaged
from collator.ledgers.sqlite import SqliteLedger, open_ledger
from collator.messages import Failure, Retry
from collator.rules.resource import LedgerLimits
from collator.states import State
from collator.testing import ManualClock
from tests.conformance.steps import claim, due, fail, finish, listed, offer, packet, packets, places, record
from tests.harness.store import sql

pytestmark = pytest.mark.anyio
NO_TEXT = "cast(x'6eff' as text)"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def ledger(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SqliteLedger]:
    ledger_limits = LedgerLimits(idle_timeout=60.0)
    ledger = await open_ledger(tmp_path, ledger_limits=ledger_limits, clock=clock, route=lambda _: ["default"])
    yield ledger
    await ledger.aclose()


@pytest.mark.parametrize(
    "changed",
    ["generation = 'none'", "state = 'oqen'", "opened_at = 1e18", "metadata = '{'", "metadata = x'7b'", "done = 'x'"],
)
async def test_a_view_of_a_damaged_resource_says_so_and_others_answer(
    ledger: SqliteLedger, tmp_path: Path, changed: str
) -> None:
    await offer(ledger, packet("bad"), packet("good"))
    sql(tmp_path, f"update resource set {changed} where id = 'bad'")  # noqa: S608 - ours
    with pytest.raises(Damaged, match="damaged"):
        await ledger.resource("bad")
    assert (await ledger.resource("good")).received == 1


@pytest.mark.parametrize("changed", ["state = 'lost'", "attempts = 'x'", "reason = x'31'", "tried_at = 1e18"])
async def test_a_view_of_a_damaged_delivery_says_so(ledger: SqliteLedger, tmp_path: Path, changed: str) -> None:
    await finish(ledger, "bad")
    await finish(ledger, "good")
    sql(tmp_path, f"update delivery set {changed} where did = 1")  # noqa: S608 - ours
    with pytest.raises(Damaged, match="damaged"):
        await ledger.resource("bad")
    assert [one.resource_id for one in await listed(ledger, resource_id="good")] == ["good"]


@pytest.mark.parametrize("answer", ["'{'", "'{}'", NO_TEXT, "7"])
async def test_a_view_of_a_damaged_answer_says_so(ledger: SqliteLedger, tmp_path: Path, answer: str) -> None:
    await finish(ledger, "bad")
    sql(tmp_path, f"update delivery set answer = {answer}")  # noqa: S608 - ours
    (report,) = await listed(ledger)
    with pytest.raises(Damaged, match="damaged"):
        await ledger.delivery(report.id)


@pytest.mark.parametrize("reason", [NO_TEXT, "null"])
async def test_a_damaged_reason_keeps_nothing_from_its_end(ledger: SqliteLedger, tmp_path: Path, reason: str) -> None:
    await offer(ledger, packet("bad"), packet("good"))
    await fail(ledger)
    sql(tmp_path, f"update outrun set reason = {reason} where rk = 1")  # noqa: S608 - ours
    (failure,) = (await ledger.resource("bad")).failures
    assert failure.reason == ("n\ufffd" if reason == NO_TEXT else "the reason is damaged")
    for name in ("bad", "good"):
        await ledger.complete(name, force=True)
    bodies = [json.loads(await ledger.body(delivery)) for delivery in await due(ledger)]
    assert [body["data"]["failed"][0]["reason"] for body in bodies] == [failure.reason, "no such word"]


async def test_a_failure_of_which_the_index_is_damaged_is_not_told(ledger: SqliteLedger, tmp_path: Path) -> None:
    await offer(ledger, packet("bad"), packet("good"))
    await fail(ledger)
    sql(tmp_path, "update outrun set indexes = '[7]' where rk = 1")
    with pytest.raises(Damaged, match="checksum"):
        await ledger.outcomes("bad")
    assert [one.index for one in (await ledger.outcomes("good")).outcomes] == [0]


@pytest.mark.parametrize("changed", ["payload = '7'", f"payload = {NO_TEXT}", "crc = 'x'"])
async def test_a_view_of_a_damaged_payload_says_so(ledger: SqliteLedger, tmp_path: Path, changed: str) -> None:
    await offer(ledger, *packets(2))
    sql(tmp_path, f"update packet set {changed} where k & 1")  # noqa: S608 - ours
    with pytest.raises(Damaged, match="payload of index 1 does not match its checksum"):
        await ledger.packet("r", 1)
    assert (await ledger.packet("r", 0)).payload == b"0"


@pytest.mark.parametrize("reason", [NO_TEXT, "x'31'"])
async def test_a_damaged_reason_of_an_attempt_is_said_to_be(ledger: SqliteLedger, tmp_path: Path, reason: str) -> None:
    await offer(ledger, packet("bad"))
    await record(ledger, *(Retry(task.lease, "busy", 9.0) for task in await claim(ledger)))
    sql(tmp_path, f"update attempt set reason = {reason}")  # noqa: S608 - ours
    (retry,) = (await ledger.resource("bad")).retrying
    assert retry.reason == (await ledger.packet("bad", 0)).reason
    assert retry.reason == ("n\ufffd" if reason == NO_TEXT else "the reason is damaged")


@pytest.mark.parametrize("changed", ["payload = x'7b'", "payload = 7, crc = 1", "crc = 'x'", f"payload = {NO_TEXT}"])
async def test_a_damaged_packet_fails_alone(ledger: SqliteLedger, tmp_path: Path, changed: str) -> None:
    await offer(ledger, *packets(3))
    sql(tmp_path, f"update packet set {changed} where k & 1")  # noqa: S608 - ours
    assert places(await claim(ledger)) == [("r", 0), ("r", 2)]
    (failure,) = (await ledger.resource("r")).failures
    assert (failure.index, "checksum" in failure.reason) == (1, True)


async def test_packets_of_a_damaged_resource_are_in_nobodys_way(ledger: SqliteLedger, tmp_path: Path) -> None:
    await offer(ledger, packet("bad", 0), packet("good", 0), packet("bad", 1), packet("good", 1))
    sql(tmp_path, "update resource set generation = 'none' where id = 'bad'")
    tasks = await claim(ledger)
    assert places(tasks) == [("good", 0), ("good", 1)]
    assert await claim(ledger) == []
    await ledger.record([Failure(task.lease, "no") for task in tasks], capacity={})
    assert (await ledger.resource("good")).failed == 2


@pytest.mark.parametrize(
    "statement",
    [
        "update resource set generation = 'none' where id = 'bad'",
        "update resource set state = 'lost' where id = 'bad'",
        "update delivery set rk = 99 where did = 1",
        "update delivery set attempts = 'x' where did = 1",
    ],
)
async def test_a_damaged_delivery_is_given_up_and_others_are_handed_out(
    ledger: SqliteLedger, tmp_path: Path, statement: str
) -> None:
    await finish(ledger, "bad")
    await finish(ledger, "good")
    sql(tmp_path, statement)
    assert [delivery.resource_id for delivery in await due(ledger)] == ["good"]
    assert ((await ledger.counts()).due, (await ledger.counts()).dead) == (1, 1)


@pytest.mark.parametrize(
    "changed", ["outputs = '[1]'", "crc = crc + 1", f"outputs = {NO_TEXT}", "indexes = '[1]'", "indexes = '['"]
)
async def test_a_damaged_output_spoils_no_other_body(ledger: SqliteLedger, tmp_path: Path, changed: str) -> None:
    await finish(ledger, "bad")
    await finish(ledger, "good")
    sql(tmp_path, f"update outrun set {changed} where rk = 1")  # noqa: S608 - ours
    bad, good = await due(ledger)
    assert json.loads(await ledger.body(good))["data"]["outputs"] == [0]
    with pytest.raises(Damaged, match=r"checksum|1 outputs were stored, 0 were found"):
        await ledger.body(bad)


async def test_a_damaged_resource_keeps_no_other_from_its_timeout(
    ledger: SqliteLedger, tmp_path: Path, clock: ManualClock
) -> None:
    await offer(ledger, packet("bad"), packet("good"))
    await fail(ledger)
    sql(tmp_path, "update resource set generation = 'none' where id = 'bad'")
    clock.advance(61.0)
    assert (await ledger.expire(accepting=True, limit=100, capacity={})).closed == 1
    assert (await ledger.resource("good")).state is State.INCOMPLETE
    with pytest.raises(Damaged, match="'bad' is damaged"):
        await ledger.complete("bad", force=True)


@pytest.mark.parametrize(
    "size", [5, 300_000, 900_000, 2**20 - 2], ids=["small", "beyond one piece", "of several pieces", "beyond a window"]
)
@pytest.mark.parametrize(
    "changed",
    ["outputs = replace(outputs, 'x\"', '0\"')", "crc = crc + 1", "indexes = replace(indexes, '1', '7')"],
)
async def test_p3_the_last_byte_of_a_damaged_output_is_never_given(
    ledger: SqliteLedger, tmp_path: Path, changed: str, size: int
) -> None:
    await finish(ledger, "bad", [b"[]", b'"%s"' % (b"x" * size), b"[]"])
    sql(tmp_path, f"update outrun set {changed} where n = (select n from outcome where k & 16777215 = 1)")  # noqa: S608 - ours
    (delivery,) = await due(ledger)
    given = bytearray()

    async def read() -> None:
        async for piece in ledger.pieces(delivery):
            given.extend(piece)

    with pytest.raises(Damaged, match=r"output of index [17]|a run of 3 outputs from index 0 on"):
        await read()
    assert len(given) < len(b'{"type":"resource.collated"') + 300 + size
    assert b"]}}" not in given


@pytest.mark.parametrize("changed", ["head = head || ' '", "tail = ']}} '", "frame_crc = 1", "tail = null", "head = 7"])
async def test_p3_nothing_is_given_behind_a_damaged_frame(ledger: SqliteLedger, tmp_path: Path, changed: str) -> None:
    await finish(ledger, "bad")
    await finish(ledger, "good")
    sql(tmp_path, f"update resource set {changed} where id = 'bad'")  # noqa: S608 - ours
    bad, good = await due(ledger)
    assert (await ledger.body(good)).endswith(b'"outputs":[0]}}')
    with pytest.raises(Damaged):
        await anext(ledger.pieces(bad))


async def test_p3_a_body_of_which_an_output_is_gone_is_damaged(ledger: SqliteLedger, tmp_path: Path) -> None:
    await finish(ledger, "bad", [b"0", b"1", b"2"])
    sql(tmp_path, "delete from outrun")
    (delivery,) = await due(ledger)
    with pytest.raises(Damaged, match="3 outputs were stored, 0 were found"):
        await ledger.body(delivery)
