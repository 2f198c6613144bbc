"""JSON Schemas of the structs that travel, with the docstring of each field as its description.

One line on each field is a rule of the project: so what programmers read is what users read. Descriptions in
annotations (`msgspec.Meta`) would need no source, but as many lines in all, and three to six each for 46 of 100 fields.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from typing import Any

import msgspec
from msgspec.inspect import CollectionType, StructType, TupleType, Type, UnionType, multi_type_info

REFERENCE = "#/components/schemas/{name}"

Schema = dict[str, Any]


def schemas_of(types: Iterable[Any]) -> tuple[list[Schema], dict[str, Schema]]:
    """The schema of each of *types*, and what they refer to, by name."""
    wanted = [*types]
    schemas, components = msgspec.json.schema_components(wanted, ref_template=REFERENCE)
    for struct in {struct for info in multi_type_info(wanted) for struct in _structs(info)}:
        _describe(components[struct.__name__], struct)
    return [*schemas], components


def _describe(schema: Schema, struct: type) -> None:
    lines = _lines(struct)
    schema["description"] = _plain(inspect.getdoc(struct) or "")
    for name, field in schema["properties"].items():
        if name in lines:
            field["description"] = _plain(lines[name])


def _structs(info: Type) -> Iterator[type]:
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
