"""Sources of settings: flags before the environment before the file before the defaults.

Every error names its source, so that a person knows which of the four to mend. An unknown name is an error in every
source: a misspelt setting that is passed over in silence is found out in the wrong moment.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from collator.errors import ConfigError
from collator.files import read_file
from collator.settings.option import (
    DIR,
    DURATION_OR_OFF,
    FILE,
    NAMES,
    NETWORKS,
    SWITCH,
    Scope,
    ValueType,
    options_of,
    required_of,
)
from collator.settings.table import OPTIONS, TABLES, Settings, default, flag, option_of, variable
from collator.settings.values import OFF, label

CONFIG_FILE = "collator.toml"
"""Read from the working directory where it is there and no other is named."""
CONFIG_VARIABLE = "COLLATOR_CONFIG"

_MAX_FILE = 1024 * 1024  # bytes


@dataclass(frozen=True)
class RawValue:
    """One value that somebody gave: in a flag, in the environment or in the file."""

    name: str
    """``port``, or in a table ``endpoints.NAME.url``."""
    text: str
    source: str
    """``--port``, ``COLLATOR_PORT`` or ``collator.toml: port``."""

    def value(self) -> Any:  # noqa: ANN401 - what the kind of the setting gives
        """The value in the unit that the program uses. Raises `ConfigError`, which names the source."""
        try:
            return option_of(self.name).type.parse(self.text)
        except ValueError as error:
            raise ConfigError(f"{self.source}: {error}") from None


@dataclass(frozen=True)
class Effective:
    """One setting as it holds."""

    name: str
    """``port``, or in a table ``endpoints.NAME.url``."""
    text: str | None
    """The value as a user would write it; `None` where there is none."""
    source: str
    """``--port``, ``COLLATOR_PORT``, ``collator.toml: port``, ``default``, or the setting that counts instead."""


def load(
    flags: Mapping[str, str | None] | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    config: str | None = None,
) -> Settings:
    """The effective settings. Raises `ConfigError`, which names the source, the key and what would be right.

    Args:
        flags: Text by name of the setting; `None` is a flag that was not given.
        environ: The environment; that of the process where it is not given.
        config: The file; else the one that COLLATOR_CONFIG names; else ``collator.toml``, if it is there.
    """
    return _settings(gather(flags or {}, os.environ if environ is None else environ, config))


def from_keywords(keywords: Mapping[str, object]) -> Settings:
    """The settings that a Python program gives: by the names and in the units of the file, or as values of their type.

    `None` is ``off``, or the default. Neither the environment nor a file is looked at. Raises `ConfigError`.
    """
    content = {name: _plain(name, value) for name, value in keywords.items()}
    given = _from_content("settings", {name: value for name, value in content.items() if value is not None})
    return _settings({item.name: item for item in given})


def gather(flags: Mapping[str, str | None], environ: Mapping[str, str], config: str | None) -> dict[str, RawValue]:
    """Of what was given for each setting, that which counts. Raises `ConfigError` for a name that nobody knows."""
    given = _from_file(config, environ.get(CONFIG_VARIABLE)) | _from_environment(environ)
    return given | {name: RawValue(name, text, flag(name)) for name, text in flags.items() if text is not None}


def effective(given: Mapping[str, RawValue]) -> Iterator[Effective]:
    """Every setting as it holds, in the order of the table, out of what `gather` found. Raises `ConfigError`."""
    shown = [name for name, option in OPTIONS.items() if option.scope is not Scope.TEST]
    plain = {name: _effective(name, given, default(name), "default") for name in shown}
    if plain["url"].text is None:
        plain["url"] = _service(given)
    yield from plain.values()
    for table in TABLES:
        for name in _names(table, given):
            yield from _effective_row(table, name, given, plain)


def _effective_row(
    table: str, name: str, given: Mapping[str, RawValue], plain: Mapping[str, Effective]
) -> Iterator[Effective]:
    row = TABLES[table].row
    for key, option in options_of(row).items():
        otherwise, source = option.written(getattr(row, key, None)), "default"
        if option.instead:
            otherwise, source = plain[option.instead].text, option.instead
        yield _effective(f"{table}.{name}.{key}", given, otherwise, source)


def _effective(name: str, given: Mapping[str, RawValue], otherwise: str | None, source: str) -> Effective:
    item = given.get(name)
    if item is None:
        return Effective(name, otherwise, source)
    return Effective(name, option_of(name).written(item.value()), item.source)


def _service(given: Mapping[str, RawValue]) -> Effective:
    """The URL of the service for clients, from the address on which it listens."""
    try:
        return Effective("url", _settings(given).service_url, "host, port")
    except ConfigError:  # on any port
        return Effective("url", None, "host, port")


def _settings(given: Mapping[str, RawValue]) -> Settings:
    values: dict[str, Any] = {name: item.value() for name, item in given.items() if name in OPTIONS}
    rows = {table: tuple(_row(table, name, given) for name in _names(table, given)) for table in TABLES}
    return Settings(**values | rows)


def _row(table: str, name: str, given: Mapping[str, RawValue]) -> Any:  # noqa: ANN401 - what the table declares
    prefix = f"{table}.{name}."
    keys = {key.removeprefix(prefix): item.value() for key, item in given.items() if key.startswith(prefix)}
    return TABLES[table].row(name=name, **keys)


def _names(table: str, given: Mapping[str, RawValue]) -> list[str]:
    """The names of the tables ``[table.NAME]``, in the order of the file."""
    return [*dict.fromkeys(name.split(".")[1] for name in given if name.startswith(f"{table}."))]


def _plain(name: str, value: object) -> object:
    """*value* as a file would give it."""
    if value is None and name in OPTIONS and OPTIONS[name].type is DURATION_OR_OFF:
        return OFF
    if isinstance(value, Mapping):
        return {inner: plain for inner, item in value.items() if (plain := _plain("", item)) is not None}
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _nearest(name: str, known: Iterable[str]) -> str:
    """Of what is *known*, that which the unknown *name* was probably meant to be."""
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]


def _from_environment(environ: Mapping[str, str]) -> dict[str, RawValue]:
    known = {variable(name): name for name in OPTIONS}
    given = [key for key in environ if key.startswith("COLLATOR_") and key != CONFIG_VARIABLE]
    for key in given:
        if key not in known:
            raise ConfigError(f"environment: {key} is not a setting; did you mean {_nearest(key, known)}?")
    return {known[key]: RawValue(known[key], environ[key], key) for key in given}


def _from_file(named: str | None, by_variable: str | None) -> dict[str, RawValue]:
    """The values in the file, by name.

    A relative path in it starts in its own directory: it means the same wherever the program is started.
    """
    path = Path(named or by_variable or CONFIG_FILE)
    if not (named or by_variable or path.exists()):
        return {}
    source = f"--config {path}" if named else f"{CONFIG_VARIABLE}={path}" if by_variable else str(path)
    return {given.name: _beside(path, given) for given in _from_content(str(path), _content(path, source))}


def _content(path: Path, source: str) -> dict[str, Any]:
    try:
        _, text = read_file(path, _MAX_FILE + 1)
        if len(text) > _MAX_FILE:
            raise ConfigError(f"{source}: larger than {_MAX_FILE // 1024} KiB")
        return tomllib.loads(text.decode())
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = '; a text needs its quotes, as in "60s"' if str(error).startswith("Invalid value") else ""
        raise ConfigError(f"{source}: not a TOML file: {error}{hint}") from None


def _beside(path: Path, given: RawValue) -> RawValue:
    relative = option_of(given.name).type in {DIR, FILE} and given.text.strip() and not given.text.startswith("~")
    return replace(given, text=str(path.parent / given.text)) if relative else given


def _from_content(path: str, content: Mapping[str, Any]) -> Iterator[RawValue]:
    """Yield what *content*, a file's or one that looks like it, gives; errors call it *path*. Raises `ConfigError`."""
    known = [*(name for name, option in OPTIONS.items() if option.scope is not Scope.TEST), *TABLES]
    for key, value in content.items():
        if key not in known:
            raise ConfigError(f"{path}: {key!r} is not a setting; did you mean {_nearest(key, known)}?")
        if key in TABLES:
            yield from _from_tables(path, key, value)
        else:
            yield RawValue(key, _text(OPTIONS[key].type, value, f"{path}: {key}"), f"{path}: {key}")


def _from_tables(path: str, key: str, value: object) -> Iterator[RawValue]:
    """The tables ``[key.NAME]``."""
    for name, table in value.items() if isinstance(value, dict) else [("", value)]:
        if not isinstance(table, dict):
            where = f"{key}.{name}" if name else key
            raise ConfigError(f"{path}: {where}: expected a table [{key}.NAME], found {type(table).__name__}")
        try:
            label(name)
        except ValueError as error:
            raise ConfigError(f"{path}: {key}: {error}") from None
        yield from _from_table(path, key, name, table)


def _from_table(path: str, key: str, name: str, table: Mapping[str, object]) -> Iterator[RawValue]:
    where, options = f"{path}: {key}.{name}", options_of(TABLES[key].row)
    missing = [one for one in required_of(TABLES[key].row) if one not in table]
    for inner, value in table.items():
        if inner not in options:
            raise ConfigError(
                f"{where}: {inner!r} is not a setting of this table; did you mean {_nearest(inner, options)}?"
            )
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
    raise ConfigError(f"{source}: expected a string or a number, found {type(value).__name__}")
