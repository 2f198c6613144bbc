"""Packets on their way from the thread that reads their source to the event loop that sends them.

Each is there at once, none is read far ahead, and how the source ended comes behind all that it gave.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress

from collator.client.batch import Sendable

AHEAD = 1000
"""Packets that are taken from their source before they are sent."""


class _End:
    """The end of a source, and the *error* that it ended with."""

    def __init__(self, error: BaseException | None = None) -> None:
        self._error = error

    def reach(self) -> None:
        if self._error is not None:
            raise self._error


class Handover:
    """From one thread, which calls `read`, to *loop*, on which `packets` is read."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Hand over to *loop*."""
        self._loop = loop
        self._places = threading.Semaphore(AHEAD)
        self._packets: deque[Sendable | _End] = deque()
        self._came = asyncio.Event()
        self._is_waited_for = False
        self._stopped = False

    def read_in_thread(self, packets: Iterable[Sendable]) -> None:
        """Have a thread read *packets*, which may wait for each; the end of the program does not wait for it."""
        threading.Thread(target=self._read_whatever_comes, args=(packets,), name="collator-source", daemon=True).start()

    def read(self, packets: Iterable[Sendable]) -> None:
        """Hand over *packets* and how they end, until the reader has gone."""
        try:
            for packet in packets:
                self._places.acquire()
                if self._stopped:
                    return
                self._give(packet)
        except Exception as error:  # noqa: BLE001 - the source may raise anything: the reader of the packets raises it
            self._give(_End(error))
        else:
            self._give(_End())

    def stop(self) -> None:
        """Take no more. From any thread."""
        self._stopped = True
        self._places.release()

    async def packets(self) -> AsyncIterator[Sendable]:
        """Each packet as it comes. Raises what the source raised, at its end."""
        while True:
            while self._packets:
                packet = self._packets.popleft()
                if isinstance(packet, _End):
                    packet.reach()
                    return
                self._places.release()
                yield packet
            self._is_waited_for = True
            if not self._packets:  # one that came just before did not know
                await self._came.wait()
            self._is_waited_for = False
            self._came.clear()

    def _read_whatever_comes(self, packets: Iterable[Sendable]) -> None:
        try:
            self.read(packets)
        except BaseException as error:  # noqa: BLE001 - such as SystemExit, which would end this thread alone
            self._give(_End(error))

    def _give(self, packet: Sendable | _End) -> None:
        self._packets.append(packet)
        if self._is_waited_for:
            with suppress(RuntimeError):  # the loop has ended, and with it the reader
                self._loop.call_soon_threadsafe(self._came.set)
