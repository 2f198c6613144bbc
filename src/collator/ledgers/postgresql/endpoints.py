"""Paused endpoints: by a person, or as their receiver wants no more (R23). Nothing is handed out to them."""

from __future__ import annotations

from collator.ledgers.postgresql.step import Step, clean


async def pause(step: Step, endpoint: str, reason: str) -> bool:
    """Pause *endpoint*; whether it was not paused before."""
    return bool(await step.run("pause_endpoint", endpoint, step.wall, clean(reason)))


async def resume(step: Step, endpoint: str) -> bool:
    """Let *endpoint* go on; whether it was paused."""
    return bool(await step.run("resume_endpoint", endpoint))
