"""Tokens that are for some resources alone: what they may ask, for every route there is."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from urllib.parse import quote

import pytest

from collator.errors import ConfigError
from collator.messages import DeliveryFilter, Output, tasks_of
from collator.tokens import MAX_PREFIXES, Caller, Role, generate_token, line_for, parse_tokens
from collator.web.routes import ROUTES, Route
from tests.http.listener import Harness, Reply, ndjson, open_door, packet

TOKENS = {name: generate_token() for name in ("some", "all", "admin")}
OWN = ("acme/", "b-", "z\N{GREEK SMALL LETTER OMEGA}")
MINE = ["acme/", "acme/1", "acme/2", "b-1", "b-2", "z\N{GREEK SMALL LETTER OMEGA}1"]
FOREIGN = ["acm", "acme", "acmf", "b", "c-1", "zz"]
OPEN = {"getDescription"}
"""What tells nothing of any resource."""


@pytest.fixture(scope="module")
async def listener(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    both = [Role.SEND, Role.READ]
    lines = [
        line_for(TOKENS["some"], roles=both, name="some one", prefixes=OWN),
        line_for(TOKENS["all"], roles=both, name="all of them"),
        line_for(TOKENS["admin"], roles=[Role.ADMIN], name="admin"),
    ]
    known = parse_tokens("\n".join(lines))
    async with open_door(tmp_path_factory.mktemp("prefixes"), tokens=lambda: known) as listener:
        packets = [packet(0, name, last=True) for name in (*MINE, *FOREIGN)]
        assert (await ask(listener, "POST", "/v1/packets", packets, by="all")).status == 202
        tasks = tasks_of(await listener.ledger.claim(capacity=100))
        await listener.ledger.record([Output(task.lease, b"0") for task in tasks], capacity={})
        yield listener


async def ask(listener: Harness, method: str, path: str, body: object = None, *, by: str = "some") -> Reply:
    data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    return await listener.ask(method, path, data, authorization=f"Bearer {TOKENS[by]}")


async def listed(listener: Harness, path: str, member: str) -> list[str]:
    """The resources of all pages of a list."""
    found, cursor = list[str](), ""
    while True:
        page = (await ask(listener, "GET", path + (f"&cursor={quote(cursor)}" if cursor else ""))).json
        found += [one["resource_id"] for one in page[member]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found


def named(route: Route, resource_id: str) -> str:
    return route.path.replace("{resource_id}", quote(resource_id, safe="")).replace("{index}", "0")


@pytest.mark.parametrize("route", [r for r in ROUTES if "{resource_id}" in r.path], ids=lambda route: route.name)
@pytest.mark.parametrize("resource_id", [*MINE[1:], *FOREIGN, "acme%2F1", "ACME/1"])
async def test_a_path_names_a_resource_of_ones_own(listener: Harness, route: Route, resource_id: str) -> None:
    bodies: dict[str, object] = {"putPacket": 0, "completeResource": {"total": 1}}
    body = bodies.get(route.name, None if route.method == "GET" else b"")
    reply = await ask(listener, route.method, named(route, resource_id), body)
    if route.role is Role.ADMIN or resource_id not in MINE:
        assert (reply.status, reply.problem["code"]) == (403, "forbidden")
    else:
        assert reply.status in {200, 202}, reply


@pytest.mark.parametrize(
    "route",
    [r for r in ROUTES if r.role in {Role.SEND, Role.READ} and "{" not in r.path and not r.own],
    ids=lambda r: r.name,
)
async def test_what_is_about_all_is_not_told(listener: Harness, route: Route) -> None:
    assert (await ask(listener, route.method, route.path)).problem["code"] == "forbidden"
    assert (await ask(listener, route.method, route.path, by="all")).status == 200


def test_every_route_that_keeps_to_what_is_ones_own_is_looked_at() -> None:
    own = {route.name for route in ROUTES if route.own}
    stream = {"openStream"}  # in `test_stream`
    assert own == {"postPackets", "listResources", "listDeliveries", "getDelivery"} | OPEN | stream


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_lists_have_what_is_ones_own(listener: Harness, limit: int) -> None:
    assert await listed(listener, f"/v1/resources?limit={limit}", "resources") == MINE
    assert await listed(listener, f"/v1/deliveries?limit={limit}", "deliveries") == MINE
    for prefix in ("a", "acme", "acme/", "acme/1", "b", "c", "", "z"):
        mine = [name for name in MINE if name.startswith(prefix)]
        assert await listed(listener, f"/v1/resources?limit={limit}&prefix={prefix}", "resources") == mine
        assert await listed(listener, f"/v1/deliveries?limit={limit}&prefix={prefix}", "deliveries") == mine
        assert (
            sorted(await listed(listener, f"/v1/resources?order=newest&limit={limit}&prefix={prefix}", "resources"))
            == mine
        )
    assert await listed(listener, f"/v1/resources?limit={limit}&state=collated", "resources") == MINE


async def test_deliveries_are_told_of_what_is_ones_own(listener: Harness) -> None:
    for delivery in (await listener.ledger.deliveries(DeliveryFilter())).deliveries:
        mine = delivery.resource_id in MINE
        assert (await ask(listener, "GET", f"/v1/deliveries/{delivery.id}")).status == (200 if mine else 403)
        of = f"/v1/deliveries?resource_id={quote(delivery.resource_id)}"
        assert (await ask(listener, "GET", of)).status == (200 if mine else 403)


@pytest.mark.parametrize("foreign", ["c-2", "acme", 17])
async def test_packets_of_others_are_refused(listener: Harness, foreign: str | int) -> None:
    before = await listener.ledger.counts()
    for body in (packet(0, foreign), [packet(1, "c-3"), packet(0, foreign)], [packet(0, "acme/1"), packet(0, foreign)]):
        reply = await ask(listener, "POST", "/v1/packets", body)
        assert (reply.status, reply.problem["code"]) == (403, "forbidden")
    for options in ("", "?receipts=all"):
        lines = ndjson(packet(0, "acme/1"), packet(0, foreign), packet(1, foreign))
        fields = {"authorization": f"Bearer {TOKENS['some']}", "media_type": "application/x-ndjson"}
        reply = await listener.ask("POST", f"/v1/packets{options}", lines, **fields)
        last = reply.lines[-1] if options else reply.problem
        assert (last["code"], last["accepted"], last["decided_lines"]) == ("forbidden", 0, 0)
    assert await listener.ledger.counts() == before
    good = ndjson(packet(0, "acme/1"), packet(0, "b-1"))
    fields = {"authorization": f"Bearer {TOKENS['some']}", "media_type": "application/x-ndjson"}
    assert (await listener.ask("POST", "/v1/packets", good, **fields)).json["duplicate"] == 2


async def test_a_delivery_of_others_does_not_tell_whose_it_is(listener: Harness) -> None:
    for report in (await listener.ledger.deliveries(DeliveryFilter())).deliveries:
        if report.resource_id in FOREIGN:
            reply = await ask(listener, "GET", f"/v1/deliveries/{report.id}")
            assert (reply.status, repr(report.resource_id) in reply.problem["detail"]) == (403, False), reply
            assert report.webhook_id in reply.problem["detail"]


@pytest.mark.parametrize("prefix", ["a", "a b", "%", "a%20", "\N{GREEK SMALL LETTER OMEGA}/=", "x" * 255, "prefix="])
def test_a_prefix_goes_into_a_line_and_out_of_it(prefix: str) -> None:
    token = generate_token()
    line = line_for(token, roles=[Role.SEND], name="a name of words", prefixes=[prefix])
    assert parse_tokens(line).find(token.encode()) == Caller("a name of words", frozenset({Role.SEND}), (prefix,))


def test_prefixes_that_say_the_same_are_one() -> None:
    token = generate_token()
    line = line_for(token, roles=[Role.READ], name="x", prefixes=["b/1", "b", "a", "b/", "a"])
    caller = parse_tokens(line).find(token.encode())
    assert caller is not None
    assert caller.prefixes == ("a", "b")
    assert (caller.within(""), caller.within("b/7"), caller.within("c")) == (["a", "b"], ("b/7",), [])


@pytest.mark.parametrize(
    ("prefixes", "roles"),
    [([""], [Role.SEND]), (["x" * 256], [Role.SEND]), (["a"], [Role.ADMIN]), (["a"], [Role.SEND, Role.ADMIN])],
)
def test_what_cannot_be_a_prefix_is_told(prefixes: list[str], roles: list[Role]) -> None:
    with pytest.raises(ConfigError, match="prefix"):
        line_for("t", roles=roles, name="x", prefixes=prefixes)
    plain = line_for("t", roles=roles, name="x")
    words = " ".join(f"prefix={prefix}" for prefix in prefixes)
    with pytest.raises(ConfigError, match=r"line 1: .*prefix"):
        parse_tokens(plain.replace(" x", f" {words} x"))


@pytest.mark.parametrize(
    "words",
    ["prefix=a/", "x prefix=a/", "Prefix=a/ x", "prefixes=a/ x", "prefix = a/ x", "prefix: a/ x", "--prefix=a/ x",
     "--prefix a/ x", "prefix=b/ x --PREFIX a/"],
)  # fmt: skip
def test_a_prefix_that_is_misspelt_or_misplaced_makes_no_token_for_all(words: str) -> None:
    with pytest.raises(ConfigError, match=r"line 1: .*write prefix=TEXT before the name"):
        parse_tokens(line_for("t", roles=[Role.SEND], name="x").replace(" x", f" {words}"))
    with pytest.raises(ConfigError, match="write prefix=TEXT before the name"):
        line_for("t", roles=[Role.SEND], name=words)


@pytest.mark.parametrize("name", ["prefixed", "the prefix team", "no-prefix", "a=b", "prefix-bot"])
def test_a_name_may_have_the_word_in_it(name: str) -> None:
    found = parse_tokens(line_for("t", roles=[Role.SEND], name=name)).find(b"t")
    assert found is not None
    assert (found.name, found.prefixes) == (name, ())


def test_no_more_prefixes_than_a_list_is_looked_up_for() -> None:
    with pytest.raises(ConfigError, match="16 prefixes"):
        line_for("t", roles=[Role.SEND], name="x", prefixes=[f"{i:02}" for i in range(MAX_PREFIXES + 1)])
    with pytest.raises(ConfigError, match="percent-encoded"):
        parse_tokens(line_for("t", roles=[Role.SEND], name="x", prefixes=["a"]).replace("=a", "=%ff"))
