"""Heads that were seen before: one that is equal byte for byte says the same, and is not read again. Pure.

Theory. A client repeats its head: most are equal but for the length of the body. So a head that was read, checked and
judged is kept with what came of it, while what it was judged by holds: the tokens. A lookup is that of a hash with a
secret key, so the time that it takes tells nothing of a token. Heads that mean more than one request with a whole body
are never kept, nor those of one span of a trace, which do not come again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from collator.tokens import Caller

if TYPE_CHECKING:
    from collator.tracing.tracer import Parent

MOST = 1024
"""Heads that are kept. All are forgotten where another does not fit: those that are in use are back at once."""
MOST_BYTES = 256 * 1024
"""Their bytes together."""
LONGEST = 2048
"""Bytes of one."""

_END = b"\r\n\r\n"
_MORE = re.compile(
    rb"(?i)\r\n(?:expect|te|traceparent|trailer|transfer-encoding|upgrade|connection(?!: keep-alive\r\n))[ \t]*:"
)


class KnownHead(NamedTuple):
    """What is known of a head."""

    caller: Caller | None
    """Who asks, where the service wants to know."""
    body_size: int
    fields: tuple[tuple[bytes, bytes], ...] = ()
    """Those that the log shows of a request that is refused."""
    parent: Parent | None = None
    """The trace that it is sent in, where there are traces."""


class KnownHeads:
    """The heads that were seen."""

    def __init__(self, basis: Callable[[], object]) -> None:
        """Keep heads as long as *basis*, by which they were judged, returns the same object."""
        self._basis = basis
        self._heads: dict[bytes, KnownHead] = {}
        self._size = 0
        self._valid: object = None

    def __len__(self) -> int:
        """The number of heads."""
        return len(self._heads)

    def basis(self) -> object:
        """The object by which a head is judged now; to be taken before that is done."""
        return self._basis()

    def find(self, data: bytes) -> KnownHead | None:
        """The knowledge of the head of *data*, if *data* is one request with its whole body, and nothing else."""
        end = data.find(_END) + len(_END)
        known = self._heads.get(data[:end])
        if known is None or end + known.body_size != len(data):
            return None
        if self._basis() is not self._valid:
            self._forget()
            return None
        return known

    def keep(self, data: bytes, known: KnownHead, basis: object) -> None:
        """Keep that *known* is the head of *data*, one request with its whole body, judged by *basis*."""
        end = data.find(_END) + len(_END)
        if end + known.body_size != len(data) or not len(_END) < end <= LONGEST or _MORE.search(data, 0, end):
            return
        if basis is not self._valid or len(self._heads) >= MOST or self._size + end > MOST_BYTES:
            self._forget()
            self._valid = basis
        if data[:end] not in self._heads:
            self._heads[data[:end]] = known
            self._size += end

    def _forget(self) -> None:
        self._heads.clear()
        self._size = 0
