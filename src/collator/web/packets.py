"""`/v1/packets` with one packet or an array, and one packet at its own path.

Raw ASGI endpoints, as they are the hot ones: no request object of a framework, and one call of the intake for a packet
or for a slice of an array.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import msgspec

from collator.errors import Malformed, Unavailable
from collator.intake import Intake, tally
from collator.json_text import AT_ONCE
from collator.packet import Packet, PacketLimits, Receipt, Status, check, check_steps
from collator.tokens import Caller
from collator.web.auth import check_reach
from collator.web.batch_status import BatchStatus
from collator.web.formats import name_for_json
from collator.web.limits import KIB, MIB, HttpLimits
from collator.web.problems import HttpProblem, ProblemType
from collator.web.receipts import ArrayReceipts, receipt_problem, wire_one
from collator.web.refusals import Asked, Refusals
from collator.web.request_body import JSON_FIELDS, HttpAnswer, RequestBody
from collator.wire import array_parts, decode_packet, decode_packet_steps, decoded_size, longest_packet

if TYPE_CHECKING:
    from collator.tracing.tracer import Parent

_ARRAY = re.compile(rb"[ \t\r\n]*\[")
_AS_A_STREAM = "; send many packets as a stream of lines (application/x-ndjson), which is limited per line only"
_SLICE = 1_000  # packets of an array that are stored in one go, so that a large one does not hold up all others
_SLICE_SIZE = MIB  # bytes of their payloads, about
_SMALL = 16 * KIB  # bytes of a packet whose fault may be looked for twice, as it is where `read_small` finds one
_KEPT = MIB  # bytes of memory that an array may take decoded; what takes more is decoded again, slice by slice


class WholePackets:
    """The endpoint for packets that come whole."""

    def __init__(self, intake: Intake, refusals: Refusals, *, packet_limits: PacketLimits, limits: HttpLimits) -> None:
        """Offer to *intake* what is within *packet_limits* and *limits*; note in *refusals* what was not taken."""
        self._intake = intake
        self._refusals = refusals
        self._packet_limits = packet_limits
        self._limits = limits
        self._small = min(_SMALL, limits.max_body, longest_packet(packet_limits))

    async def post(self, request: RequestBody) -> HttpAnswer:
        """One packet: 202 accepted, 200 duplicate, or a problem. An array: a receipt each, under 202 or by R9."""
        body = await request.body(self._limits.max_body, instead=_AS_A_STREAM)
        if _ARRAY.match(body):
            return await self._array(request, body)
        if len(body) > longest_packet(self._packet_limits):
            _refuse_foreign(body)
            limits = self._packet_limits
            detail = f"one packet may have at most {longest_packet(limits)} bytes, a payload {limits.max_payload}"
            raise HttpProblem(ProblemType.TOO_LARGE, detail)
        try:
            if len(body) > AT_ONCE:
                packet = await request.turns.drive(request.who, decode_packet_steps(body, self._packet_limits))
            else:
                packet = decode_packet(body, self._packet_limits)
        except Malformed:
            _refuse_foreign(body)
            raise
        check_reach(request.caller, [packet.resource_id])
        return await self._one(request, packet)

    def read_small(self, body: bytes, caller: Caller | None) -> Packet | None:
        """The packet of a whole *body* that is judged at once; `None` where `post` has to look at it.

        Raises `Malformed` and `HttpProblem`: `post` says what is wrong, and why.
        """
        if body[:1] != b"{" or len(body) > self._small:
            return None
        packet = decode_packet(body, self._packet_limits)
        check_reach(caller, [packet.resource_id])
        return packet

    async def accept(
        self, packets: Sequence[Packet], *, who: str, parents: Sequence[Parent | None] | None = None
    ) -> Sequence[Receipt]:
        """Store *packets*, each of a request of *who*; a receipt for each. *parents* as in `Intake.accept`."""
        size = sum([len(packet.payload) for packet in packets])
        return await self._intake.accept(packets, who=who, size=size, parents=parents)

    async def put(
        self, request: RequestBody, *, resource_id: str, index: int, last: bool, total: int | None
    ) -> HttpAnswer:
        """The body is the payload of packet *index*."""
        too_large = f"; a payload may have at most {self._packet_limits.max_payload} bytes (max_payload)"
        payload = (await request.json(longest_packet(self._packet_limits), instead=too_large)).strip(b" \t\r\n")
        packet = Packet(
            resource_id=resource_id,
            index=index,
            payload=msgspec.Raw(payload),
            last=last,
            total=total,
        )
        try:
            if len(payload) > AT_ONCE:
                checked = await request.turns.drive(request.who, check_steps(packet, self._packet_limits))
            else:
                checked = check(packet, self._packet_limits)
        except Malformed as error:
            raise Malformed(name_for_json(payload, lines_there=False) or error.detail) from None
        return await self._one(request, checked)

    async def _one(self, request: RequestBody, packet: Packet) -> HttpAnswer:
        (receipt,) = await self.accept((packet,), who=request.who)
        return answer_receipt(packet, receipt)

    async def _array(self, request: RequestBody, body: bytes) -> HttpAnswer:
        parts = await self._checked(request, body)
        told, whole = ArrayReceipts(), BatchStatus()
        refusal = whole.problem(await self._accept(request, parts, told, whole))
        if refusal is not None:
            raise refusal.with_members({"receipts": msgspec.Raw(told.json())})
        if whole.left_out():
            self._refusals.note_part(whole.left_out(), Asked.by(request.scope))
        return HttpAnswer(202, JSON_FIELDS, told.json(b'{"receipts":', b"}\n"))

    async def _checked(self, request: RequestBody, body: bytes) -> Iterable[Sequence[Packet]]:
        """The packets of *body* in parts, once all are known to be good; decoded anew where all would take much."""
        parts: list[Sequence[Packet]] = []
        cost = 0
        try:
            for part in array_parts(body, self._packet_limits):
                check_reach(request.caller, (packet.resource_id for packet in part))
                cost += decoded_size(part)
                if cost <= _KEPT:
                    parts.append(part)
                await request.turns.turn(request.who)
        except Malformed:
            _refuse_foreign(body)
            raise
        if cost > _KEPT:
            return array_parts(body, self._packet_limits, plain=True)
        request.keep(cost)
        return parts

    async def _accept(
        self, request: RequestBody, parts: Iterable[Sequence[Packet]], told: ArrayReceipts, whole: BatchStatus
    ) -> Unavailable | None:
        """Store the packets of *parts*; why some were refused.

        Once a slice is stored, `Unavailable` is news about the others.
        """
        why: Unavailable | None = None
        for some in _slices(parts):
            if not some:
                await request.turns.turn(request.who)
                continue
            size = decoded_size(some)
            receipts: Sequence[Receipt] = ()
            try:
                with request.buffer_memory.holding(request.who, size):
                    receipts = () if why else await self._intake.accept(some, who=request.who, size=size)
            except Unavailable as error:
                if not told:
                    raise
                why = error
            if why is not None:
                receipts = [Receipt(Status.REFUSED, why.detail, why.retry_after)] * len(some)
            request.keep(told.add(some, receipts))
            whole.add(tally(receipts), receipts)
            await request.turns.turn(request.who)
        return why


def answer_receipt(packet: Packet, receipt: Receipt) -> HttpAnswer:
    """The answer to the request with *packet*. Raises `HttpProblem` where it was not taken."""
    if receipt.status is Status.ACCEPTED:
        return HttpAnswer(202, JSON_FIELDS, wire_one(packet, receipt))
    if receipt.status is Status.DUPLICATE:
        return HttpAnswer(200, JSON_FIELDS, wire_one(packet, receipt))
    raise receipt_problem(packet, receipt)


def _slices(parts: Iterable[Sequence[Packet]]) -> Iterator[list[Packet]]:
    """The packets of *parts*, as many at a time as are stored in one go; none where a part takes its time."""
    some: list[Packet] = []
    size = 0
    for part in parts:
        if not part:
            yield []
        for packet in part:
            some.append(packet)
            size += len(packet.payload)
            if len(some) >= _SLICE or size >= _SLICE_SIZE:
                yield some
                some, size = [], 0
    if some:
        yield some


def _refuse_foreign(body: bytes) -> None:
    """Raise `Malformed` for a *body* that is something else than JSON, saying what."""
    name = name_for_json(body, lines_there=True)
    if name:
        raise Malformed(name)
