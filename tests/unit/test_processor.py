"""The user's code may do anything; each way of ending is one result of one attempt (design §5)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import math
import re
import sys
import sysconfig
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from time import thread_time
from typing import Any
from uuid import UUID

import anyio.lowlevel
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import ConfigError, Permanent, ProcessorFailed
from collator.messages import Failure, Key, Lease, Output, Result, Retry, Task
from collator.processor import (
    BatchFailed,
    Context,
    Coroutine,
    Function,
    HttpService,
    OutcomeFactory,
    open_processor,
    outputs,
    word_lengths,
)
from collator.processor.function import one
from collator.processor.outcomes import MAX_REASON, reason_of
from collator.processor.outputs import to_json
from collator.testing import ManualClock

LIMIT = 1024 * 1024
WORD_LENGTHS = "collator.processor:word_lengths"


def task(payload: object = "a payload", *, attempt: int = 1) -> Task:
    return Task(Key("call-17", b"g" * 16, 4), msgspec.json.encode(payload), attempt, Lease(9, 9))


def attempt(function: Callable[..., object], *, number: int = 1, **options: Any) -> Result:  # noqa: ANN401 - those of Endings
    return Function(function, OutcomeFactory(**options)).attempt(task(attempt=number))


def opened(spec: str, outcomes: OutcomeFactory | None = None) -> Function:
    processor = open_processor(spec, outcomes)
    assert isinstance(processor, Function)
    return processor


def raising(error: BaseException) -> Callable[[object], object]:
    def function(_payload: object) -> object:
        raise error

    return function


RAISED = f"tests/unit/test_processor.py, line {raising.__code__.co_firstlineno + 2}, in raising.function"
"""Where `raising` raises, as reasons have it."""


class FailedFor:
    """Equal to the final failure of the packet for *reason*."""

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Failure) and (other.lease, other.reason) == (Lease(9, 9), self.reason)

    __hash__ = None  # type: ignore[assignment]


def returning(value: object) -> Callable[[object], object]:
    return lambda _payload: value


def refusal(value: object) -> str:
    with pytest.raises(ProcessorFailed) as caught:
        to_json(value, LIMIT)
    return caught.value.detail


# An attempt that gives an output.


def test_the_example_of_the_brief_gives_the_length_of_each_word() -> None:
    processor = opened(WORD_LENGTHS, OutcomeFactory(clock=ManualClock(monotonic=7.5)))
    assert processor.attempt(task("the quick  brown fox")) == Output(Lease(9, 9), b"[3,5,5,3]", 7.5)


@pytest.mark.parametrize("payload", [None, 7, ["a"], {"text": "a"}])
def test_word_lengths_fails_for_good_on_what_is_not_text(payload: object) -> None:
    assert opened(WORD_LENGTHS).attempt(task(payload)) == FailedFor("the payload is not text")
    assert word_lengths("") == []


@pytest.mark.parametrize("payload", [None, True, 3, -2.5, "ä", [1, [2]], {"a": {"b": None}}])
def test_the_payload_arrives_as_plain_values(payload: object) -> None:
    result = Function(lambda value: [value]).attempt(task(payload))
    assert isinstance(result, Output)
    assert msgspec.json.decode(result.output) == [payload]


SLOW_NUMBERS = [b"1e308", b"1.7976931348623157e+308", b"-1E-310", b"4.9e-324", b"17976931348623157" + b"0" * 292]


@pytest.mark.parametrize("number", SLOW_NUMBERS)
def test_the_payload_costs_about_the_same_whatever_its_numbers_are(number: bytes) -> None:
    payload = b"[%b]" % b",".join([number] * (500_000 // len(number)))
    began = thread_time()
    expected = json.loads(payload)
    usual = thread_time() - began
    given: list[tuple[float, Any]] = []
    call = one(lambda value: given.append((thread_time(), value)))
    began = thread_time()
    call(msgspec.structs.replace(task(), payload=payload))
    assert given[0][1] == expected
    assert given[0][0] - began < 4 * usual + 0.01


def test_an_output_is_known_when_the_call_has_ended() -> None:
    clock = ManualClock(monotonic=10.0)
    result = attempt(lambda _payload: clock.advance(2.5), clock=clock)
    assert result == Output(Lease(9, 9), b"null", 12.5)


def test_a_function_that_asks_for_the_context_gets_it() -> None:
    def function(payload: object, *, context: Context) -> object:
        return [payload, context.resource_id, context.index, context.attempt]

    assert Function(function, OutcomeFactory(clock=ManualClock(monotonic=1.0))).attempt(task(attempt=3)) == Output(
        Lease(9, 9), b'["a payload","call-17",4,3]', 1.0
    )


def test_a_function_without_a_signature_is_called_with_the_payload_alone() -> None:
    result = attempt(dict.fromkeys)
    assert isinstance(result, Output)
    assert msgspec.json.decode(result.output) == dict.fromkeys("a payload")


@dataclasses.dataclass
class Word:
    text: str
    score: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 11, 24, 2, 5, tzinfo=UTC), b'"2026-11-24T02:05:00Z"'),
        (date(2026, 11, 24), b'"2026-11-24"'),
        (UUID(int=1), b'"00000000-0000-0000-0000-000000000001"'),
        (Decimal("1.10"), b'"1.10"'),
        ((1, 2), b"[1,2]"),
        (Word("a", 0.5), b'{"text":"a","score":0.5}'),
        ({1: None}, b'{"1":null}'),
        ({"a": (None, Word("b", 1.0))}, b'{"a":[null,{"text":"b","score":1.0}]}'),
        (msgspec.Raw(b"[null]"), b"[null]"),
        (b"ab", b'"YWI="'),
        ("null", b'"null"'),
    ],
)
def test_an_output_is_what_msgspec_makes_of_it(value: object, expected: bytes) -> None:
    assert to_json(value, LIMIT) == expected


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values)
def test_every_json_value_is_an_output(value: object) -> None:
    assert msgspec.json.decode(to_json(value, LIMIT)) == _lists(value)


def _lists(value: object) -> object:
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value


# Outputs that cannot be used.


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [lambda x: x, lambda x: [1, x], lambda x: {"a": (None, x)}, lambda x: Word("a", x)])
def test_what_msgspec_would_turn_into_null_is_refused(number: float, place: Callable[[float], object]) -> None:
    assert refusal(place(number)) == "output: not JSON: JSON has no NaN and no infinity"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (object(), "not JSON: Encoding objects of type object is unsupported"),
        ({(1, 2): 3}, "not JSON: Only dicts with"),
        (msgspec.Raw(b"[1"), "not JSON: Input data was truncated"),
        (msgspec.Raw(b'"\xff"'), "output: not valid UTF-8 (byte 1)"),
        (["\ud800"], "half of a surrogate pair, which UTF-8 cannot encode"),
        ({"\udfff": 1}, "half of a surrogate pair"),
        ([10**5000], "not JSON: Exceeds the limit"),
    ],
)
def test_an_output_that_is_not_json_fails_with_words(value: object, words: str) -> None:
    assert words in refusal(value)


def test_an_output_that_holds_itself_fails_with_words() -> None:
    loop: list[object] = []
    loop.append(loop)
    assert refusal(loop) == "output: nested deeper than 128 levels"


@pytest.mark.parametrize("made", [json.loads, lambda text: msgspec.Raw(text.encode())], ids=["a value", "ready-made"])
def test_an_output_may_be_nested_as_deep_as_a_payload(made: Callable[[str], object]) -> None:
    assert to_json(made("[" * 128 + "]" * 128), LIMIT) == b"[" * 128 + b"]" * 128
    assert refusal(made("[" * 129 + "]" * 129)) == "output: nested deeper than 128 levels"


@pytest.mark.parametrize("value", [[1, 10**4400], [1, msgspec.Raw(b"[1")]])
def test_an_array_that_begins_with_a_number_is_looked_at(value: object) -> None:
    assert refusal(value).startswith("output: ")


def test_r19_an_output_may_have_max_output_bytes_and_no_more() -> None:
    assert isinstance(attempt(returning("x" * 8), max_output=10), Output)
    result = attempt(returning("x" * 9), max_output=10)
    assert isinstance(result, Retry)
    assert result.reason == "output: 11 bytes, more than 10 (max_output)"


@pytest.mark.parametrize("value", [math.nan, object(), "\ud800"])
def test_an_output_that_cannot_be_used_is_a_failed_attempt(value: object) -> None:
    assert isinstance(attempt(returning(value)), Retry)
    assert isinstance(attempt(returning(value), number=4), Failure)


@pytest.mark.parametrize(
    "value",
    [
        "x" * 210,
        b"x" * 210,
        [0] * 110,
        [[1] * 110],
        {"a": {"b": "x" * 210}},
        ["x", ("y" * 210,)],
        {"a": ["x"] * 120},
    ],
)
def test_an_output_that_cannot_fit_is_not_encoded(value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would hold the interpreter lock, for 100 MB of text a third of a second, and every other thread with it."""
    monkeypatch.setattr(outputs, "_encode", pytest.fail)
    with pytest.raises(ProcessorFailed, match="output: much larger than max_output"):
        to_json(value, 200)


