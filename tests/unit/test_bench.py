"""What the bench compares and computes, without a process."""

from __future__ import annotations

import argparse
import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from bench import job
from bench.arguments import add_scale, parse_scale
from bench.comparison import lines, plot
from bench.figures import LIGHT, ONE, POST, RATIOS, STREAM, THOUSAND, WIDE, YARDSTICKS, rows
from bench.messages import size, status
from bench.processes import Helper, ServiceProcess
from bench.quantiles import buckets, interpolated, quantile, since
from bench.runs import _JOBS, Scale, Stage
from bench.shapes import SHAPES, USUAL, Shape

# The job.


def test_each_run_has_packets_of_its_own_unless_a_seed_says_which() -> None:
    parser = argparse.ArgumentParser()
    add_scale(parser)
    new = [parse_scale(parser, parser.parse_args([])).seed for _ in range(20)]
    assert len({*new}) > 1
    assert parse_scale(parser, parser.parse_args(["--seed", "7"])).seed == 7


def test_a_load_holds_every_packet_once_and_its_end() -> None:
    load = job.load(7, 60, 5)
    packets = [json.loads(packet) for packet in load.packets]
    assert len({(packet["resource_id"], packet["index"]) for packet in packets}) == len(packets) == 300
    assert {packet["payload"] for packet in packets} == {job.PAYLOAD}
    assert {packet["index"] for packet in packets if packet.get("last")} == {4}
    assert load.packets != sorted(load.packets)
    assert set(map(str, load.outputs.values())) == {str([[3, 5, 5, 3, 5, 4, 3, 4, 3]] * 5)}
    assert job.load(7, 60, 5) == load


def test_requests_say_their_length() -> None:
    load = job.load(1, 2, 2)
    assert [size(request) for request in load.requests()] == [len(request) for request in load.requests()]
    assert size(load.stream()) == len(load.stream())
    assert load.stream().count(b"\n", load.stream().index(b"\r\n\r\n") + 4) == 4


def test_bodies_that_are_right_have_no_fault() -> None:
    load = job.load(1, 3, 2, payload=None)
    assert [*job.faults(load, [_body(load, name) for name in load.outputs])] == []


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda bodies: bodies[1:], "1 of 3 webhooks did not come"),
        (lambda bodies: [*bodies, bodies[0]], "1 webhooks came more than once"),
        (lambda bodies: [bodies[0].replace(b'"total": 2', b'"total": 3'), *bodies[1:]], "1 bodies are not"),
        (lambda bodies: [bodies[0].replace(b".collated", b".incomplete"), *bodies[1:]], "1 bodies are not"),
        (lambda bodies: [bodies[0].replace(b"run-", b"ran-"), *bodies[1:]], "1 bodies are not"),
        (lambda bodies: [bodies[0][:-1], *bodies[1:]], "1 bodies are not"),
    ],
)
def test_every_body_is_looked_at(spoil: Callable[[list[bytes]], list[bytes]], fault: str) -> None:
    load = job.load(1, 3, 2, payload=None)
    found = [*job.faults(load, spoil([_body(load, name) for name in load.outputs]))]
    assert [one for one in found if fault in one], found


def test_outputs_in_another_order_are_a_fault() -> None:
    load = job.load(1, 1, 20, payload=None)
    (name,) = load.outputs
    turned = load._replace(outputs={name: load.outputs[name][::-1]})
    assert "1 bodies" in "".join(job.faults(load, [_body(turned, name)]))


def _body(load: job.Load, name: str) -> bytes:
    data: dict[str, Any] = {"resource_id": name, "completed_by": "last", "total": len(load.outputs[name])}
    data |= {"metadata": {}, "outputs": load.outputs[name]}
    return json.dumps({"type": "resource.collated", "timestamp": "2026-11-24T02:05:00.123456Z", "data": data}).encode()


# Shapes.


