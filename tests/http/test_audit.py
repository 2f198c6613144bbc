"""The audit log: who did what, and how many it changed, for every route that only `admin` may ask (P6)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import apsw
import msgspec
import pytest
from structlog.testing import capture_logs

from collator.client import Client
from collator.errors import Broken, CollatorError, Malformed, Unavailable
from collator.ledgers import acts
from collator.ledgers.sqlite import audit
from collator.library.asgi import AsgiConnection
from collator.messages import Attempt, DeliveryFilter, Failure, Output, tasks_of
from collator.rules.resource import LedgerLimits
from collator.service import open_service
from collator.settings import Settings
from collator.states import DeliveryState, OnFailure
from collator.tokens import Role, generate_token, line_for, parse_tokens
from collator.web.audit import Audit
from collator.web.resources import ResourceState, ResourceView
from collator.web.routes import ROUTES, Route
from tests.http.listener import Harness, Reply, ndjson, open_door, packet

pytestmark = pytest.mark.usefixtures("each_ledger_if_asked")

TOKENS = {role: generate_token() for role in Role}


@pytest.fixture
async def listener(tmp_path: Path) -> AsyncIterator[Harness]:
    known = parse_tokens("\n".join(line_for(token, roles=[role], name=f"a {role}") for role, token in TOKENS.items()))
    ledger_limits = LedgerLimits(on_failure=OnFailure.HOLD)
    async with open_door(tmp_path, ledger_limits=ledger_limits, tokens=lambda: known) as listener:
        yield listener


async def ask(listener: Harness, method: str, path: str, body: object = None, role: Role | None = Role.ADMIN) -> Reply:
    data = b"" if body is None and method != "GET" else None if body is None else json.dumps(body).encode()
    fields = {"authorization": f"Bearer {TOKENS[role]}"} if role else {}
    return await listener.ask(method, path, data, **fields)


async def log(listener: Harness) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = (await ask(listener, "GET", "/v1/audit")).json["records"]
    return records


async def arranged(listener: Harness) -> Mapping[str, str]:
    """A resource with two failed packets, one that is open, one that is done and dead; the ids of deliveries."""
    send = [packet(0, "failed"), packet(1, "failed"), packet(0, "open"), packet(0, "gone", last=True)]
    send += [packet(0, name, last=True) for name in ("dead-1", "dead-2", "dead-3", "due")]
    await ask(listener, "POST", "/v1/packets", send, Role.SEND)
    tasks = tasks_of(await listener.ledger.claim(capacity=100))
    ends = [Failure(one.lease, "no") if one.key.resource_id == "failed" else Output(one.lease, b"0") for one in tasks]
    ends = [end for end, one in zip(ends, tasks, strict=True) if one.key.resource_id != "open"]
    sent = (await listener.ledger.record(ends, capacity={"default": 100})).deliveries
    state = {"gone": DeliveryState.DELIVERED, "due": DeliveryState.DUE}
    await listener.ledger.record_attempts(
        [Attempt(one, state.get(one.resource_id, DeliveryState.DEAD), delay=9.0) for one in sent]
    )
    page = await listener.ledger.deliveries(DeliveryFilter())
    return {one.resource_id: one.id for one in page.deliveries}


# For each act what is asked, and then verb, target and number of the record. {name} is the delivery of a resource.
ACTS: Mapping[str, tuple[str, str, object, str, str, int]] = {
    "completeResource": ("POST", "/v1/resources/open/complete", {"force": True}, "complete", "open", 1),
    "cancelResource": ("POST", "/v1/resources/open/cancel", None, "cancel", "open", 1),
    "retryResource": ("POST", "/v1/resources/failed/retry", None, "retry", "failed", 2),
    "retryResources": (
        "POST",
        "/v1/resources/retry",
        {"state": "open", "prefix": "f"},
        "retry",
        "state open, prefix f",
        2,
    ),
    "purgeResource": ("DELETE", "/v1/resources/gone", None, "purge", "gone", 1),
    "replayDeliveries": (
        "POST",
        "/v1/deliveries/replay",
        {"state": "dead", "prefix": "d"},
        "replay",
        "prefix d, state dead",
        3,
    ),
    "replayDelivery": ("POST", "/v1/deliveries/{gone}/replay", None, "replay", "{gone}", 1),
    "stopDelivery": ("POST", "/v1/deliveries/{due}/stop", None, "stop", "{due}", 1),
    "pauseEndpoint": ("POST", "/v1/endpoints/default/pause", None, "pause", "default", 1),
    "resumeEndpoint": ("POST", "/v1/endpoints/default/resume", None, "resume", "default", 0),
    "tryEndpoint": ("POST", "/v1/endpoints/default/try", None, "try", "default", 0),
    "testEndpoint": ("POST", "/v1/endpoints/default/test", None, "test", "default", 0),
}
by_act = pytest.mark.parametrize("name", ACTS)


def test_every_act_is_looked_at() -> None:
    assert {*ACTS} - {"completeResource"} == {r.name for r in ROUTES if r.role is Role.ADMIN and r.method != "GET"}


@by_act
async def test_p6_an_act_leaves_one_record_and_a_line(listener: Harness, name: str) -> None:
    method, path, body, verb, target, changed = ACTS[name]
    ids = await arranged(listener)
    with capture_logs() as lines:
        reply = await ask(listener, method, path.format(**ids), body)
    assert reply.status == 200, reply
    (record,) = await log(listener)
    assert {key: record[key] for key in ("who", "peer", "verb", "target", "changed")} == {
        "who": "a admin",
        "peer": "127.0.0.1",
        "verb": verb,
        "target": target.format(**ids),
        "changed": changed,
    }
    told = [(line["by"], line["peer"], line["changed"]) for line in lines if "by" in line]
    assert told == ([("a admin", "127.0.0.1", changed)] if changed else [])
    again = await ask(listener, method, path.format(**ids), body)
    if again.status == 200:  # what changes nothing is an act all the same
        assert [record["changed"] for record in await log(listener)] == [0, changed]


@by_act
@pytest.mark.parametrize("role", [None, Role.SEND, Role.READ])
async def test_p6_what_was_refused_leaves_only_that(listener: Harness, name: str, role: Role | None) -> None:
    method, path, body, *_ = ACTS[name]
    ids = await arranged(listener)
    before = await listener.ledger.counts()
    for _ in range(5):
        reply = await ask(listener, method, path.format(**ids), body, role)
        assert reply.status == (403 if role else 401)
    (record,) = await log(listener)
    assert (record["who"], record["verb"], record["peer"]) == (
        f"a {role}" if role else "unknown", "refused", "127.0.0.1",
    )  # fmt: skip
    assert record["target"] == f"{method} {path.format(**ids)}"
    assert await listener.ledger.counts() == before


@by_act
async def test_p6_what_failed_leaves_nothing(listener: Harness, name: str) -> None:
    method, path, body, *_ = ACTS[name]
    wrong = {"replayDeliveries": {"state": "dead", "resource_id": "nobody"}, "retryResources": {"cursor": "x"}}
    for part in ("open", "failed", "gone", "{gone}", "{due}", "default"):
        path = path.replace(f"/{part}", "/nobody")
    assert (await ask(listener, method, path, wrong.get(name, body))).status in {404, 422}
    assert await log(listener) == []


async def test_p6_a_retry_of_what_cannot_be_retried_leaves_nothing(listener: Harness) -> None:
    await arranged(listener)
    assert (await ask(listener, "POST", "/v1/resources/gone/retry")).problem["code"] == "ended"
    assert await log(listener) == []


async def test_p6_steps_of_one_act_add_up_to_one_record(listener: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    await arranged(listener)
    monkeypatch.setattr("collator.web.deliveries._SLICE", 1)
    assert (await ask(listener, "POST", "/v1/deliveries/replay", {"prefix": "dead"})).json["replayed"] == 3
    (record,) = await log(listener)
    assert (record["verb"], record["changed"]) == ("replay", 3)
    assert (await ask(listener, "POST", "/v1/deliveries/replay", {"prefix": "none"})).json["replayed"] == 0
    assert [record["changed"] for record in await log(listener)] == [0, 3]


async def test_p6_a_step_that_is_undone_and_taken_again_counts_once(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = iter([apsw.FullError("for once")])

    def delete_old(_: object) -> None:
        if error := next(full, None):
            raise error

    monkeypatch.setattr(audit, "delete_old", delete_old)
    with capture_logs() as lines:
        assert (await ask(listener, "POST", "/v1/endpoints/default/pause")).status == 200
    assert [line["changed"] for line in lines if "by" in line] == [1]
    assert [record["changed"] for record in await log(listener)] == [1]


@pytest.mark.parametrize(("error", "status"), [(Unavailable("the disk is slow"), 200), (Malformed("not so"), 422)])
async def test_p6_steps_before_an_error_are_recorded_and_told(
    listener: Harness, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int
) -> None:
    """Who asks is told of what was done, where more can be done later; and of the error, where not."""
    await arranged(listener)
    monkeypatch.setattr("collator.web.deliveries._SLICE", 1)
    replay, calls = listener.ledger.replay, list[int]()

    async def replay_once(*arguments: Any, **named: Any) -> object:  # noqa: ANN401 - as the ledger has it
        calls.append(1)
        if len(calls) == 2:
            raise error
        return await replay(*arguments, **named)

    monkeypatch.setattr(listener.ledger, "replay", replay_once)
    with capture_logs() as lines:
        assert (await ask(listener, "POST", "/v1/deliveries/replay", {"prefix": "dead"})).status == status
    assert [record["changed"] for record in await log(listener)] == [1]
    assert [line["changed"] for line in lines if "by" in line] == [1]


async def test_p6_the_log_comes_in_pages_the_latest_first(listener: Harness) -> None:
    await arranged(listener)
    for _ in range(5):
        await ask(listener, "POST", "/v1/endpoints/default/pause")
        await ask(listener, "POST", "/v1/endpoints/default/resume")
    everything = [record["id"] for record in await log(listener)]
    assert everything == sorted(everything, reverse=True)
    assert len(everything) == 10
    found, cursor = list[int](), ""
    while True:
        page = (await ask(listener, "GET", f"/v1/audit?limit=3{cursor}")).json
        found += [record["id"] for record in page["records"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
        await ask(listener, "POST", "/v1/endpoints/default/pause")  # what is new comes before, and disturbs nothing
    assert found == everything


async def test_p5_the_log_is_bounded_and_refusals_push_out_nothing(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(acts, "KEPT", 3)
    monkeypatch.setattr(acts, "REFUSALS_KEPT", 2)
    monkeypatch.setattr(listener.app.audit, "_times", lambda asked: (1, 0))
    for _ in range(4):
        await ask(listener, "POST", "/v1/endpoints/default/pause")
    for _ in range(4):
        await ask(listener, "GET", "/v1/status", role=None)
    assert [record["verb"] for record in await log(listener)] == ["refused"] * 2 + ["pause"] * 3
    listener.clock.advance(31 * 86_400)
    await ask(listener, "POST", "/v1/endpoints/default/resume")
    assert [record["verb"] for record in await log(listener)] == ["resume"]


def test_p5_refusals_are_recorded_once_a_minute_for_each_address() -> None:
    now = [0.0]
    page = Audit(None, now=lambda: now[0])  # type: ignore[arg-type]  # which is not asked
    assert [page._times("a") for _ in range(3)] == [(1, 0), (0, 0), (0, 0)]
    assert page._times("b") == (1, 0)
    now[0] = 61.0
    assert page._times("a") == (3, 0)
    many = [page._times(f"address {number}") for number in range(1000)]
    assert many == [(1, 0)] * 9 + [(0, 0)] * 991
    now[0] = 122.0
    assert page._times("c") == (1, 991)  # those that had no record of their own


async def test_p6_the_last_refusals_of_a_burst_are_recorded_once_their_minute_has_ended(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    page = Audit(listener.ledger, now=lambda: now[0])
    monkeypatch.setattr(listener.app, "audit", page)
    for _ in range(5):
        await ask(listener, "GET", "/v1/status", role=None)
    await page.record_rest()
    assert [record["changed"] for record in await log(listener)] == [1]
    now[0] = 61.0
    for _ in range(2):  # nothing is left for the second
        await page.record_rest()
    records = await log(listener)
    assert [(one["who"], one["verb"], one["changed"]) for one in records] == [
        ("unknown", "refused", 4), ("unknown", "refused", 1),
    ]  # fmt: skip
    assert records[0]["peer"] == records[1]["peer"]


async def test_p5_what_is_left_of_many_takes_no_more_records_than_a_minute_has(listener: Harness) -> None:
    page = Audit(listener.ledger, now=lambda: 0.0)
    for number in range(100):
        for _ in range(3):
            page._times(("an address", f"token {number}"))
    await page.record_rest(everything=True)
    (record,) = await log(listener)  # ten are recorded already, as it were
    assert (record["who"], record["changed"]) == ("others", 300 - 10)


async def test_p6_a_stop_in_good_order_records_the_refusals_that_are_left(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(line_for(TOKENS[Role.SEND], roles=[Role.SEND], name="acme") + "\n")
    tokens.chmod(0o600)
    settings = Settings(data_dir=tmp_path / "data", port=0, webhook="none", tokens_file=tokens, min_free_disk=1)
    async with open_service(settings) as service:
        async with Client(service.url, token=TOKENS[Role.SEND]) as client:
            for _ in range(3):
                with pytest.raises(CollatorError):
                    await client.status()
        assert [record.changed for record in (await service.ledger.audit()).records] == [1]
    async with open_service(settings) as service:
        records = (await service.ledger.audit()).records
    assert [(record.who, record.changed) for record in records] == [("acme", 2), ("acme", 1)]


async def test_p6_a_refusal_is_told_of_who_was_refused_and_of_nobody_else(
    listener: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address is that of a proxy, too: what many ask for through it stands under the name of none of them."""
    for role in (Role.SEND, Role.READ, Role.SEND, None):
        await ask(listener, "GET", "/v1/audit", role=role)
    records = [(record["who"], record["changed"]) for record in await log(listener)]
    assert records == [("unknown", 1), ("a read", 1), ("a send", 1)]
    monkeypatch.setattr(listener.app.audit, "_times", lambda asked: (2, 7))
    await ask(listener, "GET", "/v1/audit", role=Role.READ)
    others, mine = (await log(listener))[:2]
    assert [(one["who"], one["peer"], one["changed"]) for one in (others, mine)] == [
        ("others", "", 7),
        ("a read", mine["peer"], 2),
    ]
    assert mine["peer"]


