"""No answer without a bound (P5): every GET of every route, at the worst that a store can hold for it.

A page has 256 KiB at most, or a single item that is larger; it takes the reader 50 ms at most, in turns between which
others have theirs; and who goes on by its cursor gets everything once.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote
from zlib import crc32

import anyio
import apsw
import msgspec
import pytest

from collator.client import Client
from collator.ledgers.sqlite import open_ledger
from collator.ledgers.sqlite.reader import Reader
from collator.ledgers.sqlite.store import DATABASE
from collator.messages import delivery_id, webhook_id, webhook_number
from collator.paging import fitting
from collator.rules.resource import LedgerLimits
from collator.testing import ManualClock
from collator.web.routes import ROUTES
from tests.http.listener import Harness, open_door

pytestmark = pytest.mark.anyio

LARGEST = 256 * 1024
"""Bytes of a page."""
LONGEST = 5.0
"""The processor time of a page, at most, in times of `yardstick`; the dearest takes half of it."""
ACTS = 2_000
GAPS, DENSE, SMALL, FAILURES, MANY, ENDPOINTS = 200_000, 300_000, 100_000, 3_000, 1_500, 1_200
RUN = 256
"""Outputs in a run."""
GENERATION = bytes(16)
HOSTILE = '"' * 245
"""Characters of an id that take twice their bytes as JSON."""
SAID = "\N{GRINNING FACE}" * 500
"""A reason as long as any."""
NAMES = [f"{number:04}{'e' * 60}" for number in range(ENDPOINTS)]
METADATA = '{"a":"%s"}' % ("x" * 4000)

FILL = """
insert into resource (rk, id, generation, state, total, metadata, received, highest, done, failed, body_size, opened_at,
                      active_at, closed_at, wid, purge_at)
select value->>0, value->>1, hex(zeroblob(16)), value->>2, value->>3, ?2, value->>4, value->>5, value->>6, value->>7, 0,
       0, 0, iif(value->>2 = 'open', null, 0.0), value->>8, 9e9 from json_each(?1);
