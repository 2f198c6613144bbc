"""From ``MODULE:FUNCTION`` to the function; modules of the directory in which the program was started are found too."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
import sysconfig
import traceback
from collections.abc import Callable
from contextlib import suppress
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

from collator.errors import ConfigError
from collator.processor.outcomes import reason_of

UserFunction = Callable[..., Any]

_OF_PYTHON = ("-packages", "lib-dynload", ".zip")
"""Ends of directories on Python's path in which nobody looks for a module of his own."""


def look_here() -> None:
    """Have modules of the working directory found from now on, wherever the program goes to then."""
    with suppress(OSError):  # it is gone, and has no modules
        here = str(Path.cwd())
        if here not in sys.path:
            sys.path.insert(0, here)  # and there it stays: the function may import more when it is called


def find(spec: str) -> UserFunction:
    """The function that *spec* names. Raises `ConfigError`, saying what is wrong with *spec* or with the module."""
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise ConfigError(
            f"processor {spec!r}: write MODULE:FUNCTION, as in collator.processor:word_lengths, or https://…"
        )
    if not all(map(str.isidentifier, name.split("."))):  # HOST:PORT/PATH; it may hold a password
        raise ConfigError(
            "processor: no function has such a name; the URL of a service begins with http:// or https://"
        )
    return checked(_attribute(_module(module), name, spec), f"{spec}: {name}")


def checked(function: object, name: str) -> UserFunction:
    """*function*, of *name*, if it can be called for one output. Raises `ConfigError`."""
    if not callable(function):
        raise ConfigError(f"processor {name} is not a function but a value of type {type(function).__name__}")
    if _called_as(function, inspect.isgeneratorfunction):
        raise ConfigError(
            f"processor {name} is a generator; return one output for each payload instead. Interim outputs are for "
            "async generators (async def)"
        )
    _check_parameters(function, name)
    return function


def is_coroutine(function: UserFunction) -> bool:
    """Return whether calling *function* gives something to await."""
    return _called_as(function, inspect.iscoroutinefunction)


def is_generator(function: UserFunction) -> bool:
    """Return whether calling *function* gives an async generator."""
    return _called_as(function, inspect.isasyncgenfunction)


def _called_as(function: object, kind: Callable[[object], bool]) -> bool:
    """Return whether *function* is of this *kind*, or what a call of it as an object comes to."""
    return kind(function) or kind(type(function).__call__)


def wants_context(function: UserFunction) -> bool:
    """Return whether *function* has a parameter of the name ``context``."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # functions written in C may not tell
        return False
    return "context" in parameters and parameters["context"].kind is not inspect.Parameter.POSITIONAL_ONLY


def _check_parameters(function: UserFunction, name: str) -> None:
    """Raise `ConfigError` where *function* takes less or wants more than it is given: every packet would fail."""
    try:
        signature = inspect.signature(function, follow_wrapped=False)  # a decorator may give what it wraps more
    except (TypeError, ValueError):  # as in `wants_context`
        return
    try:
        signature.bind(None, **({"context": None} if wants_context(function) else {}))
    except TypeError as error:
        raise ConfigError(
            f"processor {name} cannot be called with one payload ({error}); it may have a second parameter, context"
        ) from None


def _module(name: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        told = f"{reason_of(error)}{_place(error)}{_hint(name, error)}"
        raise ConfigError(f"processor: cannot import {name}: {told}") from error


def _hint(name: str, error: BaseException) -> str:
    """Tell what to do about *error*, where it says that there is no module *name*."""
    if name.endswith(".py"):
        return "; a module is named without .py"
    top = name.partition(".")[0]
    if not (isinstance(error, ModuleNotFoundError) and error.name == top):
        return ""
    installed = {*sysconfig.get_paths().values()}
    own = [place or "." for place in sys.path if place not in installed and not place.endswith(_OF_PYTHON)]
    looked = f"looked for {top} in {', '.join([*own, 'the installed packages'])}"
    return f"; {looked}: start this in the directory of the module, name that in PYTHONPATH, or install it"


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    if len(frames) < 2:  # noqa: PLR2004 - the first is this module: the module was not found
        return ""
    return f" ({frames[-1].filename}, line {frames[-1].lineno})"


def _attribute(module: ModuleType, name: str, spec: str) -> object:
    try:
        return attrgetter(name)(module)
    except AttributeError:
        known = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        alike = difflib.get_close_matches(name, known, n=1)
        hint = f"; did you mean {alike[0]}?" if alike else ""
        raise ConfigError(f"processor {spec}: {module.__name__} has no {name}{hint}") from None
