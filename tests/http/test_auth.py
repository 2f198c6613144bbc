"""Who may ask for what: no route is open by accident, whatever routes there will be."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence

import pytest

from collator.tokens import Role, Tokens, generate_token, line_for, parse_tokens
from collator.web.routes import ROUTES, Route
from tests.http.listener import Harness, Reply, ndjson, open_door, packet, request

OPEN = {"getHealth", "getReadiness"}
"""What those may ask who restart a service that hangs, or choose one that is ready: they have no token."""
TOKENS = {role: generate_token() for role in Role}
PATHS = {"{resource_id}": "r", "{index}": "0", "{delivery_id}": "msg_a:default"}
by_name = pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
guarded = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.name not in OPEN], ids=[r.name for r in ROUTES if r.name not in OPEN]
)


def known(*lines: str) -> Tokens:
    """What a file with these lines says."""
    return parse_tokens("\n".join(lines))


@pytest.fixture(scope="module")
async def listener(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    tokens = known(*(line_for(token, roles=[role], name=f"a {role}") for role, token in TOKENS.items()))
    async with open_door(tmp_path_factory.mktemp("guarded"), tokens=lambda: tokens) as listener:
        yield listener


def path_of(route: Route) -> str:
    path = route.path
    for name, value in PATHS.items():
        path = path.replace(name, value)
    return path


async def ask(listener: Harness, route: Route, token: str | None, scheme: str = "Bearer") -> Reply:
    body = next((json.dumps(example).encode() for example in route.examples.values()), b"{}" if route.body else None)
    fields = {} if token is None else {"authorization": f"{scheme} {token}"}
    return await listener.ask(route.method, path_of(route), body, **fields)


@by_name
async def test_every_route_wants_a_token_but_those_of_who_has_none(listener: Harness, route: Route) -> None:
    reply = await ask(listener, route, None)
    assert (route.role is None) == (route.name in OPEN) == (reply.status == 200)
    if route.role is not None:
        assert (reply.status, reply.problem["code"]) == (401, "unauthorized")
        assert reply.headers["www-authenticate"] == "Bearer"


@guarded
async def test_a_token_that_nobody_gave_out_gets_401(listener: Harness, route: Route) -> None:
    for token in (generate_token(), "", TOKENS[Role.ADMIN] + "x", "\xff"):
        reply = await ask(listener, route, token)
        assert (reply.status, reply.problem["code"]) == (401, "unauthorized")
        assert "invalid_token" in reply.headers["www-authenticate"]
        assert not token or token.encode("latin-1") not in reply.body
    assert (await ask(listener, route, TOKENS[Role.ADMIN], "Basic")).status == 401


@guarded
@pytest.mark.parametrize("role", Role)
async def test_a_role_opens_its_routes_and_no_others(listener: Harness, route: Route, role: Role) -> None:
    reply = await ask(listener, route, TOKENS[role])
    if role in (route.role, Role.ADMIN):
        assert reply.status not in {401, 403}
    else:
        assert (reply.status, reply.problem["code"]) == (403, "forbidden")
        assert f'scope="{route.role}"' in reply.headers["www-authenticate"]
        assert repr(f"a {role}") in reply.problem["detail"]


def test_who_may_do_what_is_what_the_design_says() -> None:
    def named(role: Role) -> Sequence[str]:
        return sorted(f"{route.method} {route.path}" for route in ROUTES if route.role is role)

    assert named(Role.SEND) == [
        "GET /v1/stream",
        "POST /v1/packets",
        "POST /v1/resources/{resource_id}/complete",
        "PUT /v1/resources/{resource_id}/packets/{index}",
    ]
    tickets = "POST /v1/resources/{resource_id}/ticket"  # to read with
    assert [entry for entry in named(Role.READ) if not entry.startswith("GET ")] == [tickets]
    assert [entry for entry in named(Role.ADMIN) if entry.startswith("GET ")] == ["GET /v1/audit"]


@pytest.mark.parametrize(
    "path", ["/", "/v1", "/v2/packets", "/metrics/", "/v1/resources/r/nothing", "/healthz/x", "/%68ealthz"]
)
async def test_who_has_no_token_learns_nothing_of_what_there_is(listener: Harness, path: str) -> None:
    assert (await listener.ask("GET", path)).status == 401
    assert (await listener.ask("GET", path, authorization=f"Bearer {TOKENS[Role.READ]}")).status == 404


async def test_a_stream_is_not_read_without_a_token(listener: Harness) -> None:
    async with listener.wire() as wire:
        await wire.send(request("POST", "/v1/packets", ndjson(packet()), media_type="application/x-ndjson"))
        reply = await wire.reply()
        assert (reply.status, reply.headers["connection"]) == (401, "close")
    report = await listener.ask("GET", "/v1/resources", authorization=f"bearer {TOKENS[Role.READ]}")
    assert "r" not in [resource["resource_id"] for resource in report.json["resources"]]


async def test_a_token_that_was_taken_back_is_not_known_any_more(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    tokens = [known(line_for(TOKENS[Role.READ], roles=[Role.READ], name="x"))]
    async with open_door(tmp_path_factory.mktemp("known"), tokens=lambda: tokens[0]) as listener:
        bearer = f"Bearer {TOKENS[Role.READ]}"
        assert (await listener.ask("GET", "/v1/status", authorization=bearer)).status == 200
        tokens[0] = known(line_for(TOKENS[Role.SEND], roles=[Role.SEND], name="y"))
        assert (await listener.ask("GET", "/v1/status", authorization=bearer)).status == 401
