"""Packets of a live source over WebSocket: sent as they come, kept until they are stored, sent again after a cut.

Theory. A packet is kept here until the service says that it is decided: stored, or rejected. After a cut a new
connection starts the same resource, and the service says which index it waits for. What was sent before that is stored;
all else that is kept is sent again: a repeat is harmless (R5), and what was rejected is rejected once more. So nothing
is lost, and nothing is there twice, wherever the cut was. `send` waits while as much is kept as there is credit for.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast

import msgspec

from collator.client.answer import Response, Unreachable, unexpected
from collator.client.batch import MAX_ERRORS, Rejection, Sendable, Tally, encode
from collator.client.connection import ServiceSocket
from collator.client.transfer import FIRST_PAUSE, LONGEST_PAUSE
from collator.client.verbs import Rejected
from collator.errors import CollatorError, Malformed
from collator.text import shown

if TYPE_CHECKING:
    from types import TracebackType

T = TypeVar("T")

CREDIT, CREDIT_BYTES = 1000, 4 * 1024 * 1024
"""Packets, and their bytes, that are kept at a time; one that is larger is kept alone."""
_NOT_STORED = 500  # the status of the problem of a packet that the store could not take, while it takes others


class ServiceMessage(msgspec.Struct, frozen=True):
    """What the service says, as far as it is for the sender."""

    type: str
    next_index: int = 0
    through: int = -1
    packets: int = 0
    reason: str = ""
    problem: msgspec.Raw = msgspec.Raw()


class MessageProblem(msgspec.Struct, frozen=True):
    """What is wrong; with a packet, where *index* is there."""

    status: int
    retry_after: float = 0.0
    index: int | None = None


class KeptPacket(NamedTuple):
    """A packet that is not decided."""

    number: int
    """Its place in what was sent, from 1."""
    at: int
    """Its index."""
    message: bytes


class LiveStream:
    """The packets of one resource, in order of time, as an async context manager. Its end waits until all are stored.

    Use `Client.stream`. Its verbs raise `Rejected` at the end where packets were not taken and never will be,
    `Unreachable` where nothing got through for `patience` seconds, `Denied` where a token is wanted.
    """

    def __init__(
        self, connect: Callable[[], Awaitable[ServiceSocket]], start: Mapping[str, Any], *, patience: float | None
    ) -> None:
        """Send over what *connect* opens, behind a message with the members *start*; give up after *patience*."""
        self.tally = Tally(keep_lines=False)
        """The progress; may be read meanwhile."""
        self.next_index = 0
        """The index of the next packet, where it is not said: at first the first that the service has not received."""
        self.through = -1
        """Every index up to this one is on the disk of the service."""
        self._connect, self._start = connect, msgspec.json.encode({"type": "start", **start})
        self._resource_id, self._patience = str(start["resource_id"]), patience
        self._kept: deque[KeptPacket] = deque()
        self._bytes = 0  # of these
        self._written = self._decided = 0  # of those that are kept, and in all, on this connection
        self._sent = 0  # the number of the last that was written on any
        self._stop = b""  # the message, once it is to be sent
        self._errors = Counter[int]()  # of packets that the store could not take, by number
        self._refused = set[int]()  # the numbers of those that are kept and rejected
        self._begun = self._ended = False
        self._pause = FIRST_PAUSE
        self._down: float | None = None  # since when nothing gets through
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(lambda _: self._tell())
        try:
            await self._until(lambda: self._begun)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                await self.flush()
        finally:
            await self._close()

    async def send(
        self, payload: object, *, index: int | None = None, last: bool = False, total: int | None = None
    ) -> int:
        """Send a packet soon, and return its index; waits while too much is not stored yet.

        *payload* is what JSON can say; bytes become a string in base64. Without *index* it is the one behind the packet
        before; *last* and *total* are those of any packet. Raises `Malformed`.
        """
        if isinstance(payload, bytes | bytearray | memoryview):
            payload = b64encode(payload).decode()
        try:
            body = encode(cast("Sendable", payload))
        except ValueError as error:
            raise Malformed(f"payload: {error}") from None
        self._check()
        await self._until(
            lambda: not self._kept or (len(self._kept) < CREDIT and self._bytes + len(body) <= CREDIT_BYTES)
        )
        index = self.next_index if index is None else index
        said = {"type": "packet", "index": index, "payload": msgspec.Raw(body), "last": last}
        message = msgspec.json.encode(said if total is None else {**said, "total": total})
        self.next_index = index + 1
        self.tally.sent += 1
        self._kept.append(KeptPacket(self.tally.sent, index, message))
        self._bytes += len(message)
        self._tell()
        return index

    async def flush(self) -> Tally:
        """Wait until all packets are decided; how it went. Raises `Rejected` where one was not taken."""
        await self._until(lambda: not self._kept)
        if self.tally.rejected:
            raise Rejected(self.tally)
        return self.tally

    async def stop(self, *, total: int | None = None) -> Tally:
        """As `flush`, and end: the resource has *total* packets, or as many as `next_index` says."""
        tally = await self.flush()
        self._stop = msgspec.json.encode({"type": "stop", "total": self.next_index if total is None else total})
        self._tell()
        await self._until(lambda: self._ended)
        return tally

    # One connection after the other.

    async def _run(self) -> None:
        while not self._ended:
            try:
                await self._converse()
            except Unreachable as error:
                self.tally.trouble = error.detail
                now = time.monotonic()
                self._down = now if self._down is None else self._down
                if self._patience is not None and now - self._down >= self._patience:
                    raise
                await asyncio.sleep(max(self._pause, error.retry_after))
                self._pause = min(2 * self._pause, LONGEST_PAUSE)

    async def _converse(self) -> None:
        """Send what is kept and what comes, until the end of the connection, which is `Unreachable`, or of it all."""
        socket = await self._connect()
        try:
            await socket.send(self._start)
            self._written = self._decided = 0
            self._hear(await socket.receive(), socket.where)
            writing = asyncio.create_task(self._write(socket))
            try:
                while not self._ended:
                    self._hear(await socket.receive(), socket.where)
            finally:
                writing.cancel()
                with suppress(asyncio.CancelledError, CollatorError):  # where it failed, the connection did
                    await writing
        finally:
            await socket.close()

    async def _write(self, socket: ServiceSocket) -> None:
        stopped = b""
        while True:
            changed = self._changed
            while self._written < len(self._kept):
                kept = self._kept[self._written]
                self._written, self._sent = self._written + 1, max(self._sent, kept.number)
                await socket.send(kept.message)
            if self._stop != stopped:
                stopped = self._stop
                await socket.send(stopped)
            await changed.wait()

    def _hear(self, message: bytes, where: str) -> None:
        """Take *message* of the service at *where*. Raises what ends the connection, or the stream."""
        said = _read(message, ServiceMessage, where)
        if said.type == "begin":
            self.through = max(self.through, said.next_index - 1)
            if not self._begun:
                self._begun, self.next_index = True, said.next_index
            stored = {one for one in self._kept if one.at < said.next_index and one.number <= self._sent}
            self._settle(stored)
            self._kept = deque(one for one in self._kept if one not in stored)
            if stored or not self._kept:
                self._got_through()
        elif said.type == "ack":
            self.through = max(self.through, said.through)
            if said.packets > self._decided:
                decided = min(said.packets - self._decided, self._written)
                self._decided, self._written = said.packets, self._written - decided
                self._settle([self._kept.popleft() for _ in range(decided)])
                self._got_through()
        elif said.type == "slow_down":
            self.tally.trouble = f"refused: {shown(said.reason)}"
        elif said.type == "end":
            self._ended = True
        elif said.type == "error":
            self._fail(said.problem, where)
        self._tell()

    def _fail(self, problem: msgspec.Raw, where: str) -> None:
        """Reject the packet that *problem* names, unless it is; raise what anything else means."""
        said = _read(problem, MessageProblem, where)
        answer = Response(said.status, bytes(problem), said.retry_after)
        named = [one for one in self._kept if one.at == said.index]
        if not named:
            raise answer.error(where)
        kept = next((one for one in named if one.number not in self._refused), None)
        if kept is None:
            return
        self._errors[kept.number] += said.status == _NOT_STORED
        if answer.busy and self._errors[kept.number] <= MAX_ERRORS:
            raise answer.error(where)  # all that is kept is sent again
        self._refused.add(kept.number)
        self.tally.rejected.append(Rejection(kept.number, f"{answer.problem.detail} (index {kept.at})"))

    def _settle(self, decided: Iterable[KeptPacket]) -> None:
        """Count those that are *decided*."""
        for one in decided:
            self._bytes -= len(one.message)
            self._errors.pop(one.number, None)
            if one.number in self._refused:
                self._refused.remove(one.number)
            else:
                self.tally.acknowledged += 1
                self.tally.resources[self._resource_id] = None

    def _got_through(self) -> None:
        self.tally.trouble, self._pause, self._down = "", FIRST_PAUSE, None

    # Waiting.

    def _tell(self) -> None:
        """Wake all who wait for a change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        """Wait until it *holds*. Raises what ended the stream."""
        while not holds():
            self._check()
            await self._changed.wait()

    def _check(self) -> None:
        """Raise what ended the stream, where it has ended."""
        if self._running.done() and not self._running.cancelled():
            self._running.result()
        if self._ended or self._running.done():
            raise CollatorError("the stream has ended: open another")

    async def _close(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])
        self._running.cancelled() or self._running.exception()  # it was raised where somebody waited


def _read(message: bytes | msgspec.Raw, kind: type[T], where: str) -> T:
    """Decode *message* of the service at *where*. Raises `CollatorError`."""
    try:
        return msgspec.json.decode(message, type=kind)
    except msgspec.MsgspecError as error:
        raise CollatorError(unexpected(where, shown(error))) from None
