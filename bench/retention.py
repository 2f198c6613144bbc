"""The cost of deletion: what a service does when all that it has kept has to go (R25).

Nothing else happens then, but for the upkeep of a service that has nothing to do. What that takes is measured before,
and taken off.
"""

from __future__ import annotations

import asyncio
import re

from bench.figures import Samples
from bench.processes import ServiceProcess
from bench.usage import Meter

_SETTLE, _IDLE = 0.5, 2.0
_LOOK = 1.0
_SLOWEST = 8000
"""Packets a second of a stream that is over before anything has to go."""
_KEPT = re.compile(r'^collator_resources\{state="collated"\} ([0-9.e+]+)$', re.MULTILINE)


def kept(packets: int) -> float:
    """Seconds for which resources are kept, of so many *packets*: until the service was watched doing nothing."""
    return _SETTLE + _IDLE + 1.0 + packets / _SLOWEST


async def purged(service: ServiceProcess, packets: int) -> Samples:
    """Wait until all resources of *service* are deleted, which had so many *packets*: what that took.

    Nothing where some are gone before it is known what a service that does nothing takes.
    """
    there = await _resources(service)
    await asyncio.sleep(_SETTLE)
    idle = Meter({"service": service.pid})
    await asyncio.sleep(_IDLE)
    before = idle.cores()
    whole = await _resources(service) == there
    meter = Meter({"service": service.pid})
    while await _resources(service):
        await asyncio.sleep(_LOOK)
    used = meter.cores()
    if not used or not whole:
        return {}
    seconds = (used["service"] - before["service"]) * meter.seconds
    return {"purge_us_per_packet": seconds / packets, "idle_cores": before["service"]}


async def _resources(service: ServiceProcess) -> float:
    found = _KEPT.search(await service.metrics())
    return float(found[1]) if found else 0.0
