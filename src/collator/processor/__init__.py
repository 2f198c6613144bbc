"""Calls of the user's code: some packets in, a result for each out, and never an exception.

Lives here: finding the code, one call of it, and what each way of ending means. Does not live here: threads, queues and
the store; when and in which order calls are made belongs to the workers. One file for each kind of processor:

| file | the user's code is | a call is made |
|---|---|---|
| `function` | a plain function | in the thread that asks |
| `coroutine` | a coroutine function, or an async `generator` | on the event loop that asks |
| `http` | an HTTP service | on the event loop that asks |
| `subprocess` | a function of either kind | in a process of its own, whose life is in `child` |

`endings` says who is to blame for each way of ending, `outcomes` what that means for the packet, the same for all.
`request` is what an HTTP service is sent, by a `template` and with `headers`, and what of its answer is the output, by
a `pointer`. `outputs` makes JSON of what was returned, `loader` finds the function, and `pipes`, `wire`, `job_queue`
and `print_streams` belong to the processes. `guardian` is a program that ends what the user's code has started when the
service has ended; `guardian_client` starts it. `trial` is one attempt to look at.
"""

from __future__ import annotations

import ssl
import sys

from collator.egress import Policy
from collator.errors import ConfigError, Permanent
from collator.processor.coroutine import Calls, Coroutine
from collator.processor.endings import CallEnding, Cause, Sign
from collator.processor.function import Context, Function
from collator.processor.generator import Partial
from collator.processor.guardian_client import run_guardian
from collator.processor.http import EndedCall, HttpService, Requests
from collator.processor.loader import UserFunction, checked, find, is_coroutine, is_generator, look_here
from collator.processor.outcomes import BatchFailed, OutcomeFactory, fault_of, reason_of
from collator.processor.request import ShapeOptions
from collator.processor.subprocess import ChildProcess, SubprocessFunction
from collator.processor.trial import Exchange, Trial, WatchedOutcomes, attempt
from collator.target import is_url

Processor = Function | Coroutine | HttpService | SubprocessFunction

__all__ = [
    "BatchFailed",
    "CallEnding",
    "Calls",
    "Cause",
    "ChildProcess",
    "Context",
    "Coroutine",
    "EndedCall",
    "Exchange",
    "Function",
    "HttpService",
    "OutcomeFactory",
    "Partial",
    "Processor",
    "Requests",
    "ShapeOptions",
    "Sign",
    "SubprocessFunction",
    "Trial",
    "WatchedOutcomes",
    "attempt",
    "fault_of",
    "look_here",
    "open_processor",
    "reason_of",
    "run_guardian",
    "word_lengths",
]


def word_lengths(payload: str) -> list[int]:
    """The length in characters of each word of *payload*: an example, and what the benchmarks run."""
    if not isinstance(payload, str):
        raise Permanent("the payload is not text")
    return list(map(len, payload.split()))


def open_processor(
    spec: str | UserFunction,
    outcomes: OutcomeFactory | None = None,
    *,
    batch: int = 1,
    pool: str = "thread",
    memory: int | None = None,
    shape: ShapeOptions | None = None,
    keep_alive: float = 5.0,
    tls: ssl.SSLContext | None = None,
    policy: Policy | None = None,
) -> Processor:
    """The processor that *spec* names, ``MODULE:FUNCTION`` or the address of an HTTP service, or a function itself.

    *batch*: 2 or more for a function that takes a list of up to as many payloads. *pool*: ``process`` for a function
    that is called in processes of their own, each of at most *memory* bytes of address space. *shape* says what an HTTP
    service is sent, and what of its answer is the output, *keep_alive* for how many idle seconds a connection to it is
    kept, *tls* secures it, and *policy* says where it may be. Raises `ConfigError`, saying what is wrong with *spec*,
    with the module, or between the options.
    """
    if memory is not None and pool != "process":
        raise ConfigError("pool_memory: only processes can be limited; add --pool process")
    if isinstance(spec, str) and is_url(spec):
        if batch > 1:
            raise ConfigError(f"batch: {batch} works only with functions; an HTTP service gets one payload per request")
        if pool == "process":
            raise ConfigError("pool: process works only with functions; an HTTP service needs no pool")
        return HttpService(spec, outcomes, shape=shape, keep_alive=keep_alive, tls=tls, policy=policy)
    if shape is not None and (given := shape.given()):
        raise ConfigError(f"{given[0]}: works only with an HTTP service, and the processor is a function")
    look_here()
    if pool == "process":
        return _open_isolated(spec, outcomes, batch=batch, memory=memory)
    function = find(spec) if isinstance(spec, str) else checked(spec, repr(spec))
    kind = Coroutine if is_coroutine(function) or is_generator(function) else Function
    return kind(function, outcomes, batch=batch)


def _open_isolated(
    spec: str | UserFunction, outcomes: OutcomeFactory | None, *, batch: int, memory: int | None
) -> SubprocessFunction:
    if not isinstance(spec, str):
        raise ConfigError("pool: a process imports the processor; give its name as MODULE:FUNCTION")
    if memory is not None and sys.platform != "linux":
        raise ConfigError("pool_memory: supported only on Linux")
    isolated = SubprocessFunction(spec, outcomes, batch=batch, memory=memory)
    isolated.try_out()
    return isolated
