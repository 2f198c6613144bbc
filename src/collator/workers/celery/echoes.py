"""Whether a broker passes messages on, by those that a node sends to itself. Pure; times are readings of one clock."""

from __future__ import annotations

from collator.workers.celery.known_workers import BEAT, DOUBT, SILENCE


class Echoes:
    """The messages of one node to itself."""

    def __init__(self) -> None:
        self._sent = self._heard = -SILENCE
        self._awaited: float | None = None

    def due(self, now: float) -> bool:
        """Return whether another is to be sent."""
        return now - self._sent >= BEAT

    def send(self, now: float) -> None:
        """One is sent."""
        self._sent = now
        self._awaited = self._awaited or now

    def hear(self, now: float) -> None:
        """One has come back."""
        self._heard, self._awaited = now, None

    def fresh(self, now: float) -> bool:
        """Return whether one came back of late; if not, silence means nothing."""
        return now - self._heard <= DOUBT

    def lost(self, now: float) -> bool:
        """Return whether nothing came back for long, once: it is time to connect anew."""
        if self._awaited is None or now - self._awaited <= SILENCE:
            return False
        self._awaited = now
        return True
