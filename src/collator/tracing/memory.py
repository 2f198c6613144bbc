"""In which trace each packet and each resource is: in memory alone, and bounded. Guarded, for any thread.

Theory. Packets of one resource may come in many traces. The first that is seen gives the resource its trace, in which
it is delivered; each packet is processed in its own. What was not used for longest goes first, and what is gone, after
a restart too, begins a trace of its own. So does a generation whose packets have not been seen here.
"""

from __future__ import annotations

import threading
from collections import deque

from opentelemetry.trace import SpanContext

from collator.messages import Key

MOST = 10_000
"""Resources."""
MOST_BYTES = 16 * 1024 * 1024
"""Of all, about."""
MOST_PACKETS = 4096
"""Packets of one resource that are not processed: as many as the workers have in memory."""
MOST_LINKS = 128
"""Spans to which a delivery is linked: the latest, as many as the SDK keeps."""

_RESOURCE, _CONTEXT = 600, 450  # bytes, about


class Trail:
    """What is known of a resource."""

    __slots__ = ("began", "generation", "links", "packets", "size")

    def __init__(self, resource_id: str) -> None:
        self.began: SpanContext | None = None
        """The span in which the first packet was sent."""
        self.generation: bytes | None = None
        """That of `began` and `links`, once it is known."""
        self.packets: dict[int, SpanContext] = {}
        """The spans in which packets were sent that are not processed, by their indexes."""
        self.links: deque[SpanContext] = deque(maxlen=MOST_LINKS)
        """The spans in which packets were processed."""
        self.size = _RESOURCE + len(resource_id)

    def add(self, index: int, context: SpanContext) -> None:
        """Packet *index* was sent in *context*."""
        if self.began is None:
            self.began = context
        if index not in self.packets:
            self.size += _cost(context)
        self.packets[index] = context
        if len(self.packets) > MOST_PACKETS:
            self.drop(next(iter(self.packets)))

    def drop(self, index: int) -> None:
        """Packet *index* is processed."""
        context = self.packets.pop(index, None)
        self.size -= 0 if context is None else _cost(context)

    def link(self, context: SpanContext) -> None:
        """A packet was processed in *context*."""
        self.size += _CONTEXT if len(self.links) < MOST_LINKS else 0
        self.links.append(context)

    def enter(self, key: Key) -> None:
        """The packet *key* is processed: it may be the first that is seen of its generation."""
        if self.generation not in (None, key.generation):
            self.began = self.packets.get(key.index)
            self.size -= _CONTEXT * len(self.links)
            self.links.clear()
        self.generation = key.generation


class TraceMemory:
    """The trails of the resources that were used of late."""

    def __init__(self, *, most: int = MOST, most_bytes: int = MOST_BYTES) -> None:
        """Keep *most* resources, and *most_bytes* bytes, at most."""
        self.size = 0
        self._most, self._most_bytes = most, most_bytes
        self._trails: dict[str, Trail] = {}
        self._guard = threading.Lock()

    def __len__(self) -> int:
        """The number of resources."""
        return len(self._trails)

    def sent(self, resource_id: str, index: int, context: SpanContext) -> None:
        """Keep that packet *index* was sent in *context*."""
        with self._guard:
            trail = self._use(resource_id)
            trail.add(index, context)
            self._keep(resource_id, trail)

    def parent(self, key: Key) -> SpanContext | None:
        """The span in which the packet *key* was sent, or else another of its resource."""
        with self._guard:
            trail = self._use(key.resource_id)
            trail.enter(key)
            self._keep(key.resource_id, trail)
            return trail.packets.get(key.index, trail.began)

    def processed(self, key: Key, context: SpanContext, *, over: bool) -> None:
        """Keep that an attempt for the packet *key* was made in *context*; *over*: there will be no other."""
        with self._guard:
            trail = self._use(key.resource_id)
            if over:
                trail.drop(key.index)
            if context.trace_flags.sampled and trail.generation in (None, key.generation):
                trail.link(context)
            self._keep(key.resource_id, trail)

    def resource(self, resource_id: str, generation: bytes) -> tuple[SpanContext | None, list[SpanContext]]:
        """The span in which the first packet was sent, and those in which packets were processed."""
        with self._guard:
            trail = self._trails.get(resource_id)
            if trail is None or trail.generation not in (None, generation):
                return None, []
            return trail.began, [*trail.links]

    def _use(self, resource_id: str) -> Trail:
        """Take out the trail of a resource, or a new one; `_keep` puts it back, as the latest that was used."""
        trail = self._trails.pop(resource_id, None)
        if trail is None:
            return Trail(resource_id)
        self.size -= trail.size
        return trail

    def _keep(self, resource_id: str, trail: Trail) -> None:
        self._trails[resource_id] = trail
        self.size += trail.size
        while len(self._trails) > self._most or self.size > self._most_bytes:
            self.size -= self._trails.pop(next(iter(self._trails))).size


def _cost(context: SpanContext) -> int:
    state = context.trace_state
    return _CONTEXT + (len(state.to_header()) if state else 0)
