"""`collator status`: whether a service takes packets, and what it holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import wrap
from types import MappingProxyType
from typing import Any

from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.phrases import sized
from collator.cli.service_call import ask, json_option, print_answer
from collator.cli.table import aligned
from collator.messages import Replication
from collator.settings import Scope, Settings

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
        ("In a script: wait until it accepts packets", "until collator status >/dev/null; do sleep 1; done"),
    ),
)
@json_option
def status(*, settings: Settings, as_json: bool) -> Exit:
    """Say whether a service takes packets, why not where it does not, and how much it holds.

    The exit code is 0 only if it takes packets.
    """
    answer = ask(settings, lambda client: client.status())
    print_answer(answer, describe(settings.service_url, answer), as_json=as_json)
    return Exit.OK if answer["ready"] else Exit.UNREACHABLE


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
    if answer.get("paused"):  # a service of before does not say
        yield f"  paused      {', '.join(answer['paused'])}: nothing is sent until collator endpoints resume"
    yield from _shared(answer)
    yield from _elsewhere(answer)


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
