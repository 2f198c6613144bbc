"""A proxy before a PostgreSQL server, which does to its connections what a network does, and at an exact statement."""

from __future__ import annotations

import struct
from asyncio import StreamReader, StreamWriter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any, NamedTuple

import anyio

from collator.ledgers.postgresql.step import load_statements
from tests.harness.tcp_proxy import TcpProxy

COMMIT = "commit;"
"""What a step ends with; the driver says it in capitals."""
READER = b"collator-reader"
_NAMES = {text: name for name, text in load_statements().items()}


class Trap(NamedTuple):
    """What is done once, when a statement is seen."""

    statement: str
    """By its name in ``statements.sql``."""
    committed: bool
    """Once its commit is done, whose answer is lost then; else before it is executed."""
    action: Callable[[], object]


class Proxy(TcpProxy):
    """The proxy."""

    def __init__(self, target: int) -> None:
        """Forward to the port *target* of this machine."""
        super().__init__(target)
        self.silent = False
        """Nothing is passed on, and nobody is told: as behind a wall that drops what comes."""
        self.delay = 0.0
        """Seconds by which each answer comes late."""
        self.lies = False
        """Commits are answered at once, and never made."""
        self.lost: dict[str, int] = {}
        """Answers to commits that were lost on purpose, by the statement that was committed."""
        self._left: int | None = None
        self._traps: list[Trap] = []

    def cut_after(self, commits: int) -> None:
        """Let *commits* be answered, and cut the connection of the next once it is done."""
        self._left = commits

    def at(self, statement: str, action: Callable[[], object], *, committed: bool = False) -> None:
        """Call *action* when *statement* is seen next, or is *committed*; then its connection is cut."""
        assert statement in _NAMES.values(), f"there is no statement {statement}"
        self._traps.append(Trap(statement, committed, action))

    def lose(self, statement: str) -> None:
        """Lose the answer to the next commit of *statement*."""
        self.at(statement, lambda: None, committed=True)

    def armed(self) -> bool:
        """Return whether something is still to be done at a statement."""
        return bool(self._traps)

    def ways(
        self, reader: StreamReader, back: StreamWriter, there: StreamReader, writer: StreamWriter
    ) -> Sequence[Coroutine[Any, Any, None]]:
        connection = _Connection(self)
        return connection.there(reader, back, writer), connection.back(there, writer)

    async def forward(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve a client."""
        if not self.silent:
            await super().forward(reader, writer)
        else:
            while await reader.read(2**16):
                pass

    def _springs(self, statement: str, *, committed: bool) -> Trap | None:
        """Take the trap that *statement* springs."""
        found = next((one for one in self._traps if (one.statement, one.committed) == (statement, committed)), None)
        if found is not None:
            self._traps.remove(found)
        return found

    def _commits_left(self) -> bool:
        """Count a commit; whether its answer is to be lost."""
        if self._left is None:
            return False
        self._left -= 1
        if self._left >= 0:
            return False
        self._left = None
        return True


class _Connection:
    """One connection through a proxy."""

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._statements = _Statements()
        self._reads_only = False
        self._step: set[str] = set()  # statements of the transaction
        self._lost: Trap | None = None  # what to do when the answer to the commit comes

    async def there(self, reader: StreamReader, back: StreamWriter, own: StreamWriter) -> None:
        """Pass on what the client says, until a trap springs."""
        while data := await reader.read(2**16):
            self._reads_only |= READER in data
            for statement in self._statements.feed(data):
                if self._proxy.lies and COMMIT in statement:
                    own.write(b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I")
                    return
                if trap := self._sees(statement):
                    trap.action()
                    return
            if self._proxy.silent:
                continue
            back.write(data)
            await back.drain()

    def _sees(self, statement: str) -> Trap | None:
        """Note *statement*; the trap that it springs before it is executed."""
        commits = COMMIT in statement.lower() and not self._reads_only
        if commits:
            self._step |= {name for text, name in _NAMES.items() if text in statement}
            traps = [self._proxy._springs(one, committed=True) for one in self._step]
            self._lost = next((trap for trap in traps if trap), None)
            if self._lost is None and self._proxy._commits_left():
                self._lost = Trap("", True, lambda: None)
        if commits or statement == "rollback":
            self._step.clear()
        else:
            self._step.add(statement)
        return self._proxy._springs(statement, committed=False)

    async def back(self, there: StreamReader, writer: StreamWriter) -> None:
        """Pass on what the server says, but for an answer that is to be lost."""
        while data := await there.read(2**16):
            if self._lost is not None:  # what came now is the answer
                self._proxy.lost[self._lost.statement] = self._proxy.lost.get(self._lost.statement, 0) + 1
                self._lost.action()
                return
            if self._proxy.delay:
                with anyio.move_on_after(self._proxy.delay):
                    await anyio.sleep_forever()
            if not self._proxy.silent:
                writer.write(data)
                await writer.drain()


class _Statements:
    """Which statements a client executes, read from what it sends."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False
        self._names: dict[bytes, str] = {}  # of prepared statements

    def feed(self, data: bytes) -> Iterator[str]:
        """Give the name of each statement that is executed in *data*; of one that has none its text."""
        self._rest += data
        while len(self._rest) >= 4 + self._begun:
            (size,) = struct.unpack_from("!i", self._rest, int(self._begun))
            end = size + self._begun
            if len(self._rest) < end:
                return
            message, self._rest = self._rest[:end], self._rest[end:]
            if not self._begun:
                self._begun = size != 8  # else it asks for TLS, and begins behind the answer
                continue
            yield from self._read(message[:1], message[5:])

    def _read(self, kind: bytes, body: bytes) -> Iterator[str]:
        first, _, rest = body.partition(b"\0")
        if kind == b"P":
            text = rest.partition(b"\0")[0].decode()
            self._names[first] = _NAMES.get(text, text)
        elif kind == b"B":
            yield self._names[rest.partition(b"\0")[0]]
        elif kind == b"Q":
            yield first.decode()