@given(json_values)
def test_whatever_fits_is_encoded(value: object) -> None:
    size = len(to_json(value, LIMIT))
    assert len(to_json(value, size)) == size
    with pytest.raises(ProcessorFailed, match="output: "):
        to_json(value, size - 1)


# Batches.


def test_a_batch_function_gets_a_list_and_gives_one_of_the_same_length() -> None:
    results = Function(lambda payloads: [one.upper() for one in payloads]).attempt_all([task("a"), task("b")])
    assert isinstance(results, list)
    assert [result.output for result in results if isinstance(result, Output)] == [b'"A"', b'"B"']


def test_a_batch_function_that_asks_for_the_context_gets_one_for_each() -> None:
    def function(payloads: list[object], context: list[Context]) -> object:
        return [[payload, one.resource_id, one.index] for payload, one in zip(payloads, context, strict=True)]

    results = Function(function).attempt_all([task("a"), task("b")])
    assert isinstance(results, list)
    assert [result.output for result in results if isinstance(result, Output)] == [
        b'["a","call-17",4]',
        b'["b","call-17",4]',
    ]


def test_one_output_of_a_batch_that_cannot_be_used_fails_its_packet_alone() -> None:
    results = Function(lambda _payloads: [1, object()]).attempt_all([task(), task()])
    assert isinstance(results, list)
    assert [type(result) for result in results] == [Output, Retry]


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (raising(ValueError("bad")), f"ValueError in {RAISED}"),
        (raising(Permanent("no")), f"Permanent in {RAISED}"),
        (returning([1]), "output: a list of 1; expected a list of 2, one output for each payload of the batch"),
        (returning([1, 2, 3]), "output: a list of 3; expected a list of 2, one output for each payload of the batch"),
        (returning("ab"), "output: str; expected a list of 2, one output for each payload of the batch"),
        (returning(None), "output: NoneType; expected a list of 2, one output for each payload of the batch"),
    ],
)
def test_a_batch_that_fails_as_a_whole_is_no_attempt_of_anybody(
    function: Callable[[object], object], reason: str
) -> None:
    failed = Function(function).attempt_all([task(), task()])
    assert isinstance(failed, BatchFailed)
    assert failed.kind == reason