"""
COUNT = "with recursive n (i) as (select 0 union all select i + 1 from n where i + 1 < ?1) "
RECEIVED = f"{COUNT} insert into packet select ?2 << 24 | i * ?3, '0', crc('0') from n where i <> ?4"  # noqa: S608 - ours
TRIED_AGAIN = f"{COUNT} insert into attempt (k, attempts, due_at, reason) select 1 << 24 | i * 2, 1, 9e9, ?2 from n"  # noqa: S608
RECORDED = f"""{COUNT} insert into outrun (rk, seq, attempts, indexes, crc, outputs)
select ?2, seq, 3, indexes, crc(indexes || outputs), outputs from (
  select min(i) + 1 as seq, '[' || group_concat(i) || ']' as indexes, '[' || group_concat(?3) || ']' as outputs
  from n group by i / ?4)"""  # noqa: S608 - ours
FAILED = f"""{COUNT} insert into outrun (rk, seq, attempts, indexes, crc, reason)
select ?2, i + 1, 3, format('[%d]', i), crc(format('[%d]', i)), ?3 from n"""  # noqa: S608 - ours
DONE = f"{COUNT} insert into audit select 1 + i, i, 0, 0, ?2, '::1', 'stop', ?2, 1, 0 from n"  # noqa: S608


def checksum(*texts: object) -> int:
    return 0 if texts[0] is None else crc32(str(texts[0]).encode())


def fill(database: Path) -> None:
    """Make the store hold the worst."""
    db = apsw.Connection(str(database))
    db.create_scalar_function("crc", checksum, 1, deterministic=True)
    rows: list[Sequence[object]] = [
        (1, "gaps", "open", None, GAPS, GAPS * 2 - 2, 0, 0, None),
        (2, "dense", "open", DENSE + 5, DENSE - 1, DENSE - 1, DENSE - 2, 0, None),
        (3, "small", "collated", SMALL, SMALL, SMALL - 1, SMALL, 0, None),
        (4, "failures", "open", None, FAILURES, FAILURES - 1, 0, FAILURES, None),
        (5, "large", "open", None, 4, 3, 4, 0, None),
        (6, "fan-out", "collated", 0, 0, -1, 0, 0, webhook_number("fan-out", GENERATION)),
        *(
            (100 + i, f"{i:04}{HOSTILE}", "collated", 0, 0, -1, 0, 0, webhook_number(f"{i:04}{HOSTILE}", GENERATION))
            for i in range(MANY)
        ),
    ]
    with db:
        db.execute(FILL, (msgspec.json.encode(rows).decode(), METADATA))
        db.execute(RECEIVED, (GAPS, 1, 2, -1))
        db.execute(TRIED_AGAIN, (1_000, SAID))
        db.execute(RECEIVED, (DENSE, 2, 1, DENSE - 2))
        db.execute(RECORDED, (DENSE - 2, 2, "0", RUN))
        db.execute(RECEIVED, (SMALL, 3, 1, -1))
        db.execute(RECORDED, (SMALL, 3, '"small"', RUN))
        db.execute(RECEIVED, (FAILURES, 4, 1, -1))
        db.execute(FAILED, (FAILURES, 4, SAID))
        db.execute(RECEIVED, (4, 5, 1, -1))
        db.execute(RECORDED, (4, 5, '"%s"' % ("x" * (1024 * 1024 - 2)), 1))
        columns = [row[1] for row in db.execute("pragma table_info(delivery)")]
        owed = "did, rk, endpoint, state, attempts, due_at, reason, note"
        assert {*owed.split(", ")} <= {*columns}
        db.execute(
            COUNT + f"insert into delivery ({owed}) select 1 + i, 100 + i, ?2, 'due', 9, 9e9, ?3, null from n",  # noqa: S608
            (MANY, NAMES[0], SAID[:300]),
        )
        db.execute(DONE, (ACTS, HOSTILE))
        for place, name in enumerate(NAMES):
            db.execute(
                f"insert into delivery ({owed}) values (?1, 6, ?2, ?3, 9, 9e9, ?4, null)",  # noqa: S608
                (MANY + 1 + place, name, "dead" if place == ENDPOINTS - 1 else "delivered", SAID[:300]),
            )
    db.close()


@pytest.fixture(scope="module")
async def listener(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    data_dir = tmp_path_factory.mktemp("worst")
    await (
        await open_ledger(data_dir, ledger_limits=LedgerLimits(), clock=ManualClock(), route=lambda _: NAMES)
    ).aclose()
    fill(data_dir / DATABASE)
    async with open_door(data_dir, endpoints=NAMES) as listener:
        listener.sender.trouble = dict.fromkeys(NAMES, SAID[:200])
        yield listener


@pytest.fixture
def spent(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds of processor time of each turn of the reader."""
    turns, look = list[float](), Reader._look

    def watched(self: Reader, view: Callable[..., object], *arguments: object) -> object:
        begin = time.thread_time()
        try:
            return look(self, view, *arguments)
        finally:
            turns.append(time.thread_time() - begin)

    monkeypatch.setattr(Reader, "_look", watched)
    return turns


class Worst(NamedTuple):
    """A page, and what all pages behind it have to give."""

    path: str
    items: str = ""
    """The member that is the list."""
    key: Callable[[Any], object] = lambda item: item
    everything: Sequence[object] = ()
    cursor: str = "cursor"
    single: bool = False
    """Whether an item is larger than a page."""


def _field(name: str) -> Callable[[Any], object]:
    return lambda item: item[name]


