"""Packets that wait: handed out fairly, taken back when a lease ends or is released.

Fair between resources, on disk as in memory: a claim goes round the resources that have ready packets, from behind
the one where the last claim ended, and takes an equal share of each. After an unclean stop the suspects, which were
in work when the process died, go before all others, one at a time where one of them may have ended the process, so
that a packet that kills can be told from its neighbours (docs/decisions/003-after-an-unclean-stop.md).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby

import msgspec

from collator.ledgers.sqlite.damage import readable
from collator.ledgers.sqlite.leases import EndedLeases, HeldRun, number_of
from collator.ledgers.sqlite.records import apply_results
from collator.ledgers.sqlite.runs import fitting, hand_out
from collator.ledgers.sqlite.slices import ROWS
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import Failure, Lease, Run
from collator.rules.resource import INDEX_BITS, INDEX_MASK
from collator.rules.suspects import alone_for, alone_runs

TURN = 16
"""Resources in a claim, at least, where so many wait: no one of them fills the window of a slow processor."""
QUANTUM = 32
"""Packets of one resource in a large claim, at most, where others wait. Outcomes of neighbours share the read and the
write of their resource: with 1 instead of 32, a stream of resources of 20 packets went through at a third of the rate.
"""
FILLED = 16
"""Packets of a resource with which a large claim is full. With `QUANTUM` instead, one of resources of 20 packets gave
five eighths of what it was asked for, and a queue that had formed did not go away."""
FEW = 8
"""Packets that are read in one go, however large they are."""
READ_AT_ONCE = 8 * 1024 * 1024
"""Bytes of payloads that are read in one go. A claim of a thousand packets of 1 MiB behind many small ones read all of
them, to keep a fraction: for half a minute nothing was processed."""

EVER = 2**31
"""More suspects, or unclean stops, than there will be."""

_Loaded = tuple[int, str, int, int | None]
"""Key, payload, crc32, attempts used up."""
_decode_sizes = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_packets = msgspec.json.Decoder(list[_Loaded]).decode
_decode_resources = msgspec.json.Decoder(list[tuple[int, str, str, str | None]]).decode


def claim(store: Store, capacity: int) -> list[Run]:
    """Lease up to *capacity* due packets."""
    refresh(store)
    if capacity <= 0:
        return []
    if store.packets.alone(store.running):
        return []
    if store.suspects and (suspects := _claim_suspects(store, capacity)) is not None:
        return suspects
    return _hand_out(store, _fair(store, capacity))


def refresh(store: Store) -> None:
    """Make ready what has fallen due: retries whose time has come, packets whose lease has ended."""
    now = store.now
    if expired := store.packets.expired(store.running):
        _take_back(store, store.packets.end(expired), lost=True)
    if store.next_retry > now:
        return
    time = store.slice()
    while store.next_retry <= now and time.lasts():
        store.ready += store.run("due_retries", now, ROWS)
        store.run("clear_due_retries", now, ROWS)
        store.next_retry = store.value("next_retry") or float("inf")


def work_due(store: Store) -> bool:
    """Return whether packets are due that nobody holds."""
    refresh(store)
    return bool(store.ready or store.suspects)


def renew(store: Store, leases: Sequence[Lease]) -> list[bool]:
    """Prolong *leases* from now; False for each that is no longer held."""
    until = store.running + store.ledger_limits.task_lease
    return [store.packets.prolong(number_of(lease), until) for lease in leases]


def release(store: Store, leases: Sequence[Lease]) -> None:
    """Give back *leases*, on packets and on deliveries."""
    numbers = [number_of(lease) for lease in leases]
    take_back(store, numbers)
    for one in numbers:
        store.deliveries.drop(one)


def take_back(store: Store, numbers: Sequence[int]) -> None:
    """End the leases *numbers* on packets: those of open resources are ready again, and a suspect stays one."""
    _take_back(store, store.packets.end(numbers))


def _take_back(store: Store, ended: Sequence[EndedLeases], *, lost: bool = False) -> None:
    """Let packets whose leases have *ended* wait again; each has used up an attempt if its lease was *lost*."""
    if not ended:
        return
    held = [(run.key(position), run, position) for run, positions, _ in ended for position in positions]
    still_open = {*_decode_numbers(store.value("still_open", as_json([key for key, *_ in held])).encode())}
    if lost:
        used = [(key, run.attempt(one), "the lease was lost") for key, run, one in held if key in still_open]
        store.run_rows("count_lost", used)
    store.ready += store.run_rows("add_ready", [key for key, run, _ in held if key in still_open and not run.suspect])
    store.suspects += store.run_rows("suspects_wait", [key for key, run, _ in held if run.suspect])


def _claim_suspects(store: Store, capacity: int) -> list[Run] | None:
    """Lease the suspects whose turn it is; `None` where other packets may be handed out now."""
    together = store.ledger_limits.side_by_side
    alone = _waiting_suspects(store, together, EVER, 1)
    if alone and not store.packets.none_beside(store.running):
        return []
    waiting = alone or _waiting_suspects(store, 0, together, capacity)
    runs = _hand_out(store, [*waiting], stops=waiting) if waiting else None
    return runs if not alone or runs is None else alone_runs(runs, alone, store.ledger_limits)


def _waiting_suspects(store: Store, above: int, most: int, limit: int) -> dict[int, int]:
    """Up to *limit* suspects that were in work at more than *above* and up to *most* unclean stops, and at how many."""
    return dict(_decode_sizes(store.value("next_suspects", above, most, limit).encode()))


def _fair(store: Store, capacity: int) -> list[int]:
    """Up to *capacity* packets that are ready, of as many resources as should take turns."""
    if not store.ready:
        return []
    turn = _turn(store, max(min(capacity, TURN), capacity // FILLED))
    quantum = max(-(-capacity // len(turn)), min(QUANTUM, capacity // TURN))
    keys = _decode_numbers(store.value("ready_of", as_json(turn), quantum, capacity).encode())
    store.cursor = keys[-1] >> INDEX_BITS
    return keys


def _turn(store: Store, capacity: int) -> list[int]:
    """The resources whose turn it is, at most *capacity*, from behind the cursor and once round."""
    behind = _decode_numbers(store.value("next_ready_resources", store.cursor, capacity).encode())
    if len(behind) < capacity and store.cursor:
        before = _decode_numbers(store.value("next_ready_resources", 0, capacity - len(behind)).encode())
        behind += [resource_row for resource_row in before if resource_row <= store.cursor]
    return behind


def _hand_out(store: Store, keys: Sequence[int], *, stops: Mapping[int, int] | None = None) -> list[Run]:
    """Lease *keys*, as far as there is room for their bytes; *stops*: at how many each suspect was in work."""
    keys = _at_once(store, keys)
    if not keys:
        return []
    store.ready -= store.run_rows("take_ready", keys)
    store.suspects -= store.run_rows("suspects_begin", keys) if stops else 0
    packets, resources = _read(store, keys)
    if sum(map(len, packets.values())) < len(keys):  # who cannot be read is handed out no more, and does not wait
        readable_keys = {key for some in packets.values() for key, *_ in some}
        store.run_rows("forget_attempts", [key for key in keys if key not in readable_keys])
        store.suspects = store.value("count_suspects")
    runs: list[Run] = []
    left: list[int] = []
    damaged: list[HeldRun] = []
    for resource_row, some in packets.items():
        held, payloads, unfit = _held(store, resource_row, some, damaged)
        left += unfit
        if stops:
            held.suspect, alone = True, alone_for(max(stops.values()), store.ledger_limits)
            held.alone_until = store.running + alone if alone else 0.0
        if payloads:
            runs.append(hand_out(store, held, payloads, resources[resource_row]))
    if stops:
        store.suspects += store.run_rows("suspects_wait", left)
    else:
        store.ready += store.run_rows("add_ready", left)
    if damaged:
        failure = Failure(Lease(0, 0), "the stored payload does not match its checksum")
        reported = [(one, [0], [place]) for place, one in enumerate(damaged)]
        apply_results(store, [failure] * len(damaged), reported, {})
    return runs


def _held(
    store: Store, resource_row: int, packets: Sequence[_Loaded], damaged: list[HeldRun]
) -> tuple[HeldRun, Sequence[bytes], Sequence[int]]:
    """The lease on the first of *packets* that there is room for, their payloads, and the keys of the others.

    Those of which the payload is *damaged* are added to these.
    """
    until = store.running + store.ledger_limits.task_lease
    payloads = [text.encode() for _, text, _, _ in packets]
    broken = [place for place, data in enumerate(payloads) if zlib.crc32(data) != packets[place][2]]
    if broken:
        for place in broken:
            key, _, _, used = packets[place]
            damaged.append(HeldRun(resource_row, until, [key & INDEX_MASK], [len(payloads[place])], [used]))
        packets = [one for place, one in enumerate(packets) if place not in broken]
        payloads = [text.encode() for _, text, _, _ in packets]
    sizes = [*map(len, payloads)]
    number = fitting(store, sizes)
    held = HeldRun(resource_row, until, [key & INDEX_MASK for key, *_ in packets[:number]], sizes[:number])
    attempts = [used for *_, used in packets[:number]]
    held.used = () if attempts.count(None) == number else attempts
    return held, payloads[:number], [key for key, *_ in packets[number:]]


def _at_once(store: Store, keys: Sequence[int]) -> Sequence[int]:
    """The first of *keys* whose payloads are read in one go; not many of them are large."""
    left = min(READ_AT_ONCE, store.ledger_limits.max_leased - store.packets.size)
    if len(keys) <= FEW or store.counts.backlog <= left:  # all that waits has no more bytes
        return keys
    sizes = dict(_decode_sizes(store.value("sizes_of_packets", as_json(keys)).encode()))
    for number, key in enumerate(keys):
        left -= sizes.get(key, 0)
        if left < 0:
            return keys[: max(number, FEW)]
    return keys


def _read(
    store: Store, keys: Sequence[int]
) -> tuple[Mapping[int, list[_Loaded]], Mapping[int, tuple[str, bytes, bytes | None]]]:
    """The packets *keys* by resource, and of each of these the id, the generation, and the metadata if handed out."""
    rows = readable(lambda some: _decode_packets(store.value("load_packets", as_json(some)).encode()), keys)
    packets: dict[int, list[_Loaded]] = {}
    for resource_row, some in groupby(rows, lambda row: row[0] >> INDEX_BITS):
        packets.setdefault(resource_row, []).extend(some)
    found = dict(readable(partial(_read_resources, store), [*packets]))
    return {row: some for row, some in packets.items() if row in found}, found


def _read_resources(store: Store, resource_rows: Sequence[int]) -> list[tuple[int, tuple[str, bytes, bytes | None]]]:
    asked = as_json(resource_rows)
    rows = _decode_resources(store.value("load_resources", asked, store.ledger_limits.hand_out_metadata).encode())
    return [
        (row, (id_, bytes.fromhex(generation), None if metadata is None else metadata.encode()))
        for row, id_, generation, metadata in rows
    ]
