"""The verbs that `Client` and `collator.Collator` have in common, wherever the service runs.

Each view and each repair is one request, and gives what the service answers, as its documentation has it. `send` gives
up nothing in silence. What is asked of one resource raises `Unknown`, `Conflict` or `Ended` where that is the answer;
everything raises `Unreachable` where there is none, and `Denied` where a token is wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypeVar, cast

import msgspec

from collator.client.answer import unexpected
from collator.client.arguments import delivery_path, integer, moment, packet_path, query, resource_path
from collator.client.arguments import packets as checked
from collator.client.arguments import seconds as time_limit
from collator.client.batch import Packets, Tally
from collator.client.connection import ServiceConnection, ServiceStream, Unopened
from collator.client.endpoint_replies import EndpointReply, EndpointsPageReply, EndpointsReply
from collator.client.feed import Feed
from collator.client.outcome_stream import follow_outcomes
from collator.client.poll import poll_until_ended
from collator.client.repairs import Repairs
from collator.client.replies import (
    AuditReply,
    DeliveriesReply,
    DeliveryDetailReply,
    OutcomeReply,
    OutputsReply,
    PacketReply,
    ResourceReply,
    ResourcesReply,
    ResultReply,
    StateName,
    TicketReply,
)
from collator.client.status_reply import StatusReply
from collator.client.transfer import Transfer
from collator.errors import CollatorError, Ended
from collator.states import State
from collator.text import counted

_PAGE = 100  # outcomes in one answer: each may have 1 MiB
_MOST = 1000  # endpoints in one answer

R = TypeVar("R")


class Rejected(CollatorError):
    """Packets were not taken, and will never be; all others were acknowledged."""

    def __init__(self, tally: Tally) -> None:
        """Keep *tally*, with its `rejected`."""
        first = "; ".join(str(rejection) for rejection in tally.rejected[:3])
        rejected = counted(len(tally.rejected), "packet")
        super().__init__(f"{rejected} rejected, {tally.acknowledged} acknowledged: {first}")
        self.tally = tally


class Verbs(Repairs):
    """The verbs, over one connection."""

    def __init__(self, *, batch: int, in_flight: int, patience: float | None) -> None:
        """Open nothing yet; for what the options mean see `Client`. Raises `ConfigError`."""
        self._batch = integer("batch", batch)
        self._in_flight = integer("in_flight", in_flight)
        self._patience = None if patience is None else time_limit("patience", patience, least=0)
        self._connection: ServiceConnection = Unopened(type(self).__name__)

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return not isinstance(self._connection, Unopened)

    # Give packets.

    async def send(self, packets: Packets, *, tally: Tally | None = None) -> Tally:
        """Send *packets* until each is acknowledged or rejected; how it went.

        Each leaves as soon as it is given, and those that come while requests are under way leave together. What is
        neither a list, a tuple nor asynchronous is read in a thread of its own, where it may wait.

        *tally*, where it is given, can be read meanwhile. Raises `Rejected` at the end where packets were rejected,
        and `Unreachable` where nothing got through for `patience` seconds; what was not acknowledged by then may or
        may not be there, and can be sent again. What *packets* raises is raised once all that it gave is settled.
        """
        tally = tally or Tally()
        feed = Feed(checked(packets), tally, batch=self._batch, takers=self._in_flight)
        sending = Transfer(self._connection, tally, patience=self._patience)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(feed.fill())
                for _ in range(self._in_flight):
                    group.create_task(sending.drain(feed))
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from feed.error
        finally:
            tally.rejected.sort(key=lambda one: one.number)  # they came as the requests ended
        if feed.error is not None:
            raise feed.error
        if tally.rejected:
            raise Rejected(tally)
        return tally

    # Look.

    async def status(self) -> StatusReply:
        """The state of the service: whether it takes and processes packets, or why not; what is stored, by kind."""
        return await self._ask(StatusReply, "GET", "/v1/status")

    async def resource(self, resource_id: str | int) -> ResourceReply:
        """The state of a resource: counts, ranges, reasons, times, deliveries, and why it is not delivered yet."""
        return await self._ask(ResourceReply, "GET", resource_path(resource_id))

    async def packet(self, resource_id: str | int, index: int) -> PacketReply:
        """One packet: its payload, unless that is hidden, its state, attempts, reason, and its output if it has one."""
        return await self._ask(PacketReply, "GET", packet_path(resource_id, index))

    async def resources(
        self,
        *,
        state: StateName | None = None,
        prefix: str | None = None,
        order: Literal["id", "newest", "oldest"] | None = None,
        opened_since: str | datetime | None = None,
        opened_until: str | datetime | None = None,
        ended_since: str | datetime | None = None,
        ended_until: str | datetime | None = None,
        failed: bool = False,
        undelivered: bool = False,
        cursor: str | None = None,
        limit: int = 100,
    ) -> ResourcesReply:
        """``{"resources", "next_cursor"}``: up to *limit* of those that fit all that is said.

        In order of id where nothing is said but *state* and *prefix*, else the newest first. Times have their zones;
        *failed* are those with packets that failed, *undelivered* those with a delivery that is due or dead. A page may
        have few and others behind it: go on at *cursor* until ``next_cursor`` is null.
        """
        opened = {"opened_since": moment(opened_since), "opened_until": moment(opened_until)}
        ended = {"ended_since": moment(ended_since), "ended_until": moment(ended_until)}
        flags = {"failed": "true" if failed else None, "undelivered": "true" if undelivered else None}
        wanted = query(state=state, prefix=prefix, order=order, **opened, **ended, **flags, cursor=cursor, limit=limit)
        return await self._ask(ResourcesReply, "GET", "/v1/resources" + wanted)

    async def outputs(
        self,
        resource_id: str | int,
        *,
        cursor: int | None = None,
        limit: int | None = None,
        after_seq: int | None = None,
        wait: float | None = None,
        webhook_id: str | None = None,
    ) -> OutputsReply:
        """``{"state", "outputs", "next_cursor"}`` and more: the outputs that there are so far, in order of ``index``.

        All of them, or up to *limit*, by as many requests as they take; only those behind the index *cursor*. With
        *after_seq*, a page of the outcomes behind that ``seq`` in order of it, as `follow` gives them, with
        ``after_seq`` for the next page and whether there may be ``more``; where there is none yet, *wait* up to so many
        seconds for it. Raises `Conflict` where the resource was opened anew since it had *webhook_id*.
        """
        path = resource_path(resource_id) + "/outputs"
        asked: dict[str, str | int | None] = {"webhook_id": webhook_id, "limit": limit}
        if after_seq is not None or wait is not None:
            return await self._ask(OutputsReply, "GET", path + query(**asked, after_seq=after_seq, wait=wait))
        page = await self._ask(OutputsReply, "GET", path + query(**asked, cursor=cursor))
        outputs, asked["webhook_id"] = page["outputs"], page["webhook_id"]
        while page["next_cursor"] is not None and (limit is None or len(outputs) < limit):
            asked["limit"] = None if limit is None else limit - len(outputs)
            page = await self._ask(OutputsReply, "GET", path + query(**asked, cursor=page["next_cursor"]))
            outputs += page["outputs"]
        page["outputs"] = outputs
        return page

    def follow(self, resource_id: str | int, *, after_seq: int = 0) -> AsyncGenerator[OutcomeReply, None]:
        """Each outcome of a resource once, as it is recorded, behind *after_seq*, until the resource has ended (R26).

        ``{"seq", "index", "output"}``, or ``{"seq", "index", "failed"}`` of a packet that has failed. Raises `Conflict`
        where the resource was purged and opened anew meanwhile. Where the service does not answer, it is asked again.
        A stream of it is open meanwhile: where it is left early, close the iterator.
        """

        async def look() -> OutputsReply:
            return await self.outputs(resource_id, after_seq=after_seq, limit=_PAGE)

        async def stream(webhook_id: str, last_event_id: str) -> ServiceStream:
            path = resource_path(resource_id) + "/events" + query(webhook_id=webhook_id)
            return await self._connection.stream(path, last_event_id=last_event_id)

        return follow_outcomes(look, stream, patience=self._patience)

    async def ticket(self, resource_id: str | int) -> TicketReply:
        """``{"ticket", "expires_in"}``: with it a browser opens the events of a resource, without a token."""
        return await self._ask(TicketReply, "POST", resource_path(resource_id) + "/ticket")

    async def result(self, resource_id: str | int, *, timeout: float | None = None) -> ResultReply:
        """Wait until a resource has ended; then what the webhook says in ``data``, of failures and ranges the first.

        A collated resource has ``outputs``, an incomplete one ``partial`` instead. Raises `Ended` where it was
        cancelled, `TimeoutError` after *timeout* seconds. Where the service does not answer, it is asked again.
        """
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                report = await poll_until_ended(lambda: self.resource(resource_id), patience=self._patience)
                if report["state"] == State.CANCELLED.value:
                    raise Ended(f"resource {resource_id!r} was cancelled and has no result")
                return _data(report, (await self.outputs(resource_id))["outputs"])
        except TimeoutError:
            if not limit.expired():
                raise
            raise TimeoutError(f"resource {resource_id!r} has not ended within {timeout:g} s") from None

    async def deliveries(
        self,
        *,
        state: Literal["due", "delivered", "dead"] | None = None,
        endpoint: str | None = None,
        webhook_id: str | None = None,
        resource_id: str | None = None,
        prefix: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        reason: str | None = None,
        order: Literal["oldest", "newest"] | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> DeliveriesReply:
        """``{"deliveries", "next_cursor"}``: up to *limit* of those that fit all that is said, the oldest first.

        *state* is ``due``, ``delivered`` or ``dead``; *since* and *until* are times with their zones, between which
        their resources ended; *reason* is a text in how the last attempt ended. A page may have few and others behind
        it: go on at *cursor* until ``next_cursor`` is null.
        """
        wanted = {"state": state, "endpoint": endpoint, "webhook_id": webhook_id}
        wanted |= {"resource_id": resource_id, "prefix": prefix, "since": moment(since), "until": moment(until)}
        asked = query(**wanted, reason=reason, order=order, cursor=cursor, limit=limit)
        return await self._ask(DeliveriesReply, "GET", "/v1/deliveries" + asked)

    async def delivery(self, delivery_id: str) -> DeliveryDetailReply:
        """The state of a delivery: its attempts with their answers, and what it waits for."""
        return await self._ask(DeliveryDetailReply, "GET", delivery_path(delivery_id))

    async def endpoints(self) -> EndpointsReply:
        """``{"endpoints"}``: all by name, whether each is paused, and why nothing is sent to it at the moment."""
        found, cursor = list[EndpointReply](), None
        while not found or cursor is not None:
            page = await self._ask(EndpointsPageReply, "GET", "/v1/endpoints" + query(limit=_MOST, cursor=cursor))
            found += page["endpoints"]
            cursor = page["next_cursor"]
            if not found:
                break
        return {"endpoints": found}

    async def audit(self, *, cursor: str | None = None, limit: int = 100) -> AuditReply:
        """``{"records", "next_cursor"}``: who did what, the latest first, up to *limit* of those behind *cursor*."""
        return await self._ask(AuditReply, "GET", "/v1/audit" + query(cursor=cursor, limit=limit))

    async def _ask(self, reply: type[R], method: str, path: str, body: object = None) -> R:  # noqa: ARG002 - its type counts
        """The *reply* of the service. Raises what its status means."""
        connection = self._connection
        answer = await connection.request(method, path, None if body is None else msgspec.json.encode(body))
        if not answer.ok:
            raise answer.error(connection.where)
        try:
            return cast("R", msgspec.json.decode(answer.body, type=dict[str, Any]))
        except msgspec.MsgspecError:
            raise CollatorError(unexpected(connection.where, answer)) from None


def _data(report: ResourceReply, outputs: Sequence[OutcomeReply]) -> ResultReply:
    """The data of the webhook of *report*'s resource (R17, R18). Pure."""
    told: Mapping[str, Any] = report
    data = {name: told[name] for name in ("resource_id", "completed_by", "total", "metadata")}
    if told.get("supersedes") is not None:
        data["supersedes"] = told["supersedes"]
    if report["state"] == State.COLLATED.value:
        data["outputs"] = [output["output"] for output in outputs]
    else:
        data["partial"] = [{"index": output["index"], "output": output["output"]} for output in outputs]
        data |= {"missing": told["missing"], "unfinished": told["unfinished"], "failed": told["failures"]}
    return cast("ResultReply", data)
