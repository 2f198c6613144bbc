"""The log of refused requests: each is counted and logged for the operator, as a sender may ignore its answer.

A line has the address of the client, its user agent, method, path and the detail of the problem, each bounded, and
nothing of a body.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

import structlog
from starlette.types import Scope

from collator.metrics import Metrics
from collator.text import shown
from collator.throttle import Quota, Throttle
from collator.web.problems import HttpProblem, ProblemType

LINES = 100
"""Lines a minute, of all clients together: addresses are cheap, and each has a limit of its own."""
_LOGGED_ELSEWHERE = frozenset({ProblemType.NOT_READY})
"""Probes ask for readiness all the time, and the log says when the service stops being ready."""

_log = structlog.get_logger(__name__)


class Asked(NamedTuple):
    """A request, as it was sent."""

    client: tuple[str, int] | None
    """Address and port."""
    headers: Iterable[tuple[bytes, bytes]]
    """Names in small letters."""
    method: str
    target: bytes
    """The path; a query is not shown."""

    @classmethod
    def by(cls, scope: Scope) -> Asked:
        """Read them from the *scope* of a request."""
        return cls(scope.get("client"), scope["headers"], scope["method"], scope["raw_path"])


class RefusalLog(Protocol):
    """A log of refused requests."""

    def note(self, refusal: HttpProblem, asked: Asked) -> None:
        """Note that a request got *refusal*."""
        ...

    def note_given_way(self, client: tuple[str, int] | None) -> None:
        """Note that a connection of *client* without a request was closed, as another wanted its place."""
        ...


class Refusals:
    """The refused requests."""

    def __init__(self, metrics: Metrics, *, throttle: Throttle | None = None, quota: Quota | None = None) -> None:
        """Count in *metrics*; *throttle* limits lines that repeat, *quota* all lines together."""
        self._metrics = metrics
        self._throttle = throttle or Throttle()
        self._quota = quota or Quota(LINES)
        self._malformed = metrics.packets.labels("malformed")
        for kind in ProblemType:
            metrics.refused.labels(kind.code)  # from the start: an increase from nothing would be none

    def note(self, refusal: HttpProblem, asked: Asked) -> None:
        """Note that a request got *refusal*."""
        self._metrics.refused.labels(refusal.kind.code).inc()
        if refusal.kind not in _LOGGED_ELSEWHERE:
            self._log_refusal("request refused", refusal.kind.code, asked, refusal.detail, status=refusal.kind.status)

    def note_part(self, detail: str, asked: Asked) -> None:
        """Note that of a request that was served some packets were not taken; *detail* says how many, and why."""
        self._log_refusal("packets not accepted", "", asked, detail)

    def note_given_way(self, client: tuple[str, int] | None) -> None:
        """Note that a connection of *client* without a request was closed, as another wanted its place."""
        self._metrics.given_way.inc()
        detail = "it had no request, and all connections are in use (max_connections)"
        self._log_refusal("connection closed", "", Asked(client, (), "", b""), detail)

    def count_lines(self, number: int) -> None:
        """Count *number* lines of streams that hold no packet."""
        self._malformed.inc(number)

    def _log_refusal(self, event: str, code: str, asked: Asked, detail: str, **more: object) -> None:
        times = self._throttle.times((event, code, asked.client and asked.client[0]))
        if not times:
            return
        if not self._quota.allows():
            if times := self._throttle.times("beyond the quota", times):
                _log.warning("further refusals not logged one by one", limit=LINES, times=times)
            return
        path = asked.target.partition(b"?")[0]  # without what may be a secret in it: a query, the user of a whole URL
        path = path if path[:1] == b"/" else path.rpartition(b"@")[2]
        agent = next((value for name, value in asked.headers if name == b"user-agent"), b"")
        _log.warning(
            event,
            **({"code": code} if code else {}),
            **more,
            peer="{}:{}".format(*asked.client) if asked.client else "",
            user_agent=shown(agent.decode("latin-1")),
            method=shown(asked.method),
            path=shown(path.decode("latin-1")),
            detail=shown(detail),
            times=times,
        )
