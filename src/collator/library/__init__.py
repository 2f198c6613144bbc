"""The library: Collator as a part of one's own program, without a port.

Lives here: the engine behind the verbs of the client (`collator`), the way from one to the other (`asgi`), and
deliveries to a coroutine (`callback`). Does not live here: anything that a service does too.
"""

from __future__ import annotations

from collator.library.callback import OnFinished, Webhook
from collator.library.collator import Collator

__all__ = ["Collator", "OnFinished", "Webhook"]
