"""The checks of several stores as one report. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from collator.ledgers.slots import merger
from collator.messages.checks import Report


def as_one(reports: Sequence[Report]) -> Report:
    """The sum of *reports*: each complaint names the store, and the schema is that of the oldest."""
    return Report(
        database=", ".join([report.database for report in reports]),
        schema=min(report.schema for report in reports),
        newest=reports[0].newest,
        counts=merger.counts([report.counts for report in reports]),
        rows={name: sum(report.rows.get(name, 0) for report in reports) for name in reports[0].rows},
        complaints=[
            replace(complaint, what=f"ledger {number}: {complaint.what}")
            for number, report in enumerate(reports, 1)
            for complaint in report.complaints
        ],
    )
