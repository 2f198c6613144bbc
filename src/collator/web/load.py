"""The load: requests, streams and waits under way, of which each caller has a share.

A caller is the owner of a token, or else the address of the client. Health checks need no place. A few places are
reserved for callers who may repair the service, as they are needed most when all other places are taken.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from collator.shares import Shared
from collator.tokens import Caller, Role
from collator.web.limits import HttpLimits
from collator.web.problems import busy

KEPT = 16
"""Places beyond the limit for callers who may repair: their requests are few, and made by hand."""
_NETWORK = 64  # bits of an IPv6 address that tell one network from another; within it a machine takes any


class Load:
    """Everything that is under way."""

    def __init__(self, limits: HttpLimits) -> None:
        """Let as much be under way as *limits* allow."""
        self._connections = Shared(limits.max_connections, "connections with a request", setting="max_connections")
        self.requests = Shared(limits.max_requests, "concurrent requests", setting="max_requests")
        self.streams = Shared(limits.max_streams, "open streams", setting="max_streams")
        self.waits = Shared(limits.max_waits, "waiting requests", setting="max_waits")

    def begin(self, who: str, *, kept: bool = False) -> None:
        """Let *who* have a request more under way; *kept* where he may have one of the places that are kept.

        Raises `HttpProblem` where there is no place for it. `end` it.
        """
        for shared in (self.requests, self._connections):
            why = shared.why_not(who)
            if why and not (kept and shared.used < shared.most + KEPT):
                raise busy(why)
        self.requests.take(who)
        self._connections.take(who)

    def end(self, who: str, number: int = 1) -> None:
        """A request of *who* has ended, or a *number* of them."""
        self.requests.give(who, number)
        self._connections.give(who, number)

    @contextmanager
    def instead(self, shared: Shared, who: str, *, retry_after: float) -> Iterator[None]:
        """Hold a place of *shared* meanwhile instead of that of a request. Raises `HttpProblem` where there is none."""
        why = shared.why_not(who)
        if why:
            raise busy(why, retry_after=retry_after)
        shared.take(who)
        self.requests.give(who)
        try:
            yield
        finally:
            self.requests.take(who)
            shared.give(who)


def who_asks(caller: Caller | None, client: tuple[str, int] | None) -> str:
    """The name under which a request has its share: *caller*, or the address of *client* if no token is required."""
    if caller is not None:
        return caller.name
    return peer(client)


def may_repair(caller: Caller | None) -> bool:
    """Return whether places are kept for *caller*."""
    return caller is not None and caller.may(Role.ADMIN)


def peer(client: tuple[str, int] | None) -> str:
    """The name under which a request without a token has its share: the address of *client*, or its network."""
    return _network(client[0]) if client else ""


@lru_cache(maxsize=4096)
def _network(address: str) -> str:
    """*address*, or the network of an address of IPv6."""
    if ":" not in address:
        return address
    try:
        found = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    mapped = found.ipv4_mapped
    return str(mapped or ipaddress.IPv6Network((found, _NETWORK), strict=False))
