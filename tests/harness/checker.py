"""THE CHECKER: what must hold of any history, whatever was done to the service meanwhile.

It knows nothing of the service but its promises. `complaints` gives a sentence for each one that was broken:

I1 what was acknowledged is in a webhook that was taken, as an output or as a failure with its reason
I2 outputs are in index order and complete
I3 nothing is delivered that was not sent, and every output is that of its packet
I4 one id and one body a resource, on every attempt, signed
I8 enough went well: a run in which every request failed proves nothing

(I5 and I6 look into the store: `tests.harness.store`. I7, the time to recover, is the deadline of who waits for it.)
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from tests.harness.history import History, Packet
from tests.harness.sink import Webhook

KILLER = "the process died 3 times while this packet was processed"

Bodies = Sequence[tuple[Webhook, Mapping[str, Any]]]


def complaints(history: History, webhooks: Sequence[Webhook], *, at_least: int) -> list[str]:
    """Every promise that was broken in *history*, of which at least *at_least* packets were to be acknowledged."""
    bodies = [(webhook, json.loads(webhook.body)) for webhook in webhooks]
    return [
        *history.contradictions,
        *(f"I1 {key} had been acknowledged and was then taken as new" for key in sorted(history.lost)),
        *_missing(history, bodies),
        *chain.from_iterable(_content(history, body) for _, body in bodies),
        *_repeats(bodies),
        *_too_little(history, at_least),
    ]


def _missing(history: History, bodies: Bodies) -> Iterator[str]:
    told = set()
    for webhook, body in bodies:
        if webhook.taken:
            resource_id = body["data"]["resource_id"]
            told |= {(resource_id, index) for index, _ in outputs(body)}
            told |= {(resource_id, failure["index"]) for failure in failures(body) if failure["reason"]}
    yield from (f"I1 {key} was acknowledged and is in no webhook" for key in sorted(history.acked - told))


def _content(history: History, body: Mapping[str, Any]) -> Iterator[str]:
    data = body["data"]
    resource_id = data["resource_id"]
    sent = {packet.index: packet for (id_, _), packet in history.sent.items() if id_ == resource_id}
    if not sent:
        yield f"I3 {resource_id} was delivered and never sent"
        return
    known = {index for index, _ in outputs(body)} | {failure["index"] for failure in failures(body)}
    yield from (f"I3 index {index} of {resource_id} was delivered and never sent" for index in sorted(known - {*sent}))
    yield from _wrong_outputs(resource_id, body, sent)
    yield from _wrong_order(resource_id, body)
    yield from _wrong_extent(resource_id, body, sent)


def _wrong_outputs(resource_id: str, body: Mapping[str, Any], sent: Mapping[int, Packet]) -> Iterator[str]:
    for index, output in outputs(body):
        if index in sent and output != sent[index].output:
            yield f"I2 the output of index {index} of {resource_id} is not that of its packet"


def _wrong_order(resource_id: str, body: Mapping[str, Any]) -> Iterator[str]:
    indexes = [index for index, _ in outputs(body)]
    if indexes != sorted(set(indexes)):
        yield f"I2 the outputs of {resource_id} are not in index order"


def _wrong_extent(resource_id: str, body: Mapping[str, Any], sent: Mapping[int, Packet]) -> Iterator[str]:
    """A collated body has all packets up to the total; an incomplete one says of each what became of it."""
    data = body["data"]
    total = max(sent) + 1
    if body["type"] == "resource.collated":
        if data["total"] != total or len(data["outputs"]) != total:
            yield f"I2 {resource_id} has {len(data['outputs'])} outputs and total {data['total']} instead of {total}"
        return
    named = [index for index, _ in outputs(body)] + [failure["index"] for failure in data["failed"]]
    named += chain.from_iterable(range(a, b + 1) for a, b in (*data["missing"], *data["unfinished"]))
    if sorted(named) != list(range(total)):
        yield f"I2 {resource_id} does not say exactly once of each index what became of it"


def _repeats(bodies: Bodies) -> Iterator[str]:
    ids, variants = defaultdict(set), defaultdict(set)
    for webhook, body in bodies:
        ids[body["data"]["resource_id"]].add(webhook.id)
        variants[webhook.id].add(webhook.body)
        if webhook.problem:
            yield f"I4 {webhook.id} of {body['data']['resource_id']} is not signed: {webhook.problem}"
    yield from (f"I4 {resource_id} has {len(found)} ids" for resource_id, found in ids.items() if len(found) > 1)
    yield from (f"I4 {id_} has {len(found)} bodies" for id_, found in variants.items() if len(found) > 1)


def _too_little(history: History, at_least: int) -> Iterable[str]:
    if len(history.acked) < at_least:
        yield f"I8 {len(history.acked)} packets were acknowledged, {at_least} should have been: {history.answers}"


def innocents(webhooks: Sequence[Webhook]) -> int:
    """How many packets failed as they were in work at three deaths, in a run in which no packet was to blame.

    A service cannot know who kills it. At most one packet at a time can have that bad luck, since after the first
    death it is in work alone: half as many as there were deaths. Fails where a packet failed for any other reason.
    """
    found = [failure for webhook in webhooks if webhook.taken for failure in failures(json.loads(webhook.body))]
    assert all(failure["reason"] == KILLER for failure in found), found
    return len(found)


def outputs(body: Mapping[str, Any]) -> list[tuple[int, Any]]:
    """The outputs of a webhook's body by index, whole or partial."""
    data = body["data"]
    if body["type"] == "resource.collated":
        return list(enumerate(data["outputs"]))
    return [(item["index"], item["output"]) for item in data["partial"]]


def failures(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """The failed packets in a webhook's body."""
    found: Sequence[Mapping[str, Any]] = body["data"].get("failed", ())
    return found