def test_a_shape_grows_and_shrinks_with_the_run() -> None:
    assert SHAPES[WIDE].scaled(USUAL) == SHAPES[WIDE] == Shape(3000, 20, at_once=3000)
    assert SHAPES[ONE].scaled(2 * USUAL) == Shape(40_000, 1)
    assert SHAPES[THOUSAND].scaled(USUAL // 600) == Shape(1, 100)
    assert SHAPES[WIDE].scaled(1) == Shape(1, 1, at_once=3000)


# Comparisons.


def test_a_comparison_takes_the_median_of_the_ratios_of_the_runs() -> None:
    runs = [
        {POST: ({"packets_per_second": 30.0}, {"packets_per_second": 10.0})},
        {POST: ({"packets_per_second": 40.0, "service_us_per_packet": 2e-6}, {"packets_per_second": 40.0})},
        {POST: ({"packets_per_second": 10.0}, {"packets_per_second": 5.0}), LIGHT: ({}, {"ack_p50_ms": 1.0})},
    ]
    (line,) = lines(runs)
    assert (line.part, line.figure.name, line.medians, line.ratio) == (POST, "packets_per_second", (30.0, 10.0), 2.0)
    assert plot(("this", "other"), [line]).count(">2.00<") == 1


# Ends.


@pytest.mark.parametrize("part", [POST, STREAM])
async def test_a_run_that_is_cut_off_before_it_sends_leaves_no_coroutine_behind(part: str, tmp_path: Path) -> None:
    class Gone:
        port = 1

        async def metrics(self) -> str:
            raise KeyError("cut off")

    scale = Scale(1, 1, 1, seed=1, timeout=1.0, directory=tmp_path, changed={})
    with pytest.raises(KeyError, match="cut off"):
        await _JOBS[part](Stage(cast("ServiceProcess", Gone()), cast("Helper", None), scale))
    gc.collect()  # what was never awaited complains here, and that fails the test


# Answers.


def test_the_size_of_a_message_is_known_once_its_head_is_there() -> None:
    answer = b"HTTP/1.1 202 Accepted\r\nContent-Length: 3\r\nx: y\r\n\r\nabc"
    assert [size(answer[:end]) for end in (0, 30, len(answer) - 4)] == [None, None, None]
    assert (size(answer[:-3]), size(answer + b"HTTP"), status(answer)) == (len(answer), len(answer), 202)
    with pytest.raises(ValueError, match="content-length"):
        size(b"HTTP/1.1 200 OK\r\n\r\n")


# Quantiles.


def test_a_quantile_is_a_value_that_was_measured() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7.0], 0.99)) == (51.0, 100.0, 7.0)


def test_quantiles_of_a_histogram_are_interpolated_within_their_bucket() -> None:
    registry = CollectorRegistry()
    histogram = Histogram("waits_seconds", "w", buckets=(1, 2, 4), registry=registry)
    histogram.observe(0.5)
    before = buckets(generate_latest(registry).decode(), "waits_seconds")
    assert before == {1.0: 1.0, 2.0: 1.0, 4.0: 1.0, float("inf"): 1.0}
    for value in (1.5, 1.5, 3.0, 3.0):
        histogram.observe(value)
    counts = since(before, buckets(generate_latest(registry).decode(), "waits_seconds"))
    assert [interpolated(counts, share) for share in (0.25, 0.5, 0.75)] == [1.5, 2.0, 3.0]
    assert interpolated(since(counts, counts), 0.5) is None
    assert interpolated({1.0: 0.0, float("inf"): 2.0}, 0.5) == 1.0


# Rows.


def test_rows_are_in_their_units_and_ratios_run_by_run() -> None:
    runs = [
        {POST: {"packets_per_second": 10.0}, YARDSTICKS: {"bare_per_second": 40.0, "sync_p50_us": 0.001}},
        {POST: {"packets_per_second": 30.0}, YARDSTICKS: {"bare_per_second": 30.0, "sync_p50_us": 0.002}},
        {POST: {}, STREAM: {"packets_per_second": 60.0}, LIGHT: {"ack_p50_ms": 0.001}},
    ]
    found = {(row.part, row.figure.name): row for row in rows(runs)}
    assert found[POST, "packets_per_second"].values == [10.0, 30.0]
    assert found[POST, "packets_per_second"].median == 20.0
    assert found[YARDSTICKS, "sync_p50_us"].values == [1000.0, 2000.0]
    assert found[LIGHT, "ack_p50_ms"].values == [1.0]
    assert found[RATIOS, "post_to_bare"].values == [0.25, 1.0]
    assert (RATIOS, "stream_to_post") not in found
