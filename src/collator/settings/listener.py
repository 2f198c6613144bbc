"""The settings of the way in: where the service listens, who may ask, and how much at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from collator.settings.option import DURATION, FILE, HOST, NAMES, PORT, SIZE, SWITCH, Option, Table, ValueType
from collator.settings.values import integer

_MIB = 1024 * 1024
_MANY = ValueType("N", integer(1, 1_000_000))


@dataclass(frozen=True, kw_only=True)
class ListenerSettings(Table):
    """A part of `Settings`."""

    host: Annotated[str, Option(HOST, "Address to listen on.", "Only this machine can reach it.")] = "127.0.0.1"
    port: Annotated[
        int, Option(PORT, "Port to listen on; 0 takes any free one.", "What others of its kind listen on.")
    ] = 8000
    allow_host: Annotated[
        tuple[str, ...],
        Option(
            NAMES,
            "Names by which the service may be asked, beside its addresses and its own name; * for any.",
            "No web page reaches it under a name of its own (DNS rebinding).",
        ),
    ] = ()
    tokens_file: Annotated[
        Path | None,
        Option(
            FILE,
            "Tokens that allow to ask, one ROLES sha256:HASH NAME a line (collator token makes them).",
            "On this machine everybody may ask; any other address wants it, or --insecure.",
        ),
    ] = None
    insecure: Annotated[
        bool,
        Option(
            SWITCH,
            "Listen on an address that other machines reach, though nobody is asked who he is.",
            "Whoever reaches the service may send packets and read results.",
        ),
    ] = False
    max_request: Annotated[
        int,
        Option(SIZE, "Largest body of a request that is not a stream.", "It is held in memory; a stream has no limit."),
    ] = 16 * _MIB
    max_buffered: Annotated[
        int,
        Option(
            SIZE,
            "Memory for all requests until they are answered, and all answers until they are read; "
            "beyond it requests are refused.",
            "Room for two of the largest bodies at a time, or for dozens of large payloads.",
        ),
    ] = 64 * _MIB
    max_requests: Annotated[
        int,
        Option(
            _MANY,
            "Requests under way at a time, streams and waits aside; beyond it they are refused.",
            "Bounds the memory.",
        ),
    ] = 500
    max_connections: Annotated[
        int,
        Option(
            _MANY, "Connections at a time; beyond it they are refused.", "Within the 1,024 files that systems allow."
        ),
    ] = 900
    max_streams: Annotated[
        int,
        Option(
            _MANY, "Requests that stream packets at a time; beyond it they are refused.", "Each holds some buffers."
        ),
    ] = 100
    max_waits: Annotated[
        int,
        Option(
            _MANY,
            "Requests that wait for the next outcome of a resource at a time; beyond it they are refused.",
            "Each holds a connection for up to a minute.",
        ),
    ] = 200
    stream_idle_timeout: Annotated[
        float,
        Option(DURATION, "Silence after which a request that streams packets is closed.", "What proxies allow."),
    ] = 60.0
