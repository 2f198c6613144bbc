"""All runs of all parts, in turn, so that what disturbs a machine for a while disturbs every part alike.

A run of a part: a fresh service with an empty store, a check that warms it up, and the job itself.

A run that cannot be finished, or whose webhooks are not right, gives no figures but the reason.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import msgspec

from bench import job, live_load, retention, sender, yardsticks
from bench.celery_workers import Broker, broker, worker
from bench.figures import HUNDREDTH, LIGHT, LIVE, POST, PURGE, STREAM, TENTH, YARDSTICKS, Samples
from bench.processes import Helper, ServiceProcess, helper, service
from bench.quantiles import Buckets, buckets, interpolated, quantile, since
from bench.receiver import Webhook
from bench.shapes import SHAPES, Shape
from bench.usage import Meter, peak_memory, profiled
from bench.waiting import CALLS, SECONDS
from collator.errors import CollatorError
from collator.signals import cancel_on_stop

WARM_UP = 50
"""Resources with payloads of their own, before each run."""
LIGHT_RESOURCES = 200
CALLS_SECONDS = 8.0
"""Of a run with calls that take long."""
_WARM_PACKETS, _WARM_CONNECTIONS = 20, 8
_SHARES = {"p50": 0.5, "p99": 0.99}
_SEND = "collator_completion_to_send_seconds"
_decode = msgspec.json.Decoder(list[Webhook]).decode


class Scale(NamedTuple):
    """The size of a measurement, and its place."""

    resources: int
    packets: int
    connections: int
    seed: int
    timeout: float
    """Seconds for one run of one part."""
    directory: Path
    """Where the stores are, each in a directory of its own."""
    changed: Mapping[str, str]
    """Settings of the service that differ from their defaults, by name."""
    profiles: Path | None = None
    """Where profiles of the service go."""
    source: Path | None = None
    """The ``src`` of the checkout whose service is measured; `None` for this one."""
    python: str = sys.executable
    """What runs the service."""
    readers: int = live_load.READERS
    """Beside a stream."""
    senders: int = live_load.SENDERS
    between: Broker | None = None
    """The broker between the service and a Celery worker; `None` for the workers of the service."""


class Stage(NamedTuple):
    """The processes of one job."""

    service: ServiceProcess
    receiver: Helper
    scale: Scale
    others: Mapping[str, int] = {}
    """The ids of the worker and of the broker, if they are processes of their own."""


Outcome = tuple[Samples, list[str]]
"""What a job measured, and what went wrong."""


class Result(NamedTuple):
    """The results of one run of one part."""

    samples: Samples
    faults: list[str]
    """What went wrong, a line each; nothing where all webhooks are right."""
    troubles: list[str] = []  # noqa: RUF012 - never changed
    """What the service warned of."""


async def measure(part: str, scale: Scale, run: int) -> Result:
    """Run *part* once, with ids of its own: a ledger on PostgreSQL has those of the parts before."""
    seed = scale.seed + 2 * (run * len(_JOBS) + [*_JOBS, part].index(part))  # two for each: `_warm_up` has one too
    scale = scale._replace(seed=seed)
    with TemporaryDirectory(prefix="collator-bench-", dir=scale.directory) as name:
        directory = Path(name)
        if part == YARDSTICKS:
            return await _yardsticks(scale, directory)
        async with helper("receiver") as receiver:
            result = await _served(part, scale, directory, receiver, run)
            late = await _webhooks(receiver, 0)
    extra = [f"{len(late)} webhooks came that nobody was waiting for"] if late and not result.faults else []
    return result._replace(faults=result.faults + extra)


async def _served(part: str, scale: Scale, directory: Path, receiver: Helper, run: int) -> Result:
    webhook = f"http://127.0.0.1:{receiver.port}/"
    called = {"processor": f"bench.waiting:{part}"} if part in SECONDS else {}
    async with AsyncExitStack() as stack:
        if (between := scale.between) is None:
            settings, others = {**called, **({"concurrency": str(CALLS)} if called else {})}, {}
        else:
            options = ("-P", "threads", "-c", str(CALLS)) if called else ("-P", "solo")
            pid = await stack.enter_async_context(worker(between, directory, called, options, scale.source))
            settings, others = {"workers": "celery", "broker": between.url}, {"worker": pid, "broker": between.pid}
        if part == LIVE:
            settings |= live_load.settings(scale.readers, scale.senders)
        if part == PURGE:
            settings["retention"] = f"{retention.kept(scale.resources * scale.packets):g}"
        child = await stack.enter_async_context(
            service(directory, webhook, {**settings, **scale.changed}, scale.source, scale.python)
        )
        stage = Stage(child, receiver, scale, others)
        samples, faults = await _within(stage, _warm_up)
        if not faults:
            async with profiled(scale.profiles, f"{part}-{run}", child.pid):
                samples, faults = await _within(stage, _JOBS[part])
        return Result({} if faults else samples, faults, child.troubles)


async def _within(stage: Stage, work: Callable[[Stage], Coroutine[Any, Any, Outcome]]) -> Outcome:
    """Return what *work* gives, or why it gives nothing."""
    try:
        async with asyncio.timeout(stage.scale.timeout):
            return await stage.service.unless_ended(work(stage))
    except TimeoutError:
        there = await _webhooks(stage.receiver, 0)
        return {}, [f"not done within {stage.scale.timeout:g} s; {len(there)} webhooks had come"]
    except CollatorError as error:
        return {}, [error.detail]
    except OSError as error:
        return {}, [f"the service cannot be reached: {error}"]


async def _warm_up(stage: Stage) -> Outcome:
    """Half of the packets one by one, half as a stream, each with a payload of its own: order is verified."""
    load = job.load(stage.scale.seed + 1, WARM_UP, _WARM_PACKETS, payload=None)
    half = len(load.packets) // 2
    single, streamed = load._replace(packets=load.packets[:half]), load._replace(packets=load.packets[half:])
    stage.receiver.order(str(WARM_UP))
    sent = await sender.post(stage.service.port, single.requests(), connections=_WARM_CONNECTIONS)
    await sender.stream(stage.service.port, streamed.stream(), len(streamed.packets))
    return {}, [
        *sent.faults(),
        *job.faults(load, _bodies(await _answered(stage.receiver))),
    ]


async def _post(stage: Stage) -> Outcome:
    load = _load(stage.scale)
    requests, connections = load.requests(), stage.scale.connections
    send = partial(sender.post, stage.service.port, requests, connections=connections)
    samples, faults, sent = await _under_load(stage, load, send)
    return {**samples, **_acks(sent.delays)}, faults


async def _stream(part: str, stage: Stage) -> Outcome:
    load = _load(stage.scale, part)
    send = partial(sender.stream, stage.service.port, load.stream(), len(load.packets))
    samples, faults, sent = await _under_load(stage, load, send)
    return {**samples, "acked_per_second": len(load.packets) / (sent.ended - sent.started)}, faults


async def _under_load(
    stage: Stage, load: job.Load, send: Callable[[], Coroutine[Any, Any, sender.Sent]]
) -> tuple[Samples, list[str], sender.Sent]:
    before = await _completions(stage)
    stage.receiver.order(str(len(load.outputs)))
    pids = {"service": stage.service.pid, "receiver": stage.receiver.pid, **stage.others}
    meter = Meter(pids)
    sent = await send()  # made here, where it is awaited: what comes before may be interrupted
    webhooks = await _answered(stage.receiver)
    cores = meter.cores()
    seconds = max(webhook.at for webhook in webhooks) - sent.started
    samples = {
        "packets_per_second": len(load.packets) / seconds,
        **_quantiles(since(before, await _completions(stage))),
        **_used(stage, cores, len(load.packets) / meter.seconds),
    }
    return samples, [*sent.faults(), *job.faults(load, _bodies(webhooks))], sent


async def _light(stage: Stage) -> Outcome:
    """Each packet when the one before is acknowledged, each resource when the one before is delivered."""
    scale = stage.scale
    load = job.load(scale.seed, min(scale.resources, LIGHT_RESOURCES), scale.packets, at_once=1)
    requests = load.requests()
    before = await _completions(stage)
    delays: list[float] = []
    reaching: list[float] = []
    bodies: list[bytes] = []
    for start in range(0, len(requests), scale.packets):
        stage.receiver.order("1")
        sent = await sender.post(stage.service.port, requests[start : start + scale.packets], connections=1)
        (webhook,) = await _answered(stage.receiver)
        delays += sent.delays
        reaching.append(webhook.at - sent.ended)
        bodies.append(webhook.body.encode())
    samples = {**_acks(delays), **_quantiles(since(before, await _completions(stage)))}
    samples |= {f"ack_to_webhook_{name}_ms": quantile(reaching, share) for name, share in _SHARES.items()}
    return samples, [*job.faults(load, bodies)]


async def _calls(part: str, stage: Stage) -> Outcome:
    """So many packets that the calls take `CALLS_SECONDS` at best."""
    seconds, scale = SECONDS[part], stage.scale
    resources = int(CALLS_SECONDS * CALLS / seconds / scale.packets)
    load = job.load(scale.seed, resources, scale.packets)
    send = partial(sender.stream, stage.service.port, load.stream(), len(load.packets))
    samples, faults, _ = await _under_load(stage, load, send)
    return {**samples, "busy": samples["packets_per_second"] * seconds / CALLS}, faults


async def _purge(stage: Stage) -> Outcome:
    samples, faults = await _stream(PURGE, stage)
    packets = len(_load(stage.scale, PURGE).packets) + WARM_UP * _WARM_PACKETS
    return {**samples, **await retention.purged(stage.service, packets)}, faults


async def _live(stage: Stage) -> Outcome:
    scale = stage.scale
    async with live_load.live_load(stage.service, scale.readers, scale.senders) as load:
        samples, faults = await _stream(LIVE, stage._replace(others={**stage.others, "clients": load.pid}))
        live, missing = await load.end()
    if missing:
        return {}, faults + missing
    used = {}
    if samples.get("service_us_per_packet"):
        streamed = samples["service_cores"] / samples["service_us_per_packet"]
        used = {"service_us_per_packet": samples["service_cores"] / (streamed + live["live_per_second"])}
    return {**samples, **live, **used}, faults


_JOBS: Mapping[str, Callable[[Stage], Coroutine[Any, Any, Outcome]]] = {
    POST: _post,
    **{part: partial(_stream, part) for part in (STREAM, *SHAPES)},
    PURGE: _purge,
    LIVE: _live,
    LIGHT: _light,
    TENTH: partial(_calls, TENTH),
    HUNDREDTH: partial(_calls, HUNDREDTH),
}


async def _yardsticks(scale: Scale, directory: Path) -> Result:
    load = _load(scale)
    try:
        async with asyncio.timeout(scale.timeout):
            bare = await yardsticks.bare(load.requests(), connections=scale.connections)
            return Result({**await yardsticks.sync(directory), **yardsticks.decode(load.packets), **bare}, [])
    except TimeoutError:
        return Result({}, [f"not done within {scale.timeout:g} s"])


def _load(scale: Scale, part: str = "") -> job.Load:
    shape = _shape(scale, part)
    return job.load(scale.seed, shape.resources, shape.packets, at_once=shape.at_once)


def _shape(scale: Scale, part: str) -> Shape:
    usual = Shape(scale.resources, scale.packets)
    return SHAPES[part].scaled(scale.resources * scale.packets) if part in SHAPES else usual


def _acks(delays: Sequence[float]) -> Samples:
    return {f"ack_{name}_ms": quantile(delays, share) for name, share in _SHARES.items()}


def _quantiles(counts: Buckets) -> Samples:
    found = {name: interpolated(counts, share) for name, share in _SHARES.items()}
    return {f"completion_to_send_{name}_ms": value for name, value in found.items() if value is not None}


def _used(stage: Stage, cores: Mapping[str, float], packets_per_second: float) -> Samples:
    memory = peak_memory(stage.service.pid)
    used = {f"{name}_cores": value for name, value in cores.items()}
    used |= {f"{name}_us_per_packet": cores[name] / packets_per_second for name in ("service", *stage.others) if cores}
    return used | ({} if memory is None else {"service_peak_mib": memory})


async def _completions(stage: Stage) -> Buckets:
    return buckets(await stage.service.metrics(), _SEND)


async def _webhooks(receiver: Helper, count: int) -> list[Webhook]:
    """The webhooks that are there once there are *count*."""
    receiver.order(str(count))
    return await _answered(receiver)


async def _answered(receiver: Helper) -> list[Webhook]:
    return _decode(await receiver.answer())


def _bodies(webhooks: Sequence[Webhook]) -> list[bytes]:
    return [webhook.body.encode() for webhook in webhooks]


class Session:
    """The runs, and what they gave."""

    def __init__(
        self, scale: Scale, *, parts: Sequence[str], runs: int, broker: str | None, tell: Callable[[str], None]
    ) -> None:
        """Measure *parts*, *runs* times each; *tell* gets a line after each.

        With a *broker* the processor is called by a Celery worker.
        """
        self.samples: list[Mapping[str, Samples]] = []
        """For each run what its parts measured."""
        self.faults: list[str] = []
        self._scale = scale
        self._parts = parts
        self._runs = runs
        self._broker = broker
        self._tell = tell

    async def run(self) -> None:
        """Measure everything. SIGTERM ends it as Ctrl-C does, so that no child outlives it."""
        cancel_on_stop()
        with broker(self._broker) as between:
            self._scale = self._scale._replace(between=between)
            for number in range(1, self._runs + 1):
                self.samples.append({part: await self._measure(part, number) for part in self._parts})

    async def _measure(self, part: str, number: int) -> Samples:
        result = await measure(part, self._scale, number)
        where = f"{part}, run {number} of {self._runs}"
        self.faults += [f"{where}: {fault}" for fault in result.faults]
        self._tell(f"{where}: {words(result)}")
        return result.samples


def words(result: Result) -> str:
    """Return *result* in a line."""
    packets = result.samples.get("packets_per_second")
    said = f"{packets:,.0f} packets/s" if packets else "done"
    words = [*result.faults] or [said]
    return "; ".join(words + [f"the service warned: {trouble}" for trouble in result.troubles[:1]])
