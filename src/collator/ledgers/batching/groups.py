"""Which calls are committed together.

There is no timer: an idle ledger commits a call at once, a busy one commits all calls that came meanwhile as one
group, each verb's calls as one batch. Upkeep gives way: its calls are committed alone, each between two groups of the
others, and their steps are short.
"""

from __future__ import annotations

from collator.ledgers.batching.calls import Call

MAX_GROWTH = 1024
"""New packets in one commit; further calls wait for the next. Outcomes and claims are never held back, so that what
comes in cannot outrun what goes out: packets are handed out as they are stored instead of piling up behind it."""
MOST_BYTES = 4 * 1024 * 1024
"""Bytes of payloads and outputs in one commit, or those of a single call; further calls wait for the next. A commit
of hundreds of MiB holds up all others for seconds, and its log is never shorter again than itself."""


class Groups:
    """The calls that wait, as one group after the other."""

    def __init__(self) -> None:
        """Start with none."""
        self.waiting: list[Call] = []
        """Calls in the order in which they came; who takes groups adds to it."""
        self._gave_way = False  # whether the last group was a call that gives way

    def take(self) -> list[Call]:
        """Take the next group: one that gives way, or all of the others, but for what is beyond its share."""
        calls, self.waiting = self.waiting, []
        if patient := [call for call in calls if call.verb.gives_way]:
            others = [call for call in calls if not call.verb.gives_way]
            self._gave_way = not (others and self._gave_way)
            self.waiting = others + patient[1:] if self._gave_way else patient
            calls = patient[:1] if self._gave_way else others
        else:
            self._gave_way = False
        growth = weight = 0
        group: list[Call] = []
        for call in calls:
            growth += call.size if call.verb.grows else 0
            weight += call.weight
            many = call.verb.grows and growth > MAX_GROWTH and growth > call.size
            heavy = call.weight and weight > MOST_BYTES and weight > call.weight
            (self.waiting if many or heavy else group).append(call)
        return group
