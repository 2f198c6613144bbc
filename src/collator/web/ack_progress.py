"""How far the packets of one stream are stored. Pure, and bounded: what is far ahead of a gap is not kept."""

from __future__ import annotations

AHEAD = 10_000
"""Indexes behind a gap that are kept."""


class AckProgress:
    """The first index that is not stored, and how many packets are decided."""

    def __init__(self, next_index: int, *, beyond: bool, decided: int = 0) -> None:
        """All before *next_index* are stored; *beyond*: some behind it too, which are not known here.

        So many packets were *decided*.
        """
        self.next_index = next_index
        self.decided = decided
        self._ahead: set[int] = set()
        self._beyond = beyond
        self._began = next_index

    @property
    def unsure(self) -> bool:
        """Whether more may be stored in one piece than is known here."""
        return self._beyond and self.next_index > self._began

    def stored(self, index: int) -> None:
        """Packet *index* is stored."""
        if index == self.next_index:
            self.next_index += 1
            while self.next_index in self._ahead:
                self._ahead.remove(self.next_index)
                self.next_index += 1
        elif index > self.next_index and len(self._ahead) < AHEAD:
            self._ahead.add(index)
        elif index > self.next_index:
            self._beyond = True
