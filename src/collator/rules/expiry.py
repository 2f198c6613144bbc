"""The resources that time ends: those that were silent for too long, or open. Pure; rules R13 and R14.

A ledger keeps for each open resource when to look at it next, by the uptime, and asks about those whose time has come:
each of them ends or is looked at again, later. An accepted packet or an outcome need not move that time, so that what
costs nothing while packets come is settled by a look now and then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from collator.rules.closure import SILENT, Closure
from collator.rules.resource import LedgerLimits, Snapshot, waits_for_sender


class IdlePlan(msgspec.Struct, frozen=True):
    """The plan for resources whose time to be looked at has come."""

    ends: list[Closure] = []
    again: list[tuple[int, float]] = []
    """Handles of those that go on, and the uptime at which to look again."""


def first_times(limits: LedgerLimits, *, uptime: float, now: float) -> tuple[float | None, float | None]:
    """Return by when a resource that opens may end by silence, on the uptime, and by its deadline; `None` for never."""
    silent = None if limits.idle_timeout is None else uptime + limits.idle_timeout
    return silent, None if limits.deadline is None else now + limits.deadline


def plan_idle(
    active_at: Mapping[int, float], snapshots: Iterable[Snapshot], *, timeout: float, uptime: float
) -> IdlePlan:
    """Decide about the resources of *active_at*, (handle: uptime of the last packet or outcome).

    Those of them that are not among *snapshots* cannot be read: they end nothing, and hold nothing up.
    """
    plan = IdlePlan()
    unread = dict.fromkeys(active_at)
    for snapshot in snapshots:
        del unread[snapshot.key]
        due = active_at[snapshot.key] + timeout
        if not waits_for_sender(snapshot):  # an outcome, which has to come first, starts the time anew
            plan.again.append((snapshot.key, uptime + timeout))
        elif due > uptime:
            plan.again.append((snapshot.key, due))
        else:
            plan.ends.append(Closure(snapshot, SILENT))
    plan.again.extend((key, uptime + timeout) for key in unread)
    return plan
