"""Why a resource has not been delivered, in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Callable

from collator.exchange import DeliveryReport, ResourceReport
from collator.resource import Ranges
from collator.states import DeliveryState, State

_SHOWN = 5  # ranges in a sentence


def why_undelivered(report: ResourceReport, why_not_sent: Callable[[str], str | None]) -> str | None:
    """The next thing that has to happen before *report*'s resource is delivered; `None` once it is.

    *why_not_sent* says of an endpoint why nothing is sent to it at the moment (`Outbox.why`).
    """
    if report.state is State.OPEN:
        return _why_open(report)
    if report.state is State.CANCELLED:
        return "it was cancelled, so that there is no webhook"
    if not report.deliveries:
        return "no endpoint matches it"
    undelivered = [delivery for delivery in report.deliveries if delivery.state != DeliveryState.DELIVERED]
    waiting = [f"endpoint {one.endpoint}: {why_waiting(one, why_not_sent)}" for one in undelivered]
    return "; ".join(waiting) or None


def why_waiting(delivery: DeliveryReport, why_not_sent: Callable[[str], str | None]) -> str:
    """What an undelivered *delivery* waits for, in words behind the name of its endpoint."""
    tries = f"after {delivery.attempts} attempts" + (
        f", the last of which ended with: {delivery.reason}" * bool(delivery.reason)
    )
    trouble = why_not_sent(delivery.endpoint)
    if delivery.state is DeliveryState.DEAD:
        return f"given up {tries}; it can be replayed"
    if trouble is not None:
        return trouble + (f"; {tries}" if delivery.attempts else "")
    if delivery.state is DeliveryState.LEASED or not delivery.due_in:
        return "being sent" + (f", {tries}" if delivery.attempts else "")
    return f"next attempt in {delivery.due_in:.0f} s, {tries}"


def _why_open(report: ResourceReport) -> str:
    if report.unfinished:
        return f"processing: no outcome yet for {_listed(report.unfinished)}"
    if report.missing:
        return f"never received: {_listed(report.missing)}"
    if report.total is None:
        return "nobody has said how many packets it has: last, total, or POST .../complete"
    return f"held open by {report.failed} failed: retry, or POST .../complete with force"


def _listed(ranges: Ranges) -> str:
    words = [f"{first}" if first == last else f"{first} to {last}" for first, last in ranges[:_SHOWN]]
    return "index " + ", ".join(words) + (" and others" if len(ranges) > _SHOWN else "")
