"""The delivery stage: from a delivery that is leased to this process, to an attempt that the ledger has stored.

Lives here: what each answer means (`verdict`), how one attempt is made (`sender`: by callbacks, decision 43), when
and how many at a time (`endpoint_worker`, one for each endpoint), whether requests go to a receiver that fails
(`breaker`) and how fast to one that asks for less (`pace`; `circuit` has both), how outcomes get back into the ledger
(`outcome_recorder`), the test that a person sends (`receiver_test`), and which endpoints there are (`configuration`).
Does not live here: HTTP (`egress`), signatures (`signing`), the schedule (`backoff`), the outbox itself, which the
ledger owns.

Theory. The ledger is the outbox: a delivery is created in the step that closes its resource, and stays due until it is
delivered or dead. This stage only holds leases. What was created with a lease is sent in the same turn of the event
loop; everything else is claimed, by each endpoint within its own capacity, so that a dead endpoint never fills the
window of another. An attempt that has ended is kept until the ledger has it. Whatever is lost here is lost with its
lease: the ledger hands the delivery out again, under the same id with the same bytes (P4).
"""

from __future__ import annotations

from collator.delivery.circuit import Circuits
from collator.delivery.configuration import configure, longest_timeout, names, policy_of, secured
from collator.delivery.dispatcher import Dispatcher
from collator.delivery.endpoint import Endpoint, router
from collator.delivery.verdict import judge

__all__ = [
    "Circuits",
    "Dispatcher",
    "Endpoint",
    "configure",
    "judge",
    "longest_timeout",
    "names",
    "policy_of",
    "router",
    "secured",
]
