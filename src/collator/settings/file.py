"""The file ``collator.toml``: settings by name, and tables such as ``[endpoints.NAME]``."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from collator.errors import ConfigError
from collator.files import read_file
from collator.settings.names import OPTIONS, TABLES, option_of, options_of, required_of
from collator.settings.option import DIR, FILE, NAMES, NETWORKS, SWITCH, Scope, ValueType
from collator.settings.raw_value import RawValue, nearest
from collator.settings.values import label

_MOST = 1024 * 1024  # bytes of a file of settings


def read(path: Path, source: str) -> dict[str, RawValue]:
    """Return what the file *path* gives, by name. `ConfigError`, which names *source* where it cannot be read.

    A relative path in it starts in its own directory: it means the same wherever the program is started.
    """
    try:
        _, text = read_file(path, _MOST + 1)
        if len(text) > _MOST:
            raise ConfigError(f"{source}: larger than {_MOST // 1024} KiB")
        content = tomllib.loads(text.decode())
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: not a TOML file: {error}") from None
    return {given.name: _beside(path, given) for given in settings(str(path), content)}


def settings(path: str, content: Mapping[str, Any]) -> Iterator[RawValue]:
    """Yield what *content*, a file's or one that looks like it, gives; errors call it *path*. Raises `ConfigError`."""
    known = [*(name for name, option in OPTIONS.items() if option.scope is not Scope.TEST), *TABLES]
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{path}: {key!r} is not a setting; did you mean {nearest(key, known)}?")
        if key in TABLES:
            yield from _tables(path, key, value)
        else:
            yield RawValue(key, _text(OPTIONS[key].type, value, f"{path}: {key}"), f"{path}: {key}")


def _beside(path: Path, given: RawValue) -> RawValue:
    relative = option_of(given.name).type in {DIR, FILE} and given.text.strip() and not given.text.startswith("~")
    return replace(given, text=str(path.parent / given.text)) if relative else given


def _tables(path: str, key: str, value: object) -> Iterator[RawValue]:
    """The tables ``[key.NAME]``."""
    for name, table in value.items() if isinstance(value, dict) else [("", value)]:
        if not isinstance(table, dict):
            where = f"{key}.{name}" if name else key
            raise ConfigError(f"{path}: {where}: a table is wanted, [{key}.NAME]; this is {type(table).__name__}")
        try:
            label(name)
        except ValueError as error:
            raise ConfigError(f"{path}: {key}: {error}") from None
        yield from _table(path, key, name, table)


def _table(path: str, key: str, name: str, table: Mapping[str, object]) -> Iterator[RawValue]:
    where, options = f"{path}: {key}.{name}", options_of(TABLES[key].row)
    missing = [one for one in required_of(TABLES[key].row) if one not in table]
    for inner, value in table.items():
        if inner not in options:
            raise ConfigError(f"{where}: {inner!r} is not a setting there; did you mean {nearest(inner, options)}?")
        source = f"{where}.{inner}"
        yield RawValue(f"{key}.{name}.{inner}", _text(options[inner].type, value, source), source)
    if missing:
        raise ConfigError(f"{where}: {', '.join(missing)} is missing")


def _text(kind: ValueType, value: object, source: str) -> str:
    if kind in {NAMES, NETWORKS} and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    if isinstance(value, bool) and kind is SWITCH:
        return SWITCH.write(value)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise ConfigError(f"{source}: a text or a number is wanted, this is {type(value).__name__}")
