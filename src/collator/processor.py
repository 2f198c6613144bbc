"""How the user's code is called: one packet in, one result out, and never an exception.

Lives here: finding the function, calling it, and what each way of ending means. Does not live here: threads, queues
and the store; who calls, when and in which order belongs to a workforce.

Theory. The user's code may do anything: raise, exit, return what no JSON can hold. Each of these ends *one attempt of
one packet* and nothing else. An attempt gives an `Output`, or it failed: then the packet is tried again after a delay
(`Retry`) until its attempts are used up, or at once where the code says that nothing can help (`Permanent`); then it
has failed for good (`Failure`), with a reason for a person: one line, short, and nothing of the payload that the
user's code did not put there itself.
"""

from __future__ import annotations

import importlib
import inspect
import math
import random
import sys
import traceback
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec

from collator.backoff import exponential_delay
from collator.clock import Clock, SystemClock
from collator.errors import CollatorError, ConfigError, Permanent, ProcessorFailed
from collator.exchange import Failure, Output, Result, Retry, Task

MAX_REASON = 500

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Context(msgspec.Struct, frozen=True, gc=False):
    """Which packet a call is for: given to a function that has a parameter named ``context``."""

    resource_id: str
    index: int
    attempt: int
    """1 for the first."""


def word_lengths(payload: str) -> list[int]:
    """The length in characters of each word of *payload*: an example, and what the benchmarks run."""
    if not isinstance(payload, str):
        raise Permanent("the payload is not text")
    return list(map(len, payload.split()))


def open_processor(
    spec: str | Callable[..., object],
    *,
    timeout: float = 60.0,
    retries: int = 3,
    max_output: int = 1024 * 1024,
    clock: Clock | None = None,
) -> Processor:
    """The processor that *spec*, ``MODULE:FUNCTION``, names; modules of the current directory are found too.

    A program may give the function itself.     *timeout* in seconds for one call, *retries* after the first attempt, *max_output* in bytes of JSON. Raises
    `ConfigError`, saying what is wrong with *spec* or with the module.
    """
    if not isinstance(spec, str):
        function = _plain(spec, f"processor {spec!r}")
        return Processor(function, timeout=timeout, retries=retries, max_output=max_output, clock=clock)
    if spec.startswith(("http://", "https://")):
        raise ConfigError(f"processor {spec}: a URL cannot be called yet; name a function, MODULE:FUNCTION")
    module, colon, name = spec.partition(":")
    if not (module and colon and name):
        raise ConfigError(f"processor {spec!r}: write MODULE:FUNCTION, as in collator.processor:word_lengths")
    function = _function(_module(module), name, spec)
    return Processor(function, timeout=timeout, retries=retries, max_output=max_output, clock=clock)


class Processor:
    """A function of the user, and the terms on which it is called. May be used by many threads at a time."""

    def __init__(
        self,
        function: Callable[..., object],
        *,
        timeout: float = 60.0,
        retries: int = 3,
        max_output: int = 1024 * 1024,
        clock: Clock | None = None,
    ) -> None:
        """Take a plain *function* of one payload; units as in `open_processor`."""
        self.timeout = timeout
        self.clock = clock or SystemClock()
        self._retries = retries
        self._max_output = max_output
        self._call = _with_context(function) if _wants_context(function) else _with_payload(function)
        self._now = self.clock.monotonic

    def attempt(self, task: Task) -> Result:
        """Call the function for *task*, and say how it ended. Takes as long as the function does; never raises."""
        try:
            output = to_json(self._call(task))
        except BaseException as error:  # noqa: BLE001 - the user's code may raise anything; none of it ends the thread
            return self._failed(task, error)
        if len(output) > self._max_output:
            return self._failed(task, _Unusable(f"{len(output)} bytes, {self._max_output} at most"))
        return Output(task.lease, output, self._now())

    def timed_out(self, task: Task) -> Result:
        """How an attempt ends that is still running when its time is up."""
        return self._failed(task, ProcessorFailed(f"timed out after {self.timeout:g} s"))

    def _failed(self, task: Task, error: BaseException) -> Result:
        reason = reason_of(error)
        if isinstance(error, Permanent):
            return Failure(task.lease, reason)
        floor = (isinstance(error, ProcessorFailed) and error.retry_after) or 0.0
        delay = exponential_delay(task.attempt, retries=self._retries, floor=floor, random=random.random)
        return Failure(task.lease, reason) if delay is None else Retry(task.lease, reason, delay)