@pytest.mark.parametrize("error", [None, Unavailable("the disk is slow"), Broken()])
async def test_p5_a_refusal_waits_for_no_store_that_cannot_record_it(
    listener: Harness, monkeypatch: pytest.MonkeyPatch, error: CollatorError | None
) -> None:
    async def note(_: object) -> None:
        if error is not None:
            raise error
        await asyncio.Event().wait()

    monkeypatch.setattr(listener.ledger, "note", note)
    monkeypatch.setattr("collator.web.audit.PATIENCE", 0.01)
    assert (await ask(listener, "GET", "/v1/status", role=None)).status == 401


@pytest.mark.parametrize("receipts", ["none", "all"])
async def test_p6_a_stream_beyond_its_token_is_recorded(tmp_path: Path, receipts: str) -> None:
    token = generate_token()
    known = parse_tokens(line_for(token, roles=[Role.SEND], name="acme", prefixes=["acme/"]))
    fields = {"authorization": f"Bearer {token}", "media_type": "application/x-ndjson"}
    async with open_door(tmp_path, tokens=lambda: known) as listener:
        await listener.ask("POST", f"/v1/packets?receipts={receipts}", ndjson(packet(0, "other")), **fields)
        (record,) = (await listener.ledger.audit()).records
    assert (record.who, record.verb, record.target) == ("acme", "refused", "POST /v1/packets")