def test_a_batch_of_one_that_fails_is_an_attempt() -> None:
    assert Function(raising(Permanent("no"))).attempt_all([task()]) == [FailedFor("no")]  # type: ignore[comparison-overlap]


# Coroutine functions.


async def test_a_coroutine_function_is_awaited_with_the_same_endings() -> None:
    async def function(payload: str, *, context: Context) -> object:
        await anyio.lowlevel.checkpoint()
        if payload == "bad":
            raise Permanent("no sound in it")
        return [payload, context.index]

    async with Coroutine(function).calls() as make:
        good, bad = await make([task("good")]), await make([task("bad")])
    assert isinstance(good, list)
    assert isinstance(good[0], Output)
    assert good[0].output == b'["good",4]'
    assert bad == [FailedFor("no sound in it")]  # type: ignore[comparison-overlap]


async def test_a_value_that_breaks_when_it_is_looked_at_is_a_failed_attempt() -> None:
    @dataclasses.dataclass(eq=False)
    class Odd:
        nothing: None = None  # as it may stand for a number without a word in JSON, it is compared

        def __eq__(self, other: object) -> bool:
            raise KeyError("odd")

        __hash__ = None  # type: ignore[assignment]

    async def function(_payload: object) -> object:
        return Odd()

    async def batch(payloads: list[object]) -> object:
        return [Odd() for _ in payloads]

    assert isinstance(attempt(returning(Odd())), Retry)
    async with Coroutine(function, OutcomeFactory(retries=0)).calls() as one, Coroutine(batch, batch=2).calls() as many:
        (failed,) = await one([task()])  # type: ignore[misc]
        assert isinstance(failed, Failure)
        assert re.fullmatch(
            r"KeyError: 'odd' \(tests/unit/test_processor.py, line \d+, in .*Odd.__eq__\)", failed.reason
        )
        assert getattr(await many([task(), task()]), "kind", "").startswith("KeyError in tests/unit/test_processor.py")


