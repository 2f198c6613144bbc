"""What a start finds: packets that were in work when the process died become suspects.

A packet in work has no outcome, is not ready and waits for no time; nothing was written when it was handed out, so
this is how it is found. A clean stop leaves none.
"""

from __future__ import annotations

import msgspec

from collator.engines.embedded.claiming import take_back
from collator.engines.embedded.closing import close_finished
from collator.engines.embedded.leases import Held
from collator.engines.embedded.recording import settle_results
from collator.engines.embedded.store import Store
from collator.exchange import Failure

_decode_numbers = msgspec.json.Decoder(list[int]).decode
_decode_deadly = msgspec.json.Decoder(list[tuple[int, int, int, int]]).decode


def start(store: Store) -> None:
    """Find the suspects of an unclean stop, fail those that died too often, and mark the store as in use."""
    with store.transaction():
        if not store.was_clean:
            found = _decode_numbers(store.value("in_work").encode())
            store.run_rows("suspect", found, int(len(found) == 1))  # who was not alone may be innocent
            store.suspects = store.value("count_suspects")
            _fail_the_deadly(store)
        store.run("set_clean", 0)


def stop(store: Store) -> None:
    """Make everything that is handed out ready again, and mark the stop as a clean one."""
    with store.transaction():
        store.tick(accepting=True)
        take_back(store, store.packets.tokens())
        store.run("set_clean", 1)


def _fail_the_deadly(store: Store) -> None:
    rows = _decode_deadly(store.value("deadly", store.terms.max_deaths).encode())
    held = [
        (
            Failure(0, f"the process died {deaths} times while this packet was in work"),
            Held(key, 0.0, size, max(attempts, deaths), tried=True, alone=True),
        )
        for key, size, attempts, deaths in rows
    ]
    if held:
        step = settle_results(store, held)
        close_finished(store, [*step.touched.values()], room={}, known_at={})
