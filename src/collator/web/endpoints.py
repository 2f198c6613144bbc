"""`/v1/endpoints`: look at endpoints, pause them, let them go on, try and test them. Thin: the ledger decides."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from collator.errors import Conflict, Unknown
from collator.messages import Pause
from collator.paging import fitting
from collator.seams.ledger import Ledger
from collator.seams.outbox import Outbox
from collator.text import quoted
from collator.web.audit import acting
from collator.web.problems import busy
from collator.web.request_body import HttpAnswer, RequestBody, answer_json

_NOT_CONFIGURED = "endpoint {} is not configured"


class EndpointView(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint, as its page shows it."""

    name: str
    configured: bool
    """Whether the configuration has it; if not, what is due to it stays due."""
    paused: bool
    """Whether nothing is sent to it until it is resumed."""
    paused_at: str | None
    """When it was paused, RFC 3339 in UTC; null where it is not."""
    reason: str | None
    """Why it was paused; null where it is not."""
    why_not_sent: str | None
    """Why nothing is sent to it at the moment, in words; null where it is sent to."""
    next_try_in: float | None
    """While its receiver fails: the seconds until a request finds out whether it works again. Otherwise null."""


class TriedEndpoint(EndpointView, frozen=True, kw_only=True):
    """An endpoint whose receiver is tried, whatever it waits for."""

    under_way: bool
    """Whether a delivery is being attempted; if not, nothing is due to it."""


class EndpointList(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the list of endpoints."""

    endpoints: Sequence[EndpointView]
    """By name."""
    next_cursor: str | None
    """Where the next page begins; null where there is no more."""


class Endpoints:
    """The pages of endpoints."""

    def __init__(self, ledger: Ledger, outbox: Outbox) -> None:
        """Look into *ledger*; tell *outbox* what has changed."""
        self._ledger = ledger
        self._outbox = outbox
        self._under_test: set[str] = set()

    async def index(self, _request: RequestBody, *, cursor: str, limit: int) -> HttpAnswer:
        """A page of those that are configured, and those that are paused and are not, from behind the name *cursor*."""
        paused = await self._ledger.paused()
        names = sorted(name for name in {*self._outbox.capacity(), *paused} if name > cursor)
        shown = fitting([self._view(name, paused.get(name)) for name in names[:limit]])
        more = shown[-1].name if len(names) > len(shown) else None
        return answer_json(EndpointList(endpoints=shown, next_cursor=more))

    async def pause(self, request: RequestBody, *, endpoint: str) -> HttpAnswer:
        """Send nothing to one any more; the endpoint as it is then. `Unknown`."""
        await request.nothing()
        await self._check(endpoint)
        caller = "a person" if request.caller is None else request.caller.name
        async with acting(self._ledger, request, "pause", "endpoint paused", target=endpoint, name="endpoint"):
            await self._ledger.pause(endpoint, reason=f"by {caller}")
        return await self._changed(endpoint)

    async def resume(self, request: RequestBody, *, endpoint: str) -> HttpAnswer:
        """Let one go on; the endpoint as it is then. `Unknown`."""
        await request.nothing()
        await self._check(endpoint)
        async with acting(self._ledger, request, "resume", "endpoint resumed", target=endpoint, name="endpoint"):
            await self._ledger.resume(endpoint)
        return await self._changed(endpoint)

    async def try_now(self, request: RequestBody, *, endpoint: str) -> HttpAnswer:
        """Attempt the next delivery to one at once; the endpoint as it is then. `Unknown`, `Conflict`."""
        await request.nothing()
        if endpoint not in self._outbox.capacity():
            raise Unknown(_NOT_CONFIGURED.format(quoted(endpoint)))
        if endpoint in await self._ledger.paused():
            raise Conflict(f"endpoint {quoted(endpoint)} is paused: resume it, and what is due to it is sent")
        async with acting(self._ledger, request, "try", "endpoint tried", target=endpoint, name="endpoint"):
            under_way = await self._outbox.try_now(endpoint)
        return answer_json(TriedEndpoint(**msgspec.structs.asdict(self._view(endpoint, None)), under_way=under_way))

    async def test(self, request: RequestBody, *, endpoint: str) -> HttpAnswer:
        """Send a test to the receiver of one; what it said. `Unknown`, `Conflict`, `HttpProblem`."""
        await request.nothing()
        if endpoint in self._under_test:
            raise busy(f"a test of endpoint {quoted(endpoint)} is under way")
        self._under_test.add(endpoint)
        try:
            async with acting(self._ledger, request, "test", "endpoint tested", target=endpoint, name="endpoint"):
                answer = await self._outbox.test(endpoint)
        finally:
            self._under_test.remove(endpoint)
        return answer_json(answer)

    async def _check(self, endpoint: str) -> None:
        if endpoint not in self._outbox.capacity() and endpoint not in await self._ledger.paused():
            raise Unknown(_NOT_CONFIGURED.format(quoted(endpoint)))

    async def _changed(self, endpoint: str) -> HttpAnswer:
        await self._outbox.refresh()
        return answer_json(self._view(endpoint, (await self._ledger.paused()).get(endpoint)))

    def _view(self, name: str, pause: Pause | None) -> EndpointView:
        return EndpointView(
            name=name,
            configured=name in self._outbox.capacity(),
            paused=pause is not None,
            paused_at=None if pause is None else pause.since,
            reason=None if pause is None else pause.reason,
            why_not_sent=self._outbox.why(name),
            next_try_in=self._outbox.next_try(name),
        )
