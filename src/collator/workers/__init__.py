"""The workers: they have the processor called for leased packets. One kind: in this process, or its children.

A kind is imported where it is chosen, and nowhere else: nobody needs the libraries of another.

| file | what lives there |
|---|---|
| `local_backend` | the local workers as a backend: the processor, opened |
| `pooled_workers` | which packets are in memory, for how long, and what becomes of them at the end |
| `leases` | renews what is held for long, and gives back what is not worked on |
| `reports` | the way of the results into the ledger |
| `pool` | **the seam** to those who make the calls: `threads` (`executor`, `processes`), `loops` (`runner`) |
| `pools` | which of them for which processor |
| `task_buffer`, `round_robin` | runs on their way to a pool, and the order in which resources are served |
| `result_queue`, `result_bytes` | the results on their way back, and how many bytes of them may wait for the ledger |
| `calls_under_way` | the calls on event loops; `hedges`: when there are two for one packet |
| `service_calls` | calls to an HTTP service; `call_limit`: how many; `refusals`: packets that came back |
| `traced_calls` | calls in spans of theirs |
| `run_chunk`, `chunks` | what a thread takes in one go: runs, or tasks that it does not call for itself; and how much |
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

from collator.clock import Clock
from collator.errors import ConfigError
from collator.messages import Task
from collator.processor import Trial, WatchedOutcomes, attempt, run_guardian
from collator.seams.backend import WorkersBackend
from collator.settings import Settings
from collator.target import is_url


def open_backend(
    settings: Settings,
    *,
    processor: Callable[..., object] | None = None,
    clock: Clock,
    stood_still: Callable[[], float],
) -> WorkersBackend:
    """The workers that *settings* name, with their processor. Raises `ConfigError` where it cannot be used.

    *processor* counts before that of the settings: what only a program can give. *stood_still* gives the seconds for
    which this process could not act, so that no call has used up its time.
    """
    match settings.workers:
        case "local":
            from collator.workers.local_backend import LocalBackend

            return LocalBackend(settings, processor=processor, clock=clock, stood_still=stood_still)
        case "celery":
            if processor is not None:
                raise ConfigError("workers: Celery workers import the processor; give its name as MODULE:FUNCTION")
            try:
                from collator.workers.celery.backend import CeleryBackend
            except ImportError as error:
                raise ConfigError(f"--workers celery needs Celery: pip install 'collator[celery]' ({error})") from None

            return CeleryBackend(settings, clock=clock, stood_still=stood_still)
        case _:  # what stands there may hold a password
            raise ConfigError("--workers does not name a supported kind of workers; use local or celery")


def try_out(settings: Settings, task: Task) -> Trial:
    """Make one attempt for *task* with the processor of *settings*, in this process. Raises `ConfigError`."""
    from collator.workers.local_backend import open_by

    outcomes = WatchedOutcomes(
        timeout=settings.processor_timeout, retries=settings.processor_retries, max_output=settings.max_output
    )
    return attempt(open_by(replace(settings, pool="thread", pool_memory=None), outcomes), outcomes, task)


def guard(settings: Settings) -> AbstractContextManager[None]:
    """A context that ends, with this process, all that the processor starts in it. Enter it before there are threads.

    A process of the pool has a guardian of its own.
    """
    called_here = settings.workers == "local" and settings.pool == "thread" and not is_url(settings.processor)
    return run_guardian() if called_here else nullcontext()