@pytest.mark.parametrize("error", [asyncio.CancelledError(), SystemExit(1), KeyboardInterrupt()])
async def test_nothing_that_is_raised_leaves_a_coroutine(error: BaseException) -> None:
    async def function(_payload: object) -> object:
        raise error

    async with Coroutine(function).calls() as one, Coroutine(function, batch=2).calls() as many:
        assert isinstance(await one([task()]), list)
        assert isinstance(await many([task(), task()]), BatchFailed)


# Attempts that fail.


def test_failed_attempts_are_repeated_after_growing_delays_until_they_are_used_up() -> None:
    results = [attempt(raising(ValueError("bad")), number=number, retries=3) for number in (1, 2, 3, 4, 5)]
    delays = [result.delay for result in results if isinstance(result, Retry)]
    assert len(delays) == 3
    for delay, least in zip(delays, (1.0, 2.0, 4.0), strict=True):
        assert least <= delay <= 1.5 * least
    assert results[3:] == [FailedFor(f"ValueError: bad ({RAISED})")] * 2


def test_without_retries_the_first_failure_is_final() -> None:
    assert attempt(raising(ValueError("bad")), retries=0) == FailedFor(f"ValueError: bad ({RAISED})")


def test_delays_stay_finite_however_many_retries_there_are() -> None:
    result = attempt(raising(ValueError()), number=100_000, retries=1_000_000)
    assert isinstance(result, Retry)
    assert math.isfinite(result.delay)


def test_permanent_ends_the_attempts_at_once() -> None:
    assert attempt(raising(Permanent("no sound in it"))) == FailedFor("no sound in it")


@pytest.mark.parametrize(
    ("asked", "least"),
    [
        (float("inf"), 86_400),
        (1e300, 86_400),
        pytest.param(10**400, 1, id="huge"),
        (float("nan"), 1),
        (-5.0, 1),
        ("soon", 1),
    ],
)
def test_whatever_an_error_asks_for_the_packet_is_tried_again_within_a_day(asked: object, least: float) -> None:
    result = attempt(raising(ProcessorFailed("busy", retry_after=asked)))  # type: ignore[arg-type]
    assert isinstance(result, Retry)
    assert least <= result.delay <= least * 1.1


def test_the_processor_may_say_when_to_come_back() -> None:
    result = attempt(raising(ProcessorFailed("busy", retry_after=120.0)))
    assert isinstance(result, Retry)
    assert result.reason == "busy"
    assert result.delay >= 120.0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SystemExit(3), "SystemExit: 3"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit"),
        (RecursionError("deep"), "RecursionError: deep"),
        (MemoryError(), "MemoryError"),
        (BaseExceptionGroup("two", [SystemExit(1)]), "SystemExit: 1"),
    ],
)
def test_nothing_that_is_raised_leaves_the_attempt(error: BaseException, reason: str) -> None:
    result = attempt(raising(error))
    assert isinstance(result, Retry)
    assert result.reason == f"{reason} ({RAISED})"


def test_a_payload_that_does_not_fit_the_function_is_a_failed_attempt() -> None:
    result = attempt(lambda: None)
    assert isinstance(result, Retry)
    assert result.reason.startswith("TypeError: ")


