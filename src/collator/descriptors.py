"""Open files and sockets: how many this process may have, and what the settings want of them.

A process without a free descriptor takes no connection either, whatever used the last one. So the settings are
compared with the limit at the start, and where they want more, each part gets a share of its own: the endpoints theirs,
in proportion, and the listener the rest.
"""

from __future__ import annotations

import sys
from dataclasses import replace

import structlog

from collator.errors import ConfigError
from collator.settings import NO_WEBHOOK, EndpointSettings, Settings
from collator.target import is_url

OWN = 48
"""The database, the log, the event loop: 22 were counted at rest. The others are for large bodies, and a backup."""
A_PROCESS = 3
"""For each process that calls the processor."""
LEAST = 16
"""Connections below which a service is of no use."""
MOST = 1_048_576
"""What the limit is raised to at most: programs that the processor starts inherit it, and some try every number."""

_log = structlog.get_logger("collator.service")


def raise_limit() -> None:
    """Raise the soft limit on open files to the hard one, where the system has such limits."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST if hard == resource.RLIM_INFINITY else min(hard, MOST)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:
        _log.warning("cannot raise the limit of open files", limit=soft, wanted=wanted, reason=str(error))


def limit() -> int:
    """The number of files and sockets that this process may have open."""
    if sys.platform == "win32":
        return MOST
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else soft


def fitted(settings: Settings, most: int) -> Settings:
    """*settings* as they can hold where *most* files may be open, with a warning where that is less than they say.

    Raises `ConfigError` where it is too few to serve with.
    """
    endpoints = _concurrencies(settings)
    outgoing, left = sum(endpoints), most - _own(settings)
    if outgoing + settings.max_connections <= left:
        return settings
    share = min(outgoing, max(left - settings.max_connections, left // 2))
    connections = min(settings.max_connections, left - share)
    least = most - left + 2 * max(len(endpoints), LEAST)
    if most < least:
        raise ConfigError(
            f"the limit of open files is {most}, and the service needs at least {least}: "
            "raise it (ulimit -n, LimitNOFILE=)"
        )
    beyond = outgoing - len(endpoints)  # the first place of each
    shared = _shared(settings, (share - len(endpoints)) / beyond) if beyond else settings
    _log.warning(
        "the limit of open files is too low for the settings, which were reduced; raise ulimit -n",
        limit=most,
        wanted=most - left + outgoing + settings.max_connections,
        webhooks_at_a_time=f"{sum(_concurrencies(shared))} instead of {outgoing}",
        max_connections=f"{connections} instead of {settings.max_connections}",
    )
    return replace(shared, max_connections=connections)


def _own(settings: Settings) -> int:
    """The descriptors for everything but the listener and the receivers."""
    if is_url(settings.processor):
        return OWN + settings.concurrency
    return OWN + (A_PROCESS * settings.concurrency if settings.pool == "process" else 0)


def _concurrencies(settings: Settings) -> list[int]:
    """The number of webhooks that may be under way at a time, for each endpoint."""
    named = [one.concurrency or settings.delivery_concurrency for one in settings.endpoints]
    return named if settings.webhook in {None, NO_WEBHOOK} else [settings.delivery_concurrency, *named]


def _shared(settings: Settings, share: float) -> Settings:
    """*settings* with a *share* of each concurrency beyond the first place."""

    def less(concurrency: int) -> int:
        return 1 + int((concurrency - 1) * share)

    def fewer(one: EndpointSettings) -> EndpointSettings:
        return one if one.concurrency is None else replace(one, concurrency=less(one.concurrency))

    concurrency, endpoints = less(settings.delivery_concurrency), tuple(fewer(one) for one in settings.endpoints)
    return replace(settings, delivery_concurrency=concurrency, endpoints=endpoints)
