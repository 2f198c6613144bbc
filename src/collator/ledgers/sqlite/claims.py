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

import msgspec

from collator.ledgers.sqlite.damage import readable
from collator.ledgers.sqlite.leases import Held, number_of
from collator.ledgers.sqlite.records import apply_results
from collator.ledgers.sqlite.runs import Leased, runs_of
from collator.ledgers.sqlite.slices import ROWS
from collator.ledgers.sqlite.store import Store, as_json
from collator.messages import Failure, Lease, Run
from collator.rules.resource import INDEX_BITS
from collator.rules.suspects import alone_for, alone_runs

TURN = 16
"""Resources in a claim, at least, where so many wait: no one of them fills the window of a slow processor."""
QUANTUM = 32
"""Packets of one resource in a large claim. Outcomes of neighbours share the read and the write of their resource:
with 1 instead of 32, a stream of resources of 20 packets went through at a third of the rate."""
FEW = 8
"""Packets that are read in one go, however large they are."""
READ_AT_ONCE = 8 * 1024 * 1024
"""Bytes of payloads that are read in one go. A claim of a thousand packets of 1 MiB behind many small ones read all of
them, to keep a fraction: for half a minute nothing was processed."""

EVER = 2**31
"""More suspects, or unclean stops, than there will be."""

_Loaded = tuple[int, str, bytes, str, int, int | None]
"""Key, resource id, generation, payload, crc32, attempts."""
_decode_sizes = msgspec.json.Decoder(list[tuple[int, int]]).decode
_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_metadata = msgspec.json.Decoder(list[tuple[int, str]]).decode
_decode_tasks = msgspec.json.Decoder(list[tuple[int, str, str, str, int, int | None]]).decode


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
    ended = store.packets.expired(store.running)
    lost = [held for lease in ended if (held := store.packets.get(lease)) is not None]
    still_open = _still_open(store, lost)
    rows = [(held.key, held.attempt, "the lease was lost") for held in lost if held.key in still_open]
    store.run_rows("count_lost", rows)
    take_back(store, ended)
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
    ended = [held for one in numbers if (held := store.packets.drop(one)) is not None]
    if not ended:
        return
    suspects = {held.key for held in ended if held.suspect}
    store.ready += store.run_rows("add_ready", [key for key in _still_open(store, ended) if key not in suspects])
    store.suspects += store.run_rows("suspects_wait", [*suspects])


def _still_open(store: Store, held: Sequence[Held]) -> list[int]:
    """The keys of those that belong to open resources: of one that has ended nothing is written any more."""
    return _decode_numbers(store.value("still_open", as_json([one.key for one in held])).encode()) if held else []


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
    if not store.ready:
        return []
    turn = _turn(store, max(min(capacity, TURN), capacity // QUANTUM))
    quantum = -(-capacity // len(turn))
    keys = _decode_numbers(store.value("ready_of", as_json(turn), quantum).encode())[:capacity]
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
    now = store.running
    until = now + store.ledger_limits.task_lease
    leased, left, damaged = list[Leased](), [], []
    rows: list[_Loaded] = readable(partial(_read, store), keys)
    if len(rows) < len(keys):  # the rows of others cannot be read: they are handed out no more, and none waits for them
        store.run_rows("forget_attempts", [*({*keys} - {row[0] for row in rows})])
        store.suspects = store.value("count_suspects")
    for key, resource_id, generation, payload, crc, attempts in rows:
        data = payload.encode()
        held = Held(key, until, len(data), (attempts or 0) + 1, attempts is not None)
        if stops:
            held.suspect, alone = True, alone_for(stops[key], store.ledger_limits)
            held.alone_until = now + alone if alone else 0.0
        if zlib.crc32(data) != crc:
            damaged.append((Failure(Lease(0, 0), "the stored payload does not match its checksum"), held))
        elif store.packets.size + len(data) > store.ledger_limits.max_leased and len(store.packets):
            left.append(key)
        else:
            leased.append((store.packets.grant(held), key, resource_id, generation, data, held.attempt))
    if stops:
        store.suspects += store.run_rows("suspects_wait", left)
    else:
        store.ready += store.run_rows("add_ready", left)
    if damaged:
        apply_results(store, damaged, {})
    return runs_of(leased, _metadata(store, leased))


def _metadata(store: Store, leased: Sequence[Leased]) -> Mapping[int, bytes]:
    """Return the metadata of the resources of *leased* that have some, by row, where it is handed out."""
    if not (leased and store.ledger_limits.hand_out_metadata):
        return {}
    rows = as_json([*{key >> INDEX_BITS for _, key, *_ in leased}])
    return {row: metadata.encode() for row, metadata in _decode_metadata(store.value("load_metadata", rows).encode())}


def _at_once(store: Store, keys: Sequence[int]) -> Sequence[int]:
    """The first of *keys* whose payloads are read in one go; not many of them are large."""
    if len(keys) <= FEW:
        return keys
    sizes = dict(_decode_sizes(store.value("sizes_of_packets", as_json(keys)).encode()))
    left = min(READ_AT_ONCE, store.ledger_limits.max_leased - store.packets.size)
    for number, key in enumerate(keys):
        left -= sizes.get(key, 0)
        if left < 0:
            return keys[: max(number, FEW)]
    return keys


def _read(store: Store, keys: Sequence[int]) -> list[_Loaded]:
    return [
        (key, resource_id, bytes.fromhex(generation), payload, crc, attempts)
        for key, resource_id, generation, payload, crc, attempts in _decode_tasks(
            store.value("load_tasks", as_json(keys)).encode()
        )
    ]
