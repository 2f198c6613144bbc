"""The table of connections. Pure: it says which is to be closed, and closes none.

Theory. When a connection is opened, its purpose is not known yet, so places go to connections with requests. One
without a request is closed as soon as another needs its place: first those that never had a request, the oldest first,
so that a client that opens many without using them loses its own; then those that have been idle for longest. Where
every place has a request under way, a few more connections are let in, for one request each, which is answered only
where it is about the health of the service, or from a caller who may repair it.
"""

from __future__ import annotations

from enum import Enum
from typing import Generic, Protocol, TypeVar

from collator.shares import Shared
from collator.web.limits import MIB

KEPT = 8
"""Connections beyond the limit that are let in. They are few, as their descriptors are reserved for them."""
NEW = 16
"""New connections that may stay for a moment, though others have been idle for longer."""


class Admission(Enum):
    """The decision on a new connection."""

    TAKEN = "taken"  #: it has a place
    KEPT = "kept"  #: it has one of those that are reserved for health checks and repairs
    REFUSED = "refused"  #: there is none for it, and it gets an answer that says so
    DROPPED = "dropped"  #: there is none, and enough others are getting that answer


class GuardedConnection(Protocol):
    """The interface of a connection."""

    def idle_since(self) -> float | None:
        """The time since which it has had no request, on the clock of all connections; `None` while it has one."""
        ...


C = TypeVar("C", bound=GuardedConnection)


class Connections(Generic[C]):
    """The connections that have a place."""

    def __init__(self, most: int, *, max_queued: int = 16 * MIB) -> None:
        """Have *most* places, `KEPT` beyond, and *max_queued* bytes for requests that wait behind others."""
        self.most = most
        self.queued = Shared(max_queued, "bytes of queued requests", setting="max_queued", multiple=2)
        # The oldest first, as dictionaries keep their order.
        self._new: dict[C, None] = {}  # on which no request has begun
        self._used: dict[C, None] = {}  # with a request under way
        self._idle: dict[C, None] = {}  # the longest idle first
        self._kept: dict[C, None] = {}
        self._refused: dict[C, None] = {}

    def __len__(self) -> int:
        """The number of connections that have a place."""
        return self._places() + len(self._kept)

    def admit(self, connection: C) -> tuple[Admission, C | None]:
        """Decide on *connection*, and on the one that has to be closed for it."""
        closed = None
        if self._places() >= self.most:
            new = next(iter(self._new), None)
            closed = new if len(self._new) >= NEW else next(iter(self._idle), new)
            if closed is None:
                return self._keep(connection)
            self.left(closed)
        self._new[connection] = None
        return Admission.TAKEN, closed

    def asked(self, connection: C) -> None:
        """A request on *connection* has begun."""
        if connection in self._idle:
            del self._idle[connection]
        elif connection in self._new:
            del self._new[connection]
        else:
            return
        self._used[connection] = None

    def answered(self, connection: C) -> None:
        """No request is under way on *connection* any more."""
        if connection in self._used:
            del self._used[connection]
            self._idle[connection] = None

    def left(self, connection: C) -> None:
        """*connection* is no more."""
        for some in (self._new, self._used, self._idle, self._kept, self._refused):
            some.pop(connection, None)

    def _keep(self, connection: C) -> tuple[Admission, C | None]:
        closed = None
        if len(self._kept) >= KEPT:
            closed = next((one for one in self._kept if one.idle_since() is not None), None)
            if closed is None and len(self._refused) >= KEPT:
                return Admission.DROPPED, None
            if closed is None:
                self._refused[connection] = None
                return Admission.REFUSED, None
            self.left(closed)
        self._kept[connection] = None
        return Admission.KEPT, closed

    def _places(self) -> int:
        return len(self._new) + len(self._used) + len(self._idle)
