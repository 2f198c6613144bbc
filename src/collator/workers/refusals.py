"""The packets that a service did not take: for how long, how often, and what that says of each. Pure; R27.

Theory. What is not the packet's fault uses up no attempt. But one ending alone does not tell: a payload may be why the
service answers 503, or dies. *Others were answered meanwhile* is what tells. Then the packet goes back with a delay,
which doubles, so that it is not the one that is called again and again; a connection that broke counts as an attempt
then. After all there is a bound in time, `patience`, beyond which it has failed, as long as it was called often enough.

This is kept in memory, for a number of packets: after a restart, and for a packet that was displaced, it begins anew.
"""

from __future__ import annotations

import msgspec

from collator.messages import Key
from collator.processor.endings import Sign

MOST = 10_000
"""Packets that are known at a time."""
FIRST_DELAY = 0.25
"""Seconds before a packet is due again that was refused though others were answered; doubles."""
LONGEST_DELAY = 30.0
"""Seconds that doubling ends at."""
_DOUBLINGS = 16


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What a refusal means for its packet."""

    delay: float = 0.0
    """Seconds until it is due again."""
    counted: bool = False
    """It is held against the packet."""
    over: bool = False
    """It was refused for too long, and has failed."""


class _Refused(msgspec.Struct, gc=False):
    since: float
    answers: int
    times: int = 0
    alone: int = 0  # times that others were answered meanwhile


class RefusedPackets:
    """What is known of packets that went back."""

    def __init__(self, *, patience: float, least: int) -> None:
        """A packet has failed that was refused for *patience* seconds, and at least *least* times."""
        self._patience, self._least = patience, least
        self._packets: dict[Key, _Refused] = {}
        self._answers = 0

    def __len__(self) -> int:
        """The number of packets that are known."""
        return len(self._packets)

    def answer(self, key: Key) -> None:
        """The service took the packet *key*, whatever it said."""
        self._answers += 1
        self._packets.pop(key, None)

    def refuse(self, key: Key, sign: Sign, now: float) -> Verdict:
        """The service did not take the packet *key* at *now*, by *sign*: what that means for it."""
        known = self._packets.get(key)
        if known is None:
            known = self._packets[key] = _Refused(now, self._answers)
            if len(self._packets) > MOST:
                del self._packets[next(iter(self._packets))]
        alone = known.answers != self._answers
        known.times += 1
        known.alone += alone
        known.answers = self._answers
        if now - known.since >= self._patience and known.times >= self._least:
            del self._packets[key]
            return Verdict(over=True)
        if not alone:
            return Verdict()
        delay = min(FIRST_DELAY * 2.0 ** min(known.alone - 1, _DOUBLINGS), LONGEST_DELAY)
        return Verdict(delay, counted=sign is Sign.BROKEN)
