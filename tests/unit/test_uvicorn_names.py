"""What the listener relies on of uvicorn that has no public name: why its version is capped in pyproject.toml."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Sequence
from importlib.metadata import requires, version
from typing import Any

from packaging.requirements import Requirement
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from collator.web import byte_stream, guard, packet_connection, request_feed, server, upgrade_connection, websocket

OVERRIDDEN = {
    *("connection_made", "connection_lost", "data_received", "eof_received", "shutdown"),
    *("on_message_begin", "on_headers_complete", "on_body", "on_message_complete", "on_response_complete"),
    "_start_asgi_task",
}
OF_THE_PROTOCOL = {
    *("loop", "parser", "transport", "flow", "client", "server_state", "scope", "url", "headers", "cycle", "pipeline"),
    *("expect_100_continue", "app", "tasks"),
}
OF_A_CYCLE = {
    *("body", "more_body", "keep_alive", "disconnected", "message_event", "response_started", "response_complete"),
    *("chunked_encoding", "expected_content_length", "send", "scope", "waiting_for_100_continue"),
}
OF_THE_FLOW = {"drain", "pause_reading", "read_paused", "resume_reading", "write_paused"}
OF_THE_STATE = {"connections", "default_headers", "tasks"}

CONNECTIONS = (guard, packet_connection, request_feed, upgrade_connection)
PROTOCOL = [ast.parse(inspect.getsource(module)) for module in CONNECTIONS]
TREES = [*PROTOCOL, *(ast.parse(inspect.getsource(module)) for module in (byte_stream, server, websocket))]


def made(of: type[Any]) -> set[str]:
    """The names that something *of* this class has."""
    return {*dir(of(**dict.fromkeys(inspect.signature(of).parameters)))}


async def app(_scope: object, _receive: object, _send: object) -> None:
    raise AssertionError


async def protocol() -> set[str]:
    """The names that a connection of uvicorn has, once a request has begun."""
    config = Config(app, ws="none", lifespan="off", log_config=None)
    connection = HttpToolsProtocol(config, ServerState(), {})
    connection.on_message_begin()
    return {*dir(connection)}


def asked(of: str, trees: Sequence[ast.Module] = TREES) -> set[str]:
    """The attributes that our code asks *of* something that ends in this name."""
    looks = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    return {node.attr for node in looks if re.search(rf"(?:^|\.){of}$", ast.unparse(node.value))}


def defined() -> set[str]:
    """The methods of our protocol."""
    classes = [node for tree in PROTOCOL for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
    return {method.name for one in classes for method in one.body if isinstance(method, ast.FunctionDef)}


async def test_uvicorn_has_the_names_that_are_relied_on_and_they_are_listed_here() -> None:
    has = await protocol() - {*dir(object)}
    assert defined() & has == OVERRIDDEN
    assert asked("self", PROTOCOL) & has - OVERRIDDEN == OF_THE_PROTOCOL
    assert asked("cycle") & made(RequestResponseCycle) == asked("cycle") == OF_A_CYCLE
    assert asked("flow") & made(FlowControl) == asked("flow") == OF_THE_FLOW
    assert asked("(?:server_)?state") & {*dir(ServerState())} == OF_THE_STATE


def test_the_minor_version_that_is_tested_is_the_newest_that_is_allowed() -> None:
    (uvicorn,) = (found for line in requires("collator") or () if (found := Requirement(line)).name == "uvicorn")
    major, minor = map(int, version("uvicorn").split(".")[:2])
    assert f"{major}.{minor}.999" in uvicorn.specifier
    assert f"{major}.{minor + 1}.0" not in uvicorn.specifier
