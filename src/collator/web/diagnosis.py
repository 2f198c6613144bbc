"""Diagnosis of a resource that has not been delivered, in one sentence. Pure."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

from collator.messages import DeliveryReport, ResourceReport, RetryReport
from collator.rules.resource import Ranges
from collator.states import DeliveryState, State
from collator.text import counted

_SHOWN = 5  # ranges in a sentence, and endpoints
_REASONS = 3
_NO_ENDPOINT = "no endpoint is configured: nothing is sent; read the outputs through the API"
_MATCHES_NONE = "no endpoint matched its id when it ended"


def why_undelivered(
    report: ResourceReport, why_not_sent: Callable[[str], str | None], *, endpoints: bool, trouble: str | None = None
) -> str | None:
    """The next thing that has to happen before *report*'s resource is delivered; `None` once it is.

    *why_not_sent* says of an endpoint why nothing is sent to it at the moment (`Outbox.why`); *endpoints*, whether
    there are any; *trouble*, why nothing is processed. It is read by those who use HTTP, the commands and the library:
    so it speaks the language of none.
    """
    if report.state is State.OPEN:
        return _why_open(report, trouble)
    if report.state is State.CANCELLED:
        return "it was cancelled; cancelled resources have no webhook"
    if not report.deliveries:
        return _MATCHES_NONE if endpoints else _NO_ENDPOINT
    undelivered = [delivery for delivery in report.deliveries if delivery.state != DeliveryState.DELIVERED]
    waiting = [f"endpoint {one.endpoint}: {why_waiting(one, why_not_sent)}" for one in undelivered[:_SHOWN]]
    others = len(undelivered) - len(waiting)
    return "; ".join([*waiting, *([f"and {counted(others, 'other')}"] if others else [])]) or None


def why_waiting(delivery: DeliveryReport, why_not_sent: Callable[[str], str | None]) -> str:
    """The reason why *delivery* is not delivered yet, in words behind the name of its endpoint."""
    tries = f" after {counted(delivery.attempts, 'attempt')}" if delivery.attempts else ""
    if delivery.reason:  # how the last attempt ended, or what a person or a breaker did since
        tries += f" ({delivery.reason})"
    trouble = why_not_sent(delivery.endpoint)
    if delivery.state is DeliveryState.DEAD:
        return f"given up{tries}; it can be replayed"
    if trouble is not None:
        return trouble + (f";{tries}" if delivery.attempts else "")
    if delivery.state is DeliveryState.LEASED or not delivery.due_in:
        return f"being sent{tries}"
    return f"next attempt in {delivery.due_in:.0f} s{tries}"


def _why_open(report: ResourceReport, trouble: str | None) -> str:
    if report.unfinished or report.unfinished_more:
        waiting = f"processing: no outcome yet for {_listed(report.unfinished, report.unfinished_more)}"
        return "; ".join([waiting, *([trouble] if trouble else []), *_why_again(report)])
    if report.missing or report.missing_more:
        return f"never received: {_listed(report.missing, report.missing_more)}"
    if report.total is None:
        return "its number of packets is unknown: send the last packet or a total, or complete it"
    return (
        f"held open because {counted(report.failed, 'packet')} failed: retry them, or complete the resource with force"
    )


def _why_again(report: ResourceReport) -> list[str]:
    """The reasons for which the last attempts of packets failed, the first few, and when the next are made."""
    by_reason: dict[str, list[RetryReport]] = {}
    for one in report.retrying:
        by_reason.setdefault(one.reason, []).append(one)
    words = []
    for reason, alike in [*by_reason.items()][:_REASONS]:
        times = [one.due_in for one in alike if one.due_in]
        when = f", next attempt in {ceil(min(times))} s" if times else ""
        which = counted(len(alike), "packet") if len(alike) > 1 else f"index {alike[0].index}"
        words.append(f"the last attempt for {which} failed: {reason}{when}")
    others = report.retrying_more or len(by_reason) > _REASONS
    return [*words, *(["and others"] if others else [])]


def _listed(ranges: Ranges, more: int) -> str:
    words = [f"{first}" if first == last else f"{first} to {last}" for first, last in ranges[:_SHOWN]]
    if not words:
        return counted(more, "packet")
    return "index " + ", ".join(words) + (" and others" if more or len(ranges) > _SHOWN else "")
