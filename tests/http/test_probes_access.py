"""Probes: every route that is declared, asked by every kind of caller, with every method, under every name it may have.

What is expected is derived from the declarations; one table pins these.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest

from collator.tokens import Role, generate_token
from collator.web.routes import ROUTES, Route
from tests.http.listener import Harness, open_door, request
from tests.http.listeners import PARTS, ROLES, TOKENS, calling, known_tokens, path_of, paths

DECLARED: dict[str, tuple[str, Role | None]] = {
    "postPackets": ("POST /v1/packets", Role.SEND),
    "putPacket": ("PUT /v1/resources/{resource_id}/packets/{index}", Role.SEND),
    "openStream": ("GET /v1/stream", Role.SEND),
    "listResources": ("GET /v1/resources", Role.READ),
    "getResource": ("GET /v1/resources/{resource_id}", Role.READ),
    "getOutputs": ("GET /v1/resources/{resource_id}/outputs", Role.READ),
    "getEvents": ("GET /v1/resources/{resource_id}/events", Role.READ),
    "createTicket": ("POST /v1/resources/{resource_id}/ticket", Role.READ),
    "getPacket": ("GET /v1/resources/{resource_id}/packets/{index}", Role.READ),
    "completeResource": ("POST /v1/resources/{resource_id}/complete", Role.SEND),
    "cancelResource": ("POST /v1/resources/{resource_id}/cancel", Role.ADMIN),
    "retryResources": ("POST /v1/resources/retry", Role.ADMIN),
    "retryResource": ("POST /v1/resources/{resource_id}/retry", Role.ADMIN),
    "purgeResource": ("DELETE /v1/resources/{resource_id}", Role.ADMIN),
    "listDeliveries": ("GET /v1/deliveries", Role.READ),
    "replayDeliveries": ("POST /v1/deliveries/replay", Role.ADMIN),
    "getDelivery": ("GET /v1/deliveries/{delivery_id}", Role.READ),
    "replayDelivery": ("POST /v1/deliveries/{delivery_id}/replay", Role.ADMIN),
    "stopDelivery": ("POST /v1/deliveries/{delivery_id}/stop", Role.ADMIN),
    "listEndpoints": ("GET /v1/endpoints", Role.READ),
    "pauseEndpoint": ("POST /v1/endpoints/{endpoint}/pause", Role.ADMIN),
    "resumeEndpoint": ("POST /v1/endpoints/{endpoint}/resume", Role.ADMIN),
    "tryEndpoint": ("POST /v1/endpoints/{endpoint}/try", Role.ADMIN),
    "testEndpoint": ("POST /v1/endpoints/{endpoint}/test", Role.ADMIN),
    "listAudit": ("GET /v1/audit", Role.ADMIN),
    "getHealth": ("GET /healthz", None),
    "getReadiness": ("GET /readyz", None),
    "getStatus": ("GET /v1/status", Role.READ),
    "getServiceEvents": ("GET /v1/events", Role.READ),
    "getMetrics": ("GET /metrics", Role.READ),
    "getDescription": ("GET /openapi.json", Role.READ),
}
"""A change of a role is a change of this table."""

ADMIN = TOKENS["admin"]
STRANGERS = {
    "nobody": {},
    "a token of nobody": {"authorization": f"Bearer {generate_token()}"},
    "an empty field": {"authorization": ""},
    "no token": {"authorization": "Bearer"},
    "a blank for a token": {"authorization": "Bearer "},
    "a token alone": {"authorization": ADMIN},
    "Basic": {"authorization": f"Basic {ADMIN}"},
    "Token": {"authorization": f"Token {ADMIN}"},
    "a tab for the blank": {"authorization": f"Bearer\t{ADMIN}"},
    "no blank": {"authorization": f"Bearer{ADMIN}"},
    "a colon": {"authorization": f"Bearer: {ADMIN}"},
    "a parameter": {"authorization": f"Bearer token={ADMIN}"},
    "quotes": {"authorization": f'Bearer "{ADMIN}"'},
    "two tokens": {"authorization": f"Bearer {ADMIN}, Bearer {ADMIN}"},
    "more behind it": {"authorization": f"Bearer {ADMIN} x"},
    "capitals": {"authorization": f"Bearer {ADMIN.upper()}"},
    "cut off": {"authorization": f"Bearer {ADMIN[:-1]}"},
    "its hash": {"authorization": f"Bearer {known_tokens()._known[2][0].hex()}"},
    "a wildcard": {"authorization": "Bearer *"},
    "another field": {"x_authorization": f"Bearer {ADMIN}", "proxy_authorization": f"Bearer {ADMIN}"},
    "a cookie": {"cookie": f"token={ADMIN}; access_token={ADMIN}"},
    "the name of a role": {"authorization": "Bearer admin"},
}
KNOWN = {name: {"authorization": f"Bearer {token}"} for name, token in TOKENS.items()}
SPELLED = {
    "small letters": {"authorization": f"bearer {ADMIN}"},
    "capitals": {"authorization": f"BEARER {ADMIN}"},
    "blanks": {"authorization": f"Bearer   {ADMIN}  "},
}
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "PURGE", "M-SEARCH", "LINK")
NO_METHODS = ("CONNECT", "get", "Get", "BREW", "GETT", "GE T", "", "GET\t", "\x00GET", "SETUP", "*")


@pytest.fixture(scope="module")
async def listener(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Harness]:
    tokens = known_tokens()
    async with open_door(tmp_path_factory.mktemp("probed"), tokens=lambda: tokens) as listener:
        yield listener


def test_every_route_has_the_role_that_is_written_here() -> None:
    assert {one.name: (f"{one.method} {one.path}", one.role) for one in ROUTES} == DECLARED


def body_of(route: Route) -> bytes | None:
    return None if route.method in {"GET", "DELETE"} else b""


def wanted(route: Route, roles: list[Role] | None) -> range | tuple[int, ...]:
    """The statuses that *route* may answer who has *roles*; `None`: a stranger."""
    if route.role is None:
        return (200,)
    if roles is None:
        return (401,)
    allowed = route.role in roles or Role.ADMIN in roles
    return tuple(status for status in range(200, 500) if status not in {401, 403, 405}) if allowed else (403,)


@pytest.mark.parametrize("route", ROUTES, ids=[route.name for route in ROUTES])
async def test_a_route_answers_each_caller_as_its_role_says(listener: Harness, route: Route) -> None:
    callers: list[tuple[str, dict[str, str], list[Role] | None]] = [
        *((name, fields, None) for name, fields in STRANGERS.items()),
        *((name, fields, [*ROLES[name]]) for name, fields in KNOWN.items()),
        *((name, fields, [Role.ADMIN]) for name, fields in SPELLED.items()),
    ]
    wrong = []
    async with calling(listener.port) as caller:
        for name, fields, roles in callers:
            reply = await caller.ask(request(route.method, path_of(route), body_of(route), **fields))
            if reply.status not in wanted(route, roles):
                wrong.append(f"{name}: {reply.status}")
            if reply.status == 401:
                assert reply.headers["www-authenticate"].startswith("Bearer")
                assert ADMIN.encode() not in reply.body
        for query in (f"access_token={ADMIN}", f"token={ADMIN}", f"authorization=Bearer%20{ADMIN}"):
            reply = await caller.ask(request(route.method, f"{path_of(route)}?{query}", body_of(route)))
            refused = reply.status == 401 or (route.role is None and reply.status in {200, 422})
            wrong += [] if refused else [f"in the query: {reply.status}"]
    assert wrong == []


def with_head(methods: set[str]) -> set[str]:
    return methods | ({"HEAD"} if "GET" in methods else set())


@pytest.mark.parametrize("path", paths())
async def test_a_path_takes_its_methods_and_no_other(listener: Harness, path: str) -> None:
    allowed = with_head({route.method for route in routes_at(path)})
    # A path that one route has word by word is told the methods of that one, as the description has it.
    told = ", ".join(sorted(with_head({route.method for route in ROUTES if route.path == path}) or allowed))
    token = {"authorization": f"Bearer {TOKENS['all']}"}
    wrong = []
    async with calling(listener.port) as caller:
        for method in METHODS:
            body = b"" if method in {"POST", "PUT", "PATCH"} else None
            reply = await caller.ask(request(method, path, body, **token), head=method == "HEAD")
            if method in allowed:
                fits = reply.status != 405 and reply.status < 500
            else:
                fits = (reply.status, reply.headers.get("allow")) == (405, told)
            wrong += [] if fits else [f"{method}: {reply.status} {reply.headers.get('allow')}"]
        for method in NO_METHODS:
            reply = await caller.ask(request(method, path, None, **token))
            fits = (reply.status, reply.headers["connection"]) == (400, "close")
            wrong += [] if fits else [f"{method}: {reply.status}"]
    assert wrong == []


# Other ways to write a path: none leads elsewhere than where the literal one does.


def confusions(path: str) -> Iterator[str]:
    """What a proxy, a file system or a framework might take for *path*."""
    first, _, last = path.rpartition("/")
    letter = f"/%{ord(path[1]):02x}{path[2:]}"
    yield from (
        f"/{path}",
        f"{path}/",
        f"{path}//",
        f"/.{path}",
        f"/x/..{path}",
        f"{path}/.",
        f"{path}/..",
        f"{path}/../x",
    )
    yield from (path.replace("/", "//"), path.replace("/", "/./"), f"/%2e{path}", f"/x/%2e%2e{path}", f"/%2e%2e{path}")
    yield from (
        f"/%2f{path[1:]}",
        f"{path}%2f",
        f"{first}%2f{last}",
        f"{first}%5c{last}",
        f"{first}\\{last}",
        f"{path}%5c",
    )
    yield from (
        f"{path};x",
        f"{path};jsessionid=1",
        f"/;x{path}",
        f"{first};x/{last}",
        path.upper(),
        path.title(),
        letter,
    )
    yield from (
        letter.replace("%", "%25"),
        f"{path}%00",
        f"{path}%00.json",
        f"{path}%0a",
        f"{path}%20",
        f"{path}+",
        f"{path}.",
    )
    yield from (
        f"{path}%3f",
        f"{path}%23",
        f"{path}.json",
        f"{path}~",
        f"{first}/%c0%ae%c0%ae/{last}",
        f"{first}%c0%af{last}",
    )
    yield from (
        f"{first}/%e0%80%af{last}",
        f"{first}/%ff{last}",
        f"{first}/..;/{last}",
        f"{path}/x",
        first or "/",
        f"{path}?",
    )
    yield from (
        f"http://localhost{path}",
        f"http://localhost/{path}",
        f"HTTP://LOCALHOST:1{path}",
        f"{path}*",
        f"*{path}",
    )


def routes_at(target: str) -> list[Route]:
    """The routes whose path, segment by segment, is that of *target*, as it is written: the oracle of these probes."""
    path = re.sub(r"^(?i:http)://[^/]+", "", target).partition("?")[0]
    return [one for one in ROUTES if re.fullmatch(re.sub(r"\\{\w+\\}", "[^/]+", re.escape(one.path)), path)]


def status_of(target: str, role: Role | None) -> int:
    """What GET of *target* is answered to who has *role*, which is no role of a route that is read; `None`: nobody."""
    routes = routes_at(target)
    found = next((one for one in routes if one.method == "GET"), None)
    if found and found.role is None:
        return 200
    if role is None:
        return 401
    if found and found.role is role:
        return 426  # the stream: this offers no WebSocket
    return 403 if found else 405 if routes else 404


@pytest.mark.parametrize("path", paths())
async def test_no_other_way_to_write_a_path_leads_past_its_role(listener: Harness, path: str) -> None:
    wrong = []
    token = {"authorization": f"Bearer {TOKENS['send']}"}
    async with calling(listener.port) as caller:
        for target in confusions(path):
            for role, fields in ((None, {}), (Role.SEND, token)):
                reply = await caller.ask(request("GET", target, None, host="localhost", **fields))
                if reply.status not in {status_of(target, role), 400}:
                    wrong.append(f"{target} by {role}: {reply.status}, not {status_of(target, role)}")
                if reply.status == 400:
                    assert reply.headers["connection"] == "close"
    assert wrong == []


def test_every_part_of_a_path_has_a_value() -> None:
    assert {part for route in ROUTES for part in re.findall(r"\{\w+\}", route.path)} == PARTS.keys()
