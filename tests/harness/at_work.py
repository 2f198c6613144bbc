"""Workers at work for as long as a context is open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from collator.seams.workers import Workers


@asynccontextmanager
async def at_work(workers: Workers) -> AsyncIterator[None]:
    """Run *workers*; leaving it cancels them, and waits until they have ended."""
    run = asyncio.create_task(workers.run())
    try:
        yield
    finally:
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run
