"""A proxy before a broker that cuts, holds, slows, loses and doubles what passes."""

from __future__ import annotations

import asyncio
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any

from tests.harness.tcp_proxy import TcpProxy

TASK = re.compile(rb"\*2\r\n\$\d+\r\ncollator\r\n")
"""How the answer of BRPOP begins that has a job."""
REPLY = re.compile(rb"\*2\r\n\$\d+\r\ncollator\.node\.")
"""How the one begins that has a reply of a worker."""
_PUSH = re.compile(rb"\A\*3(\r\n\$5\r\nLPUSH\r\n\$\d+\r\n(\S+)\r\n)(\$(\d+)\r\n)(.*)\r\n\Z", re.DOTALL)


class BrokerProxy(TcpProxy):
    """The proxy."""

    def __init__(self, target: int) -> None:
        """Forward to the port *target* of this machine."""
        super().__init__(target)
        self.delay = 0.0
        """Seconds that each piece takes in either direction."""
        self.lost = 0
        self.doubled = 0
        self.open = asyncio.Event()
        """Where it is not set, connections are taken and nothing passes: what came before waits."""
        self.open.set()
        self._ended = asyncio.Event()
        self._lose: Callable[[bytes], bool] = lambda _: False
        self._late = False
        self._double: Callable[[bytes], bool] = lambda _: False

    def lose(self, answer: re.Pattern[bytes], *, chances: Callable[[], bool], delivered: bool = False) -> None:
        """Cut the connection where an *answer* comes and *chances* say so: before it, or once it is *delivered*."""
        self._lose = lambda data: answer.match(data) is not None and chances()
        self._late = delivered

    def double(self, queue: bytes, *, chances: Callable[[], bool]) -> None:
        """Have what is pushed to a queue whose name begins with *queue* pushed twice, where *chances* say so."""
        self._double = lambda name: name.startswith(queue) and chances()

    def mend(self) -> None:
        """Let all pass."""
        self._lose = self._double = lambda _: False
        self.delay = 0.0
        self.open.set()

    async def stop(self) -> None:
        """End, with all connections."""
        self._ended.set()
        self.open.set()
        await super().stop()

    def ways(
        self, reader: StreamReader, back: StreamWriter, there: StreamReader, writer: StreamWriter
    ) -> Sequence[Coroutine[Any, Any, None]]:
        return self._there(reader, back), self._back(there, writer)

    async def _there(self, reader: StreamReader, back: StreamWriter) -> None:
        while data := await reader.read(2**20):
            await self._wait()
            push = _PUSH.match(data)
            if push is not None and len(push[5]) == int(push[4]) and self._double(push[2]):
                self.doubled += 1
                data = b"*4%b%b%b\r\n%b%b\r\n" % (push[1], push[3], push[5], push[3], push[5])
            back.write(data)
            await back.drain()

    async def _back(self, there: StreamReader, writer: StreamWriter) -> None:
        while data := await there.read(2**20):
            await self._wait()
            lose = self._lose(data)
            self.lost += lose
            if lose and not self._late:
                return
            writer.write(data)
            await writer.drain()
            if lose:
                return

    async def _wait(self) -> None:
        if self.delay:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), self.delay)
        await self.open.wait()
