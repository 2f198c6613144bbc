"""`/openapi.json` describes what there is, all of it, and nothing else. What the answers say: tests/acceptance."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from collator.delivery.receiver_test import body_of_test
from collator.messages import PacketReport
from collator.packet import PacketLimits
from collator.rules.body import Closing, body, frame
from collator.rules.resource import LedgerLimits
from collator.states import EndedBy, State
from collator.web.openapi import describe
from collator.web.problems import ProblemType
from collator.web.routes import POST_PACKETS, ROUTES, Route
from collator.webhook import TEST
from collator.wire import decode_array, decode_packet
from tests.http.listener import Harness, open_door

BOUNDS = PacketLimits(max_packets=77)
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
DOCUMENT = describe(ROUTES, packet_limits=BOUNDS, guarded=True)
OPERATIONS = [operation for path in DOCUMENT["paths"].values() for operation in path.values()]


@pytest.fixture(scope="module")
async def listener(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    async with open_door(
        tmp_path_factory.mktemp("described"), ledger_limits=LedgerLimits(packet_limits=BOUNDS)
    ) as listener:
        yield listener


def filled(path: str) -> str:
    return path.replace("{resource_id}", "r").replace("{index}", "0").replace("{delivery_id}", "d")


async def test_the_service_gives_the_description_of_itself(listener: Harness) -> None:
    reply = await listener.ask("GET", "/openapi.json")
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == json.loads(json.dumps(describe(ROUTES, packet_limits=BOUNDS, guarded=False)))
    assert reply.json["openapi"] == "3.1.0"


@pytest.mark.parametrize("path", sorted({route.path for route in ROUTES}))
async def test_a_path_takes_the_methods_that_are_described_and_no_others(listener: Harness, path: str) -> None:
    described = {method.upper() for method in DOCUMENT["paths"][path]}
    taken = described | ({"HEAD"} if "GET" in described else set())  # RFC 9110, 9.3.2
    for method in METHODS:
        reply = await listener.ask(method, filled(path)) if method != "HEAD" else None
        if reply is not None and reply.status == 405:
            assert method not in taken
            assert reply.headers["allow"] == ", ".join(sorted(taken))
        elif reply is not None:
            assert method in taken | also_taken(path)
            assert reply.status != 404 or reply.problem["code"] == "unknown"


def also_taken(path: str) -> set[str]:
    """The methods of other paths that fit *path*, as one with a name in braces does."""
    fitting = [
        route for route in ROUTES if route.path != path and re.fullmatch(re.sub(r"{\w+}", "[^/]+", route.path), path)
    ]
    return {route.method for route in fitting}


async def test_every_path_that_is_served_is_described(listener: Harness) -> None:
    served = {route.path for route in listener.app._pages.routes} | {POST_PACKETS.path}  # type: ignore[attr-defined]
    assert served == {*DOCUMENT["paths"]}


@pytest.mark.parametrize(
    "members",
    [
        *({"index": number} for number in (0.0, -0.0, 1e1, 0.5, 77.0, -1.0, None)),
        *({"total": number} for number in (1.0, 7e1, 1.5, 0.0, 78.0, None)),
        *({"last": last} for last in (True, None, 0.0)),
        *({"metadata": metadata} for metadata in (dict[str, int](), None, 0.0)),
        *({"resource_id": resource_id} for resource_id in (1.0, 1e3, 0.5, None)),
    ],
    ids=repr,
)
async def test_r2_r4_numbers_and_nulls_are_taken_as_they_are_described(
    listener: Harness, members: dict[str, object]
) -> None:
    given = {"resource_id": repr(members), "index": 0, "payload": 0, **members}
    schema = {**DOCUMENT["components"]["schemas"]["WirePacket"], "components": DOCUMENT["components"]}
    described = jsonschema_rs.validator_for(schema).is_valid(given)
    assert ((await listener.post(given)).status == 202) == described


COMPLETIONS: list[dict[str, object]] = [
    {"total": 1.0},
    {"total": 1e0, "force": None},
    {"total": None, "force": True},
    {"total": 1.5},
    {"total": "1"},
    {"force": None},
]
REPLAYS: list[dict[str, object]] = [
    {"endpoint": "default", "prefix": None, "cursor": None, "since": None},
    {"state": "dead", "resource_id": None, "endpoint": None},
    {"prefix": None},
]
ORDERS = [
    *(("/v1/resources/{resource_id}/complete", order) for order in COMPLETIONS),
    *(("/v1/deliveries/replay", order) for order in REPLAYS),
]


@pytest.mark.parametrize(("path", "order"), ORDERS, ids=repr)
async def test_r2_r4_orders_are_taken_as_they_are_described(
    listener: Harness, path: str, order: dict[str, object]
) -> None:
    await listener.post({"resource_id": "whole", "index": 0, "payload": 0})
    body = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]
    schema = {**body, "components": DOCUMENT["components"]}
    reply = await listener.ask("POST", path.format(resource_id="whole"), json.dumps(order).encode())
    assert (reply.status != 422) == jsonschema_rs.validator_for(schema).is_valid(order), reply


@pytest.mark.parametrize("fields", [{}, {"content_encoding": "gzip"}], ids=["large", "packed"])
@pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
async def test_what_a_body_that_nobody_wants_gets_is_described(
    listener: Harness, route: Route, fields: dict[str, str]
) -> None:
    reply = await listener.ask(route.method, filled(route.path), bytes(2_000_000), **fields)
    described = DOCUMENT["paths"][route.path][route.method.lower()]["responses"]
    assert str(reply.status) in described
    if reply.status >= 400:
        assert reply.problem["code"] in codes(described[str(reply.status)])
        assert "stream" not in reply.problem["detail"]  # it would help with packets alone


def codes(response: dict[str, Any]) -> list[str]:
    """Of a problem that is described, the codes that it may have."""
    found: list[str] = response["content"]["application/problem+json"]["schema"]["properties"]["code"]["enum"]
    return found


@pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
def test_every_route_is_described_whole(route: Route) -> None:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    assert operation["operationId"] == route.name
    assert operation["summary"].endswith(".")
    assert {int(status) for status in operation["responses"]} >= {*route.replies}
    in_path = {part["name"] for part in operation.get("parameters", ()) if part["in"] == "path"}
    assert in_path == {part.strip("{}") for part in route.path.split("/") if part.startswith("{")}
    assert all(parameter["description"].endswith(".") for parameter in operation.get("parameters", ()))
    assert operation["security"] == ([{"token": [route.role]}] if route.role else [])


def test_names_of_operations_are_there_once() -> None:
    names = [operation["operationId"] for operation in OPERATIONS]
    assert len(names) == len({*names}) == len(ROUTES)


def test_every_kind_of_problem_is_described_somewhere_but_those_that_belong_to_no_route() -> None:
    answers = [answer for operation in OPERATIONS for answer in operation["responses"].values()]
    contents = [answer["content"].get("application/problem+json") for answer in answers]
    codes = {code for content in contents if content for code in codes_of(content["schema"])}
    assert {kind.code for kind in ProblemType} - codes == {
        "method_not_allowed",
        "receipts_unread",
        "incomplete_line",
    }  # other methods; within an answer of 200


def codes_of(schema: dict[str, Any]) -> list[str]:
    codes: list[str] = schema["properties"]["code"]["enum"]
    return codes


def test_references_lead_somewhere_and_every_schema_is_referred_to() -> None:
    names = {*DOCUMENT["components"]["schemas"]}
    references = {found for found in strings(DOCUMENT) if found.startswith("#/")}
    assert references == {f"#/components/schemas/{name}" for name in names}


def strings(node: object) -> set[str]:
    """Every `$ref` below *node*."""
    if isinstance(node, dict):
        return set().union(*(strings(value) for value in node.values()), {node["$ref"]} if "$ref" in node else set())
    return set().union(*map(strings, node)) if isinstance(node, list | tuple) else set()


def test_every_field_that_wants_one_has_its_line() -> None:
    packet = DOCUMENT["components"]["schemas"]["WirePacket"]
    assert all(field["description"] for field in packet["properties"].values())
    assert packet["properties"]["index"]["maximum"] == 76
    assert packet["additionalProperties"] is False
    assert "None" not in json.dumps(
        [schema.get("description") for schema in DOCUMENT["components"]["schemas"].values()]
    )


def test_the_examples_are_good_packets() -> None:
    examples = POST_PACKETS.examples
    decode_packet(msgspec.json.encode(examples["application/json"]), BOUNDS)
    for lines in ("application/x-ndjson", "application/jsonl"):
        assert len(decode_array(msgspec.json.encode(examples[lines]), BOUNDS)) == 2


def test_tokens_are_not_spoken_of_where_none_are_asked_for() -> None:
    text = json.dumps(describe(ROUTES, packet_limits=BOUNDS, guarded=False))
    assert "securitySchemes" not in text
    assert "unauthorized" not in text


# The webhooks.


def schema_of(webhook: str) -> dict[str, Any]:
    content = DOCUMENT["webhooks"][webhook]["post"]["requestBody"]["content"]
    return {**content["application/json"]["schema"], "components": DOCUMENT["components"]}


def said(closing: Closing) -> Any:  # noqa: ANN401 - JSON may be anything
    head, tail = frame(closing)
    return json.loads(body(closing.state, head, [(0, b"null"), (1, b'{"text":"hello"}')], tail))


@pytest.mark.parametrize("ended_by", EndedBy)
@pytest.mark.parametrize("metadata", [None, b'{"language":"en"}'])
@pytest.mark.parametrize("state", [State.COLLATED, State.INCOMPLETE])
def test_a_body_is_as_its_webhook_is_described(state: State, ended_by: EndedBy, metadata: bytes | None) -> None:
    whole = state is State.COLLATED
    closing = Closing(
        resource_id="call-17",
        state=state,
        ended_by=ended_by,
        timestamp="2026-11-24T02:05:00.123456Z",
        total=2 if whole else None,
        metadata=metadata,
        missing=[(2, 3), (9, 9)],
        unfinished=[(4, 4)],
        failed=[PacketReport(5, "not text", 3)],
    )
    found, schema = said(closing), schema_of(f"resource.{state}")
    jsonschema_rs.validate(schema, found)
    parts = DOCUMENT["components"]["schemas"]
    assert [*found["data"]] == parts["CollatedData" if whole else "IncompleteData"]["required"]
    other = schema_of("resource.incomplete" if whole else "resource.collated")
    assert not jsonschema_rs.is_valid(other, found)


def test_there_is_a_webhook_for_every_end_that_has_one() -> None:
    ends = [f"resource.{state}" for state in State if state not in {"open", "cancelled"}]
    assert [*DOCUMENT["webhooks"]] == [*ends, TEST]


def test_a_test_is_as_it_is_described() -> None:
    jsonschema_rs.validate(schema_of(TEST), json.loads(body_of_test("crm", 0.0)))
