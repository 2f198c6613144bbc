"""What type checkers are told of answers and settings is what there is: compared with where each is declared."""

from __future__ import annotations

import types
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints, is_typeddict

import msgspec
import pytest

from collator.client import endpoint_replies, replies, status_reply
from collator.client.client import Client, ClientOptions
from collator.library.options import CollatorOptions, EndpointOptions
from collator.settings import OPTIONS, TABLES, Scope, from_keywords, options_of
from collator.settings.option import SWITCH, Option
from collator.web.routes import ROUTES

BY_ROUTE = {
    "getStatus": status_reply.StatusReply,
    "getResource": replies.ResourceReply,
    "listResources": replies.ResourcesReply,
    "getPacket": replies.PacketReply,
    "getOutputs": replies.OutputsReply,
    "completeResource": replies.ResourceReply,  # but for a token that may only send
    "cancelResource": replies.ResourceReply,
    "retryResource": replies.RetryReply,
    "retryResources": replies.RetryPageReply,
    "purgeResource": replies.PurgeReply,
    "createTicket": replies.TicketReply,
    "listDeliveries": replies.DeliveriesReply,
    "getDelivery": replies.DeliveryDetailReply,
    "replayDelivery": replies.ReplayedDeliveryReply,
    "stopDelivery": replies.DeliveryDetailReply,
    "replayDeliveries": replies.ReplayPageReply,
    "listEndpoints": endpoint_replies.EndpointsPageReply,
    "pauseEndpoint": endpoint_replies.EndpointReply,
    "resumeEndpoint": endpoint_replies.EndpointReply,
    "tryEndpoint": endpoint_replies.TriedEndpointReply,
    "testEndpoint": endpoint_replies.ReceiverAnswerReply,
    "listAudit": replies.AuditReply,
}
UNTYPED = {
    "postPackets",
    "putPacket",
    "getHealth",
    "getReadiness",
    "getMetrics",
    "getDescription",
    "getEvents",
    "getServiceEvents",
    "openStream",
}
"""Routes that no verb asks, or whose answer a verb turns into something else."""
PROMISED = {"output"}
"""Keys that are always there for a checker, so that a program that knows no failures reads well."""
NAMED = {"data_dir", "processor", "webhook", "batch"}
"""Settings that `Collator` has as arguments of its own."""


def shape(kind: Any) -> Any:  # noqa: ANN401, PLR0911 - types, and what stands for each
    """*kind* in a form that is the same for what is declared and for what checkers are told."""
    if kind in {msgspec.Raw, Any} or get_origin(kind) is dict:
        return "any JSON"
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return frozenset(kind)
    if get_origin(kind) is Literal:
        return frozenset(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return {name: optional(inner) for name, inner in get_type_hints(kind).items()}
    if is_typeddict(kind):
        return {name: told(inner) for name, inner in get_type_hints(kind, include_extras=True).items()}
    if get_origin(kind) in {Union, types.UnionType}:
        return {"any of": [one for one in map(shape, get_args(kind)) if one is not type(None)], "or null": True}
    if get_origin(kind) is not None:  # a sequence, or a pair
        return [shape(get_args(kind)[0])]
    return kind


def optional(kind: Any) -> tuple[Any, bool]:  # noqa: ANN401 - a type
    """The shape of a field, and whether it is always there."""
    kinds = get_args(kind) if get_origin(kind) in {Union, types.UnionType} else (kind,)
    rest = [one for one in kinds if one is not msgspec.UnsetType]
    return shape(Union[tuple(rest)]), len(rest) == len(kinds)  # noqa: UP007 - made at run time


def told(kind: Any) -> tuple[Any, bool]:  # noqa: ANN401 - a type
    return (shape(get_args(kind)[0]), False) if get_origin(kind) is NotRequired else (shape(kind), True)


def promised(found: Any) -> Any:  # noqa: ANN401 - a shape
    """*found*, with the keys that are promised to be there."""
    if isinstance(found, Mapping):
        return {
            key: (promised(one[0]), one[1] or key in PROMISED) if isinstance(one, tuple) else promised(one)
            for key, one in found.items()
        }
    return [promised(one) for one in found] if isinstance(found, list) else found


@pytest.mark.parametrize("name", [route.name for route in ROUTES if route.name not in UNTYPED])
def test_what_a_verb_is_said_to_return_is_what_the_service_answers(name: str) -> None:
    (route,) = (route for route in ROUTES if route.name == name)
    (declared,) = (content for reply in route.replies.values() for content in reply.content.values())
    whole = declared[0] if isinstance(declared, tuple) else declared
    reply = BY_ROUTE[name]
    leave = {"payload", "output"} if reply is replies.PacketReply else set()  # of any kind, and not always there
    expected, found = shape(whole), shape(reply)
    for key in leave:
        assert not found[key][1]
        expected.pop(key), found.pop(key)
    assert promised(found) == promised(expected)


def test_no_route_is_forgotten() -> None:
    assert {route.name for route in ROUTES} == {*BY_ROUTE, *UNTYPED}


def expected_settings() -> Mapping[str, Option]:
    return {name: one for name, one in OPTIONS.items() if one.scope is Scope.SERVICE and name not in NAMED}


def test_every_setting_of_a_service_is_a_keyword_of_collator() -> None:
    assert {*CollatorOptions.__annotations__} == {*expected_settings(), *TABLES}
    assert {*EndpointOptions.__annotations__} == {*options_of(TABLES["endpoints"].row)}


@pytest.mark.parametrize(
    ("table", "options"),
    [(CollatorOptions, expected_settings()), (EndpointOptions, options_of(TABLES["endpoints"].row))],
)
def test_the_words_of_a_setting_are_those_that_it_takes(table: type, options: Mapping[str, Option]) -> None:
    for name, kind in get_type_hints(table).items():
        if name not in options:
            continue
        words = options[name].type.metavar.split("|")
        if get_origin(kind) is Literal:
            assert {*get_args(kind)} == {*words}, name
        else:
            assert not (len(words) > 1 and all(word.islower() for word in words) and "off" not in words), name
        assert (kind is bool) == (options[name].type is SWITCH), name
        takes_none = type(None) in get_args(kind)
        assert takes_none or "off" not in words, name


def test_options_that_checkers_admit_are_admitted(tmp_path: Path) -> None:
    """One value of each kind that is said to do."""
    samples = {bool: True, int: 7, float: 90.0, str: None, Path: None}
    for name, kind in get_type_hints(CollatorOptions).items():
        kinds: tuple[Any, ...] = get_args(kind) if get_origin(kind) in {Union, types.UnionType, Literal} else (kind,)
        for one in kinds:
            value = one if get_origin(kind) is Literal else samples.get(one)
            if value is None or name in {"max_buffered", "workers"}:
                continue
            size = one is int and OPTIONS[name].type.metavar.startswith("SIZE")
            from_keywords({"data_dir": tmp_path, name: 2**28 if size else value})
        if type(None) in kinds:
            from_keywords({"data_dir": tmp_path, name: None})


def test_the_options_of_a_client_are_those_it_has() -> None:
    defaults = Client.__init__.__kwdefaults__ or {}
    assert {*ClientOptions.__annotations__} == {*defaults}
    assert Required not in {get_origin(kind) for kind in get_type_hints(ClientOptions, include_extras=True).values()}
