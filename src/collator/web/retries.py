"""`…/retry`: have packets without an output tried again, of one resource or of many. Thin: the ledger decides."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from operator import attrgetter

import msgspec

from collator.errors import Malformed, Unavailable
from collator.messages import ResourceFilter
from collator.metrics import Metrics
from collator.seams.ledger import Ledger
from collator.seams.operations import Operations
from collator.seams.workers import Workers
from collator.states import EndedBy, State
from collator.web.audit import acting, target_of
from collator.web.options import AwareDatetime
from collator.web.request_body import HttpAnswer, RequestBody, answer_json
from collator.web.steps import take_steps

_SMALL = 64 * 1024  # bytes of a body that says which
_LOOKED = 256  # resources that are looked at in one step, so that no packet waits long behind it
_STEPS = 100  # steps of one request


class RetriedState(StrEnum):
    """A state in which a resource may have packets to be retried."""

    INCOMPLETE = "incomplete"
    OPEN = "open"


class RetryMany(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The resources to be retried: those that fit all that is said."""

    state: RetriedState | None = None
    """`incomplete` where nothing else is said: opened again, if they had received packets that have no output. `open`:
    those that have failed packets, as with `on_failure = hold`."""
    prefix: str | None = ""
    """What their ids begin with."""
    since: AwareDatetime | None = None
    """Resources that ended then or later."""
    completed_by: EndedBy | None = None
    """What ended them."""
    reason: str | None = None
    """A text in the reason of a packet that failed, one of the first 100 of its resource."""
    dry_run: bool | None = False
    """Whether they are only counted: nothing changes."""
    cursor: str | None = ""
    """Where to go on: `next_cursor` of the answer before, to the same question."""


class Retried(msgspec.Struct, frozen=True):
    """The result of a retry."""

    resource_id: str
    retried: int
    """Packets that had no output."""


class RetryDone(msgspec.Struct, frozen=True):
    """The result of a retry of many resources."""

    resources: int
    """Resources that are retried; of a dry run, those that would be."""
    packets: int
    """Their packets that are tried again."""
    next_cursor: str | None
    """Where to go on; null where all is done."""


class Retries:
    """The pages of retries."""

    def __init__(
        self, ledger: Ledger, workers: Workers, metrics: Metrics, *, refusal: Callable[[], Unavailable | None]
    ) -> None:
        """Ask *ledger*; wake *workers*; count in *metrics*. *refusal* says why nothing new is taken at the moment."""
        self._ledger, self._operations = ledger, Operations()
        self._workers, self._metrics = workers, metrics
        self._refusal = refusal
        self._wanted = msgspec.json.Decoder(RetryMany)

    async def retry(self, request: RequestBody, *, resource_id: str) -> HttpAnswer:
        """Give packets of a resource a new set of attempts (R16). `Unknown`, `Ended`, `Unavailable`."""
        await request.nothing()
        refusal = self._refusal()
        if refusal is not None and (await self._ledger.resource(resource_id)).state is not State.OPEN:
            raise refusal  # it would be opened again, as a new packet opens one (R9)
        async with acting(self._ledger, request, "retry", "packets retried", target=resource_id):
            retried = await self._operations.certain(self._ledger.retry, resource_id)
        self._note(retried)
        return answer_json(Retried(resource_id, retried))

    async def retry_many(self, request: RequestBody) -> HttpAnswer:
        """Retry those that fit, as many as one request may; or count them. `Unavailable`."""
        said = await request.decode(self._wanted, _SMALL)
        wanted = _filter_of(said)
        if said.dry_run:
            return answer_json(await self._count(wanted, said.cursor or ""))
        refusal = self._refusal()
        if refusal is not None:
            raise refusal
        return answer_json(await self._retry(request, wanted, said.cursor or ""))

    async def _count(self, wanted: ResourceFilter, cursor: str) -> RetryDone:
        resources = packets = 0
        after: str | None = cursor
        for _ in range(_STEPS):
            page = await self._ledger.unfinished(wanted, after=after or "", limit=_LOOKED)
            resources, packets = resources + len(page.resources), packets + sum(one.packets for one in page.resources)
            after = page.after
            if after is None:
                break
        return RetryDone(resources, packets, after)

    async def _retry(self, request: RequestBody, wanted: ResourceFilter, cursor: str) -> RetryDone:
        done = RetryDone(0, 0, cursor)
        async with acting(self._ledger, request, "retry", "resources retried", target=target_of(wanted)):
            return await take_steps(partial(self._step, wanted), done, most=_STEPS, number=attrgetter("resources"))

    async def _step(self, wanted: ResourceFilter, done: RetryDone) -> RetryDone:
        """Take the step behind what is *done*: all that is done then."""
        after = done.next_cursor or ""
        step = await self._operations.certain(self._ledger.retry_all, wanted, after=after, limit=_LOOKED)
        self._note(step.packets)
        return RetryDone(done.resources + step.resources, done.packets + step.packets, step.after)

    def _note(self, packets: int) -> None:
        self._metrics.retried.inc(packets)
        if packets:
            self._workers.notify()


def _filter_of(said: RetryMany) -> ResourceFilter:
    if not any((said.state, said.prefix, said.since, said.completed_by, said.reason)):
        raise Malformed("select the resources by state, prefix, since, completed_by or reason")
    return ResourceFilter(
        state=State(said.state or RetriedState.INCOMPLETE),
        prefix=said.prefix or "",
        since=None if said.since is None else said.since.timestamp(),
        completed_by=said.completed_by,
        reason=said.reason or None,
    )
