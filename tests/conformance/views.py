"""All that a ledger shows, compared with what the model says."""

from __future__ import annotations

import asyncio

from collator.errors import Unknown
from collator.messages import DeliveryReport, OutcomePage, ResourceReport
from collator.seams.ledger import Ledger
from collator.states import DeliveryState, State
from tests.conformance.model import DONE, FAILED, LEASED, WAITING, Model, Thing, missing, spans
from tests.conformance.steps import outputs


async def compare(ledger: Ledger, model: Model, ids: set[str]) -> None:
    """Counters, lists, reports and outputs. *ids* are the webhook ids of all generations so far."""
    assert await ledger.counts() == model.counts()
    listed = [summary.resource_id for summary in await ledger.resources()]
    assert listed == sorted(model.things)
    looks = [ledger.resource(name) for name in model.endpoints]
    reports = await asyncio.gather(*looks, return_exceptions=True)
    for name, report in zip(model.endpoints, reports, strict=True):
        thing = model.things.get(name)
        if thing is None:
            assert isinstance(report, Unknown)
            continue
        assert isinstance(report, ResourceReport)
        same_generation(report, thing, ids)
        learn_deaths(report, thing)
        same_packets(report, thing)
        same_end(report, thing)
    pages = await asyncio.gather(*(ledger.outcomes(name) for name in model.things))
    for thing, page in zip(model.things.values(), pages, strict=True):
        same_outcomes(page, thing)
    taken = await asyncio.gather(*(outputs(ledger, name) for name in model.things))
    for thing, found in zip(model.things.values(), taken, strict=True):
        assert [*found] == [(index, thing.pieces[index].output) for index in thing.indexes(DONE)]


def same_generation(report: ResourceReport, thing: Thing, ids: set[str]) -> None:
    """One webhook id for a generation, and no id twice."""
    if not thing.webhook_id:
        assert report.webhook_id not in ids
        thing.webhook_id = report.webhook_id
        ids.add(report.webhook_id)
    assert report.webhook_id == thing.webhook_id
    assert report.supersedes == (thing.past[-1].webhook_id if thing.past else None)


def learn_deaths(report: ResourceReport, thing: Thing) -> None:
    """How the ledger words a failure by death, and how many attempts it says that were, is its own."""
    for failure in report.failures:
        piece = thing.pieces[failure.index]
        if piece.reason == "died":
            assert "died" in failure.reason
            piece.reason, piece.used = failure.reason, failure.attempts


def same_packets(report: ResourceReport, thing: Thing) -> None:
    assert (report.state, report.total) == (thing.state, thing.total)
    assert bytes(report.metadata) == (thing.metadata or b"{}")
    assert report.received == len(thing.pieces)
    assert (report.done, report.failed) == (len(thing.indexes(DONE)), len(thing.indexes(FAILED)))
    assert [*report.missing] == missing(thing)
    assert [*report.unfinished] == spans(thing.indexes(WAITING, LEASED))
    pieces = [(index, thing.pieces[index]) for index in thing.indexes(FAILED)]
    failures = [(failure.index, failure.reason, failure.attempts) for failure in report.failures]
    assert failures == [(index, piece.reason, piece.used) for index, piece in pieces]


def same_outcomes(page: OutcomePage, thing: Thing) -> None:
    """Each outcome once, in the order of numbers that stay (R26)."""
    assert (page.webhook_id, page.state, page.completed_by) == (thing.webhook_id, thing.state, thing.ended_by)
    seqs = [outcome.seq for outcome in page.outcomes]
    assert seqs == sorted({*seqs})
    assert all(1 <= seq <= thing.seq for seq in seqs)
    assert sorted(outcome.index for outcome in page.outcomes) == thing.indexes(DONE, FAILED)
    for outcome in page.outcomes:
        piece = thing.pieces[outcome.index]
        piece.seq = piece.seq or outcome.seq
        failed = piece.state is FAILED
        told = (outcome.seq, outcome.output or b"", outcome.reason, outcome.attempts)
        assert told == (piece.seq, piece.output, piece.reason, piece.used if failed else 0)
        assert (outcome.output is None) == failed


def same_end(report: ResourceReport, thing: Thing) -> None:
    if thing.state is State.OPEN:
        assert (report.completed_by, report.closed_at) == (None, None)
    else:
        assert (report.completed_by, report.closed_at) == (thing.ended_by, thing.closed_at)
    assert sorted(shown.endpoint for shown in report.deliveries) == sorted(thing.posts)
    for shown in report.deliveries:
        same_delivery(shown, thing)


def same_delivery(shown: DeliveryReport, thing: Thing) -> None:
    post = thing.posts[shown.endpoint]
    state = DeliveryState.DUE if shown.state is DeliveryState.LEASED else shown.state
    assert (state, shown.attempts, shown.webhook_id) == (post.state, post.attempts, thing.webhook_id)
