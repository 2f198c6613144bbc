"""Messages between the ledger and the stages: work handed out, outcomes taken back, and what became of each.

Frozen values, one line on each field. Lives here: `leases`, the right to report on what was handed out; `tasks`,
packets and what a verb did with them; `deliveries`, deliveries and attempts; `views`, what a person may look at;
`audit`, who did what.
"""

from __future__ import annotations

from collator.messages.audit import REFUSED, Act, AuditPage, AuditRecord
from collator.messages.batches import Batch, Group
from collator.messages.deliveries import (
    LARGE_BODY,
    Attempt,
    Delivery,
    delivery_id,
    parse_delivery_id,
    webhook_id,
    webhook_number,
)
from collator.messages.leases import Lease
from collator.messages.tasks import (
    Accepted,
    Failure,
    Key,
    Output,
    Recorded,
    Result,
    Retry,
    Run,
    RunPacket,
    StepResult,
    Task,
    given_back,
    output_size,
    tasks_of,
)
from collator.messages.views import (
    LOG,
    AttemptReport,
    Counts,
    DeliveryDetail,
    DeliveryFilter,
    DeliveryPage,
    DeliveryReport,
    OutcomePage,
    OutcomeReport,
    PacketDetail,
    PacketReport,
    Pause,
    Replayed,
    ResourceReport,
    ResourceSummary,
    RetryReport,
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
    "Batch",
    "Counts",
    "Delivery",
    "DeliveryDetail",
    "DeliveryFilter",
    "DeliveryPage",
    "DeliveryReport",
    "Failure",
    "Group",
    "Key",
    "Lease",
    "OutcomePage",
    "OutcomeReport",
    "Output",
    "PacketDetail",
    "PacketReport",
    "Pause",
    "Recorded",
    "Replayed",
    "ResourceReport",
    "ResourceSummary",
    "Result",
    "Retry",
    "RetryReport",
    "Run",
    "RunPacket",
    "StepResult",
    "Task",
    "delivery_id",
    "given_back",
    "output_size",
    "parse_delivery_id",
    "tasks_of",
    "webhook_id",
    "webhook_number",
]
