"""The address of a PostgreSQL database, as `collator.settings.addresses`: what is not supported is refused in words.

An error shows no part of the address but names of parameters: what stands in it may be a secret.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, quote, unquote, urlencode

import msgspec

from collator.settings.address_parts import split

_FORM = "write postgresql://USER@HOST[:PORT][,HOST…]/DATABASE"
_PORT = 5432
_HOST = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+(?:%25[\w.]+)?)\]|(?P<name>[^\[\]:]+))(?::(?P<port>\d{1,5}))?")
FILES = ("sslrootcert", "sslcert", "sslkey", "sslcrl", "passfile")
"""Parameters that name a file."""
PARAMETERS = ("sslmode", *FILES, "ssl_min_protocol_version", "ssl_max_protocol_version", "target_session_attrs")
_VALUES: Mapping[str, Sequence[str]] = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "ssl_min_protocol_version": ("TLSv1.2", "TLSv1.3"),
    "ssl_max_protocol_version": ("TLSv1.2", "TLSv1.3"),
    "target_session_attrs": ("read-write", "primary"),
}


class Host(msgspec.Struct, frozen=True):
    """A host that a database may be on."""

    name: str
    """A name, an address, or the directory of a socket."""
    port: int

    def __str__(self) -> str:
        """As it is written in an address."""
        if self.name.startswith("/"):
            return f"{self.name}:{self.port}"
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"


class DatabaseUrl(msgspec.Struct, frozen=True):
    """The address of a database."""

    user: str
    """Empty for that of the operating system."""
    hosts: Sequence[Host]
    database: str
    parameters: Mapping[str, str]
    """Those of `PARAMETERS` that are given, but for ``target_session_attrs``, which holds in any case."""

    @property
    def without_hosts(self) -> str:
        """The address without its hosts."""
        user = f"{quote(self.user, safe='')}@" if self.user else ""
        return f"postgresql://{user}/{quote(self.database, safe='')}?{urlencode(self.parameters)}"


def parse(text: str) -> DatabaseUrl:
    """Understand *text*. `ValueError` in words."""
    place = split(text)
    if place is None:
        raise ValueError(f"the address of the database is not valid; {_FORM}")
    if any(character < " " or character == "\x7f" for character in text):
        raise ValueError(f"the address of the database has a control character in it; {_FORM}")
    parameters = _parameters(place.query)
    user, _, hosts = place.authority.rpartition("@")
    if ":" in user or "password" in parameters:
        raise ValueError("the address of the database has a password in it; put it into a file (ledger_password_file)")
    if "sslpassword" in parameters:
        raise ValueError("the address of the database has sslpassword in it; use a key file that is not encrypted")
    if "#" in text:
        raise ValueError(f"the address of the database has a # in it; write %23, or {_FORM}")
    if hosts and "host" in parameters:
        raise ValueError("the address of the database names hosts twice: before the path, and by host=")
    names = _named(hosts) if hosts else _listed(parameters.pop("host", ""), parameters.pop("port", ""))
    if not names:
        raise ValueError(f"the address of the database names no host; {_FORM}")
    database = unquote(place.path.removeprefix("/"))
    if not database or "\0" in database + unquote(user):
        raise ValueError(f"the address names no database; {_FORM}")
    _refuse_unknown(parameters)
    parameters.pop("target_session_attrs", None)
    return DatabaseUrl(unquote(user), names, database, parameters)


def _parameters(query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict") if query else []
    except ValueError:
        raise ValueError("the parameters of the address of the database are not valid; write NAME=VALUE&…") from None
    names = [name for name, _ in pairs]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"the address of the database has the parameter {_shown(twice)} twice")
    return dict(pairs)


def _refuse_unknown(parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        if name not in PARAMETERS:
            raise ValueError(
                f"the address of the database has the parameter {_shown(name)}, which is not supported; "
                f"supported are {', '.join(('host', 'port', *PARAMETERS))}"
            )
        allowed = _VALUES.get(name)
        if allowed is not None and value not in allowed:
            raise ValueError(f"{name} in the address of the database must be one of {', '.join(allowed)}")
        if not value:
            raise ValueError(f"{name} in the address of the database has no value")


def _named(hosts: str) -> list[Host]:
    found = []
    for one in hosts.split(","):
        match = _HOST.fullmatch(one)
        if match is None:
            raise ValueError(f"the address of the database has a host that is not valid; {_FORM}")
        found.append(_host(unquote(match["six"] or match["name"]), match["port"] or ""))
    return found


def _listed(hosts: str, ports: str) -> list[Host]:
    """The hosts of ``host=`` and ``port=``: one port for all, or one for each."""
    names = hosts.split(",") if hosts else []
    numbers = ports.split(",") * (len(names) if "," not in ports else 1)
    if len(numbers) != len(names) or not all(names):
        raise ValueError("host= and port= in the address of the database do not name as many hosts as ports")
    return [_host(name, number) for name, number in zip(names, numbers, strict=True)]


def _host(name: str, port: str) -> Host:
    number = int(port) if port.isascii() and port.isdecimal() else 0 if port else _PORT
    if not 0 < number <= 65_535 or "\0" in name:  # noqa: PLR2004 - the ports that there are
        raise ValueError("the address of the database has a port that is not valid; ports are 1 to 65535")
    return Host(name, number)


def _shown(name: str) -> str:
    """A name of a parameter; what is no name may be a secret."""
    return name if re.fullmatch(r"[a-z_]{1,40}", name) else "that is no name"
