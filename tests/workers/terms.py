"""What a test asks of the workers that it starts."""

from __future__ import annotations

import msgspec

from collator.clock import Clock


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What workers are asked for."""

    concurrency: int = 1
    """Calls at a time; each may cost a test a process."""
    timeout: float = 60.0
    """Seconds that a call may take, by the real clock: it may be taken in another process."""
    retries: int = 3
    patience: float = 3600.0
    """Seconds for which a service may refuse a packet."""
    clock: Clock | None = None
    """That calls and a service are waited for by, if not the real one."""
    service: bool = True
    """Whether the service of the kind, if it has one, is started with the workers; else the test plays it."""
    lease: float = 30.0
    """Seconds, by the real clock; a third of it lies between two renewals."""
    hedge: float | None = None
    """The quantile of `collator.workers.hedges`, for kinds that hedge."""
    sweep: float = 0.02
    """Seconds after which workers ask the ledger without a hint."""
    behaviour: str = ""
    """A processor other than the usual one of the kind: a function of `tests.workers.behaviours`."""
