"""The deliveries that an outage left behind: brought forward once the receiver is back (R23, decision 57).

An attempt that failed before the breaker opened has its next one by the schedule, and a probe that failed was put off.
Their receiver may be back long before. So once, after a breaker has closed, what waits for up to 5 minutes is due at
once, and goes out at the pace of a receiver that has just come back.

A longer wait is kept. It takes five failures to get there, and a delivery that is itself what its receiver falls over
must not be sent each time that it gets up again.
"""

from __future__ import annotations

import structlog

from collator.backoff import JITTER, SCHEDULE
from collator.delivery.circuit import Circuit
from collator.errors import Unavailable
from collator.seams.deliveries import DeliveryQueue

WITHIN = SCHEDULE[4] * (1 + JITTER)
"""Seconds: the wait before the fifth attempt, at the most."""

_log = structlog.get_logger("collator.delivery")


class Recovery:
    """What is left to do after the breakers of endpoints have closed."""

    def __init__(self, ledger: DeliveryQueue) -> None:
        """Bring forward what waits in *ledger*."""
        self._ledger = ledger
        self._openings: dict[str, int] = {}  # of each circuit, up to the last time that this was done

    async def look(self, endpoint: str, circuit: Circuit) -> None:
        """Bring forward what waits for *endpoint*, if its *circuit* is closed, and was open since the last time."""
        openings = circuit.openings
        if circuit.open or openings == self._openings.get(endpoint, 0):
            return
        bring = self._ledger.bring_forward
        try:
            brought = [await bring(endpoint, within=WITHIN, large=large) for large in (False, True)]
        except Unavailable:  # the next look tries again, and those who claim say that the ledger is away
            return
        self._openings[endpoint] = openings
        if any(brought):
            _log.info("deliveries brought forward", endpoint=endpoint, deliveries=sum(brought))