def test_a_call_that_is_out_of_time_is_a_failed_attempt() -> None:
    outcomes = OutcomeFactory(timeout=2.5, retries=1)
    result = outcomes.timed_out(task())
    assert isinstance(result, Retry)
    assert result.reason == "timed out after 2.5 s"
    assert outcomes.timed_out(task(attempt=2)) == FailedFor("timed out after 2.5 s")


# Reasons.


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("two\nlines\tand a tab"), "ValueError: two lines and a tab"),
        (ValueError("\x1b[31mred\x00"), "ValueError: [31mred"),
        (ValueError("half \ud800 pair"), "ValueError: half pair"),
        (ValueError(), "ValueError"),
        (KeyError("a"), "KeyError: 'a'"),
        (Permanent(), "The processor said that no further attempt can succeed, and did not say why."),
    ],
)
def test_a_reason_is_one_readable_line(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


@pytest.mark.parametrize("kind", [Exception, BaseException])
def test_an_error_that_cannot_say_what_it_is_still_has_a_reason(kind: type[BaseException]) -> None:
    class Rude(kind):  # type: ignore[misc,valid-type]
        def __str__(self) -> str:
            raise self

    assert reason_of(Rude()) == "Rude: (its text cannot be read)"


@given(st.text(alphabet=st.characters()) | st.text().map(lambda text: text * 1000))
def test_every_reason_is_short_printable_text_that_utf_8_can_hold(text: str) -> None:
    reason = reason_of(ValueError(text))
    assert len(reason) <= MAX_REASON
    assert reason.isprintable()
    reason.encode()


# The kinds of processor.


def test_a_function_is_called_according_to_its_kind(here: Path) -> None:
    (here / "kinds.py").write_text(
        "from functools import partial\n"
        "def plain(payload): return 1\n"
        "async def later(payload): return 1\n"
        "class Model:\n"
        "    async def __call__(self, payload): return 1\n"
        "    def run(self, payload): return 1\n"
        "model = Model()\n"
        "half = partial(later)\n"
    )
    kinds = {name: type(open_processor(f"kinds:{name}")) for name in ("plain", "later", "model", "half", "model.run")}
    assert kinds == {
        "plain": Function,
        "later": Coroutine,
        "model": Coroutine,
        "half": Coroutine,
        "model.run": Function,
    }
    assert isinstance(open_processor("https://example.org/ocr"), HttpService)


def test_a_program_may_give_the_function_itself() -> None:
    assert isinstance(open_processor(len), Function)
    with pytest.raises(ConfigError, match="processor 7 is not a function but a value of type int"):
        open_processor(7)  # type: ignore[arg-type]


def test_a_process_wants_the_name_of_the_function() -> None:
    with pytest.raises(ConfigError, match="a process imports the processor; give its name as MODULE:FUNCTION"):
        open_processor(len, pool="process")


def test_memory_is_a_matter_of_processes() -> None:
    with pytest.raises(ConfigError, match="pool_memory: only processes can be limited; add --pool process"):
        open_processor(WORD_LENGTHS, memory=1024**3)


# Finding the function.


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current directory; what a test imports from it is forgotten again."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return tmp_path


def config_error(spec: str) -> str:
    with pytest.raises(ConfigError) as caught:
        open_processor(spec)
    return caught.value.detail


def test_a_module_of_the_current_directory_is_found(here: Path) -> None:
    (here / "shouting.py").write_text("def shout(payload):\n    import shouting_late\n    return payload.upper()\n")
    (here / "shouting_late.py").touch()
    result = opened("shouting:shout").attempt(task("hello"))
    assert isinstance(result, Output)
    assert result.output == b'"HELLO"'


def test_a_function_may_be_inside_something(here: Path) -> None:
    (here / "nested.py").write_text("class Models:\n    @staticmethod\n    def run(payload):\n        return 1\n")
    assert isinstance(opened("nested:Models.run").attempt(task()), Output)


@pytest.mark.parametrize("spec", ["", "words", "words:", ":lengths", ":"])
def test_a_spec_without_module_or_function_is_refused_with_an_example(spec: str) -> None:
    assert "write MODULE:FUNCTION, as in collator.processor:word_lengths" in config_error(spec)


@pytest.mark.parametrize(
    "spec", ["127.0.0.1:8080/say", "localhost:8080", "me:NEVERSHOWN@localhost/", "ftp://localhost/"]
)
def test_an_address_without_its_scheme_is_told_what_it_lacks(spec: str) -> None:
    told = config_error(spec)
    assert told.endswith("the URL of a service begins with http:// or https://")
    assert "NEVERSHOWN" not in told


@pytest.mark.parametrize("module", ["no_such_words", "no_such_words.deep"])
def test_a_module_that_does_not_exist_is_told_with_where_it_was_sought(here: Path, module: str) -> None:
    detail = config_error(f"{module}:lengths")
    told, _, rest = detail.partition("; looked for no_such_words in ")
    assert told == f"processor: cannot import {module}: ModuleNotFoundError: No module named 'no_such_words'"
    places, _, advice = rest.partition(": ")
    assert str(here) in places.split(", ")
    assert not any("-packages" in place or place == sysconfig.get_path("stdlib") for place in places.split(", "))
    assert advice == "start this in the directory of the module, name that in PYTHONPATH, or install it"


def test_a_file_that_is_named_for_its_module_is_told(here: Path) -> None:
    (here / "words.py").touch()
    assert config_error("words.py:lengths").endswith("'words' is not a package; a module is named without .py")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import no_such_model\n", "ModuleNotFoundError: No module named 'no_such_model' ("),
        ("\n\nraise RuntimeError('no licence')\n", "RuntimeError: no licence ("),
        ("import sys\nsys.exit(2)\n", "SystemExit: 2 ("),
        ("def lengths(:\n", "SyntaxError: invalid syntax"),
    ],
)
def test_a_module_that_does_not_import_says_why_and_where(here: Path, source: str, reason: str) -> None:
    (here / "broken.py").write_text(source)
    detail = config_error("broken:lengths")
    assert detail.startswith(f"processor: cannot import broken: {reason}")
    assert "broken.py, line " in detail
    assert "looked for" not in detail  # it was found


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("missing", "things has no missing"),
        ("Number.missing", "things has no Number.missing"),
        ("number", "number is not a function but a value of type int"),
        ("stream", "stream is a generator; return one output for each payload instead. Interim outputs are for async"),
        ("streamer", "streamer is a generator"),
    ],
)
def test_what_cannot_be_called_for_one_output_is_refused(here: Path, name: str, words: str) -> None:
    (here / "things.py").write_text(
        "number = Number = 7\n"
        "def stream(payload): yield 1\n"
        "class Streamer:\n"
        "    def __call__(self, payload): yield 1\n"
        "streamer = Streamer()\n"
    )
    assert words in config_error(f"things:{name}")


