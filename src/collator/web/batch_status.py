"""The status of an answer that speaks of many packets (R9). Pure.

Senders go by the status, and many see nothing else. So it promises only what holds for every packet: that none of them
has to be sent again. Where a few have to be, all may be, which is harmless (R5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from collator.errors import CollatorError
from collator.packet import Receipt, Status
from collator.web.problems import HttpProblem, ProblemType, problem_of

GOOD = frozenset({Status.ACCEPTED, Status.DUPLICATE})
"""The packet is in the store."""
_NEVER = (Status.CONFLICT, Status.CLOSED)
"""The packet will never be taken."""


class BatchStatus:
    """The counts of a batch that decide the status of its answer."""

    def __init__(self) -> None:
        """Know of none yet."""
        self.counts: Counter[Status] = Counter()
        self.malformed = 0
        self._reasons: dict[Status, str] = {}
        self._wrong = ""
        self._retry_after = 0.0

    def add(self, counts: Counter[Status], receipts: Iterable[Receipt]) -> None:
        """Count *receipts*, of which *counts* says how many have each status."""
        self.counts.update(counts)
        if counts.keys() <= GOOD:
            return
        for receipt in receipts:
            if receipt.status not in GOOD:
                self._reasons.setdefault(receipt.status, receipt.reason or "")
                self._retry_after = max(self._retry_after, receipt.retry_after or 0.0)

    def add_malformed(self, number: int, first: Callable[[], str]) -> None:
        """Count *number* texts that hold no packet; *first* says what is wrong with the first of them."""
        self.malformed += number
        self._wrong = self._wrong or first()

    def left_out(self) -> str:
        """The number of packets that were not accepted and the reasons, in words; empty where all were."""
        number = self.counts.total() + self.malformed - sum(self.counts[status] for status in GOOD)
        said = [*([self._wrong] if self.malformed else []), *self._reasons.values()]
        return f"{number} of {self.counts.total() + self.malformed}: {'; '.join(said)}" if number else ""

    def problem(self, because: CollatorError | None = None) -> HttpProblem | None:
        """The problem of the whole answer, if any; *because* is the error for which packets were refused."""
        if self.counts[Status.REFUSED]:
            kind = problem_of(because).kind if because else ProblemType.REFUSED
            again = "were refused; send these, or all packets, again: "
            return HttpProblem(kind, self._said(Status.REFUSED, again), retry_after=self._retry_after or 1.0)
        if self.counts[Status.ERROR]:
            return HttpProblem(ProblemType.ERROR, self._said(Status.ERROR, "could not be stored: "))
        if any(self.counts[status] for status in GOOD):
            return None
        if self.malformed:
            return HttpProblem(ProblemType.MALFORMED, f"nothing was stored; {self._wrong}")
        first = next((status for status in _NEVER if self.counts[status]), None)
        return HttpProblem(ProblemType[first.name], f"nothing was stored; {self._reasons[first]}") if first else None

    def _said(self, status: Status, what: str) -> str:
        return f"{self.counts[status]} of {self.counts.total() + self.malformed} {what}{self._reasons[status]}"
