"""The settings of the processor: what is called with every payload, where, how often, and what a failure means."""

from __future__ import annotations

from dataclasses import dataclass

from collator.settings.option import COUNT, DURATION, PROCESSOR, SIZE_OR_OFF, WORKERS, Table, ValueType, setting
from collator.settings.values import choice, integer


@dataclass(frozen=True, kw_only=True)
class ProcessorSettings(Table):
    """A part of `Settings`."""

    processor: str = setting(
        "collator.processor:word_lengths",
        PROCESSOR,
        "Function that is called with every payload, or address of a service that payloads are sent to.",
        "Needs no set-up, so that the flow can be tried at once.",
    )
    workers: str = setting(
        "local",
        WORKERS,
        "Who has the processor called: local, the service itself.",
        "Nothing has to be installed or run beside the service.",
    )
    pool: str = setting(
        "thread",
        ValueType("thread|process", choice("thread", "process")),
        "Where a function is called: in this process, or in processes that can be killed.",
        "Nothing is faster; a process is for code that hangs, crashes or devours memory.",
    )
    pool_memory: int | None = setting(
        None,
        SIZE_OR_OFF,
        "Most address space of each process of --pool process (Linux).",
        "Nobody but you knows what the function needs.",
    )
    batch: int = setting(
        1,
        ValueType("N", integer(1, 10_000)),
        "Most payloads of one call; from 2 on the function takes a list, and gives a list of the same length.",
        "Most functions take one payload.",
    )
    concurrency: int = setting(8, COUNT, "Calls of the processor at a time.", "Processors mostly wait for others.")
    processor_timeout: float = setting(
        60.0, DURATION, "Longest time of one call of the processor.", "Longer than a model call, shorter than patience."
    )
    processor_retries: int = setting(
        3,
        ValueType("N", integer(0, 100)),
        "Further attempts after a failed call of the processor.",
        "Outlasts a hiccup; a defect shows within seconds.",
    )
    on_failure: str = setting(
        "incomplete",
        ValueType("incomplete|fail_fast|hold", choice("incomplete", "fail_fast", "hold")),
        "What a failed packet means: close when the others are done, close at once, or wait for a person.",
        "The good outputs are worth having.",
    )
