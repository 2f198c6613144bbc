"""Leases: the right to report on what a ledger has handed out."""

from __future__ import annotations

import msgspec


class Lease(msgspec.Struct, frozen=True, order=True, array_like=True, gc=False):
    """The right to report once, and for a time, on a packet of a run or on a delivery (P2).

    The ledger gave it, and held by it is whoever got it there: a node, whose death ends all its leases. Any node may
    report under it. Its numbers mean something to the ledger alone.
    """

    key: int
    """Where the ledger finds what is leased."""
    token: int
    """No other lease has it: a report under one that was lost changes nothing."""
    position: int = 0
    """The packet's place in its run; 0 for a delivery."""

    def behind(self, places: int) -> Lease:
        """Return the lease of the packet that is *places* further in the run."""
        return Lease(self.key, self.token, self.position + places)
