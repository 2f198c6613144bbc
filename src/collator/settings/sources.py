"""Sources of settings: flags before the environment before the file before the defaults.

Every error names its source, so that a person knows which of the four to mend. An unknown name is an error in every
source: a misspelt setting that is passed over in silence is found out in the wrong moment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collator.errors import ConfigError
from collator.settings import file
from collator.settings.names import OPTIONS, TABLES, default, flag, option_of, options_of, variable, written
from collator.settings.option import DURATION_OR_OFF, Scope
from collator.settings.raw_value import RawValue, nearest
from collator.settings.table import Settings
from collator.settings.values import OFF

CONFIG_FILE = "collator.toml"
"""Read from the working directory where it is there and no other is named."""
CONFIG_VARIABLE = "COLLATOR_CONFIG"


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
    return _made(gather(flags or {}, os.environ if environ is None else environ, config))


def from_keywords(keywords: Mapping[str, object]) -> Settings:
    """The settings that a Python program gives: by the names and in the units of the file, or as values of their type.

    `None` is ``off``, or the default. Neither the environment nor a file is looked at. Raises `ConfigError`.
    """
    content = {name: _plain(name, value) for name, value in keywords.items()}
    given = file.settings("settings", {name: value for name, value in content.items() if value is not None})
    return _made({item.name: item for item in given})


def gather(flags: Mapping[str, str | None], environ: Mapping[str, str], config: str | None) -> dict[str, RawValue]:
    """Of what was given for each setting, that which counts. Raises `ConfigError` for a name that nobody knows."""
    given = _from_file(config, environ.get(CONFIG_VARIABLE)) | _from_environment(environ)
    return given | {name: RawValue(name, text, flag(name)) for name, text in flags.items() if text is not None}


@dataclass(frozen=True)
class Effective:
    """One setting as it holds."""

    name: str
    """``port``, or in a table ``endpoints.NAME.url``."""
    text: str | None
    """The value as a user would write it; `None` where there is none."""
    source: str
    """``--port``, ``COLLATOR_PORT``, ``collator.toml: port``, ``default``, or the setting that counts instead."""


def effective(given: Mapping[str, RawValue]) -> Iterator[Effective]:
    """Every setting as it holds, in the order of the table, out of what `gather` found. Raises `ConfigError`."""
    plain = {name: _effective(name, given, default(name), "default") for name in OPTIONS if _shown(name)}
    if plain["url"].text is None:
        plain["url"] = _service(given)
    yield from plain.values()
    for table in TABLES:
        for name in _names(table, given):
            yield from _effective_row(table, name, given, plain)


def _made(given: Mapping[str, RawValue]) -> Settings:
    values: dict[str, Any] = {name: item.value() for name, item in given.items() if name in OPTIONS}
    return Settings(**values | {name: _rows(name, given) for name in TABLES})


def _plain(name: str, value: object) -> object:
    """*value* as a file would give it."""
    if value is None and name in OPTIONS and OPTIONS[name].type is DURATION_OR_OFF:
        return OFF
    if isinstance(value, Mapping):
        return {inner: plain for inner, item in value.items() if (plain := _plain("", item)) is not None}
    return list(value) if isinstance(value, tuple) else str(value) if isinstance(value, Path) else value


def _effective_row(
    table: str, name: str, given: Mapping[str, RawValue], plain: Mapping[str, Effective]
) -> Iterator[Effective]:
    row = TABLES[table].row
    for key, option in options_of(row).items():
        otherwise, source = written(option, getattr(row, key, None)), "default"
        if option.instead:
            otherwise, source = plain[option.instead].text, option.instead
        yield _effective(f"{table}.{name}.{key}", given, otherwise, source)


def _effective(name: str, given: Mapping[str, RawValue], otherwise: str | None, source: str) -> Effective:
    item = given.get(name)
    if item is None:
        return Effective(name, otherwise, source)
    return Effective(name, written(option_of(name), item.value()), item.source)


def _service(given: Mapping[str, RawValue]) -> Effective:
    """Return where those who ask find the service, by where it listens."""
    try:
        return Effective("url", _made(given).service_url, "host, port")
    except ConfigError:  # on any port
        return Effective("url", None, "host, port")


def _shown(name: str) -> bool:
    return OPTIONS[name].scope is not Scope.TEST


def _rows(table: str, given: Mapping[str, RawValue]) -> tuple[Any, ...]:
    return tuple(TABLES[table].row(name=name, **_row(f"{table}.{name}.", given)) for name in _names(table, given))


def _row(prefix: str, given: Mapping[str, RawValue]) -> dict[str, Any]:
    return {name.removeprefix(prefix): item.value() for name, item in given.items() if name.startswith(prefix)}


def _names(table: str, given: Mapping[str, RawValue]) -> list[str]:
    """The names of the tables ``[table.NAME]``, in the order of the file."""
    return [*dict.fromkeys(name.split(".")[1] for name in given if name.startswith(f"{table}."))]


def _from_file(named: str | None, by_variable: str | None) -> dict[str, RawValue]:
    path = Path(named or by_variable or CONFIG_FILE)
    if not (named or by_variable or path.exists()):
        return {}
    source = f"--config {path}" if named else f"{CONFIG_VARIABLE}={path}" if by_variable else str(path)
    return file.read(path, source)


def _from_environment(environ: Mapping[str, str]) -> dict[str, RawValue]:
    known = {variable(name): name for name in OPTIONS}
    given = [key for key in environ if key.startswith("COLLATOR_") and key != CONFIG_VARIABLE]
    for key in given:
        if key not in known:
            raise ConfigError(f"environment: {key} is not a setting; did you mean {nearest(key, known)}?")
    return {known[key]: RawValue(known[key], environ[key], key) for key in given}
