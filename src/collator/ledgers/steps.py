"""What the verbs that all ledgers share need of a ledger: its steps, and who commits them."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from collator.ledgers.batching.calls import Verb
from collator.ledgers.repair_steps import PurgeResult, ReopenResult, ReplayResult, RetryResult
from collator.messages import Accepted, Delivery, StepResult

R = TypeVar("R")


class LedgerSteps(Protocol):
    """The verbs, as a ledger executes them."""

    ACCEPT: Verb[Any, Accepted]
    RECORD: Verb[Any, StepResult]
    RENEW: Verb[Any, list[bool]]
    RELEASE: Verb[Any, None]
    WORK_DUE: Verb[Any, bool]
    CLAIM_DELIVERIES: Verb[Any, list[Delivery]]
    BRING_FORWARD: Verb[Any, int]
    SETTLE: Verb[Any, list[bool]]
    COMPLETE: Verb[Any, StepResult]
    COMPLETE_EMPTY: Verb[Any, StepResult]
    CANCEL: Verb[Any, bool]
    RETRY: Verb[Any, RetryResult]
    REOPEN: Verb[Any, int]
    REOPEN_ALL: Verb[Any, ReopenResult]
    REPLAY: Verb[Any, ReplayResult]
    STOP: Verb[Any, bool]
    PAUSE: Verb[Any, bool]
    RESUME: Verb[Any, bool]
    PURGE: Verb[Any, PurgeResult]
    NOTE: Verb[Any, None]


class StepWriter(Protocol):
    """Commits calls of verbs, many together."""

    async def call(
        self,
        verb: Verb[Any, R],
        arguments: Any,  # noqa: ANN401 - the verb knows
        *,
        size: int = 1,
        weight: int = 0,
        operation: str = "",
    ) -> R:
        """Execute *verb*, with *size* items of *weight* bytes, in the next group that has room; its result, durable."""
        ...

    def post(self, verb: Verb[Any, Any], arguments: Any) -> None:  # noqa: ANN401 - the verb knows
        """Execute *verb* in the next group; nobody waits for it."""
        ...
