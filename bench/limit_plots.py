"""The limit of calls against services that are modelled, in a time that is made: figures, and plots of some. Pure.

    python -m bench.limit_plots DIRECTORY     writes the plots that docs/decisions/032 shows

The same numbers come out on every machine: there is no clock, and chance has a seed.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from collator.processor import Sign
from collator.workers.call_limit import CallLimit

AWAY = -1
"""The service takes no connection."""
REFUSAL = 0.002
"""Seconds until a call is refused."""
LATE = 5.0
"""Seconds from which on refusals are counted."""
_LONGEST = 3600.0


class Model(NamedTuple):
    """A service, and what it is given."""

    takes: Sequence[tuple[float, int]]
    """How many calls it takes at a time, each number from a time on; `AWAY`."""
    ceiling: int
    """`--concurrency`."""
    packets: int
    call: float
    """Seconds of a call."""
    spread: float = 0.0
    """The share of that by which a call may take less or more."""
    retry_after: float = 0.0
    """Seconds for which a refusal asks to be left alone."""

    def most(self, now: float) -> int:
        """How many calls it takes at *now*."""
        return next(most for since, most in reversed(self.takes) if since <= now)


class Run(NamedTuple):
    """How it fared."""

    used: float
    """The share of what it could take that it took."""
    refused: float
    """The share of calls after the first five seconds that it refused."""
    seconds: float
    limits: Sequence[tuple[float, int]]
    """The limit, from each time on at which it changed."""
    refusals: Sequence[float]
    """When a call was refused, or had no connection."""


class _Call(NamedTuple):
    ends: float
    number: int
    generation: int
    sign: Sign


class _Simulation:
    """A run under way."""

    def __init__(self, model: Model, seed: int) -> None:
        self.now = 0.0
        self.left = model.packets
        self.limits: list[tuple[float, int]] = []
        self.refusals: list[float] = []
        self.used = self.possible = 0.0
        self.late = 0
        self._model = model
        self._random = Random(seed)
        self._calls: list[_Call] = []
        self._limit = CallLimit(model.ceiling, longest=_LONGEST)
        self._taken = self._number = 0

    def step(self) -> None:
        """Begin what may begin, and go on to the next end of a call, or of a pause."""
        most = self._model.most(self.now)
        while len(self._calls) < self.left and self._limit.capacity(self.now):
            self._begin(most)
        until = self._calls[0].ends if self._calls else self.now + self._limit.wait(self.now)
        self.used += min(self._taken, max(most, 0)) * (until - self.now)
        self.possible += max(most, 0) * (until - self.now)
        self.now = until
        if self._calls:
            self._end(heapq.heappop(self._calls))
        if not self.limits or self.limits[-1][1] != self._limit.limit:
            self.limits.append((self.now, self._limit.limit))

    def _begin(self, most: int) -> None:
        self._number += 1
        seconds, sign = REFUSAL, Sign.AWAY if most == AWAY else Sign.OVERLOADED
        if self._taken < most:
            self._taken += 1
            spread, sign = self._model.spread, Sign.ANSWERED
            seconds = self._model.call * self._random.uniform(1.0 - spread, 1.0 + spread)
        heapq.heappush(self._calls, _Call(self.now + seconds, self._number, self._limit.begin(), sign))

    def _end(self, call: _Call) -> None:
        answered = call.sign is Sign.ANSWERED
        self._taken -= answered
        self.left -= answered
        self.late += self.now > LATE
        if not answered:
            self.refusals.append(self.now)
        after = 0.0 if answered else self._model.retry_after
        self._limit.end(call.generation, call.sign, self.now, reason=call.sign, after=after)


def simulate(model: Model, *, seed: int = 1) -> Run:
    """Give the service of *model* its packets, one after the other as fast as the limit lets."""
    run = _Simulation(model, seed)
    while run.left:
        run.step()
    late = sum(one > LATE for one in run.refusals)
    return Run(run.used / run.possible, late / max(1, run.late), run.now, run.limits, run.refusals)


PLOTS: Mapping[str, Model] = {
    "a service that takes 8 calls of 0.2 s; the ceiling is 20": Model([(0.0, 8)], 20, 1200, 0.2, 0.2),
    "8 calls, after 10 s 2, after 25 s 16; the ceiling is 64": Model(
        [(0.0, 8), (10.0, 2), (25.0, 16)], 64, 1600, 0.2, 0.2
    ),
    "8 calls, away from 5 s to 13 s; the ceiling is 16": Model([(0.0, 8), (5.0, AWAY), (13.0, 8)], 16, 900, 0.2, 0.2),
    "2 calls of 1 s; a refusal asks for 2 s of rest; the ceiling is 8": Model([(0.0, 2)], 8, 50, 1.0, 0.2, 2.0),
}
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640.0, 180.0, 34.0, 26.0, 24.0
_TICKS = (1, 2, 5, 10, 20, 50, 100)
_MOST_TICKS = 8


class _Scale(NamedTuple):
    """From seconds and calls to places in a plot."""

    seconds: float
    calls: int

    def x(self, seconds: float) -> str:
        """The place of *seconds*."""
        return f"{_LEFT + min(seconds / self.seconds, 1.0) * (_WIDTH - _LEFT - 6.0):.1f}"

    def y(self, calls: float) -> str:
        """The place of *calls*."""
        return f"{_TOP + (1.0 - max(calls, 0.0) / self.calls) * (_HEIGHT - _TOP - _BOTTOM):.1f}"


def plot(title: str, model: Model) -> str:
    """The run of *model* as SVG: what the service takes (grey), the limit (blue), and refused calls (red)."""
    run = simulate(model)
    scale = _Scale(run.seconds, max([*(most for _, most in model.takes), *(limit for _, limit in run.limits)]) + 1)
    low = scale.y(0)
    box = f"0 0 {_WIDTH:.0f} {_HEIGHT:.0f}"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{box}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<text x="{_LEFT:.0f}" y="16">{title}</text>',
        *_axes(scale),
        f'<path d="{_steps(scale, model.takes)}L{scale.x(run.seconds)} {low}L{scale.x(0.0)} {low}Z" fill="#ddd"/>',
        *(f'<path d="M{scale.x(at)} {low}v6" stroke="#d22"/>' for at in run.refusals),
        f'<path d="{_steps(scale, run.limits)}" fill="none" stroke="#15c" stroke-width="1.3"/>',
        "</svg>",
    ]
    return "\n".join([*lines, ""])


def _axes(scale: _Scale) -> Iterator[str]:
    for calls in range(0, scale.calls + 1, _step(scale.calls)):
        y = scale.y(calls)
        yield f'<path d="M{_LEFT:.0f} {y}H{_WIDTH - 6.0:.0f}" stroke="#eee"/>'
        yield f'<text x="{_LEFT - 5.0:.0f}" y="{float(y) + 4.0:.1f}" text-anchor="end">{calls}</text>'
    for seconds in range(0, int(scale.seconds) + 1, _step(scale.seconds)):
        yield f'<text x="{scale.x(seconds)}" y="{_HEIGHT - 5.0:.0f}" text-anchor="middle">{seconds} s</text>'


def _step(most: float) -> int:
    return next(tick for tick in _TICKS if most / tick <= _MOST_TICKS)


def _steps(scale: _Scale, values: Sequence[tuple[float, int]]) -> str:
    """A line that goes on level from each of *values* to the next."""
    first, *others = values
    path = f"M{scale.x(0.0)} {scale.y(first[1])}"
    for at, value in others:
        path += f"H{scale.x(at)}V{scale.y(value)}"
    return path + f"H{scale.x(scale.seconds)}"


def files() -> dict[str, str]:
    """The plots by the names of their files."""
    return {f"032-limit-{number}.svg": plot(title, model) for number, (title, model) in enumerate(PLOTS.items(), 1)}


if __name__ == "__main__":
    for name, text in files().items():
        Path(sys.argv[1], name).write_text(text, encoding="utf-8")
