"""Endings, the limit of calls and refused packets put together, against a service that does anything at any time.

Time is made by the test. What each answer means is said here once more, in a table of its own, so that the two are
compared (R27, R28, R29).
"""

from __future__ import annotations

from collections import Counter, deque
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from collator.egress import Answer, NoAnswer
from collator.messages import Failure, Key, Lease, Output, Retry, Task
from collator.processor import Cause, EndedCall, HttpService, OutcomeFactory
from collator.processor.endings import of_answer
from collator.testing import ManualClock
from collator.workers.service_calls import ServiceCalls

CEILING, RETRIES, PATIENCE, PACKETS = 5, 2, 100.0, 8
ASKED, LONG = 7.0, 86_400.0
"""Seconds for which a service asks to be left alone: less, and more, than its packets wait."""

OUTPUT, PACKET, FINAL, SERVICE, CONFIGURATION, BROKEN = (
    "output",
    "packet",
    "final",
    "service",
    "configuration",
    "broken",
)

ANSWERS: dict[str, tuple[Answer | NoAnswer, str]] = {
    "200": (Answer(200, body=b'"fine"', media="application/json"), OUTPUT),
    "200 text": (Answer(200, body=b"fine", media="text/plain"), OUTPUT),
    "200 page": (Answer(200, body=b"<p>", media="text/html"), PACKET),
    "200 stream": (Answer(200, body=b"data: 1", media="text/event-stream"), PACKET),
    "200 no JSON": (Answer(200, body=b"{", media="application/json"), PACKET),
    "500": (Answer(500), PACKET),
    "timeout": (NoAnswer("timed out after 60 s"), PACKET),
    "422": (Answer(422), FINAL),
    "409": (Answer(409), FINAL),
    "429": (Answer(429), SERVICE),
    "429, later": (Answer(429, retry_after=f"{ASKED:g}"), SERVICE),
    "503": (Answer(503), SERVICE),
    "503, much later": (Answer(503, retry_after=f"{LONG:g}"), SERVICE),
    "504": (Answer(504), SERVICE),
    "away": (NoAnswer("connection refused", reached=False), SERVICE),
    "shortage": (NoAnswer("too many open files", own_shortage=True), SERVICE),
    "broken": (NoAnswer("the connection was closed", broken=True), BROKEN),
    "404": (Answer(404), CONFIGURATION),
    "401": (Answer(401), CONFIGURATION),
    "302": (Answer(302, location="https://elsewhere.example/"), CONFIGURATION),
    "TLS": (NoAnswer("certificate expired", settings=True), CONFIGURATION),
}
COUNTED = {OUTPUT: Cause.OUTPUT, FINAL: Cause.PACKET, PACKET: Cause.PACKET, CONFIGURATION: Cause.CONFIGURATION}
"""What the metrics say of an answer; `SERVICE` of all others."""


class Call(NamedTuple):
    """A call under way."""

    ticket: int
    task: Task
    second: bool = False
    """It is a hedge, beside another one for the same task."""


class Known(NamedTuple):
    """What the test knows of a packet that was refused."""

    since: float
    times: int
    answers: int
    """How many calls had been answered when it was refused the last time."""


