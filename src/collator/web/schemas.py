"""JSON Schemas of the structs that travel, with the docstring of each field as its description.

One line on each field is a rule of the project: so what programmers read is what users read. Descriptions in
annotations (`msgspec.Meta`) would need no source, but as many lines in all, and three to six each for 46 of 100 fields.
What only those who work on the source understand, the numbers of rules and names of modules, is left out.

What generators of clients cannot read is written in another way that means the same (`plain_schema`).
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.inspect import CollectionType, StructType, TupleType, Type, UnionType, multi_type_info

REFERENCE = "#/components/schemas/{name}"

Schema = dict[str, Any]

_TYPES: Mapping[type, str] = {str: "string", bool: "boolean", int: "integer"}
_FOR_DEVELOPERS = re.compile(r" \((?:[RP][0-9]+(?:, )?|`collator[.\w]*`)+\)")


def schemas_of(types: Iterable[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """The schema of each of *types*, and what they refer to, by name."""
    wanted = [*types]
    schemas, components = msgspec.json.schema_components(wanted, ref_template=REFERENCE)
    for struct in {struct for info in multi_type_info(wanted) for struct in _structs(info)}:
        _describe(components[struct.__name__], struct)
    return [*schemas], components


def plain_schema(schema: Any) -> Any:  # noqa: ANN401 - any part of a schema
    """*schema* as generators of clients read it: a pair as an array of two, and all that has a type with it."""
    if isinstance(schema, list):
        return [plain_schema(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: plain_schema(part) for key, part in schema.items()}
    if isinstance(plain.get("description"), str):
        plain["description"] = _FOR_DEVELOPERS.sub("", plain["description"])
    first, *others = plain.get("prefixItems", [None])
    if first is not None and all(other == first for other in others):
        plain["items"] = first
        del plain["prefixItems"]
    values = [plain["const"]] if "const" in plain else plain.get("enum")
    if isinstance(values, list) and "type" not in plain:
        plain["type"] = _TYPES[type(values[0])]
    if "properties" in plain and "type" not in plain and isinstance(plain["properties"], dict):
        plain["type"] = "object"
    if plain.get("type") in ("object", ["object", "null"]) and "properties" not in plain:
        plain.setdefault("additionalProperties", True)
    return plain


def _describe(schema: Schema, struct: type[msgspec.Struct]) -> None:
    lines = _lines(struct)
    schema["description"] = _plain(inspect.getdoc(struct) or "")
    for name, field in schema["properties"].items():
        if name in lines:
            field["description"] = _plain(lines[name])
    _say_what_is_there(schema, struct)


def _say_what_is_there(schema: Schema, struct: type[msgspec.Struct]) -> None:
    """Say of each field of an answer that it is there; a default would be said to be there in a request too."""
    config = struct.__struct_config__
    always = not config.omit_defaults and not config.forbid_unknown_fields  # which only requests do
    for one in msgspec.structs.fields(struct):
        field = schema["properties"][one.encode_name]
        default = field.pop("default", None)
        if always and one.default is not msgspec.UNSET and one.encode_name not in schema["required"]:
            schema["required"] = [*schema["required"], one.encode_name]
        elif default is not None and not always:
            field["description"] = f"{field.get('description', '')} By default `{json.dumps(default)}`.".strip()


def _structs(info: Type) -> Iterator[type[msgspec.Struct]]:
    inner: Iterable[Type] = ()
    match info:
        case StructType():
            yield info.cls
            inner = [field.type for field in info.fields]
        case UnionType():
            inner = info.types
        case CollectionType():
            inner = [info.item_type]
        case TupleType():
            inner = info.item_types
        case _:
            pass
    for part in inner:
        yield from _structs(part)


def _lines(struct: type) -> Mapping[str, str]:
    """The text under each field, by name; those of the bases first, as fields are."""
    lines: dict[str, str] = {}
    for part in reversed(struct.__mro__):
        if issubclass(part, msgspec.Struct) and part is not msgspec.Struct:
            lines |= _own_lines(part)
    return lines


def _own_lines(struct: type) -> Iterator[tuple[str, str]]:
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(struct))).body
    if not isinstance(definition, ast.ClassDef):
        return
    for field, text in pairwise(definition.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(line))):
                yield name, line


def _plain(text: str) -> str:
    """*text* in terms of JSON and Markdown."""
    return " ".join(text.replace("`None`", "null").replace("``", "`").split())
