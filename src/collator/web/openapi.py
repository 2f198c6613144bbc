"""`/openapi.json`: routes and webhooks as OpenAPI 3.1, made from their declarations and from the limits that hold.

Nothing is written here that the service does not do: to change a route, a struct or a limit changes the description.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from collator import __version__
from collator.packet import MAX_ID_BYTES, PacketLimits
from collator.web.formats import JSON
from collator.web.options import QueryOption
from collator.web.problems import MEDIA_TYPE, ProblemType
from collator.web.request_body import HttpAnswer, RequestBody, answer_json
from collator.web.routes import ROUTES, Route, problems_of
from collator.web.routes.parts import PARTS
from collator.web.routes.webhooks import ANSWERS, FIELDS, WEBHOOKS, WebhookType
from collator.web.schemas import REFERENCE, Schema, plain_schema, schemas_of

_ABOUT = (
    "Collator turns a live stream of packets into one webhook per finished resource. Every error "
    "answer is a problem document (RFC 9457) with a stable `code`."
)
_LICENSE = {"name": "MIT", "identifier": "MIT"}
_TAGS = {
    "packets": "Send packets.",
    "resources": "Look at resources and their outputs, end them, or process what has failed again.",
    "deliveries": "Look at deliveries of webhooks, send them again, or give them up.",
    "endpoints": "Look at receivers of webhooks, pause them, go on, try and test them.",
    "audit": "Who did what.",
    "service": "How the service is.",
}
"""The groups of routes, by the first word of their path."""
_PROBLEM: Schema = {
    "type": "object",
    "description": "Why a request was not served (RFC 9457). Some problems have further members.",
    "required": ["type", "title", "status", "detail", "code"],
    "properties": {
        "type": {"type": "string", "description": "`urn:collator:problem:` and the code."},
        "title": {
            "type": "string",
            "description": "The kind of problem, in words; the same for all problems with this code.",
        },
        "status": {"type": "integer", "description": "The HTTP status."},
        "detail": {"type": "string", "description": "What was wrong, where, and what to do."},
        "code": {"type": "string", "description": "The kind of problem, for programs."},
        "retry_after": {"type": "number", "description": "Seconds after which the same request may succeed."},
    },
}
_SAYS_WHICH = {
    "Replay": ("state", "endpoint", "resource_id", "prefix", "since"),
    "RetryMany": ("state", "prefix", "since", "completed_by", "reason"),
}
"""The bodies that choose among many, and the members of which one at least has to be given."""
_LATER = frozenset({429, 503, 507})
_TOKEN: Schema = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token that `collator token` creates. `x-role` is the required role; `admin` may do everything.",
}


class Description:
    """The description of one service."""

    def __init__(self, *, packet_limits: PacketLimits, guarded: bool) -> None:
        """Describe a service that takes packets within *packet_limits*; *guarded* where it asks for tokens."""
        self._packet_limits = packet_limits
        self._guarded = guarded
        self._answer: HttpAnswer | None = None

    async def show(self, _request: RequestBody) -> HttpAnswer:
        """The description, made when it is first asked for."""
        self._answer = self._answer or answer_json(
            describe(ROUTES, packet_limits=self._packet_limits, guarded=self._guarded)
        )
        return self._answer


def describe(routes: Sequence[Route], *, packet_limits: PacketLimits, guarded: bool) -> dict[str, Any]:
    """The OpenAPI document of *routes*, and of the webhooks."""
    types = {repr(one): one for route in routes for one in _types(route)}
    types |= {repr(webhook.body): webhook.body for webhook in WEBHOOKS}
    schemas, components = schemas_of(types.values())
    by_type = dict(zip(types, schemas, strict=True))
    _narrow(components, packet_limits)
    _narrow_bodies(schemas)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(
            route, by_type, packet_limits, guarded=guarded
        )
    described = {
        "openapi": "3.1.0",
        "info": {"title": "Collator", "version": __version__, "description": _ABOUT, "license": _LICENSE},
        "servers": [{"url": "/", "description": "The service that gives this description."}],
        "tags": [{"name": name, "description": says} for name, says in _TAGS.items()],
        "paths": paths,
        "webhooks": {webhook.name: {"post": _webhook(webhook, by_type)} for webhook in WEBHOOKS},
        "components": {
            "schemas": {**components, "Problem": _PROBLEM},
            **({"securitySchemes": {"token": _TOKEN}} if guarded else {}),
        },
    }
    whole: dict[str, Any] = plain_schema(described)
    return whole


def _types(route: Route) -> Iterator[Any]:
    """Yield what msgspec has to describe."""
    contents = (route.body, *(reply.content for reply in route.replies.values()))
    for schema in chain.from_iterable(content.values() for content in contents):
        if not isinstance(schema, Mapping):
            yield from _any_of(schema)


def _operation(
    route: Route, by_type: Mapping[str, Schema], packet_limits: PacketLimits, *, guarded: bool
) -> dict[str, Any]:
    parameters = [
        _parameter(part, "path", packet_limits) for name, part in PARTS.items() if f"{{{name}}}" in route.path
    ]
    parameters += [_parameter(option, "query", packet_limits) for option in route.options]
    replies = {
        str(status): {"description": reply.says, "content": _content(reply.content, by_type)}
        for status, reply in route.replies.items()
    }
    kinds = problems_of(route, guarded=guarded)
    problems = {
        str(status): _problem(status, [kind for kind in kinds if kind.status == status])
        for status in sorted({kind.status for kind in kinds})
    }
    content = _content(route.body, by_type)
    word = route.path.removeprefix("/v1/").partition("/")[0]
    for media_type, example in route.examples.items():
        content[media_type]["example"] = example
    return {
        "operationId": route.name,
        "tags": [word if word in _TAGS else "service"],
        "summary": route.says,
        **({"description": route.more} if route.more else {}),
        **({"parameters": parameters} if parameters else {}),
        **({"requestBody": {"required": True, "content": content}} if content else {}),
        "responses": replies | problems,
        **({"x-role": route.role} if route.role else {}),
        "security": [{"token": [route.role]}] if guarded and route.role else [],
    }


def _webhook(webhook: WebhookType, by_type: Mapping[str, Schema]) -> dict[str, Any]:
    return {
        "operationId": "on" + webhook.name.title().replace(".", ""),
        "summary": webhook.says,
        "security": [],
        "parameters": [
            {"name": field.name, "in": "header", "required": True, "description": field.says, "schema": field.schema}
            for field in FIELDS
        ],
        "requestBody": {"required": True, "content": _content({JSON: webhook.body}, by_type)},
        "responses": {status: {"description": says} for status, says in ANSWERS.items()},
    }


def _parameter(option: QueryOption, place: str, packet_limits: PacketLimits) -> dict[str, Any]:
    schema = {**option.schema, **_limits(packet_limits).get(option.name, {})}
    if option.default not in {None, ""}:
        schema["default"] = option.default
    return {"name": option.name, "in": place, "required": place == "path", "description": option.says, "schema": schema}


def _content(content: Mapping[str, Any], by_type: Mapping[str, Schema]) -> dict[str, Any]:
    return {media_type: {"schema": _schema(schema, by_type)} for media_type, schema in content.items()}


def _schema(schema: Any, by_type: Mapping[str, Schema]) -> Mapping[str, Any]:  # noqa: ANN401 - as routes have it
    if isinstance(schema, Mapping):
        return schema
    schemas = [by_type[repr(one)] for one in _any_of(schema)]
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _any_of(schema: Any) -> tuple[Any, ...]:  # noqa: ANN401 - as routes have it
    return schema if isinstance(schema, tuple) else (schema,)


def _problem(status: int, kinds: Sequence[ProblemType]) -> dict[str, Any]:
    codes = {"status": {"const": status}, "code": {"enum": [kind.code for kind in kinds]}}
    # Beside the reference, where generators pass it over: all problems are one type of theirs.
    schema = {"$ref": "#/components/schemas/Problem", "properties": codes}
    later = {"Retry-After": {"description": "Seconds.", "schema": {"type": "integer", "minimum": 1}}}
    return {
        "description": ". ".join(kind.title for kind in kinds) + ".",
        **({"headers": later} if status in _LATER else {}),
        "content": {MEDIA_TYPE: {"schema": schema}},
    }


def _limits(packet_limits: PacketLimits) -> Mapping[str, Schema]:
    """The limits of numbers that their types do not give, by name."""
    return {
        "index": {"minimum": 0, "maximum": packet_limits.max_packets - 1},
        "total": {"maximum": packet_limits.max_packets},
    }


def _narrow(components: Mapping[str, Schema], packet_limits: PacketLimits) -> None:
    """Write into the schemas what is checked beyond the types (R1 to R4)."""
    total = _total(1, packet_limits)
    packet = components["WirePacket"]["properties"]
    text = {key: value for key, value in PARTS["resource_id"].schema.items() if key != "not"}
    packet["resource_id"]["anyOf"] = [text | {"maxLength": MAX_ID_BYTES}, {"type": "integer"}]
    packet["index"] |= _limits(packet_limits)["index"]
    packet["total"] |= total
    packet["last"]["type"] = ["boolean", "null"]
    packet["metadata"]["type"] = ["object", "null"]
    components["ResourceView"]["properties"]["metadata"]["type"] = "object"
    components["Completion"]["properties"]["total"] |= _total(0, packet_limits)


def _narrow_bodies(schemas: Sequence[Schema]) -> None:
    """Write beside references to bodies which members one has to give; in the bodies, generators see nothing else."""
    says_total = {"required": ["total"], "properties": {"total": {"type": "integer"}}}
    says_force = {"required": ["force"], "properties": {"force": {"const": True}}}
    says = {"Completion": [says_total, says_force]}
    for body, names in _SAYS_WHICH.items():
        says[body] = [{"required": [name], "properties": {name: {"type": "string", "minLength": 1}}} for name in names]
    for body, one_of in says.items():
        (reference,) = (schema for schema in schemas if schema.get("$ref") == REFERENCE.format(name=body))
        reference["anyOf"] = one_of


def _total(least: int, packet_limits: PacketLimits) -> Schema:
    return {"anyOf": [{"type": "integer", "minimum": least, "maximum": packet_limits.max_packets}, {"type": "null"}]}
