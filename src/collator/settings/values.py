"""Parsers of values, the same in flags, in the environment and in the file: one a type.

A parser takes text and gives the value in the unit that the program uses (seconds, bytes), or raises `ValueError` in
words that end the sentence "SOURCE: …".
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

V = TypeVar("V")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

OFF = "off"

_SECONDS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_BYTES = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12} | {
    prefix + unit: 1024**power for power, prefix in enumerate("kmgt", start=1) for unit in ("", "ib")
}
_ORIGIN = re.compile(
    r"(?:http(?!.*:80$)|https(?!.*:443$))://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?",
)
_SWITCH = {"yes": True, "true": True, "on": True, "1": True, "no": False, "false": False, "off": False, "0": False}
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,30}[a-z0-9])?")
_KIND = re.compile(r"[a-z][a-z0-9+]{0,19}(?=://|\Z)")
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]+)?) ?([A-Za-z]*)")
_HOST = re.compile(r"[A-Za-z0-9._~-]+|\*")
_QUANTILE = re.compile(r"p([0-9]{2}(?:\.[0-9])?)")
_HALF, _NEARLY_ALL = 50.0, 99.9
_DIGITS = 18  # far beyond any limit here, and quick to read


def duration(text: str) -> float:
    """Seconds, at least 1 ms, from ``90``, ``90s``, ``1.5m``, ``1h``, ``7d`` or ``500ms``."""
    seconds = _quantity(text, _SECONDS)
    if seconds is None:
        raise ValueError(f"{text!r} is not a duration; write 90, 90s, 5m, 1h, 7d or 500ms")
    if seconds < _SECONDS["ms"]:
        raise ValueError(f"{text!r} is too short; the minimum is 1ms")
    return seconds


def size(text: str) -> int:
    """Bytes, at least 1, from ``4096``, ``64k``, ``64KiB``, ``1MiB``, ``8GiB`` (of 1024) or ``1MB`` (of 1000)."""
    amount = _quantity(text, _BYTES)
    if amount is None:
        raise ValueError(f"{text!r} is not a size; write 4096, 64k, 64KiB, 1MiB or 8GiB")
    if amount < 1:
        raise ValueError(f"{text!r} is too small; the minimum is 1 byte")
    return int(amount)


def quantile(text: str) -> float:
    """A share from ``p50`` to ``p99.9``: 0.95 for ``p95``."""
    found = _QUANTILE.fullmatch(text)
    if not found or not _HALF <= float(found[1]) <= _NEARLY_ALL:
        raise ValueError(f"{text!r} is not a quantile from p50 to p99.9; write p95")
    return float(found[1]) / 100


def or_off(parse: Callable[[str], V]) -> Callable[[str], V | None]:
    """A parser of what *parse* takes, and of ``off``, which gives `None`: never, or no limit."""

    def parse_either(text: str) -> V | None:
        if text == OFF:
            return None
        try:
            return parse(text)
        except ValueError as error:
            raise ValueError(f"{error}, or {OFF}") from None

    return parse_either


duration_or_off = or_off(duration)
size_or_off = or_off(size)
quantile_or_off = or_off(quantile)


def integer(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers from *least* to *most*; ``1_000`` and ``1,000`` are numbers too."""

    def parse(text: str) -> int:
        digits = text.replace("_", "").replace(",", "")
        if not (digits.isascii() and digits.isdigit()):
            raise ValueError(f"{text!r} is not a whole number")
        if len(digits) > _DIGITS or not least <= int(digits) <= most:
            raise ValueError(f"{text} is not between {least} and {most}")
        return int(digits)

    return parse


