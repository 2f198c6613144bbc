"""The plain case of `accept` and `record`, which nearly all calls are: one statement judges and stores.

It repeats of the rules what has to be atomic in the store: that nothing contradicts anything. Where something is odd it
changes nothing and says so, and then the rules decide packet by packet.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping, Sequence
from itertools import chain, groupby
from operator import attrgetter

import asyncpg
import msgspec

from collator.ledgers.postgresql.closure import close_finished
from collator.ledgers.postgresql.leases import new_token
from collator.ledgers.postgresql.step import Step, as_snapshot
from collator.messages import Accepted, Group, Lease, Output, Recorded, Result, Run, StepResult
from collator.packet import Packet, claimed_total
from collator.rules.capacity import merge_capacities
from collator.rules.footprint import of_packet, of_resource
from collator.states import EndedBy

_token = attrgetter("token")


class _Offered:
    """What a batch offers to one resource."""

    __slots__ = ("highest", "indexes", "metadata", "number", "resource_id", "total", "total_by")

    def __init__(self, resource_id: str) -> None:
        self.resource_id = resource_id
        self.indexes: set[int] = set()
        self.number, self.highest = 0, -1
        self.total: int | None = None
        self.total_by: EndedBy | None = None
        self.metadata: bytes | None = None

    def add(self, packet: Packet) -> bool:
        """Offer *packet*; false where the batch contradicts itself."""
        index, claimed = packet.index, claimed_total(packet)
        if claimed is not None:
            if self.total is None:
                self.total, self.total_by = claimed, EndedBy.LAST if packet.last else EndedBy.TOTAL
            elif self.total != claimed:
                return False
        if packet.metadata:
            metadata = bytes(packet.metadata)
            if self.metadata not in {None, metadata}:
                return False
            self.metadata = metadata
        self.number += 1
        self.highest = max(self.highest, index)
        self.indexes.add(index)
        return True

    @property
    def sound(self) -> bool:
        """Whether each index is offered once, and none beyond the total."""
        return len(self.indexes) == self.number and (self.total is None or self.highest < self.total)


class _Rows(msgspec.Struct):
    """The packets of a batch, column by column."""

    places: list[int] = []
    """Of their resources; the first is 1."""
    indexes: list[int] = []
    payloads: list[bytes] = []
    crcs: list[int] = []
    tokens: list[int] = []
    """Of their leases, 0 for none."""


async def accept_plain(step: Step, batch: Sequence[tuple[Sequence[Group], int]]) -> list[Accepted] | None:
    """Store *batch*, a list of (groups, capacity), and answer each of its parts; `None` where something is odd."""
    offered = _offered(batch)
    if offered is None:
        return None
    places = {one.resource_id: place for place, one in enumerate(offered.values(), 1)}
    rows = _Rows()
    for groups, capacity in batch:
        _add_rows(rows, groups, places, capacity)
    size, leased = sum([of_packet(len(payload)) for payload in rows.payloads]), 0
    for payload, token in zip(rows.payloads, rows.tokens, strict=True):
        leased += len(payload) if token else 0
    growth = {one.resource_id: of_resource(one.resource_id, one.metadata) for one in offered.values()}
    limits = step.ledger_limits
    claims = [(one.number, one.highest, one.total, one.total_by, one.metadata) for one in offered.values()]
    found = await step.rows(
        "accept_plain",
        [*offered],
        [os.urandom(16) for _ in offered],
        *zip(*claims, strict=True),
        rows.places, rows.indexes, rows.payloads, rows.crcs, rows.tokens,
        size + sum(growth.values()), leased, step.node,
        limits.task_lease, limits.idle_timeout, limits.deadline,
        limits.max_open, limits.max_backlog, limits.max_leased,
        step.beside.ids, step.beside.handles,
    )  # fmt: skip
    if not found:
        return None
    step.see(found[0]["seen"])
    new = [one for one, row in zip(offered.values(), found, strict=True) if row["new"]]
    opened = sum([growth[one.resource_id] for one in new])
    step.count(open=len(new), open_bytes=opened, backlog=size + opened, waiting=len(rows.indexes))
    handed: bool = found[0]["handed"]
    if handed:
        step.count_leased(leased)
    return _answers(step, batch, rows, {id_: found[place - 1] for id_, place in places.items()}, handed=handed)


def _offered(batch: Sequence[tuple[Sequence[Group], int]]) -> dict[str, _Offered] | None:
    """The packets of *batch*, by resource in the order of their ids; `None` where it contradicts itself."""
    offered: dict[str, _Offered] = {}
    for packet in chain.from_iterable(group for groups, _ in batch for group in groups):
        one = offered.get(str(packet.resource_id))
        if one is None:
            one = offered[str(packet.resource_id)] = _Offered(str(packet.resource_id))
        if not one.add(packet):
            return None
    if not offered or not all(one.sound for one in offered.values()):
        return None
    return dict(sorted(offered.items(), key=lambda item: item[0].encode()))


def _add_rows(rows: _Rows, groups: Sequence[Group], places: Mapping[str, int], capacity: int) -> None:
    """Add the packets of *groups*, of which *capacity* may be leased."""
    left = capacity
    for group in groups:
        token = new_token() if left > 0 and group else 0
        for packet in group:
            payload = bytes(packet.payload)
            rows.places.append(places[str(packet.resource_id)])
            rows.indexes.append(packet.index)
            rows.payloads.append(payload)
            rows.crcs.append(zlib.crc32(payload))
            rows.tokens.append(token if left > 0 else 0)
            left -= 1


def _answers(
    step: Step,
    batch: Sequence[tuple[Sequence[Group], int]],
    rows: _Rows,
    found: Mapping[str, asyncpg.Record],
    *,
    handed: bool,
) -> list[Accepted]:
    answers, at = [], 0
    for groups, _ in batch:
        runs, size, leased = [], 0, 0
        for group in groups:
            end = at + len(group)
            taken = sum([1 for token in rows.tokens[at:end] if token]) if handed else 0
            if taken:
                row = found[str(group[0].resource_id)]
                indexes, payloads = rows.indexes[at : at + taken], rows.payloads[at : at + taken]
                metadata = row["metadata"] if step.ledger_limits.hand_out_metadata else None
                lease = Lease(row["rk"], rows.tokens[at])
                id_ = str(group[0].resource_id)
                runs.append(Run(id_, row["generation"], lease, indexes, payloads, [1] * taken, metadata))
            size, leased, at = size + len(group), leased + taken, end
        answers.append(Accepted(size, [], runs, size - leased, frozenset()))
    return answers


async def record_plain(
    step: Step, batch: Sequence[tuple[Sequence[Result], Mapping[str, int]]]
) -> list[StepResult] | None:
    """Store *batch*, a list of (results, capacity), and answer each of its parts; `None` where something is odd."""
    given = [result for results, _ in batch for result in results]
    outputs = [result for result in given if type(result) is Output]
    if not given or len(outputs) < len(given):
        return None
    keys = [(one.lease.token, one.lease.position) for one in outputs]
    places = sorted(range(len(outputs)), key=keys.__getitem__)
    in_order = [outputs[place] for place in places]
    leases = {token: [*group] for token, group in groupby([one.lease for one in in_order], key=_token)}
    for group in leases.values():  # each is of one resource, and reported whole
        if any(one.position != place or one.key != group[0].key for place, one in enumerate(group)):
            return None
    found = await step.rows(
        "record_plain",
        [*leases],
        [group[0].key for group in leases.values()],
        [len(group) for group in leases.values()],
        [one.output for one in in_order],
        [zlib.crc32(one.output) for one in in_order],
        places,
        step.ledger_limits.max_body,
        step.beside.ids,
    )
    if not found:
        return None
    step.see(found[0]["seen"])
    step.count(waiting=-len(given), backlog=-found[0]["freed"])
    step.count_leased(-found[0]["returned"])
    snapshots = [as_snapshot(row) for row in found]
    step.touch(snapshots)
    known_at = {one.lease.key: one.known_at for one in outputs}
    capacity = batch[0][1] if len(batch) == 1 else merge_capacities([capacity for _, capacity in batch])
    closed = await close_finished(step, snapshots, capacity=capacity, known_at=known_at)
    answers = []
    for place, (results, _) in enumerate(batch):
        answer = closed if place == 0 else StepResult([], [], frozenset())
        answers.append(msgspec.structs.replace(answer, statuses=[Recorded.RECORDED] * len(results)))
    return answers