async def test_p6_who_is_asked_nothing_is_a_person_and_a_program_is_the_library(tmp_path: Path) -> None:
    async with open_door(tmp_path) as listener, Client(listener.server.url) as client:
        await client.pause("default")
        (record,) = (await client.audit())["records"]
        assert (record["who"], record["peer"], record["target"]) == ("a person", "127.0.0.1", "default")
        answer = await AsgiConnection(listener.app).request("POST", "/v1/endpoints/default/resume", b"")
        assert answer.ok
        (record, _) = (await client.audit())["records"]
        assert (record["who"], record["peer"], record["verb"]) == ("the library", "", "resume")


async def test_p6_what_is_old_goes_by_itself(listener: Harness) -> None:
    await ask(listener, "POST", "/v1/endpoints/default/pause")
    for days, records in ((29, 1), (2, 0)):
        listener.clock.advance(days * 86_400)
        await listener.ledger.purge(limit=100)
        assert len(await log(listener)) == records


async def test_p6_a_record_outlives_the_process(tmp_path: Path) -> None:
    for number in range(1, 3):
        async with open_door(tmp_path) as listener:
            await listener.ask("POST", "/v1/endpoints/default/pause", b"")
            assert len((await listener.ask("GET", "/v1/audit")).json["records"]) == number


