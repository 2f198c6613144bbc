"""`/v1/audit`: who did what; and how the pages that do something have it recorded, and who is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Hashable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import cast

import msgspec
import structlog

from collator.errors import CollatorError
from collator.messages import REFUSED, Act, AuditRecord
from collator.paging import PAGE
from collator.seams.audit import AuditLog
from collator.throttle import PAUSE, Quota, Throttle
from collator.web.problems import HttpProblem, ProblemType
from collator.web.request_body import HttpAnswer, RequestBody, answer_json

_MOST = 10
"""Records of refused tokens in a minute, from whatever addresses: each is a commit."""
PATIENCE = 1.0
"""Seconds for which a refusal waits for its record; where the disk does not answer, it is written later."""
_BEYOND = f"further refusals, beyond {_MOST} records per minute"

_AGAIN = "repeated requests since the previous record"

_NOT_ALLOWED = frozenset({ProblemType.UNAUTHORIZED, ProblemType.FORBIDDEN})

_log = structlog.get_logger("collator.audit")


class AuditList(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of the audit log."""

    records: Sequence[AuditRecord]
    """The latest first."""
    next_cursor: str | None
    """Where the next page begins; null where there is no more."""


class Audit:
    """The page of the audit log, and what is recorded of tokens that are refused."""

    def __init__(self, ledger: AuditLog, *, now: Callable[[], float] = time.monotonic) -> None:
        """Look into *ledger*; *now* gives monotonic seconds."""
        self._ledger = ledger
        self._throttle, self._quota = Throttle(now=now), Quota(_MOST, now=now)
        self._held = 0  # refusals that no record tells of yet

    async def index(self, _request: RequestBody, *, cursor: int | None, limit: int) -> HttpAnswer:
        """A page of those before *cursor*."""
        page = await self._ledger.audit(after=cursor, limit=limit, size=PAGE)
        return answer_json(AuditList(records=page.records, next_cursor=None if page.after is None else str(page.after)))

    async def refused(self, request: RequestBody, refusal: HttpProblem) -> None:
        """Record *refusal* where it is that of a token, or of none: once a minute for each token and address."""
        if refusal.kind not in _NOT_ALLOWED:
            return
        act = act_of(request, REFUSED, f"{request.scope['method']} {request.scope['raw_path'].decode('latin-1')}")
        act.changed, others = self._times((act.peer, act.who))
        if act.changed:
            await self._note([act], others)

    @asynccontextmanager
    async def recording(self) -> AsyncIterator[None]:
        """While the context is open, record once a minute what is left of refusals; at its end in good order, all."""
        regularly = asyncio.get_running_loop().create_task(self._record_regularly())
        try:
            yield
        finally:
            regularly.cancel()
        await self.record_rest(everything=True)

    async def record_rest(self, *, everything: bool = False) -> None:
        """Record the refusals that no record tells of: those of a minute that has ended, or *everything*."""
        acts = []
        for kind, times in self._throttle.rest(everything=everything):
            if self._quota.allows():
                peer, who = cast("tuple[str, str]", kind)
                acts.append(Act(who=who, peer=peer, verb=REFUSED, target=_AGAIN, changed=times))
            else:
                self._held += times
        others, self._held = self._held, 0
        await self._note(acts, others)

    async def _record_regularly(self) -> None:
        while True:
            await asyncio.sleep(PAUSE)
            await self.record_rest()

    async def _note(self, acts: list[Act], others: int) -> None:
        """Record *acts*, and how many *others* were refused; without, where the ledger does not answer soon."""
        if others:
            acts.append(Act(who="others", peer="", verb=REFUSED, target=_BEYOND, changed=others))
        with suppress(CollatorError, TimeoutError):  # the log and the metrics have it
            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*map(self._ledger.note, acts))

    def _times(self, asked: Hashable) -> tuple[int, int]:
        """The refusals to record now: of those who *asked*, and of others without a record of their own."""
        times = self._throttle.times(asked)
        if not times or not self._quota.allows():
            self._held += times
            return 0, 0
        held, self._held = self._held, 0
        return times, held


def target_of(wanted: msgspec.Struct) -> str:
    """The target of an act on all that fit the filter *wanted*, as its record has it."""
    fields = msgspec.structs.asdict(wanted)
    return ", ".join(f"{name} {value}" for name, value in fields.items() if value not in {None, "", False})


@asynccontextmanager
async def acting(
    ledger: AuditLog, request: RequestBody, verb: str, event: str, *, target: str, name: str = "target"
) -> AsyncIterator[None]:
    """Record what is done within the context, and tell it in the log as *event* where anything was changed.

    An error leaves a record of the steps before it alone. *name* is what the log calls the *target*.
    """
    act = act_of(request, verb, target)
    try:
        with ledger.audited(act):
            yield
        if not act.stored:
            await ledger.note(act)
    finally:
        if act.changed:
            request.act = act
            _log.warning(event, **{name: target}, by=act.who, peer=act.peer, changed=act.changed)


def act_of(request: RequestBody, verb: str, target: str) -> Act:
    """The act that *request* asks for, with who asks."""
    client = request.scope.get("client")
    if request.caller is not None:
        who = request.caller.name
    elif verb == REFUSED:
        who = "unknown"
    else:
        who = "a person" if client else "the library"
    return Act(who=who, peer=client[0] if client else "", verb=verb, target=target)