CALLED = """
from functools import lru_cache, partial, wraps
def none(): pass
def two(payload, language): pass
def only_by_name(*, payload): pass
def context_first(context, payload): pass
def context_by_place(payload, context, /): pass
class Model:
    def run(self, payload): pass
    def __call__(self, payload, context): pass
def contextless(function):
    @wraps(function)
    def call(payload): return function(payload, None)
    return call
@contextless
def lost(payload, context): pass

def one(payload): pass
def more(payload, language="en", *, context, **others): pass
def anything(*args, **others): pass
def speaking(function):
    @wraps(function)
    def call(payload): return function(payload, "en")
    return call
wrapped = speaking(two)
part = partial(two, language="en")
cached = lru_cache(one)
model = Model()
run = model.run
builtin = dict.fromkeys
kind = str
"""


@pytest.mark.parametrize(
    "name", ["none", "two", "only_by_name", "context_first", "context_by_place", "Model.run", "lost"]
)
def test_a_function_that_no_packet_could_be_given_to_is_refused(here: Path, name: str) -> None:
    (here / "called.py").write_text(CALLED)
    assert f"processor called:{name}: {name} cannot be called with one payload (" in config_error(f"called:{name}")


@pytest.mark.parametrize(
    "name", ["one", "more", "anything", "wrapped", "part", "cached", "model", "run", "builtin", "kind"]
)
def test_a_function_that_takes_a_payload_is_taken_whatever_else_it_takes(here: Path, name: str) -> None:
    (here / "called.py").write_text(CALLED)
    assert isinstance(open_processor(f"called:{name}"), Function)
