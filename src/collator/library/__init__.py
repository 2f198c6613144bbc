"""The library: Collator as a part of one's own program, without a port.

Lives here: the engine behind the verbs of the client (`collator`), the way from one to the other (`inside`), and
deliveries to a coroutine (`finished`). Does not live here: anything that a service does too.
"""

from __future__ import annotations

from collator.library.collator import Collator
from collator.library.finished import OnFinished, Webhook

__all__ = ["Collator", "OnFinished", "Webhook"]
