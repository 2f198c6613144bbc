"""One `send`: a packet goes out until it has a receipt that settles it.

Theory. Trouble on the way (no connection, 429, 5xx, a lost answer) leaves open whether it arrived, and a repeat is
harmless (R5), so it is sent again, after a pause. An answer that refuses an array whole (413, 422) blames one packet
of it: the array is cut in half until the culprit stands alone. Where nothing got through for `patience` seconds, it
ends with `Unreachable`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence

import msgspec

from collator.client.answer import Response, Unreachable, unexpected
from collator.client.batch import Item, Tally, count, has_receipts, join, of_one, reject
from collator.client.connection import ServiceConnection
from collator.client.feed import Feed
from collator.errors import CollatorError
from collator.text import shown

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
"""Seconds before a request is repeated: doubled from the first to the longest; a `Retry-After` is a floor."""

_CUT = frozenset({413, 422})
_NONE_CAME = Response(503, b"", 0.0)


class Transfer:
    """State that the requests of one `send` share."""

    def __init__(self, connection: ServiceConnection, tally: Tally, *, patience: float | None) -> None:
        """Send over *connection*, enter in *tally*; *patience* in seconds, `None` for endless."""
        self._connection = connection
        self._tally = tally
        self._patience = patience
        self._got_through = time.monotonic()

    async def drain(self, feed: Feed) -> None:
        """Send what *feed* gives, batch by batch, to its end."""
        while items := await feed.take():
            self._tally.sent += len(items)
            await self._send_until_settled(items)

    async def _send_until_settled(self, items: Sequence[Item]) -> None:
        started, pause = time.monotonic(), FIRST_PAUSE
        while True:
            answer = await self._post(items)
            if answer.status in _CUT:
                return await self._split(items, answer.problem.detail or str(answer))
            left, floor = self._count(items, answer) if _tells_of_each(answer) else (items, answer.retry_after)
            if not left:
                return None
            pause = FIRST_PAUSE if len(left) < len(items) else min(2 * pause, LONGEST_PAUSE)
            items = left
            waited = time.monotonic() - max(started, self._got_through)
            if self._patience is not None and waited >= self._patience:
                raise Unreachable(f"{self._tally.trouble}; no packet was accepted for {waited:.0f} s")
            await asyncio.sleep(max(floor, pause) * random.uniform(1.0, 1.1))  # noqa: S311 - spreads senders only

    async def _split(self, items: Sequence[Item], reason: str) -> None:
        if len(items) == 1:
            return reject(items, of_one(reason), self._tally)
        middle = len(items) // 2
        await self._send_until_settled(items[:middle])
        return await self._send_until_settled(items[middle:])

    async def _post(self, items: Sequence[Item]) -> Response:
        try:
            answer = await self._connection.request("POST", "/v1/packets", join(items))
        except Unreachable as error:
            self._tally.trouble = error.detail
            return _NONE_CAME
        if answer.busy:
            self._tally.trouble = f"{self._connection.where}: {answer}"
        elif not _tells_of_each(answer) and answer.status not in _CUT:
            raise answer.error(self._connection.where)
        return answer

    def _count(self, items: Sequence[Item], answer: Response) -> tuple[Sequence[Item], float]:
        try:
            left, delay = count(items, answer.body, self._tally)
        except (msgspec.MsgspecError, ValueError) as error:
            raise CollatorError(unexpected(self._connection.where, shown(error))) from None
        if len(left) < len(items):
            self._got_through = time.monotonic()
            self._tally.trouble = ""
        return left, delay


def _tells_of_each(answer: Response) -> bool:
    """Return whether *answer* has a receipt for each packet, as a failure may too, if only some must be repeated."""
    return answer.ok or has_receipts(answer.body)
