"""What one node has in work from each ledger, so that a packet that may end the process runs alone, whoever has it.

Each ledger keeps others of its own from running beside such a packet, and knows nothing of what another hands out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from collator.messages import Lease, Run


class InWork:
    """The packets in work at this node. What is not heard of for the time of a lease is in work no more."""

    def __init__(self, count: int, *, lease: float, now: Callable[[], float]) -> None:
        """Begin with nothing in work from *count* ledgers, which lease for *lease* seconds."""
        self._lease, self._now = lease, now
        self._held: list[dict[int, tuple[set[int], float]]] = [{} for _ in range(count)]  # by token: positions, end
        self._alone_until = 0.0
        self._alone_token: tuple[int, int] | None = None
        self._wanted: int | None = None

    def alone(self) -> bool:
        """Return whether a packet is in work that has to be alone."""
        if self._alone_token is not None and self._now() < self._alone_until:
            slot, token = self._alone_token
            return token in self._held[slot]
        return False

    def wanted(self) -> int | None:
        """The ledger that has a packet that is to be alone, once nothing else is in work."""
        return self._wanted

    def idle(self, *, but: int) -> bool:
        """Return whether nothing is in work from other ledgers *but* that one."""
        now = self._now()
        return not any(until > now for slot, held in enumerate(self._held) if slot != but for _, until in held.values())

    def choose(self, offered: Sequence[tuple[int, Run]]) -> list[tuple[int, Run]]:
        """The runs of *offered* that may run now, each with its ledger; the others are to be given back.

        One that is to be alone goes before all others, once nothing is in work; until then its ledger is `wanted`.
        """
        self._wanted = None
        alone = [(slot, run) for slot, run in offered if run.alone]
        if not alone:
            return [*offered]
        slot, run = alone[0]
        if not self.idle(but=slot):
            self._wanted = slot
            return []
        self._alone_token, self._alone_until = (slot, run.lease.token), self._now() + run.alone
        self._wanted = alone[1][0] if len(alone) > 1 else None
        return [(slot, run)]

    def begin(self, slot: int, runs: Iterable[Run]) -> None:
        """Count *runs* of a ledger as in work."""
        until = self._now() + self._lease
        self._held[slot].update((run.lease.token, ({*range(len(run.indexes))}, until)) for run in runs)

    def end(self, slot: int, leases: Iterable[Lease]) -> None:
        """Count the packets of *leases* as in work no more."""
        held = self._held[slot]
        for lease in leases:
            if (found := held.get(lease.token)) is not None:
                found[0].discard(lease.position)
                if not found[0]:
                    del held[lease.token]

    def renew(self, slot: int, leases: Sequence[Lease], still: Sequence[bool]) -> None:
        """Count those of *leases* that hold *still* as in work for the time of a lease from now."""
        until, held = self._now() + self._lease, self._held[slot]
        for lease, holds in zip(leases, still, strict=True):
            if lease.token in held:
                held[lease.token] = held[lease.token][0], until if holds else 0.0
