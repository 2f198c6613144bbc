"""The paused endpoints, as far as this process knows: the ledger decides, and is asked at every poll (R23)."""

from __future__ import annotations

from collections.abc import Mapping

from collator.clock import Clock, rfc3339
from collator.messages import Attempt, Pause
from collator.seams.deliveries import DeliveryQueue


class Pauses:
    """The endpoints to which nothing is sent until a person resumes them."""

    def __init__(self, ledger: DeliveryQueue, clock: Clock) -> None:
        """Know of none yet."""
        self._ledger, self._clock = ledger, clock
        self._stored: Mapping[str, Pause] = {}
        self._unstored: dict[str, Pause] = {}
        self._settled = 0  # how many the ledger has stored for this process

    def __contains__(self, endpoint: str) -> bool:
        """Return whether *endpoint* is paused."""
        return endpoint in self._unstored or endpoint in self._stored

    def why(self, endpoint: str) -> str | None:
        """The reason why *endpoint* is paused, in words behind its name; `None` where it is not."""
        pause = self._stored.get(endpoint) or self._unstored.get(endpoint)
        return None if pause is None else f"paused since {pause.since}, until it is resumed ({pause.reason})"

    async def refresh(self) -> None:
        """Ask the ledger, and again where a pause was stored meanwhile, of which the answer may not know.

        Raises what the ledger raises.
        """
        before = -1
        while before != self._settled:
            before = self._settled
            found = await self._ledger.paused()
            if before == self._settled:
                self._stored = found

    def add(self, attempt: Attempt) -> bool:
        """Pause the endpoint of *attempt* at once, which the ledger is about to store. Whether that is new."""
        endpoint = attempt.delivery.endpoint
        if endpoint in self:
            return False
        self._unstored[endpoint] = Pause(since=rfc3339(self._clock.wall()), reason=attempt.full_reason)
        return True

    def recorded(self, attempt: Attempt) -> None:
        """The ledger has stored *attempt*, or will not: from now on it alone decides."""
        pause = self._unstored.pop(attempt.delivery.endpoint, None)
        if pause is not None:
            self._stored = {**self._stored, attempt.delivery.endpoint: pause}  # until the next look
            self._settled += 1
