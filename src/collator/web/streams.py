"""The answer to a stream: its summary at the end, or receipts while it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from enum import StrEnum

import msgspec
from starlette.types import Send

from collator.errors import CollatorError
from collator.intake import Intake
from collator.packet import PacketLimits, Receipt
from collator.web.audit import Audit
from collator.web.limits import HttpLimits
from collator.web.lines import LineGroup
from collator.web.load import Load
from collator.web.ndjson import PacketStream, Told
from collator.web.problems import HttpProblem, ProblemType, encode, encode_lines, problem, problem_of
from collator.web.receipt_writer import ReceiptWriter
from collator.web.receipts import wire_lines
from collator.web.refusals import Asked, Refusals
from collator.web.request_body import PATIENT, HttpAnswer, RequestBody, answer_json
from collator.web.summary import FaultLines, Summary


class Wanted(StrEnum):
    """The detail of the answer to a stream."""

    ALL = "all"  #: a receipt, as soon as it is decided
    NONE = "none"  #: nothing, unless it was rejected


class Streams:
    """The endpoint for streams, up to a number at a time."""

    def __init__(
        self,
        intake: Intake,
        refusals: Refusals,
        audit: Audit,
        *,
        packet_limits: PacketLimits,
        limits: HttpLimits,
        load: Load,
    ) -> None:
        """Offer to *intake* what is within *packet_limits* and *limits*, if there is a place in *load* for the stream.

        Note in *refusals* what was not taken, and in *audit* what the token of a stream is not for.
        """
        self._intake = intake
        self._refusals = refusals
        self._audit = audit
        self._packet_limits = packet_limits
        self._limits = limits
        self._load = load

    async def post(self, request: RequestBody, send: Send, *, receipts: Wanted) -> HttpAnswer | None:
        """The summary of a stream: 200, or a problem with the summary's members where it ended early, or by R9.

        With all *receipts* the answer is written to *send* while the stream comes, and ends with the summary.
        """
        request.require_plain()
        request.scope[PATIENT] = True
        with self._load.instead(self._load.streams, request.who, retry_after=5.0):
            if receipts is Wanted.NONE:
                return await self._summed_up(request)
            refusal = self._intake.refusal()
            if refusal is not None:
                raise refusal  # before the answer has a status
            await self._told(request, send)
            return None

    async def _summed_up(self, request: RequestBody) -> HttpAnswer:
        summary = Summary(self._limits.max_rejected, self._limits.max_rejected_bytes)

        def told(group: LineGroup, receipts: Sequence[Receipt]) -> None:
            summary.add(group, receipts)
            self._refusals.count_lines(len(group.faults))

        why = await self._stream(request, told).run()
        why = why or summary.problem()
        if why is not None:
            raise problem_of(why).with_members(msgspec.structs.asdict(summary.so_far()))
        self._note(request, summary, None)
        return answer_json(summary.so_far())

    async def _told(self, request: RequestBody, send: Send) -> None:
        summary = Summary(self._limits.max_rejected, self._limits.max_rejected_bytes)
        faults = FaultLines(self._limits.max_rejected)

        def told(group: LineGroup, receipts: Sequence[Receipt]) -> None:
            summary.add(group, receipts)
            self._refusals.count_lines(len(group.faults))
            writer.write(wire_lines(group.packets, receipts) + encode_lines(faults.of(group)))

        stream = self._stream(request, told)
        writer = ReceiptWriter(
            send,
            request,
            max_unread=self._limits.max_unread,
            overflow=lambda: stream.end(
                HttpProblem(
                    ProblemType.RECEIPTS_UNREAD,
                    "read the receipts while sending, or use receipts=none; continue in a new request",
                )
            ),
        )
        # An answer would take the place of "100 Continue", for which such a client waits.
        request.answering = True
        writing = asyncio.create_task(writer.run(at_once=b"expect" not in request.headers))
        try:
            why = await stream.run()
            why = why or summary.problem()
            self._note(request, summary, why)
            if isinstance(why, HttpProblem):  # with which the request ends, though it was answered
                await self._audit.refused(request, why)
            last = (problem(why) if why else {}) | msgspec.structs.asdict(summary.so_far())
            writer.close(encode(last) + b"\n")
            await writing
        finally:
            writing.cancel()
            writer.discard()

    def _stream(self, request: RequestBody, told: Told) -> PacketStream:
        return PacketStream(self._intake, request, packet_limits=self._packet_limits, limits=self._limits, told=told)

    def _note(self, request: RequestBody, summary: Summary, why: CollatorError | None) -> None:
        asked = Asked.by(request.scope)
        if why is not None:
            self._refusals.note(problem_of(why), asked)
        elif summary.left_out():
            self._refusals.note_part(summary.left_out(), asked)
