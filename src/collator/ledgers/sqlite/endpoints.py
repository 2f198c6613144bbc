"""Paused endpoints: by a person, or as their receiver wants no more (R23). Nothing is handed out to them."""

from __future__ import annotations

from collator.ledgers.sqlite.store import Store


def pause(store: Store, endpoint: str, reason: str) -> bool:
    """Pause *endpoint*; whether it was not paused before."""
    if endpoint in store.paused:
        return False
    store.run("pause_endpoint", endpoint, store.wall, reason)
    store.paused |= {endpoint}
    return True


def resume(store: Store, endpoint: str) -> bool:
    """Let *endpoint* go on; whether it was paused."""
    if endpoint not in store.paused:
        return False
    store.run("resume_endpoint", endpoint)
    store.paused -= {endpoint}
    return True
