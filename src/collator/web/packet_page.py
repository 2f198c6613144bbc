"""`GET /v1/resources/{id}/packets/{index}`: one packet, for a person who wants to know what became of it."""

from __future__ import annotations

import msgspec

from collator.seams.ledger import Ledger
from collator.states import PacketState
from collator.web.request_body import HttpAnswer, RequestBody, answer_json


class PacketView(msgspec.Struct, frozen=True, kw_only=True):
    """A packet, as its page shows it."""

    resource_id: str
    index: int
    state: PacketState | None
    """Null where the resource has ended before the packet had an outcome."""
    attempts: int
    """How many are used up, the one that gave its outcome included."""
    reason: str
    """Why it has failed, or why its last attempt did; empty where none failed, and where it is done."""
    due_in: float | None
    """Seconds until the next attempt; null where the packet waits for a worker, has one, or needs none."""
    seq: int | None
    """The number of its outcome in the resource; null before it."""
    payload_size: int
    """Bytes."""
    payload: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """Any JSON value, as it was received; not there with the setting `hide_payloads`."""
    output: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    """Any JSON value; only there where the packet is done."""


class PacketPage:
    """The page of a packet."""

    def __init__(self, ledger: Ledger, *, hide_payloads: bool) -> None:
        """Look into *ledger*; with *hide_payloads* a payload is shown to nobody."""
        self._ledger = ledger
        self._hide_payloads = hide_payloads

    async def show(self, _request: RequestBody, *, resource_id: str, index: int) -> HttpAnswer:
        """All that is stored of it. `Unknown`, `Damaged`."""
        found = await self._ledger.packet(resource_id, index)
        return answer_json(
            PacketView(
                resource_id=resource_id,
                index=index,
                state=found.state,
                attempts=found.attempts,
                reason=found.reason,
                due_in=found.due_in,
                seq=found.seq,
                payload_size=len(found.payload),
                payload=msgspec.UNSET if self._hide_payloads else msgspec.Raw(found.payload),
                output=msgspec.UNSET if found.output is None else msgspec.Raw(found.output),
            )
        )
