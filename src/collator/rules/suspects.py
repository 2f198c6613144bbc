"""Suspects: packets that were in work when their process died. Pure; decision 3.

A packet that kills its process is told from its neighbours by being run alone, each time for longer; one that was in
work alone as the process died `LedgerLimits.max_deaths` times has failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from collator.messages import Failure, Lease, Run
from collator.rules.resource import LedgerLimits

_FURTHER = 20
"""Stops beyond which the time grows no more, as nobody lives to see it."""


def alone_for(stops: int, limits: LedgerLimits) -> float:
    """Return the seconds that a packet runs alone which was in work at *stops* unclean stops; 0 for beside others."""
    further = min(stops - limits.side_by_side - 1, _FURTHER)
    return limits.alone * 4.0**further if further >= 0 else 0.0


def alone_runs(runs: Iterable[Run], stops: Mapping[int, int], limits: LedgerLimits) -> list[Run]:
    """*runs* of the one suspect of *stops*, which say that nothing may run beside it."""
    return [replace(run, alone=alone_for(most, limits)) for run in runs for most in stops.values()]


def lethal(deaths: int) -> Failure:
    """Return the failure of a packet that was in work alone at *deaths* deaths of its process, too many."""
    return Failure(Lease(0, 0), f"the process died {deaths} times while this packet was processed")