class ServiceMachine(RuleBasedStateMachine):
    """Packets, each in one place: waiting, under way, or done."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.counted: Counter[Cause] = Counter()
        outcomes = OutcomeFactory(retries=RETRIES, patience=PATIENCE, clock=self.clock)
        address = "http://127.0.0.1:9/"
        self.service = HttpService(address, outcomes)
        self.calls = ServiceCalls(outcomes, address, ceiling=CEILING, note=lambda cause: self.counted.update([cause]))
        tasks = [Task(Key("r", b"g" * 16, index), b"1", 1, Lease(index, 1)) for index in range(PACKETS)]
        self.waiting = deque((0.0, task) for task in tasks)
        self.under_way: list[Call] = []
        self.done: dict[int, Output | Failure] = {}
        self.refused: dict[int, Known] = {}
        self.answered = self.ended = 0
        self.asked_until = 0.0

    @property
    def now(self) -> float:
        return self.service.outcomes.running()

    def may_begin(self) -> bool:
        return self.calls.may_begin(self.now)

    @precondition(lambda self: self.waiting and self.may_begin())
    @rule()
    def begin(self) -> None:
        assert self.now >= self.asked_until
        due, task = self.waiting.popleft()
        if due > self.now:
            self.waiting.append((due, task))
        else:
            self.under_way.append(Call(self.calls.begin(), task))

    @precondition(lambda self: self.under_way and self.may_begin() and not self.calls.troubled)
    @rule(pick=st.integers(0, 99))
    def hedge(self, pick: int) -> None:
        call = self.under_way[pick % len(self.under_way)]
        if not call.second and sum(other.task is call.task for other in self.under_way) == 1:
            self.under_way.append(Call(self.calls.begin(), call.task, second=True))

    @precondition(lambda self: self.under_way)
    @rule(pick=st.integers(0, 99), what=st.sampled_from([*ANSWERS]))
    def end(self, pick: int, what: str) -> None:
        call = self.under_way.pop(pick % len(self.under_way))
        answer, means = ANSWERS[what]
        heard = call.ticket == self.calls._limit._generation
        ended = self._ended(call.task, answer)
        self.calls.hear(call.ticket, ended, self.now)
        self.ended += 1
        if heard and isinstance(answer, Answer) and answer.retry_after:
            self.asked_until = max(self.asked_until, self.now + min(float(answer.retry_after), PATIENCE))
        other = next((one for one in self.under_way if one.task is call.task), None)
        if other is not None and means != OUTPUT:
            return  # the other call decides
        if other is not None:
            self.under_way.remove(other)
            self.calls.give_up(other.ticket, self.now)
        self._judge(call.task, ended, means)

    def _ended(self, task: Task, answer: Answer | NoAnswer) -> EndedCall:
        return self.service._ended(task, of_answer(answer, size=1, max_output=99, wall=0.0))

    def _judge(self, task: Task, ended: EndedCall, means: str) -> None:
        result: Any = self.calls.judge(task, ended, self.now)
        assert result.lease == task.lease
        if means in {OUTPUT, FINAL, PACKET}:
            assert isinstance(result, {OUTPUT: Output, FINAL: Failure}.get(means, Retry | Failure))
            self.answered += ended.ending.reason != "timed out after 60 s"
            if ended.ending.reason != "timed out after 60 s":
                self.refused.pop(task.key.index, None)
        else:
            self._refused(task, result, means)
        if isinstance(result, Retry):
            assert result.counted == (task.attempt < self._attempt_after(task, result))
            self.waiting.append((self.now + result.delay, self._again(task, result)))
        else:
            assert isinstance(result, Output) or task.attempt <= RETRIES + 1
            assert task.key.index not in self.done
            self.done[task.key.index] = result

    def _refused(self, task: Task, result: Retry | Failure, means: str) -> None:
        """A packet that was not taken: uncounted, unless it breaks connections while others are answered."""
        index = task.key.index
        known = self.refused.get(index, Known(self.now, 0, self.answered))
        alone = known.answers != self.answered
        known = self.refused[index] = known._replace(times=known.times + 1, answers=self.answered)
        over = self.now - known.since >= PATIENCE and known.times > RETRIES
        if over:
            assert isinstance(result, Failure)
            assert "processor_patience" in result.reason
            del self.refused[index]
        elif means == BROKEN and alone:
            assert isinstance(result, Failure) or result.counted
        else:
            assert isinstance(result, Retry)
            assert (result.counted, result.delay > 0.0) == (False, alone)

    def _attempt_after(self, task: Task, result: Retry) -> int:
        return task.attempt + result.counted

    def _again(self, task: Task, result: Retry) -> Task:
        return Task(task.key, task.payload, self._attempt_after(task, result), task.lease)

    @rule(seconds=st.sampled_from([0.1, 1.0, 31.0, 150.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def every_packet_is_in_one_place(self) -> None:
        places = [task.key.index for _, task in self.waiting] + [*self.done]
        places += [call.task.key.index for call in self.under_way if not call.second or self._alone(call)]
        assert sorted(places) == [*range(PACKETS)]

    def _alone(self, call: Call) -> bool:
        return not any(other.task is call.task and not other.second for other in self.under_way)

    @invariant()
    def the_service_is_asked_within_its_limit(self) -> None:
        limit = self.calls._limit
        counted = sum(call.ticket == limit._generation for call in self.under_way)
        assert counted == limit._under_way <= CEILING
        assert 1 <= self.calls.limit <= CEILING
        assert not (limit._opened and counted > 1)

    @invariant()
    def what_is_wrong_is_said(self) -> None:
        words = self.calls.health(self.now)
        assert (words is None) == (not self.calls.troubled)
        assert words is None or "takes no packets" in words

    @invariant()
    def every_end_is_counted_once(self) -> None:
        assert self.counted.total() == self.ended

    def teardown(self) -> None:
        """Whatever has happened: once the service answers, every packet is done, and the limit is the ceiling again."""
        fine = ANSWERS["200"][0]
        for _ in range(3000):
            while self.under_way:
                call = self.under_way.pop()
                ended = self._ended(call.task, fine)
                self.calls.hear(call.ticket, ended, self.now)
                self.done.setdefault(call.task.key.index, self._output(call.task, ended))
            if len(self.done) == PACKETS:
                break
            self.clock.advance(0.05)
            for _ in range(len(self.waiting)):
                due, task = self.waiting.popleft()
                if due <= self.now and self.may_begin():
                    self.under_way.append(Call(self.calls.begin(), task))
                else:
                    self.waiting.append((due, task))
        else:
            pytest.fail("a packet is lost")
        assert self.calls.health(self.now) is None or not self.ended

    def _output(self, task: Task, ended: EndedCall) -> Output:
        result = self.calls.judge(task, ended, self.now)
        assert isinstance(result, Output)
        return result


ServiceMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestServiceMachine = ServiceMachine.TestCase


@pytest.mark.parametrize("what", ANSWERS)
def test_every_answer_has_the_cause_of_the_table(what: str) -> None:
    machine = ServiceMachine()
    machine.begin()
    machine.end(0, what)
    assert machine.counted == {COUNTED.get(ANSWERS[what][1], Cause.SERVICE): 1}
