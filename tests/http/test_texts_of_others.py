"""What a client wrote is told of in a few hundred printable characters, wherever it stands in a request (P5).

The cases are made from the routes: each part of a path, each option, each member of a body and each field of the head
holds too much, or what a terminal would obey.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import pytest
import structlog.testing

from collator.testing import ManualClock
from collator.text import SHOWN
from collator.throttle import Quota, Throttle
from collator.web.limits import MIB
from collator.web.problems import MOST_DETAIL, HttpProblem, ProblemType
from collator.web.refusals import LINES, Asked, Refusals
from collator.web.routes import POST_PACKETS, ROUTES, Route
from tests.http.listener import Harness, open_door, packet, request
from tests.unit.test_text import HOSTILE

MOST_ANSWER = 16_384
"""Bytes of an answer that is no good news: some of a problem is said twice in a summary."""
HEAD = 20_000
"""Bytes of what stands in a head, which may have 32 KiB."""


class Case(NamedTuple):
    """A request, and what in it is too much."""

    name: str
    data: bytes


def _path(route: Route, value: str = "x") -> str:
    path = route.path
    for name in ("resource_id", "delivery_id", "endpoint"):
        path = path.replace(f"{{{name}}}", value)
    return path.replace("{index}", value if value != "x" else "0")


TEXTS = {"long": "x" * HEAD, "digits": "9" * HEAD, "escapes": "%1b%5b2J%e2%80%ae" * 1000, "no UTF-8": "%ff" * 6000}


def heads(route: Route) -> Iterator[Case]:
    """Each part of the head of a request for *route*."""
    body = b"{}" if route.body else None
    for name, text in TEXTS.items():
        if "{" in route.path:
            yield Case(f"path {name}", request(route.method, _path(route, text), body))
        for option in ("unknown", *(option.name for option in route.options)):
            yield Case(f"option {option} {name}", request(route.method, f"{_path(route)}?{option}={text}", body))
        yield Case(f"option named {name}", request(route.method, f"{_path(route)}?{text}=1", body))
    yield Case("no such path", request(route.method, _path(route) + "/" + "y" * HEAD, body))
    for field in ("content_type", "content_encoding", "user_agent", "host", "origin", "authorization", "expect", "te"):
        value = "a/b; charset=utf-32" + "x" * HEAD if field == "content_type" else "\xad\x85" * (HEAD // 2)
        fields = {"host": "127.0.0.1", field: value}
        yield Case(f"field {field}", request(route.method, _path(route), body, media_type="", **fields))


def bodies(route: Route, members: frozenset[str]) -> Iterator[Case]:
    """Each member of a body that *route* takes, and one that it does not know."""
    large = json.dumps("x" * MIB).encode()
    hostile = json.dumps(HOSTILE * 10_000, ensure_ascii=True).encode()
    for media_type in route.body:
        for name in sorted(members):
            for kind, value in {"long": large, "hostile": hostile, "digits": b"9" * 5000, "float": b"1e308"}.items():
                yield from _as(route, media_type, f"member {name} {kind}", b'{"%s":%s}' % (name.encode(), value))
        yield from _as(route, media_type, "unknown member", b"{%s:1}" % large)
        yield from _as(route, media_type, "hostile member", b"{%s:1}" % hostile)
        yield from _as(route, media_type, "no JSON", large[:-1])


def _as(route: Route, media_type: str, name: str, value: bytes) -> Iterator[Case]:
    good = b',"resource_id":"r","index":0,"payload":1}'
    whole = value[:-1] + good if b"{" in value[:1] and route is POST_PACKETS else value
    for kind, text in {"alone": value, "beside good ones": whole}.items():
        yield Case(f"{name} {media_type} {kind}", request(route.method, _path(route), text, media_type=media_type))
        if route is POST_PACKETS and media_type == "application/json":
            yield Case(f"{name} array {kind}", request(route.method, _path(route), b"[" + text + b"]"))


@pytest.fixture(scope="module")
async def listener(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    async with open_door(tmp_path_factory.mktemp("door")) as listener:
        yield listener


def members_of(description: dict[str, Any], route: Route) -> frozenset[str]:
    """The names of all members that a body of *route* may have."""
    operation = description["paths"][route.path][route.method.lower()]
    found: set[str] = set()
    left = [operation.get("requestBody", {})]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            found |= set(one.get("properties", {}))
            if "$ref" in one:
                left.append(description["components"]["schemas"][one["$ref"].rpartition("/")[2]])
            left += one.values()
        elif isinstance(one, list):
            left += one
    return frozenset(found)


def texts(value: object) -> Iterator[str]:
    """Every text in *value*, which is JSON."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from texts(name)
            yield from texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from texts(inner)


async def told(listener: Harness, case: Case) -> None:
    """Ask *case*; see that nothing of it is said at length."""
    with structlog.testing.capture_logs() as events:
        async with listener.wire() as wire:
            wire.write(case.data)
            reply = await wire.reply()
    assert len(reply.body) <= (MOST_ANSWER if reply.status >= 400 else MIB), case.name
    for text in texts(reply.json) if reply.status >= 400 else ():
        assert len(text) <= MOST_DETAIL, case.name
        assert text.isprintable(), (case.name, text)
    for event in events:
        for value in event.values():
            assert len(str(value)) <= SHOWN, (case.name, event)
            assert str(value).isprintable(), (case.name, event)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
async def test_p5_whatever_of_a_request_is_too_much_the_answer_and_the_log_are_short(
    listener: Harness, route: Route
) -> None:
    description = (await listener.ask("GET", "/openapi.json")).json
    for case in [*heads(route), *bodies(route, members_of(description, route))]:
        await told(listener, case)


async def test_p5_a_summary_lists_no_more_than_its_bytes(listener: Harness) -> None:
    line = b'{"%s":1}' % (b"x" * 300)
    reply = await listener.stream(*[line] * 5000, packet(0))
    summary = reply.json
    assert summary["malformed"] == 5000
    assert len(reply.body) <= 300 * 1024
    lines = [one["line"] for one in summary["rejected"]]
    assert lines == [*range(1, len(lines) + 1)]
    assert len(lines) > 100


async def test_p5_the_receipts_of_an_array_give_reasons_up_to_a_bound(listener: Harness) -> None:
    await listener.post([packet(index, "conflicts") for index in range(2)])
    other = [packet(1, "conflicts", payload=2)] * 20_000
    reply = await listener.post(other)
    receipts = reply.json["receipts"]
    assert [one["status"] for one in receipts] == ["conflict"] * 20_000
    assert receipts[0]["reason"]
    assert sum(len(one.get("reason", "")) for one in receipts) <= 256 * 1024


def test_p6_refusals_of_ever_more_kinds_are_summed_up_in_a_line(listener: Harness) -> None:
    clock = ManualClock()
    limits = Throttle(now=clock.monotonic), Quota(LINES, now=clock.monotonic)
    refusals = Refusals(listener.metrics, throttle=limits[0], quota=limits[1])

    def ask(peers: int) -> list[Any]:
        with structlog.testing.capture_logs() as events:
            for peer in range(peers):
                asked = Asked((f"10.{peer >> 16}.{peer >> 8 & 255}.{peer & 255}", 1), [], "GET", b"/")
                refusals.note(HttpProblem(ProblemType.NOT_FOUND, "nothing"), asked)
        return events

    events = ask(5000)
    assert len(events) == LINES + 1
    assert events[-1]["event"] == "further refusals not logged one by one"
    clock.advance(61)
    events = ask(LINES + 1)
    assert len(events) == LINES + 1
    assert events[-1]["times"] == 5000 - LINES  # all that had no line of their own, and this one
