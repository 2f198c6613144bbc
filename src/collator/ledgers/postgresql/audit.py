"""The audit log: what people did is stored in the step that does it, and each record once, whatever steps it takes.

An act is known to the task that does it (`collator.ledgers.acts`), so that the verbs of the ledger say nothing of it:
whatever step one of them takes meanwhile carries the act along, and adds what it changed to its record. The log is
bounded: the latest `KEPT` acts, and of refused tokens the latest `REFUSALS_KEPT`, apart, so that nobody can push out
the others.
"""

from __future__ import annotations

from collator.ledgers import acts
from collator.ledgers.postgresql.step import Step, clean
from collator.messages import REFUSED, Act
from collator.text import shorten


async def record(step: Step, act: Act, changed: int) -> None:
    """Add to the log that a step of *act* has *changed* so many."""
    refused = act.verb == REFUSED
    words = (clean(act.who), clean(act.peer), act.verb, clean(shorten(act.target, 500)))
    await step.run("record_act", act.id, step.wall, step.now, *words, changed, refused)
    if not act.stored:  # else a record had its place before: an act may have thousands of steps
        await step.run("trim_audit", refused, acts.REFUSALS_KEPT if refused else acts.KEPT)
        await delete_old(step)


async def note(step: Step, act: Act) -> None:
    """Record *act*, which no step of another verb does."""
    await record(step, act, act.changed)


async def delete_old(step: Step) -> None:
    """Delete some of the records that are older than `LedgerLimits.remember`."""
    if step.ledger_limits.remember is not None:
        await step.run("forget_audit", step.now - step.ledger_limits.remember, acts.SLICE)
