"""The host check: protection against requests that a browser sends for a page of another site.

A service on the loopback address is open to every program of the machine, and web browsers run programs of strangers.
So a request has to name a host of this service (against DNS rebinding: a page of evil.example, whose name suddenly
resolves to 127.0.0.1, still says ``Host: evil.example``), and a request from a page of another origin is refused
(against cross-site requests). The endpoints take JSON media types only, which rules out the last way, a form.

An *address* in the Host field always passes, as it cannot be made to mean another machine: a page has an address for
its host only if it was loaded from there. Probes, and clients without a name for the service, use its address.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

from collator.web.problems import HttpProblem, ProblemType

_SCHEMES = (b"http://", b"https://")  # with TLS where a proxy in front of us has it
OWN = ("localhost",)
"""The names that always mean this machine."""
_HOST = re.compile(rb"(?:([A-Za-z0-9._~-]+)|\[([0-9A-Fa-f]*:[0-9A-Fa-f:.]*)\])(?::[0-9]{0,5})?")
_FOREIGN_SITES = frozenset({b"cross-site", b"same-site"})
"""What a browser says of a page that is not ours: one of another port of this machine is of the same *site*. It says
`same-origin` of a page that is, and `none` where a person asks. Other values say nothing (Fetch Metadata, 2)."""
_LONGEST = 300
"""Bytes of a name of 253 (RFC 1035, 2.3.4), and a port. What is longer is not looked at, and not kept either."""


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches what listens on *host*."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def allowed_hosts(host: str, allowed: Sequence[str]) -> tuple[str, ...] | None:
    """The names by which what listens on *host* may be asked, those that are *allowed* too; `None` for any."""
    if "*" in allowed:
        return None
    others = () if is_loopback(host) else (socket.gethostname(),)  # what other machines call this one
    return (*OWN, host, *others, *allowed)


class HostCheck:
    """The check of the Host and Origin fields of requests."""

    def __init__(self, hosts: Iterable[str] | None = OWN) -> None:
        """Be known as *hosts*, names without a port, and by any address; `None`: by any name too."""
        self._hosts = None if hosts is None else frozenset(host.lower().encode() for host in hosts)

    def check(self, headers: Mapping[bytes, bytes], target_host: bytes = b"") -> None:
        """Raise `HttpProblem` for a foreign Host or Origin.

        *target_host* is the host that a whole URL names, which counts before the Host field (RFC 9112, 3.2.2).
        """
        self.check_host(headers, target_host)
        host, origin = target_host or headers.get(b"host", b""), headers.get(b"origin")
        if origin is not None and origin not in {scheme + host for scheme in _SCHEMES}:
            raise HttpProblem(ProblemType.CROSS_ORIGIN, "the Origin header does not match the Host header")
        if headers.get(b"sec-fetch-site", b"").strip() in _FOREIGN_SITES:
            raise HttpProblem(
                ProblemType.CROSS_ORIGIN, "the Sec-Fetch-Site header says that the request comes from another origin"
            )

    def check_host(self, headers: Mapping[bytes, bytes], target_host: bytes = b"") -> None:
        """Raise `HttpProblem` for a foreign Host, as `check` does, from whatever page the request comes."""
        self._check_host(headers.get(b"host", b""))
        if target_host:
            self._check_host(target_host)

    def _check_host(self, host: bytes) -> None:
        name = _name(host) if len(host) <= _LONGEST else None
        if name is None:
            raise HttpProblem(ProblemType.UNKNOWN_HOST, "the Host header must be NAME:PORT or ADDRESS:PORT")
        if self._hosts is not None and name not in self._hosts and not _is_address(host):
            raise HttpProblem(
                ProblemType.UNKNOWN_HOST,
                "the name in the Host header is not allowed; add it with --allow-host if it is right, "
                "or use the IP address",
            )


@lru_cache(maxsize=256)
def _is_address(host: bytes) -> bool:
    """Return whether ``host[:port]`` has an IP address for its host."""
    return _is_ip(_name(host) or b"")


@lru_cache(maxsize=256)
def _name(host: bytes) -> bytes | None:
    """The name or address in ``host[:port]``, in small letters and without brackets."""
    named = _HOST.fullmatch(host)
    if named is None or (named[2] and not _is_ip(named[2])):
        return None
    return (named[1] or named[2]).lower()


def _is_ip(text: bytes) -> bool:
    try:
        ipaddress.ip_address(text.decode())
    except ValueError:
        return False
    return True