class _Unusable(ProcessorFailed):
    """The output cannot be used."""

    def __init__(self, problem: str) -> None:
        super().__init__(f"output: {problem}")


def to_json(value: object) -> bytes:
    """*value* as JSON: what msgspec encodes, so dates, dataclasses and the like too. Raises `ProcessorFailed`.

    Refused is what would be JSON only by losing or breaking something: not-a-number and infinity, which msgspec
    writes as ``null``, and ready-made JSON that is none. Plain values equal what is read back, and only the others
    are looked through, which keeps this at a third of a microsecond.
    """
    try:
        output = _encode(value)
        if _decode(output) != value and b"null" in output and not _finite(msgspec.to_builtins(value, enc_hook=_decode)):
            raise _Unusable("not-a-number and infinity are not JSON")
    except (msgspec.MsgspecError, TypeError, UnicodeError, RecursionError, OverflowError) as error:
        raise _Unusable(_words(error)) from None
    return output


def reason_of(error: BaseException) -> str:
    """*error* in words for a person: one line of at most 500 printable characters."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the error is the user's, and so is what it says of itself
        text = "(its text cannot be read)"
    line = " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * MAX_REASON]).split())
    if not isinstance(error, CollatorError):
        line = f"{type(error).__name__}: {line}" if line else type(error).__name__
    return line if len(line) <= MAX_REASON else line[: MAX_REASON - 1] + "…"


def _with_payload(function: Callable[..., object]) -> Callable[[Task], object]:
    def call(task: Task) -> object:
        return function(_decode(task.payload))

    return call


def _with_context(function: Callable[..., object]) -> Callable[[Task], object]:
    def call(task: Task) -> object:
        context = Context(task.key.resource_id, task.key.index, task.attempt)
        return function(_decode(task.payload), context=context)

    return call


def _wants_context(function: Callable[..., object]) -> bool:
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):  # functions written in C may not tell
        return False
    return "context" in parameters and parameters["context"].kind is not inspect.Parameter.POSITIONAL_ONLY


def _finite(value: Any) -> bool:  # noqa: ANN401 - any value that JSON can hold
    todo = [value]
    while todo:
        item = todo.pop()
        if isinstance(item, float) and not math.isfinite(item):
            return False
        todo += item.values() if isinstance(item, dict) else item if isinstance(item, list | tuple) else ()
    return True


def _words(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply, or within itself"
    if isinstance(error, UnicodeError):
        return "text with half of a surrogate pair, which UTF-8 cannot hold"
    return f"not JSON: {error}"


def _module(name: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # and there it stays: the function may import more when it is called
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        raise ConfigError(f"processor: cannot import {name}: {reason_of(error)}{_place(error)}") from error


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    if len(frames) < 2:  # noqa: PLR2004 - the first is this module: the module was not found
        return ""
    return f" ({frames[-1].filename}, line {frames[-1].lineno})"


def _function(module: ModuleType, name: str, spec: str) -> Callable[..., object]:
    try:
        function: object = attrgetter(name)(module)
    except AttributeError:
        raise ConfigError(f"processor {spec}: {module.__name__} has no {name}") from None
    return _plain(function, f"processor {spec}: {name}")


def _plain(function: object, name: str) -> Callable[..., object]:
    if not callable(function):
        raise ConfigError(f"{name} is not a function but of type {type(function).__name__}")
    if _is_async(function) or _is_async(type(function).__call__):
        raise ConfigError(f"{name} is a coroutine function; only plain functions can be called yet")
    return function


def _is_async(function: object) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
