"""The settings of the way in: where the service listens, who may ask, and how much at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collator.settings.option import DURATION, FILE, HOST, NAMES, PORT, SIZE, SWITCH, Table, ValueType, setting
from collator.settings.values import integer

_MIB = 1024 * 1024
_MANY = ValueType("N", integer(1, 1_000_000))


@dataclass(frozen=True, kw_only=True)
class ListenerSettings(Table):
    """A part of `Settings`."""

    host: str = setting("127.0.0.1", HOST, "Address to listen on.", "Only this machine can reach it.")
    port: int = setting(8000, PORT, "Port to listen on; 0 takes any free one.", "What others of its kind listen on.")
    allow_host: tuple[str, ...] = setting(
        (),
        NAMES,
        "Names by which the service may be asked, beside its addresses and its own name; * for any.",
        "No web page reaches it under a name of its own (DNS rebinding).",
    )
    tokens_file: Path | None = setting(
        None,
        FILE,
        "Tokens that allow to ask, one ROLES sha256:HASH NAME a line (collator token makes them).",
        "On this machine everybody may ask; any other address wants it, or --insecure.",
    )
    insecure: bool = setting(
        False,
        SWITCH,
        "Listen on an address that other machines reach, though nobody is asked who he is.",
        "Whoever reaches the service may send packets and read results.",
    )
    max_request: int = setting(
        16 * _MIB,
        SIZE,
        "Largest body of a request that is not a stream.",
        "It is held in memory; a stream has no limit.",
    )
    max_buffered: int = setting(
        64 * _MIB,
        SIZE,
        "Memory for all requests until they are answered, and all answers until they are read; "
        "beyond it requests are refused.",
        "Room for two of the largest bodies at a time, or for dozens of large payloads.",
    )
    max_requests: int = setting(
        500,
        _MANY,
        "Requests under way at a time, streams and waits aside; beyond it they are refused.",
        "Bounds the memory.",
    )
    max_connections: int = setting(
        900, _MANY, "Connections at a time; beyond it they are refused.", "Within the 1,024 files that systems allow."
    )
    max_streams: int = setting(
        100, _MANY, "Requests that stream packets at a time; beyond it they are refused.", "Each holds some buffers."
    )
    max_waits: int = setting(
        200,
        _MANY,
        "Requests that wait for the next outcome of a resource at a time; beyond it they are refused.",
        "Each holds a connection for up to a minute.",
    )
    stream_idle_timeout: float = setting(
        60.0, DURATION, "Silence after which a request that streams packets is closed.", "What proxies allow."
    )
