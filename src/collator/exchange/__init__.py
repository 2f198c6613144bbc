"""What passes between the ledger and the stages: work handed out, outcomes taken back, and what each became.

Frozen values, one line on each field. A **lease** is a number that the ledger gave with a task or a delivery; it is
the caller's only right to report on it, and a lease that was lost changes nothing (P2).

Lives here: `work`, packets and what a verb did with them; `webhooks`, deliveries and attempts; `views`, what a person
may look at; `audit`, who did what.
"""

from __future__ import annotations

from collator.exchange.audit import REFUSED, Act, AuditPage, AuditRecord
from collator.exchange.views import (
    LOG,
    AttemptReport,
    Counts,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
    DeliveryReport,
    OutcomePage,
    OutcomeReport,
    PacketReport,
    Pause,
    Replayed,
    ResourceReport,
    ResourceSummary,
)
from collator.exchange.webhooks import (
    LARGE_BODY,
    Attempt,
    Delivery,
    delivery_id,
    parse_delivery_id,
    webhook_id,
    webhook_number,
)
from collator.exchange.work import (
    Accepted,
    Failure,
    Key,
    Outcome,
    Output,
    Recorded,
    Result,
    Retry,
    Task,
    output_size,
)

__all__ = [
    "LARGE_BODY",
    "LOG",
    "REFUSED",
    "Accepted",
    "Act",
    "Attempt",
    "AttemptReport",
    "AuditPage",
    "AuditRecord",
    "Counts",
    "Delivery",
    "DeliveryDetail",
    "DeliveryFilter",
    "DeliveryPage",
    "DeliveryReport",
    "Failure",
    "Key",
    "Outcome",
    "OutcomePage",
    "OutcomeReport",
    "Output",
    "PacketReport",
    "Pause",
    "Recorded",
    "Replayed",
    "ResourceReport",
    "ResourceSummary",
    "Result",
    "Retry",
    "Task",
    "delivery_id",
    "output_size",
    "parse_delivery_id",
    "webhook_id",
    "webhook_number",
]