# What an answer tells, by role.


ANSWERED = [route for route in ROUTES if 101 not in route.replies]  # with whose answer the connection leaves HTTP
MAY = [(route, role) for route in ANSWERED for role in Role if route.role in {role, None} or role is Role.ADMIN]
BODIES: Mapping[str, object] = {
    "postPackets": packet(1, "open"),
    "putPacket": 0,
    "completeResource": {"total": 4},
    "replayDeliveries": {"prefix": "d"},
    "retryResources": {"state": "incomplete"},
}
PATHS = {"{resource_id}": "open", "{index}": "2", "{delivery_id}": "{due}", "{endpoint}": "default"}
OTHER_PATHS = {"DELETE": {"{resource_id}": "gone"}, "GET": {"{index}": "0"}}


@pytest.mark.parametrize(("route", "role"), MAY, ids=[f"{route.name}-{role}" for route, role in MAY])
async def test_an_answer_has_the_members_that_its_route_declares_for_the_role(
    listener: Harness, route: Route, role: Role
) -> None:
    ids = await arranged(listener)
    path = route.path
    for part, value in {**PATHS, **OTHER_PATHS.get(route.method, {})}.items():
        path = path.replace(part, value.format(**ids))
    reply = await ask(listener, route.method, path, BODIES.get(route.name), role)
    assert reply.status in route.replies, reply
    declared = route.told[role] if route.told else route.replies[reply.status].content.get("application/json")
    several = declared if isinstance(declared, tuple) else (declared,)
    structs = [one for one in several if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    optional = {"after_seq", "more", "output", "reason", "retry_after"}
    for struct in structs:
        if {*reply.json} - optional == {*struct.__struct_fields__} - optional:
            return
    assert route.name in {"getMetrics", "getDescription", "getEvents", "getServiceEvents"}, (reply.json, structs)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.READ])
async def test_complete_tells_a_sender_the_state_alone(listener: Harness, role: Role) -> None:
    await arranged(listener)
    reply = await ask(listener, "POST", "/v1/resources/open/complete", {"total": 4}, role)
    (route,) = (route for route in ROUTES if route.told)
    told = route.told[role]
    assert {*reply.json} == {*told.__struct_fields__}
    msgspec.json.decode(reply.body, type=told)
    assert (told is ResourceState) == (role is Role.SEND)
    assert (told is ResourceView) == (role is Role.ADMIN)
    assert reply.json["total"] == 4


async def test_force_wants_admin(listener: Harness) -> None:
    await arranged(listener)
    for body in ({"force": True}, {"force": True, "total": 1}):
        reply = await ask(listener, "POST", "/v1/resources/open/complete", body, Role.SEND)
        assert (reply.status, reply.problem["code"]) == (403, "forbidden")
        assert 'scope="admin"' in reply.headers["www-authenticate"]
    assert (await listener.ledger.resource("open")).state == "open"
    assert (await ask(listener, "POST", "/v1/resources/open/complete", {"force": True})).json["state"] != "open"