NUMBERED = sorted(f"{i:04}{HOSTILE}" for i in range(MANY))
NEWEST = [*NUMBERED[::-1], "fan-out", "large", "failures", "small", "dense", "gaps"]
OPEN = ["dense", "failures", "gaps", "large"]
NAMED = ["dense", "failures", "fan-out", "gaps", "large", "small"]
DELIVERIES = [
    *(delivery_id(webhook_id(name, GENERATION), NAMES[0]) for name in NUMBERED),
    *(delivery_id(webhook_id("fan-out", GENERATION), name) for name in NAMES),
]
WORST: Mapping[str, Sequence[Worst]] = {
    "listResources": [
        Worst("/v1/resources?limit=1000", "resources", _field("resource_id"), [*NUMBERED, *NAMED]),
        Worst(
            "/v1/resources?state=open&limit=1000",
            "resources",
            _field("resource_id"),
            ["dense", "failures", "gaps", "large"],
        ),
        Worst("/v1/resources?order=newest&limit=1000", "resources", _field("resource_id"), NEWEST),
        Worst("/v1/resources?failed=true&prefix=none&limit=1000", "resources", _field("resource_id"), []),
        Worst(
            "/v1/resources?undelivered=true&limit=1000",
            "resources",
            _field("resource_id"),
            ["fan-out", *NUMBERED[::-1]],  # in the order in which their deliveries were created
        ),
    ],
    "getResource": [
        *(Worst(f"/v1/resources/{name}") for name in NAMED),
        Worst(f"/v1/resources/{quote(NUMBERED[0])}"),
    ],
    "getOutputs": [
        Worst("/v1/resources/small/outputs", "outputs", _field("index"), range(SMALL)),
        Worst("/v1/resources/small/outputs?after_seq=0", "outputs", _field("seq"), range(1, SMALL + 1), "after_seq"),
        Worst(
            "/v1/resources/failures/outputs?after_seq=0", "outputs", _field("seq"), range(1, FAILURES + 1), "after_seq"
        ),
        Worst("/v1/resources/large/outputs", "outputs", _field("index"), range(4), single=True),
        Worst(
            "/v1/resources/large/outputs?after_seq=0", "outputs", _field("seq"), range(1, 5), "after_seq", single=True
        ),
    ],
    "getPacket": [Worst("/v1/resources/dense/packets/0")],
    "listDeliveries": [
        Worst("/v1/deliveries?limit=1000", "deliveries", _field("id"), DELIVERIES),
        Worst("/v1/deliveries?limit=1000&state=dead", "deliveries", _field("id"), DELIVERIES[-1:]),
        Worst("/v1/deliveries?order=newest&limit=1000", "deliveries", _field("id"), DELIVERIES[::-1]),
        Worst("/v1/deliveries?order=newest&reason=none&limit=1000", "deliveries", _field("id"), []),
        Worst("/v1/deliveries?prefix=none&limit=1000", "deliveries", _field("id"), []),
        Worst("/v1/deliveries?resource_id=fan-out&limit=1000", "deliveries", _field("id"), DELIVERIES[MANY:]),
    ],
    "getDelivery": [Worst(f"/v1/deliveries/{quote(DELIVERIES[0])}"), Worst(f"/v1/deliveries/{DELIVERIES[-1]}")],
    "listEndpoints": [Worst("/v1/endpoints?limit=1000", "endpoints", _field("name"), NAMES)],
    "listAudit": [Worst("/v1/audit?limit=1000", "records", _field("id"), range(ACTS, 0, -1))],
    "getHealth": [Worst("/healthz")],
    "getReadiness": [Worst("/readyz")],
    "getStatus": [Worst("/v1/status")],
    "getMetrics": [Worst("/metrics")],
    "getDescription": [Worst("/openapi.json")],
}
CASES = [pytest.param(worst, id=worst.path[:60]) for several in WORST.values() for worst in several]
pages = pytest.mark.parametrize("worst", [case for case in CASES if case.values[0].items])  # type: ignore[union-attr]


def test_every_page_is_looked_at() -> None:
    assert {*WORST} == {route.name for route in ROUTES if route.method == "GET" and not route.is_stream}


@pytest.fixture(autouse=True, scope="module")
def no_garbage() -> Iterator[None]:
    """Collect no garbage, which comes now to a page and now to the yardstick, and takes long."""
    gc.disable()
    yield
    gc.enable()


def yardstick() -> float:
    """Seconds of processor time that the same work takes here and now: machines differ, and change within a minute."""
    begin = time.thread_time()
    msgspec.json.decode(msgspec.json.encode([[number, str(number)] for number in range(40_000)]))
    return time.thread_time() - begin


@pytest.mark.parametrize("worst", CASES)
async def test_p5_a_page_is_small_and_quick(listener: Harness, spent: list[float], worst: Worst) -> None:
    reply = await listener.ask("GET", worst.path)  # which reads from the disk
    took = []
    for _ in range(3):
        spent.clear()
        await listener.ask("GET", worst.path)
        took.append(sum(spent) / yardstick())
    assert reply.status == 200
    assert min(took) <= LONGEST
    if worst.single:
        assert len(reply.json[worst.items]) == 1
    else:
        assert len(reply.body) <= LARGEST


