"""The verbs by which a person repairs what `Client` and `collator.Collator` show: each is one request, or several."""

from __future__ import annotations

from abc import abstractmethod
from datetime import datetime
from typing import Literal, TypeVar

from collator.client.answer import Unreachable
from collator.client.arguments import delivery_path, endpoint_path, moment, resource_path
from collator.client.endpoint_replies import EndpointReply, ReceiverAnswerReply, TriedEndpointReply
from collator.client.replies import (
    DeliveryDetailReply,
    EndedByName,
    PurgeReply,
    ReplayAllReply,
    ReplayedDeliveryReply,
    ReplayPageReply,
    ResourceReply,
    RetryAllReply,
    RetryPageReply,
    RetryReply,
)
from collator.text import counted

R = TypeVar("R")


class Repairs:
    """The verbs of repair."""

    @abstractmethod
    async def _ask(self, reply: type[R], method: str, path: str, body: object = None) -> R:
        """The *reply* of the service."""

    async def complete(self, resource_id: str | int, *, total: int | None = None, force: bool = False) -> ResourceReply:
        """Fix the *total* of a resource, or close it now by *force* (R15); the resource as it is then.

        A token that may only send is told the state alone, and *force* wants the role ``admin``.
        A *total* of 0 ends what nobody sent a packet for: it is opened and closed in one step, empty (R10).
        """
        wanted = {"force": True} if force else {"total": total}
        return await self._ask(ResourceReply, "POST", resource_path(resource_id) + "/complete", wanted)

    async def cancel(self, resource_id: str | int) -> ResourceReply:
        """End a resource without a webhook; the resource as it is then."""
        return await self._ask(ResourceReply, "POST", resource_path(resource_id) + "/cancel")

    async def retry(self, resource_id: str | int) -> RetryReply:
        """Give packets that have no output a new set of attempts (R16): ``{"resource_id", "retried"}``.

        Of an open resource those that failed. One that ended as incomplete is opened again: its webhook has a new id.
        """
        return await self._ask(RetryReply, "POST", resource_path(resource_id) + "/retry")

    async def retry_all(
        self,
        *,
        state: Literal["incomplete", "open"] | None = None,
        prefix: str | None = None,
        since: str | datetime | None = None,
        completed_by: EndedByName | None = None,
        reason: str | None = None,
        dry_run: bool = False,
    ) -> RetryAllReply:
        """Retry all resources that fit what is said, which has to be something: ``{"resources", "packets"}``.

        *state* is ``incomplete``, also where nothing is said, or ``open``; *reason* is a text in the reason of a packet
        that failed. A *dry_run* counts them, and changes nothing. Raises `Unreachable` where a limit allows no
        more: what was retried until then is, and the same call goes on with the others.
        """
        said = {"state": state, "prefix": prefix, "completed_by": completed_by, "reason": reason}
        chosen = {name: value for name, value in {**said, "since": moment(since)}.items() if value is not None}
        wanted = {**chosen, "dry_run": dry_run}
        done: RetryAllReply = {"resources": 0, "packets": 0}
        cursor: str | None = ""
        while cursor is not None:
            try:
                answer = await self._ask(RetryPageReply, "POST", "/v1/resources/retry", {**wanted, "cursor": cursor})
            except Unreachable as error:
                raise _after(error, done["resources"], "resource", "retried") from None
            done["resources"] += answer["resources"]
            done["packets"] += answer["packets"]
            cursor = answer["next_cursor"]
        return done

    async def replay(self, delivery_id: str) -> ReplayedDeliveryReply:
        """Send a delivery again that has ended, delivered or dead; the delivery as it is then, and its state before.

        Where that ``was`` ``due``, nothing has changed.
        """
        return await self._ask(ReplayedDeliveryReply, "POST", delivery_path(delivery_id) + "/replay")

    async def replay_all(
        self,
        *,
        state: Literal["dead", "delivered"] | None = None,
        endpoint: str | None = None,
        resource_id: str | None = None,
        prefix: str | None = None,
        since: str | datetime | None = None,
        until: str | datetime | None = None,
        reason: str | None = None,
    ) -> ReplayAllReply:
        """Send all deliveries again that have ended and fit what is said, which has to be something: ``{"replayed"}``.

        *state* is ``dead``, also where nothing is said, or ``delivered``. Raises `Unreachable` where a ledger of the
        service cannot be reached: what was made due until then is sent, and the same call goes on with what is dead.
        """
        said = {"state": state, "endpoint": endpoint, "resource_id": resource_id, "prefix": prefix, "reason": reason}
        said |= {"since": moment(since), "until": moment(until)}
        wanted = {name: value for name, value in said.items() if value is not None}
        replayed = 0
        cursor: str | None = ""
        while cursor is not None:
            try:
                answer = await self._ask(ReplayPageReply, "POST", "/v1/deliveries/replay", {**wanted, "cursor": cursor})
            except Unreachable as error:
                raise _after(error, replayed, "webhook", "made due again") from None
            replayed, cursor = replayed + answer["replayed"], answer["next_cursor"]
        return {"replayed": replayed}

    async def give_up(self, delivery_id: str) -> DeliveryDetailReply:
        """Give up a delivery that is due; the delivery as it is then: dead, and replayable."""
        return await self._ask(DeliveryDetailReply, "POST", delivery_path(delivery_id) + "/stop")

    async def pause(self, endpoint: str) -> EndpointReply:
        """Send nothing to an endpoint until it is resumed, over restarts; the endpoint as it is then."""
        return await self._ask(EndpointReply, "POST", endpoint_path(endpoint) + "/pause")

    async def resume(self, endpoint: str) -> EndpointReply:
        """Send again what is due to an endpoint that is paused, as by a 410; the endpoint as it is then."""
        return await self._ask(EndpointReply, "POST", endpoint_path(endpoint) + "/resume")

    async def try_now(self, endpoint: str) -> TriedEndpointReply:
        """Attempt the next delivery to an endpoint at once, whatever it waits for; the endpoint as it is then.

        ``under_way`` is false where nothing is due to it. Raises `Conflict` where it is paused.
        """
        return await self._ask(TriedEndpointReply, "POST", endpoint_path(endpoint) + "/try")

    async def test(self, endpoint: str) -> ReceiverAnswerReply:
        """Send a webhook of the type ``test`` to the receiver of an endpoint; what it said.

        Raises `Conflict` where the receiver is a part of the program.
        """
        return await self._ask(ReceiverAnswerReply, "POST", endpoint_path(endpoint) + "/test")

    async def purge(self, resource_id: str | int) -> PurgeReply:
        """Forget a resource that has ended and has no delivery due, with all that is known of it; its id is free."""
        return await self._ask(PurgeReply, "DELETE", resource_path(resource_id))


def _after(error: Unreachable, number: int, what: str, done: str) -> Unreachable:
    """*error*, with what was done before it."""
    if not number:
        return error
    before = f"{error.detail}; {counted(number, what)} {done} before that; repeat it to go on"
    return Unreachable(before, retry_after=error.retry_after)
