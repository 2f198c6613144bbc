"""The attempts that failed of late: what for, how often, and whether anything gets through.

Theory. A thousand packets that fail alike are one thing to know, and a person wants to know it at once. So failures are
told by *kind*: the type of an error and its place in the code, a status, a reason of ours. The first of a kind is
logged at once, with its traceback, and so is the first that is final; others go with the next line of the kind, a
minute later. The log has no text of an error, in which there may be a payload; the status has it, for those who may
read.

*Nothing gets through* where for some seconds all calls have failed, for packets of several resources: one sender with
payloads that are no good does not say that. It is true while calls fail, and for a while behind the last one, and not
for ever: packets that have failed are not tried again, and nobody would ever find out that others succeed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence

import msgspec
import structlog

from collator.clock import rfc3339
from collator.messages import Failure as Failed
from collator.messages import FailureReport, Fault, Retry
from collator.notices import EventKind, Notices
from collator.processor.outcomes import TRACE_PAUSE
from collator.throttle import PAUSE, Quota

MOST = 100
"""Kinds that are known at a time."""
LINES = 60
"""Lines a minute, of all kinds together."""
SHOWN, RECENT = 10, 600.0
"""Kinds that are shown, and the seconds for which they are."""
SEVERAL = 3
"""Resources whose packets fail before it is said that nothing gets through."""
LEAST = 10.0
"""Seconds for which all calls must have failed before that."""
LASTING = 60.0
"""Seconds beyond the timeout of a call for which it is said after the last of them."""

_NUMBERS = re.compile(r"\d+")

log = structlog.get_logger("collator.workers")


class _Kind(msgspec.Struct):
    """The failures of one kind."""

    result: Failed | Retry
    """The latest."""
    fault: Fault
    at: float = 0.0
    wall: float = 0.0
    times: int = 0
    final: int = 0  # not told yet, as the two below
    retries: int = 0
    trace: str = ""
    retry_line: float = 0.0  # when the next line may be told, as the two below
    final_line: float = 0.0
    trace_line: float = 0.0


def _due_in(kind: _Kind, now: float) -> float | None:
    if isinstance(kind.result, Failed) or not kind.result.delay:
        return None
    return round(max(0.0, kind.at + kind.result.delay - now), 3)


class _Streak(msgspec.Struct):
    """Calls that have failed, one after the other, without one that succeeded."""

    since: float
    last: float
    calls: int = 0
    resources: set[str] = set()
    kind: str = ""


class FailedAttempts:
    """What is known of attempts that failed."""

    def __init__(
        self,
        *,
        timeout: float = 60.0,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        notices: Notices | None = None,
    ) -> None:
        """*timeout* of a call, in seconds; *now* gives monotonic seconds, *wall* those since 1970.

        *notices* are told of packets that failed for good.
        """
        self._notices = notices or Notices()
        self._now, self._wall = now, wall
        self._lasting = LASTING + timeout
        self._kinds: dict[str, _Kind] = {}  # the latest last
        self._quota = Quota(LINES, now=now)
        self._streak: _Streak | None = None

    def fail(self, results: Sequence[Failed | Retry]) -> None:
        """Note that attempts have failed, each of which has its `Fault`; those of a new kind are logged."""
        now = self._now()
        for result in results:
            if result.fault is None:
                continue
            if isinstance(result, Failed) or result.counted:
                self._extend_streak(result.fault, now)
            self._note(result, result.fault, now)
        self.tell_rest()

    def succeed(self) -> None:
        """Note that a call has given an output."""
        self._streak = None

    def tell_rest(self, *, everything: bool = False) -> None:
        """Log what has come of each kind since its last line, once its pause is over or *everything* is wanted."""
        now = self._now()
        for kind in self._kinds.values():
            due = kind.trace or (kind.final and now >= kind.final_line) or (kind.retries and now >= kind.retry_line)
            if (due or (everything and (kind.final or kind.retries))) and self._quota.allows():
                self._tell(kind, now)

    def latest(self) -> Sequence[FailureReport]:
        """The kinds of late, the latest first."""
        now = self._now()
        kinds = [kind for kind in reversed(self._kinds.values()) if now - kind.at <= RECENT][:SHOWN]
        return [
            FailureReport(
                reason=kind.result.reason,
                times=kind.times,
                last_at=rfc3339(kind.wall),
                resource_id=kind.fault.key.resource_id,
                index=kind.fault.key.index,
                due_in=_due_in(kind, now),
            )
            for kind in kinds
        ]

    def health(self) -> str | None:
        """The reason why it may be said that nothing gets through; `None` while something does."""
        streak, now = self._streak, self._now()
        if streak is None or len(streak.resources) < SEVERAL or streak.last - streak.since < LEAST:
            return None
        if now - streak.last > self._lasting:
            return None
        return (
            f"no call of the processor has succeeded for {now - streak.since:.0f} s: {streak.calls} calls failed, "
            f"the last: {streak.kind}"
        )

    def _extend_streak(self, fault: Fault, now: float) -> None:
        if self._streak is None or now - self._streak.last > self._lasting:
            self._streak = _Streak(now, now)
        streak = self._streak
        streak.calls += 1
        streak.last, streak.kind = now, fault.kind
        if len(streak.resources) < SEVERAL:
            streak.resources.add(fault.key.resource_id)

    def _note(self, result: Failed | Retry, fault: Fault, now: float) -> None:
        name = _NUMBERS.sub("0", fault.kind) if fault.label not in {"exception", "answer"} else fault.kind
        kind = self._kinds.pop(name, None) or _Kind(result, fault)
        if now - kind.at > RECENT:
            kind.times = 0
        kind.result, kind.fault, kind.at, kind.wall = result, fault, now, self._wall()
        kind.times += 1
        if fault.trace and now >= kind.trace_line:  # each process of a pool has one
            kind.trace, kind.trace_line = fault.trace, now + TRACE_PAUSE
        if isinstance(result, Failed):
            kind.final += 1
            key = fault.key
            self._notices.tell(
                EventKind.FAILED, name, reason=result.reason, resource_id=key.resource_id, index=key.index
            )
        elif result.counted:  # of others the pool tells, which knows what they say of the service
            kind.retries += 1
        self._kinds[name] = kind
        if len(self._kinds) > MOST:
            del self._kinds[next(iter(self._kinds))]

    def _tell(self, kind: _Kind, now: float) -> None:
        key, result = kind.fault.key, kind.result
        more: dict[str, object] = {} if isinstance(result, Failed) else {"next_attempt_in": round(result.delay, 1)}
        if kind.trace:
            more["exception"] = kind.trace
        log.warning(
            "attempts failed",
            final=kind.final,
            retries=kind.retries,
            reason=kind.fault.kind,
            **more,
            resource_id=key.resource_id,
            index=key.index,
        )
        kind.retry_line = now + PAUSE
        kind.final_line = now + PAUSE if kind.final else kind.final_line
        kind.final, kind.retries, kind.trace = 0, 0, ""