@pages
async def test_p5_page_by_page_everything_comes_once(listener: Harness, worst: Worst) -> None:
    found, path, rounds = list[object](), worst.path, 0
    while path:
        rounds += 1
        assert rounds <= len(worst.everything) + 10
        page = (await listener.ask("GET", path)).json
        found += [worst.key(item) for item in page[worst.items]]
        path = following(worst, page)
    assert found == [*worst.everything]


def following(worst: Worst, page: Mapping[str, Any]) -> str:
    """Where the page behind *page* is; empty behind the last."""
    if worst.cursor == "after_seq":
        path = worst.path.replace("after_seq=0", f"after_seq={page['after_seq']}")
        return path if page["outputs"] else ""
    if page["next_cursor"] is None:
        return ""
    return f"{worst.path}{'&' if '?' in worst.path else '?'}cursor={quote(page['next_cursor'])}"


async def test_a_client_goes_through_the_pages_by_itself(listener: Harness) -> None:
    async with Client(listener.server.url) as client:
        assert [one["index"] for one in (await client.outputs("small"))["outputs"]] == [*range(SMALL)]
        some = await client.outputs("small", cursor=9, limit=2_500)
        assert [one["index"] for one in some["outputs"]] == [*range(10, 2_510)]
        assert some["next_cursor"] == "2509"
        assert [one["index"] for one in (await client.outputs("large"))["outputs"]] == [*range(4)]
        assert [one["name"] for one in (await client.endpoints())["endpoints"]] == NAMES
        last = [outcome["seq"] async for outcome in client.follow("small", after_seq=SMALL - 5)]
        assert last == [*range(SMALL - 4, SMALL + 1)]


async def test_p6_a_resource_says_what_is_first_and_how_much_more(listener: Harness) -> None:
    gaps = (await listener.ask("GET", "/v1/resources/gaps")).json
    assert gaps["missing"] == [[i, i] for i in range(1, 2000, 2)]
    assert gaps["unfinished"] == [[i, i] for i in range(0, 2000, 2)]
    assert (gaps["missing_more"], gaps["unfinished_more"]) == (GAPS - 1 - 1000, GAPS - 1000)
    dense = (await listener.ask("GET", "/v1/resources/dense")).json
    assert dense["missing"] == [[DENSE - 2, DENSE - 2], [DENSE, DENSE + 4]]
    assert (dense["unfinished"], dense["missing_more"], dense["unfinished_more"]) == ([[DENSE - 1, DENSE - 1]], 0, 0)
    failures = (await listener.ask("GET", "/v1/resources/failures")).json
    assert [failure["index"] for failure in failures["failures"]] == [*range(len(failures["failures"]))]
    assert len(failures["failures"]) + failures["failures_more"] == failures["failed"] == FAILURES
    fan_out = (await listener.ask("GET", "/v1/resources/fan-out")).json
    assert fan_out["deliveries_more"] + len(fan_out["deliveries"]) == ENDPOINTS
    assert NAMES[-1] in fan_out["why_undelivered"]  # the one that is not delivered is among those that are shown


async def test_p5_a_long_look_gives_way_to_short_ones(listener: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has a turn for each of the others: who asks last does not wait for all that the others look for."""
    reader = listener.ledger._reader
    monkeypatch.setattr("collator.ledgers.sqlite.ranges.TURN", 0.0)  # one slice a turn, on every machine
    turns, look = [0], reader._look

    def counting(view: Callable[..., object], *arguments: object) -> object:
        turns[0] += 1
        return look(view, *arguments)

    monkeypatch.setattr(reader, "_look", counting)
    long = [asyncio.create_task(listener.ledger.resource("dense")) for _ in range(10)]
    await anyio.lowlevel.checkpoint()
    await listener.ledger.resource("large")
    assert turns[0] <= 2 * len(long) + 2
    assert not any(task.done() for task in long)
    await asyncio.gather(*long)
    assert turns[0] > 10 * len(long)


@pytest.mark.parametrize(
    ("sizes", "size", "count"), [([1, 1], 4, 2), ([1, 1], 3, 1), ([9], 3, 1), ([9, 9], 3, 1), ([], 3, 0)]
)
def test_p5_a_page_is_cut_and_never_empty(sizes: Sequence[int], size: int, count: int) -> None:
    """An item of one digit has two bytes, with what parts it from the next."""
    assert len(fitting([10**digits // 10 for digits in sizes], size)) == count
