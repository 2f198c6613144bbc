"""Checks of the arguments of a client: a mistake is reported at once, in words."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from urllib.parse import quote, urlencode

from collator.client.batch import Packets
from collator.errors import ConfigError, Malformed
from collator.packet import check_id


def integer(name: str, value: object) -> int:
    """*value*, a whole number from 1 on. Raises `ConfigError`."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise ConfigError(f"{name}: expected a whole number of at least 1, found {value!r}")


def moment(value: str | datetime | None) -> str | None:
    """*value*, a time, as the service reads it (RFC 3339)."""
    return value.isoformat() if isinstance(value, datetime) else value


def seconds(name: str, value: object, *, least: float) -> float:
    """*value*, a time in seconds, *least* or more. Raises `ConfigError`."""
    if isinstance(value, int | float) and not isinstance(value, bool) and least <= value < math.inf:
        return float(value)
    raise ConfigError(f"{name}: expected at least {least:g} seconds, found {value!r}")


def token(value: str | None) -> str | None:
    """*value*, which can stand in a header. Raises `ConfigError`, which does not repeat it."""
    if value is None or (isinstance(value, str) and value.isascii() and value.isprintable()):
        return value
    raise ConfigError("token: expected one line of printable ASCII characters")


def packets(value: Packets) -> Packets:
    """*value*, which gives packets. Raises `Malformed` for a single one."""
    if isinstance(value, Mapping | str | bytes):
        raise Malformed("packets: expected an iterable of packets; put a single packet into a list")
    return value


def resource_path(resource_id: str | int) -> str:
    """The path of a resource. Raises `Malformed` (R1)."""
    return f"/v1/resources/{_segment(check_id(resource_id))}"


def packet_path(resource_id: str | int, index: int) -> str:
    """The path of a packet. Raises `Malformed` (R1, R2)."""
    if not isinstance(index, int) or isinstance(index, bool) or index < 0:
        raise Malformed(f"index: expected a whole number of at least 0, found {index!r}")
    return f"{resource_path(resource_id)}/packets/{index}"


def delivery_path(delivery_id: str) -> str:
    """The path of a delivery. Raises `Malformed`."""
    return f"/v1/deliveries/{_segment(_text('delivery_id', delivery_id))}"


def endpoint_path(endpoint: str) -> str:
    """The path of an endpoint. Raises `Malformed`."""
    return f"/v1/endpoints/{_segment(_text('endpoint', endpoint))}"


def query(**options: object) -> str:
    """The *options* that are given, as the end of a path. Raises `Malformed`."""
    given = {name: _text(name, str(value)) for name, value in options.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def _segment(text: str) -> str:
    """*text* as one segment of a path; ``.`` and ``..`` as they are would lead elsewhere (RFC 3986, 5.2.4)."""
    return text.replace(".", "%2E") if text in {".", ".."} else quote(text, safe="")


def _text(name: str, value: str) -> str:
    try:
        value.encode()
    except UnicodeError:
        raise Malformed(f"{name}: not valid Unicode text (it contains a lone surrogate)") from None
    return value
