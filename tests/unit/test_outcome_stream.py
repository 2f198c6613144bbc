"""What a stream of events tells who follows a resource by the client, and where the next one begins."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from collator.client.connection import ServiceStream
from collator.client.outcome_stream import follow_outcomes


def event(kind: str, data: str, id_: str | None = None) -> bytes:
    return (f"id: {id_}\n" if id_ is not None else "").encode() + f"event: {kind}\ndata: {data}\n\n".encode()


OUTPUTS = [event("output", f'{{"seq":{seq},"index":{seq},"output":"{seq}"}}', str(seq)) for seq in (1, 2)]
PARTIAL = event("partial", '{"index":7,"attempt":1,"output":"gu"}')
END = event("end", '{"state":"collated"}', "2.end")


class Chunks:
    """A stream that gives *chunks*, and ends."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = [*chunks]

    async def read(self) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""

    def close(self) -> None:
        pass


async def test_interim_outputs_and_events_that_are_not_known_are_passed_over_and_are_no_place_to_go_on_at() -> None:
    streams = [[PARTIAL, OUTPUTS[0] + PARTIAL], [PARTIAL], [event("news", "{}"), OUTPUTS[1], PARTIAL, END]]
    opened: list[tuple[str, str]] = []

    async def look() -> dict[str, Any]:
        return {"webhook_id": "msg_a", "after_seq": 0, "more": True, "outputs": []}

    async def stream(webhook_id: str, last_id: str) -> ServiceStream:
        opened.append((webhook_id, last_id))
        return cast("ServiceStream", Chunks(streams[len(opened) - 1]))

    outcomes = [one async for one in follow_outcomes(look, stream, patience=None)]
    assert [one["output"] for one in outcomes] == ["1", "2"]
    assert opened == [("msg_a", "0"), ("msg_a", "1"), ("msg_a", "1")]
