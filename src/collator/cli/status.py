"""`collator status`: whether a service takes packets, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from types import MappingProxyType
from typing import Any

import click

from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.phrases import sized
from collator.cli.service_call import ask, json_option, print_answer
from collator.cli.table import aligned
from collator.messages import Replication
from collator.settings import Scope, Settings
from collator.text import counted

_REPLICATED = MappingProxyType(
    {
        Replication.ASYNCHRONOUS: "so a failover may lose the last commits",
        Replication.SYNCHRONOUS: "so a failover loses nothing",
    }
)
_COLUMNS = 80
_NAME = 24
"""Characters of the name of a node."""


@command(
    Scope.CLIENT,
    short="Show whether a service accepts packets, and what it stores.",
    examples=(
        ("Is it ready, and how much work is waiting?", "collator status"),
        (
            "With another service, which requires a token",
            "collator status --url http://10.0.0.5:8000 --token-file token",
        ),
        ("For monitoring: does anything need attention?", "collator status --check >/dev/null || mail -s collator me"),
        ("In a script: wait until it accepts packets", "until collator status >/dev/null; do sleep 1; done"),
    ),
)
@click.option("--check", is_flag=True, help="Exit with 12 where something needs the attention of a person.")
@json_option
def status(*, settings: Settings, check: bool, as_json: bool) -> Exit:
    """Say whether a service takes packets, why not where it does not, how much it holds, and what needs attention.

    The exit code is 0 only if it takes packets. With --check it is 12 if it does, and any of this is so: an endpoint is
    paused, or was removed from the configuration while something is due to it; the breaker of a receiver is open; a
    delivery is still due 5 minutes after its resource ended, as when its receiver refuses everything; a delivery was
    given up; calls of the processor failed within the last 10 minutes; a Celery worker is in trouble; one of several
    databases is away.
    """
    answer = ask(settings, lambda client: client.status())
    print_answer(answer, describe(settings.service_url, answer), as_json=as_json)
    if not answer["ready"]:
        return Exit.UNREACHABLE
    return Exit.ATTENTION if check and needs_attention(answer) else Exit.OK


def needs_attention(answer: Mapping[str, Any]) -> bool:
    """Return whether *answer* tells of anything that a person has to look at. Pure."""
    stored, durability = answer["stored"], answer.get("durability") or {}  # a service of before does not say
    troubled = any(worker["trouble"] for worker in answer.get("workers", ()))
    told = answer.get("attention") or answer.get("failing") or durability.get("away") or troubled
    return bool(told or stored is None or stored["dead"])


def describe(url: str, answer: Mapping[str, Any]) -> Iterator[str]:
    """The lines that tell a person what *answer* says of the service at *url*. Pure."""
    yield f"{url}  {'ready' if answer['ready'] else 'NOT READY'}  (version {answer['version']})"
    yield from (f"  {reason}" for reason in answer["reasons"])
    for failing in answer.get("failing", ()):  # a service of before does not say
        when = "" if failing["due_in"] is None else f", next attempt in {failing['due_in']:.0f} s"
        packet = f"{failing['resource_id']} {failing['index']} at {failing['last_at']}{when}"
        yield f"  failed      {failing['times']} x {failing['reason']}; the last: {packet}"
    durability = answer.get("durability") or {}  # a service of before does not say
    for away in durability.get("away", ()):
        yield from wrap(away, _COLUMNS, initial_indent="  away        ", subsequent_indent=" " * 14)
    for risk in durability.get("risks", ()):
        yield from wrap(risk, _COLUMNS, initial_indent="  at risk     ", subsequent_indent=" " * 14)
    stored = answer["stored"]
    if stored is None:
        yield "  store       cannot be read at the moment"
        return
    ended = ", ".join(f"{stored[state]} {state}" for state in ("collated", "incomplete", "cancelled"))
    gone = f", {stored['remembered']} deleted, ids remembered" if stored["remembered"] else ""
    yield f"  resources   {stored['open']} open, {ended}{gone}"
    yield f"  packets     {stored['waiting']} to be processed, {sized(stored['backlog'])}"
    yield f"  webhooks    {stored['due']} to be delivered, {stored['dead']} given up"
    if "under_way" in answer:  # a service of before does not say
        working = answer["under_way"]
        packets, webhooks = counted(working["packets"], "packet"), counted(working["deliveries"], "webhook")
        yield f"  under way   {packets} being processed, {webhooks} being sent"
    for endpoint in answer.get("attention", ()):  # a service of before does not say
        told = [*_attention(endpoint)] or endpoint["causes"]
        line = f"{endpoint['endpoint']}: {'; '.join(told)}"
        yield from wrap(line, _COLUMNS, initial_indent="  attention   ", subsequent_indent=" " * 14)
    yield from _shared(answer)
    yield from _elsewhere(answer)


def _attention(endpoint: Mapping[str, Any]) -> Iterator[str]:
    """The reasons why an *endpoint* needs attention, in words behind its name."""
    if endpoint["why_not_sent"]:
        yield endpoint["why_not_sent"]
    for kind, words, oldest in (("due", "due", "oldest_due"), ("dead", "given up", "oldest_dead")):
        if endpoint[kind]:
            delivery = endpoint[oldest]
            number = f"{endpoint[kind]}{' or more' if endpoint[f'{kind}_more'] else ''} {words}"
            tried = f" after {counted(delivery['attempts'], 'attempt')}" if delivery["attempts"] else ""
            reason = f" ({delivery['reason']})" if delivery["reason"] else ""
            yield f"{number}, the oldest since {delivery['created_at'][:16]}Z{tried}{reason}"


def _shared(answer: Mapping[str, Any]) -> Iterator[str]:
    """The other nodes, and the servers that have its commits: nothing where it is of one process alone."""
    durability = answer.get("durability")  # a service of before does not say
    if durability and durability["replication"] != Replication.NONE:
        known = _REPLICATED.get(durability["replication"])  # a service of later may have another kind
        yield f"  replication {durability['replication']}" + (f", {known}" if known else "")
        standbys = durability["standbys"]
        yield from (f"    {line}" for line in map(_standby, standbys))
        if durability["replication"] == Replication.SYNCHRONOUS and not standbys:
            yield "    no standby is connected: commits wait for one"
    nodes = answer.get("nodes", ())
    if len(nodes) > 1:
        yield f"  nodes       {len(nodes)}"
        heads = ("id", "name", "version", "since", "beat", "leased")
        yield from (f"    {line}" for line in aligned(heads, map(_node, nodes)))


def _elsewhere(answer: Mapping[str, Any]) -> Iterator[str]:
    """The Celery workers: nothing where there are none."""
    workers = answer.get("workers", ())  # a service of before does not say
    if workers:
        yield f"  workers     {len(workers)}"
        heads = ("name", "pool", "version", "beat", "calls", "packets")
        yield from (f"    {line}" for line in aligned(heads, map(_worker, workers)))
    for worker in workers:
        if worker["trouble"]:
            trouble = f"{worker['name']}: {worker['trouble']}"
            yield from wrap(trouble, _COLUMNS, initial_indent="    ", subsequent_indent="      ")


def _worker(worker: Mapping[str, Any]) -> Sequence[object]:
    beat = f"{worker['beat']:.0f} s"
    name = _shortened(worker["name"])
    return (name, worker["pool"] or "?", worker["version"] or "?", beat, worker["calls"], worker["packets"])


def _standby(standby: Mapping[str, Any]) -> str:
    behind = "" if standby["lag_bytes"] is None else f", {sized(standby['lag_bytes'])} behind"
    late = f" ({standby['lag_seconds']:.1f} s)" if standby["lag_seconds"] else ""
    return f"{standby['name'] or 'a standby'}  {standby['sync'] or 'grant pg_monitor to see more'}{behind}{late}"


def _node(node: Mapping[str, Any]) -> Sequence[object]:
    number = f"{node['id']}*" if node["here"] else f"{node['id']}"
    return (
        number,
        _shortened(node["name"]),
        node["version"],
        f"{node['since'][:16]}Z",
        f"{node['beat']:.0f} s",
        node["leased"],
    )


def _shortened(name: str) -> str:
    """*name*, or its beginning and its end: the process id of a node, the host of a worker."""
    return name if len(name) <= _NAME else f"{name[: _NAME // 2]}…{name[1 - _NAME // 2 :]}"
