"""The feeds of the resources that are followed here: one for each, from its first follower to its last."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from collator.interim import InterimOutputs
from collator.seams.ledger import Ledger
from collator.web.resource_feed import FeedFollower, Position, ResourceFeed


class Feeds:
    """All of them."""

    def __init__(self, ledger: Ledger, interim: InterimOutputs) -> None:
        """Tell what *ledger* has, and between it what *interim* has of calls that are under way."""
        self._ledger, self._interim = ledger, interim
        self._open: dict[str, tuple[ResourceFeed, ExitStack]] = {}

    @contextmanager
    def follow(self, resource_id: str, position: Position) -> Iterator[FeedFollower]:
        """Follow a resource behind *position*, while the context is open. It may be one of which nothing came yet."""
        if resource_id not in self._open:
            self._open[resource_id] = self._opened(resource_id)
        feed, contexts = self._open[resource_id]
        follower = FeedFollower(feed, position)
        feed.followers.add(follower)
        try:
            yield follower
        finally:
            feed.followers.remove(follower)
            feed.stop_waiting(follower)
            if not feed.followers:
                del self._open[resource_id]
                contexts.close()

    def _opened(self, resource_id: str) -> tuple[ResourceFeed, ExitStack]:
        loop, contexts = asyncio.get_running_loop(), ExitStack()
        hint = contexts.enter_context(self._ledger.hint(resource_id))
        contexts.enter_context(self._interim.follow(resource_id, lambda: loop.call_soon_threadsafe(hint.set)))
        feed = ResourceFeed(self._ledger, self._interim, resource_id, hint)
        contexts.callback(loop.create_task(feed.run()).cancel)
        return feed, contexts
