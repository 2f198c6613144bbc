"""Where settings come from: flags before the environment before the file before the defaults.

Every error names its source, so that a person knows which of the four to mend. An unknown name is an error in every
source: a misspelt setting that is passed over in silence is found out in the wrong moment.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collator.errors import ConfigError
from collator.settings.derived import OPTIONS, flag, variable
from collator.settings.option import Scope
from collator.settings.table import Settings

CONFIG_FILE = "collator.toml"
"""Read from the working directory where it is there and no other is named."""
CONFIG_VARIABLE = "COLLATOR_CONFIG"


@dataclass(frozen=True)
class Given:
    """One value that somebody gave."""

    name: str
    text: str
    source: str
    """``--port``, ``COLLATOR_PORT`` or ``collator.toml: port``."""


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
    given = gather(flags or {}, os.environ if environ is None else environ, config)
    return Settings(**{name: _value(value) for name, value in given.items()})


def gather(flags: Mapping[str, str | None], environ: Mapping[str, str], config: str | None) -> dict[str, Given]:
    """Of what was given for each setting, that which counts. Raises `ConfigError` for a name that nobody knows."""
    given = _from_file(config, environ.get(CONFIG_VARIABLE)) | _from_environment(environ)
    return given | {name: Given(name, text, flag(name)) for name, text in flags.items() if text is not None}


def _from_file(named: str | None, by_variable: str | None) -> dict[str, Given]:
    path = Path(named or by_variable or CONFIG_FILE)
    if not (named or by_variable or path.exists()):
        return {}
    source = f"--config {path}" if named else f"{CONFIG_VARIABLE}={path}" if by_variable else str(path)
    return {given.name: given for given in _items(path, _read(path, source))}


def _read(path: Path, source: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"{source}: cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{source}: not a TOML file: {error}") from None


def _items(path: Path, table: Mapping[str, Any]) -> Iterator[Given]:
    known = [name for name, option in OPTIONS.items() if option.scope is not Scope.TEST]
    for key, value in table.items():
        if key not in known:
            raise ConfigError(f"{path}: {key!r} is not a setting; did you mean {_nearest(key, known)}?")
        yield Given(key, _text(value, f"{path}: {key}"), f"{path}: {key}")


def _text(value: object, source: str) -> str:
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return ",".join(value)
    if isinstance(value, str | int | float):
        return str(value).lower() if isinstance(value, bool) else str(value)
    raise ConfigError(f"{source}: a text or a number is wanted, this is {type(value).__name__}")


def _from_environment(environ: Mapping[str, str]) -> dict[str, Given]:
    known = {variable(name): name for name in OPTIONS}
    given = [key for key in environ if key.startswith("COLLATOR_") and key != CONFIG_VARIABLE]
    for key in given:
        if key not in known:
            raise ConfigError(f"environment: {key} is not a setting; did you mean {_nearest(key, known)}?")
    return {known[key]: Given(known[key], environ[key], key) for key in given}


def _nearest(name: str, known: Iterable[str]) -> str:
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]


def _value(given: Given) -> Any:  # noqa: ANN401 - what the kind of the setting gives
    try:
        return OPTIONS[given.name].kind.parse(given.text)
    except ValueError as error:
        raise ConfigError(f"{given.source}: {error}") from None