def choice(*allowed: str) -> Callable[[str], str]:
    """A parser of one word of *allowed*."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"{text!r} is not one of {', '.join(allowed)}")
        return text

    return parse


def kind(noun: str, *kinds: str) -> Callable[[str], str]:
    """A parser of one of *kinds* of a part that can be exchanged; what else is given may hold a password."""

    def parse(text: str) -> str:
        if text not in kinds:
            word = _KIND.match(text)
            shown = repr(word[0]) if word else "it"
            raise ValueError(f"{shown} is not a supported {noun}; use {' or '.join(kinds)}")
        return text

    return parse


def some_text(text: str) -> str:
    """*text*, which must not be blank."""
    if not text.strip():
        raise ValueError("it is empty")
    return text


def label(text: str) -> str:
    """A name that may stand in a path, in a metric and in a log: 1 to 32 small letters, digits, ``-`` and ``_``."""
    if not _LABEL.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a valid name: use 1 to 32 of a-z, 0-9, - and _, with a letter or digit at each end"
        )
    return text


def hosts(text: str) -> tuple[str, ...]:
    """Names and addresses of machines that are divided by commas, or ``*``; blank for none."""
    found = tuple(name for part in text.split(",") if (name := part.strip()))
    for name in found:
        if not (_HOST.fullmatch(name) or _is_ipv6(name)):
            raise ValueError(f"{name!r} is not a host name; write it without http://, port and path, or * for any")
    return found


def origins(text: str) -> tuple[str, ...]:
    """Origins of web pages that are divided by commas, as browsers write them; blank for none."""
    found = tuple(name for part in text.split(",") if (name := part.strip()))
    for name in found:
        if not _ORIGIN.fullmatch(name):
            raise ValueError(
                f"{name!r} is not an origin; write it as browsers do, as in https://app.example or "
                "http://localhost:3000: in small letters, without a path or a usual port, and no * for all"
            )
    return found


def networks(text: str) -> tuple[Network, ...]:
    """Networks such as ``10.0.0.0/8`` and ``fd00::/8``, or single addresses, that are divided by commas; or none."""
    return tuple(_network(written) for part in text.split(",") if (written := part.strip()))


def switch(text: str) -> bool:
    """Yes or no."""
    value = _SWITCH.get(text.strip().lower())
    if value is None:
        raise ValueError(f"{text!r} is neither yes nor no")
    return value


def path(text: str) -> Path:
    """A path, as it is written; ``~`` is the home directory."""
    if "\0" in text:
        raise ValueError(f"{text!r} is not a path")
    try:
        return Path(some_text(text)).expanduser()
    except RuntimeError:
        raise ValueError(f"{text!r} begins with the home directory of an unknown user") from None


def write_duration(seconds: float | None) -> str:
    """*seconds* as `duration_or_off` reads them, in the largest unit that divides them."""
    if seconds is None:
        return OFF
    units = ((factor, unit) for unit, factor in _SECONDS.items() if unit and seconds % factor == 0)
    factor, unit = max(units, default=(1.0, "s") if seconds > 1 else (0.001, "ms"))
    return f"{seconds / factor:.15g}{unit}"


def write_quantile(share: float | None) -> str:
    """*share* as `quantile_or_off` reads it."""
    return OFF if share is None else f"p{100 * share:.3g}"


def write_networks(networks: Iterable[Network]) -> str:
    """*networks* as the parser of that name reads them."""
    return ",".join(map(str, networks))


def write_switch(value: bool) -> str:  # noqa: FBT001 - it is the value
    """*value* as `switch` reads it."""
    return "yes" if value else "no"


def write_size(amount: int | None) -> str:
    """*amount* of bytes as `size_or_off` reads it, in the largest unit of 1024 that divides it."""
    if amount is None:
        return OFF
    unit = next((unit for unit in ("TiB", "GiB", "MiB", "KiB") if amount % _BYTES[unit.lower()] == 0), "")
    return f"{amount // _BYTES[unit.lower()]}{unit}"


def _network(written: str) -> Network:
    try:
        network = ipaddress.ip_network(written, strict=False)
    except ValueError:
        raise ValueError(f"{written!r} is not a network; write 10.0.0.0/8, fd00::/8 or a single address") from None
    if "/" in written and ipaddress.ip_address(written.partition("/")[0]) != network.network_address:
        raise ValueError(f"{written!r} has bits set beyond the prefix; write {network}")
    return network


def _quantity(text: str, units: Mapping[str, float]) -> float | None:
    match = _QUANTITY.fullmatch(text.strip())
    factor = units.get(match[2].lower()) if match else None
    return None if match is None or factor is None else float(match[1]) * factor


def _is_ipv6(text: str) -> bool:
    bare = text[1:-1] if text[0] + text[-1] == "[]" else text
    try:
        return ipaddress.ip_address(bare).version == 6  # noqa: PLR2004 - the version
    except ValueError:
        return False
