"""The settings of the processor: what is called with every payload, where, how often, and what a failure means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collator.settings.option import (
    BROKER,
    COUNT,
    DURATION,
    DURATION_OR_OFF,
    FILE,
    POINTER,
    PROCESSOR,
    QUANTILE_OR_OFF,
    SIZE_OR_OFF,
    TEMPLATE,
    WORKERS,
    Table,
    ValueType,
    setting,
)
from collator.settings.values import choice, integer


@dataclass(frozen=True, kw_only=True)
class ProcessorSettings(Table):
    """A part of `Settings`."""

    processor: str = setting(
        "collator.processor:word_lengths",
        PROCESSOR,
        "Function that is called with each payload, or URL of an HTTP service to which payloads are sent.",
        "Needs no setup, so that Collator can be tried at once.",
    )
    workers: str = setting(
        "local",
        WORKERS,
        "Workers, which call the processor: local, those of the service itself; or celery, on any number of machines.",
        "No other service has to be installed.",
    )
    broker: str | None = setting(
        None,
        BROKER,
        "Broker between the service and its Celery workers: redis://, valkey:// or amqp://, for example.",
        "Local workers need none.",
    )
    pool: str = setting(
        "thread",
        ValueType("thread|process", choice("thread", "process")),
        "Where a function runs: in a thread of the service, or in a separate process that can be killed.",
        "Threads are fastest; processes are for code that hangs, crashes or uses too much memory.",
    )
    pool_memory: int | None = setting(
        None,
        SIZE_OR_OFF,
        "Maximum address space of each process of --pool process (Linux only).",
        "Depends on what the function needs.",
    )
    batch: int = setting(
        1,
        ValueType("N", integer(1, 10_000)),
        "Maximum number of payloads per call; with 2 or more, the function takes and returns lists of equal length.",
        "Most functions take one payload.",
    )
    concurrency: int = setting(
        8, COUNT, "Maximum number of concurrent calls of the processor.", "Most processors wait for other services."
    )
    hedge: float | None = setting(
        None,
        QUANTILE_OR_OFF,
        "Call an HTTP service or a coroutine function a second time for a packet if the first call takes longer than "
        "this quantile of recent calls, such as p95; the first output counts, and at most 5 % more calls are made.",
        "Calls for the same packet then overlap, and not every processor tolerates that.",
    )
    processor_request: str | None = setting(
        None,
        TEMPLATE,
        "JSON that is sent to an HTTP service, with placeholders: {{payload}}, {{resource_id}}, {{index}}, {{attempt}} "
        "and {{metadata}}, in quotes.",
        "The payload is sent as it was received.",
    )
    processor_output: str | None = setting(
        None,
        POINTER,
        "JSON Pointer to the output in the answer of an HTTP service, as in /choices/0/message/content.",
        "The whole answer is the output.",
    )
    processor_headers_file: Path | None = setting(
        None,
        FILE,
        "File with headers that are sent to an HTTP service, one NAME: VALUE per line, such as its key.",
        "Many internal services need no key.",
    )
    processor_method: str = setting(
        "POST",
        ValueType("POST|PUT|PATCH", choice("POST", "PUT", "PATCH")),
        "Method of the requests to an HTTP service.",
        "Nearly all services take POST.",
    )
    processor_timeout: float = setting(
        60.0, DURATION, "Timeout for one call of the processor.", "Longer than a call of a model usually takes."
    )
    processor_retries: int = setting(
        3,
        ValueType("N", integer(0, 100)),
        "Number of further attempts after a failed call of the processor.",
        "Survives short failures, and shows permanent ones within seconds.",
    )
    processor_patience: float = setting(
        3600.0,
        DURATION,
        "How long a packet waits for an HTTP service that is away, overloaded or refuses the configuration.",
        "A restart, a deployment or a wrong key can be mended within an hour, and no packet fails.",
    )
    processor_keep_alive: float | None = setting(
        5.0,
        DURATION_OR_OFF,
        "How long an idle connection to an HTTP service is kept; off: each call has a connection of its own.",
        "Most servers keep it as long; and idle connections take places of a service that counts connections.",
    )
    on_failure: str = setting(
        "incomplete",
        ValueType("incomplete|fail_fast|hold", choice("incomplete", "fail_fast", "hold")),
        "What happens after a failed packet: the resource closes when the others are done (incomplete), "
        "closes at once (fail_fast), or stays open (hold).",
        "The other outputs are still useful.",
    )
