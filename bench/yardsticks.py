"""Yardsticks: the speed of the machine and of the libraries, measured at the same time and place."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import sender
from bench.processes import helper
from bench.quantiles import quantile
from collator.packet import Packet

BLOCK = 4096
_SECONDS = 1.0
_MOST = 5_000
_SLICE = 1_000
_REQUESTS = 20_000


async def sync(directory: Path) -> dict[str, float]:
    """Appends of 4 KiB to a file in *directory*, each made durable: the least that an acknowledgement can cost."""
    delays = await asyncio.to_thread(_append, directory / "yardstick")
    return {"syncs_per_second": len(delays) / sum(delays), "sync_p50_us": quantile(delays, 0.5)}


def decode(packets: Sequence[bytes]) -> dict[str, float]:
    """*packets* decoded as lines, a thousand at a time, and nothing else done with them."""
    blocks = [b"\n".join(packets[start : start + _SLICE]) for start in range(0, len(packets), _SLICE)]
    decoder = msgspec.json.Decoder(Packet)
    started = time.perf_counter()
    for block in blocks:
        decoder.decode_lines(block)
    return {"lines_per_second": len(packets) / (time.perf_counter() - started)}


async def bare(requests: Sequence[bytes], *, connections: int) -> dict[str, float]:
    """*requests* to an endpoint that decodes a packet and answers 202, behind the same listener."""
    requests = requests[:_REQUESTS]
    async with helper("bare_endpoint") as child:
        await sender.post(child.port, requests[: len(requests) // 10 + 1], connections=connections)
        sent = await sender.post(child.port, requests, connections=connections)
    return {"bare_per_second": len(requests) / (sent.ended - sent.started), "bare_p50_ms": quantile(sent.delays, 0.5)}


def _append(path: Path) -> list[float]:
    block = os.urandom(BLOCK)
    delays: list[float] = []
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        end = time.perf_counter() + _SECONDS
        while (began := time.perf_counter()) < end and len(delays) < _MOST:
            os.write(descriptor, block)
            _durable(descriptor)
            delays.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        path.unlink()
    return delays


def _durable(descriptor: int) -> None:
    if hasattr(os, "fdatasync"):
        os.fdatasync(descriptor)
    else:
        os.fsync(descriptor)
