"""The policy of destinations, by address. Pure.

Theory. A name proves nothing: its owner may have it resolve to any address, and to another a moment later. So the very
address of each connection is checked. An IPv6 address that holds an IPv4 address, as for a translator on the way, leads
to both, and both have to be allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import MappingProxyType

Network = IPv4Network | IPv6Network
IpAddress = IPv4Address | IPv6Address


def _networks(*written: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in written)


DENIED: Mapping[str, Sequence[Network]] = MappingProxyType(
    {
        "link-local": _networks("169.254.0.0/16", "fe80::/10"),  # among them what most clouds tell of a machine
        "a cloud metadata address": _networks(
            "100.100.100.200",  # Alibaba
            "168.63.129.16",  # Azure
            "192.0.0.192",  # Oracle
            "fd00:ec2::254",  # Amazon
            "fd20:ce::254",  # Google
            "fd00:c1::a9fe:a9fe",  # Oracle
            "fd00:42::42",  # Scaleway
        ),
        "not a host address": _networks("0.0.0.0/8", "::"),
        "multicast": _networks("224.0.0.0/4", "ff00::/8"),
        "broadcast": _networks("255.255.255.255"),
    }
)
"""Where nothing is sent to unless a person allows it, by what that is."""

_MAPPED = IPv6Network("::ffff:0:0/96")
_LOW = _networks("64:ff9b::/96", "64:ff9b:1::/48", "::/96")  # RFC 6052, RFC 8215, RFC 4291
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)  # RFC 5214
_WORD = 0xFFFF_FFFF


class Policy:
    """Destinations of requests: all, but for `DENIED` and what a person denies; loopback and private too."""

    def __init__(self, *, allow: Sequence[Network] = (), deny: Sequence[Network] = ()) -> None:
        """*allow* is asked first: what it holds may be sent to, whatever else denies it."""
        self._allow = [_plain(network) for network in allow]
        self._deny = [_plain(network) for network in deny]

    def refusal(self, host: str) -> str | None:
        """The reason why nothing may be sent to *host*, in words; `None` where it may, or *host* is a name."""
        try:
            address = ip_address(host)
        except ValueError:
            return None
        if any(network.num_addresses == 1 and address in network for network in self._allow):
            return None  # named by itself, whatever it holds
        for form in _forms(address):
            why = None if any(form in network for network in self._allow) else self._denial(form)
            if why is not None:
                leads = "" if form == address else f" contains {form}, which"
                return f"address not allowed: {address}{leads} is {why}"
        return None

    def _denial(self, address: IpAddress) -> str | None:
        for what, networks in DENIED.items():
            if any(address in network for network in networks):
                return f"{what} (egress_allow can allow it)"
        return next((f"in {network} (egress_deny)" for network in self._deny if address in network), None)


def _plain(network: Network) -> Network:
    """*network*, of IPv4 where it is one that is written as IPv6."""
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        return IPv4Network((int(network.network_address) & _WORD, network.prefixlen - _MAPPED.prefixlen))
    return network


def _forms(address: IpAddress) -> Iterator[IpAddress]:
    """The addresses to which *address* leads: itself, or the IPv4 address that it maps, and those embedded in it."""
    if isinstance(address, IPv4Address):
        yield address
        return
    if address.ipv4_mapped is not None:
        yield address.ipv4_mapped
        return
    yield address
    yield from (held for held in _held(address) if int(held) >> 24)  # what begins with 0 is none, as in ::1


def _held(address: IPv6Address) -> Iterator[IPv4Address]:
    number = int(address)
    if any(address in network for network in _LOW) or number >> 32 & _WORD in _ISATAP:
        yield IPv4Address(number & _WORD)
    if address in _LOW[1]:  # whose prefix may be of 48 bits: RFC 6052, section 2.2
        yield IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF)
    if address.sixtofour is not None:
        yield address.sixtofour
    if address.teredo is not None:
        yield address.teredo[1]
