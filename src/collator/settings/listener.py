"""The settings of the way in: where the service listens, who may ask, and how much at a time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from collator.settings.option import (
    DURATION,
    FILE,
    HOST,
    NAMES,
    ORIGINS,
    PORT,
    SIZE,
    SWITCH,
    Table,
    ValueType,
    setting,
)
from collator.settings.values import integer

_MIB = 1024 * 1024
_MANY = ValueType("N", integer(1, 1_000_000))


@dataclass(frozen=True, kw_only=True)
class ListenerSettings(Table):
    """A part of `Settings`."""

    host: str = setting("127.0.0.1", HOST, "Address to listen on.", "Only programs on this machine can reach it.")
    port: int = setting(8000, PORT, "Port to listen on; 0 chooses any free port.", "Common for HTTP services.")
    allow_host: tuple[str, ...] = setting(
        (),
        NAMES,
        "Host names that requests may use, in addition to the service's addresses and its host; * for any.",
        "Prevents DNS rebinding: a web page cannot reach the service under a name of its own.",
    )
    allow_origin: tuple[str, ...] = setting(
        (),
        ORIGINS,
        "Origins of web pages that may read (CORS), such as https://app.example; other requests of theirs are refused.",
        "A page of another site could read what is here, with the browser of someone who can reach the service.",
    )
    ticket_secret_file: Path | None = setting(
        None,
        FILE,
        "File with the secret that signs tickets for event streams, the same for all nodes (collator secret new).",
        "Each process makes one of its own when it starts, so that its tickets are good there alone.",
    )
    tokens_file: Path | None = setting(
        None,
        FILE,
        "File with the access tokens, one per line: ROLES sha256:HASH NAME (collator token creates them).",
        "On a loopback address no token is needed; any other address requires tokens or --insecure.",
    )
    insecure: bool = setting(
        False,
        SWITCH,
        "Allow an address that other machines can reach without tokens: no authentication.",
        "Everyone who can reach the service could send packets and read results.",
    )
    hide_payloads: bool = setting(
        False,
        SWITCH,
        "Show no payloads: the page of a packet has none, and reasons have nothing that a function or a service said.",
        "It shows why a packet failed, to those who may read the outputs as well.",
    )
    ui: bool = setting(
        True,
        SWITCH,
        "Serve the page for people on call at /; --no-ui serves none.",
        "It has no rights of its own: it asks the API with the token of who uses it.",
        flag="no-ui",
    )
    ui_payloads: bool = setting(
        False,
        SWITCH,
        "Show payloads and outputs on the page at /.",
        "A screen is seen by others. By the API, who may read may read them anyway.",
    )
    max_request: int = setting(
        16 * _MIB,
        SIZE,
        "Maximum size of a request body that is not a stream.",
        "It is held in memory; a stream has no limit.",
    )
    max_buffered: int = setting(
        64 * _MIB,
        SIZE,
        "Maximum memory for request bodies until they are answered, and for answers until they are read; "
        "beyond it, requests are refused.",
        "Enough for two of the largest bodies at a time, or for dozens of large payloads.",
    )
    max_requests: int = setting(
        500,
        _MANY,
        "Maximum number of concurrent requests, without streams and waits; beyond it, requests are refused.",
        "Bounds the memory.",
    )
    max_connections: int = setting(
        900,
        _MANY,
        "Maximum number of connections; beyond it, connections are refused.",
        "Within the limit of 1,024 open files that many systems have.",
    )
    max_streams: int = setting(
        100,
        _MANY,
        "Maximum number of concurrent streams of packets; beyond it, streams are refused.",
        "Each of them needs buffers.",
    )
    max_waits: int = setting(
        200,
        _MANY,
        "Maximum number of requests that wait for the next outcome of a resource; beyond it, they are refused.",
        "Each of them holds a connection for up to a minute.",
    )
    stream_idle_timeout: float = setting(
        60.0, DURATION, "Time without data after which a stream of packets is closed.", "Common for proxies."
    )
