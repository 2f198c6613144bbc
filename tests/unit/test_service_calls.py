"""What the end of a call to a service means for its packet, in a time that the test makes (R27)."""

from __future__ import annotations

from structlog.testing import capture_logs

from collator.messages import Failure, Key, Lease, Output, Result, Retry, Task
from collator.processor import CallEnding, Cause, EndedCall, HttpService, OutcomeFactory, Sign
from collator.workers.loops import Loops
from collator.workers.service_calls import ServiceCalls

REFUSED = CallEnding(Cause.SERVICE, Sign.OVERLOADED, "HTTP 503: busy", after=900.0, status=503)
BUSY = CallEnding(Cause.SERVICE, Sign.OVERLOADED, "HTTP 503: busy", status=503)
AWAY = CallEnding(Cause.SERVICE, Sign.AWAY, "connection refused")
BROKEN = CallEnding(Cause.SERVICE, Sign.BROKEN, "connection reset by peer")
ANSWERED = CallEnding(Cause.OUTPUT, Sign.ANSWERED, output=b"1", status=200)


def service_calls(*, retries: int = 3) -> ServiceCalls:
    outcomes = OutcomeFactory(retries=retries, patience=600.0)
    return ServiceCalls(outcomes, "http://127.0.0.1:9/", ceiling=8)


def task(index: int) -> Task:
    return Task(Key("r", bytes(16), index), b"1", 1, Lease(1, 1))


def ended(calls: ServiceCalls, index: int, ending: CallEnding, now: float = 0.0) -> Result:
    """What becomes of a packet whose call has ended like this."""
    result: Result = Output(Lease(1, 1), b"1") if ending.output else Failure(Lease(1, 1), ending.reason)
    call = EndedCall(ending, result)
    calls.hear(calls.begin(), call, now)
    return calls.judge(task(index), call, now)


def test_a_packet_has_failed_after_patience_and_more_refusals_than_retries() -> None:
    calls = service_calls(retries=2)
    results = [ended(calls, 0, REFUSED, now) for now in (0.0, 700.0, 800.0)]
    assert [type(result) for result in results] == [Retry, Retry, Failure]
    assert isinstance(results[-1], Failure)
    assert results[-1].reason == "HTTP 503: busy; so for more than 600 s (processor_patience)"


def test_a_service_may_ask_to_be_left_alone_for_as_long_as_packets_wait() -> None:
    calls = service_calls()
    ended(calls, 0, REFUSED)
    assert (calls.may_begin(599.0), calls.may_begin(600.0)) == (False, True)


def test_only_an_answer_speaks_against_a_packet_that_breaks_its_connection() -> None:
    unsent = CallEnding(Cause.PACKET, Sign.UNSENT, "no text", final=True)
    late = CallEnding(Cause.PACKET, Sign.NOTHING, "timed out")
    for ending, counted in (unsent, False), (late, False), (ANSWERED, True):
        calls = service_calls()
        ended(calls, 0, BROKEN)
        ended(calls, 1, ending)
        result = ended(calls, 0, BROKEN)
        assert isinstance(result, Retry)
        assert result.counted is counted


def test_a_probe_is_told_no_more_than_the_status() -> None:
    calls = service_calls()
    ended(calls, 0, REFUSED)
    assert (
        calls.health(0.0)
        == "the processor http://127.0.0.1:9/ takes no packets: HTTP 503; the next call is made in 600 s"
    )


def test_a_call_that_is_given_up_holds_no_place() -> None:
    calls = service_calls()
    tickets = [calls.begin() for _ in range(8)]
    assert not calls.may_begin(0.0)
    calls.give_up(tickets[0], 0.0)
    assert calls.may_begin(0.0)


def test_no_more_is_claimed_than_the_service_takes() -> None:
    processor, service = HttpService("http://127.0.0.1:9/"), service_calls()
    pool = Loops(processor, tell=lambda: None, concurrency=8, max_abandoned=8, window=100, judge=service)
    assert pool.width() == 16
    call = EndedCall(REFUSED, Failure(Lease(1, 1), ""))
    service.hear(service.begin(), call, 0.0)
    assert pool.width() == 2


def test_a_service_that_is_there_again_and_refuses_does_not_take_packets_again() -> None:
    calls = service_calls()
    with capture_logs() as lines:
        for index, (ending, now) in enumerate([(AWAY, 0.0), (BUSY, 10.0), (AWAY, 20.0), (ANSWERED, 30.0)]):
            ended(calls, index, ending, now)
    assert [line["event"] for line in lines] == [
        "the processor takes no packets; they wait",
        "the processor did not take a packet, which waits",
        "the processor takes packets again",
    ]
    assert lines[-1]["after_seconds"] == 30.0
