"""Nodes: who has the ledger open, and is alive as long as its beat comes. All upkeep begins with a beat.

The beat of any node moves the time that all share. While none comes, as all nodes are stopped or the server takes
nothing, neither leases nor idle timeouts run (`most_between_beats` in the schema).
"""

from __future__ import annotations

from collections.abc import Sequence

from collator import __version__
from collator.ledgers.node_name import node_name
from collator.ledgers.postgresql import claims
from collator.ledgers.postgresql.step import Step


async def beat(step: Step, accepting: bool) -> None:  # noqa: FBT001 - a step takes its call as it came
    """Let time pass: it counts as uptime where the service was *accepting* and refused nobody (R13)."""
    await _see(step)
    await step.run("end_strays", step.running)
    if not accepting:
        step.at_end("note_refusal")
    step.at_end("tick")


async def enter(step: Step, writers: Sequence[int]) -> None:
    """Begin to work as a node with *writers*: what others, that have died, left is found at once."""
    for number in writers:  # their rows are there before the first commit whose answer may be lost
        await step.enter(number)
    if not await step.value("other_nodes", step.node, step.running):
        step.active = await step.value("skip_time", step.running)  # an outage closes nothing, and prolongs nothing
    await _see(step)
    for node in step.dead_nodes:
        await claims.mark_dead(step, node)
    await step.run("fold_counts")
    await _apply_limits(step)


async def leave(step: Step) -> None:
    """End in order: what is handed out is due at once."""
    await step.run("forget_node", step.node)
    await claims.give_back(step, step.node)
    step.at_end("tick")


async def _see(step: Step) -> None:
    """Let the node be alive; also one that was dead for others, and is not."""
    await step.run("see_node", step.node, step.running, node_name(), __version__)


async def _apply_limits(step: Step) -> None:
    """Have timeouts that are new, or shorter than at the last start, hold for what is there, too."""
    limits = step.ledger_limits
    if limits.idle_timeout is not None:
        if await step.value("count_idle_times") < step.counts.open:
            await step.run("set_idle_times", limits.idle_timeout)
        await step.run("shorten_idle_times", limits.idle_timeout, step.active)
    if limits.dead_retention is not None and step.counts.dead:
        await step.run("shorten_dead_retention", step.now + limits.dead_retention)
