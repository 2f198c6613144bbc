"""The place in the user's code that an error came from, and its traceback without a word of the payload."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from collator.errors import Permanent
from collator.messages import Failure, Key, Lease, Task
from collator.processor import Function, OutcomeFactory
from collator.processor.blame import FRAMES, MOST_PLACE, MOST_TRACE, place_of, trace_of
from collator.processor.outcomes import MAX_REASON

SECRET = "geheim4711"


def raised(function: Callable[..., object], *arguments: object) -> BaseException:
    try:
        function(*arguments)
    except BaseException as error:  # noqa: BLE001 - whatever it is
        return error.with_traceback(error.__traceback__ and error.__traceback__.tb_next)  # without this function
    raise AssertionError("nothing was raised")


def module(folder: Path, text: str, name: str = "own") -> Callable[..., object]:
    """The function ``f`` of a module of *text* in *folder*, as Python would have it."""
    path = folder / f"{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    scope: dict[str, object] = {"__name__": name.replace("/", ".")}
    exec(compile(text, str(path), "exec"), scope)  # noqa: S102 - ours
    return scope["f"]  # type: ignore[return-value]


def test_the_last_line_of_the_users_own_code_counts_and_not_that_of_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    f = module(tmp_path, "import json\ndef g(x):\n    return json.loads(x)\ndef f(x):\n    return g(x)\n", "in/own")
    assert place_of(raised(f, "{")) == "in/own.py, line 3, in g"


def test_a_file_that_is_found_nowhere_is_named_without_its_folder(tmp_path: Path) -> None:
    assert place_of(raised(module(tmp_path, "def f():\n    1 / 0\n"))) == "own.py, line 2, in f"


def test_a_file_is_named_from_where_python_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert place_of(raised(module(tmp_path, "def f():\n    1 / 0\n", "a/b"))) == "a/b.py, line 2, in f"


def test_a_processor_that_is_installed_is_the_users_own(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    g = module(folder, "def f(x):\n    return int(x)\n", "other/part")
    f = module(folder, "def h(g):\n    return g('x')\ndef f(g):\n    return h(g)\n", "acme/part")
    assert place_of(raised(f, g)).endswith("part.py, line 2, in h")


def test_where_there_is_no_code_of_the_user_there_is_no_place() -> None:
    assert place_of(raised(json.loads, "{")) == ""
    assert place_of(ValueError("never raised")) == trace_of(ValueError("never raised")) == ""
    (failed,) = (Function(json.loads, OutcomeFactory(retries=0)).attempt(task(b'"{"')),)
    assert isinstance(failed, Failure)
    assert failed.reason.startswith("JSONDecodeError: ")
    assert ".py" not in failed.reason


async def test_of_a_group_the_first_error_counts() -> None:
    async def fails() -> None:
        raise KeyError(SECRET)

    async def groups() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(fails())

    with pytest.raises(ExceptionGroup) as caught:
        await groups()
    assert place_of(caught.value).endswith(".fails")
    assert trace_of(caught.value).endswith("KeyError")


def test_of_a_group_whose_errors_were_never_raised_the_place_is_that_of_the_group() -> None:
    reason = attempt(ExceptionGroup(SECRET, [KeyError("x")])).reason
    assert reason.startswith("KeyError: 'x' (tests/unit/test_blame.py, line ")


def test_where_the_working_directory_is_gone_no_text_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    text = "def f(e):\n    raise e\n"
    scope: dict[str, Any] = {}
    exec(compile(text, "<frozen own>", "exec"), scope)  # noqa: S102 - ours; it has no place that can be told
    for raises in (module(tmp_path, text), scope["f"]):
        failed = attempt(Permanent(SECRET), raises)
        assert failed.reason == SECRET
        assert failed.fault is not None
        assert failed.fault.kind.partition(" in ")[0] == "Permanent"


def test_no_type_of_an_error_breaks_what_is_told_of_it() -> None:
    class Empty(ExceptionGroup[Exception]):
        exceptions = ()

    class Nameless(type):
        @property
        def __name__(cls) -> str:  # type: ignore[override]
            raise RuntimeError

    class Odd(Exception, metaclass=Nameless):
        pass

    class Text(str):
        __slots__ = ()

        def __getitem__(self, place: object) -> str:
            raise RuntimeError

    class Says(Exception):
        def __str__(self) -> str:
            return Text("x")

    assert attempt(Empty("x", [KeyError(1)])).reason.startswith("KeyError: 1 (")
    assert attempt(Odd("x")).reason.startswith("Odd: x (")
    assert attempt(Says()).reason.startswith("Says: (its text cannot be read) (")


def test_the_kind_of_an_error_is_short_and_printable() -> None:
    error = type("N" * 10_000_000 + "\n", (Exception,), {})()
    before = time.thread_time()
    failed = attempt(error)
    assert time.thread_time() - before < 0.2  # a copy of it would take more
    assert failed.fault is not None
    assert len(failed.fault.kind) <= 2 * MOST_PLACE + len(" in ")
    assert failed.fault.kind.isprintable()
    assert len(failed.fault.trace) <= MOST_TRACE


def test_a_place_is_short_and_printable(tmp_path: Path) -> None:
    text = f"def {'x' * 300}():\n    1 / 0\ndef f():\n    {'x' * 300}()\n"
    place = place_of(raised(module(tmp_path, text, "\x1b[31m" + "y" * 200)))
    assert len(place) <= MOST_PLACE
    assert place.isprintable()
    assert place.endswith("x" * 60)


def test_a_traceback_has_the_chain_the_lines_and_no_text(tmp_path: Path) -> None:
    text = """
def g(x):
    raise ValueError(x)
def f(x):
    try:
        g(x)
    except ValueError as error:
        raise RuntimeError(x) from error
"""
    error = raised(module(tmp_path, text), SECRET)
    error.add_note(SECRET)
    trace = trace_of(error)
    assert SECRET not in trace
    assert trace.index("raise ValueError(x)\nValueError") < trace.index(
        "raise RuntimeError(x) from error\nRuntimeError"
    )
    assert f'File "{tmp_path}/own.py", line 3, in g' in trace


def test_a_traceback_is_bounded(tmp_path: Path) -> None:
    deep = module(tmp_path, "def f(n=0):\n    return f(n + 1)  # " + "x" * 500 + "\n")
    trace = trace_of(raised(deep))
    assert len(trace) <= MOST_TRACE
    assert trace.count("line 2") <= FRAMES + 1
    assert trace.endswith("RecursionError")

    error: Exception | None = None
    for number in range(100):
        following = ValueError(number)
        following.__cause__ = error
        error = raised(module(tmp_path, "def f(e):\n    raise e\n"), following)  # type: ignore[assignment]
    assert error is not None
    assert len(trace_of(error)) <= MOST_TRACE


def test_what_the_code_says_is_in_the_reason_and_not_in_what_is_logged() -> None:
    failed = attempt(ValueError(SECRET))
    assert failed.reason.startswith(f"ValueError: {SECRET} (tests/unit/test_blame.py, line ")
    assert failed.fault is not None
    assert SECRET not in failed.fault.kind + failed.fault.trace
    assert failed.fault.kind.startswith("ValueError in tests/unit/test_blame.py, line ")
    refused = attempt(Permanent(SECRET))
    assert (refused.reason, refused.fault and refused.fault.kind.partition(" in ")[0]) == (SECRET, "Permanent")


def test_a_long_text_leaves_the_place() -> None:
    reason = attempt(ValueError("x" * 10_000)).reason
    assert len(reason) == MAX_REASON
    assert reason.endswith("in attempt.function)")


def test_hidden_payloads_are_in_no_reason() -> None:
    for error in (ValueError(SECRET), Permanent(SECRET)):
        assert SECRET not in repr(attempt(error, quote=False))


def test_a_traceback_comes_once_for_each_kind_of_error() -> None:
    outcomes = OutcomeFactory(retries=0)

    def function(payload: object) -> object:
        if payload == 1:
            raise KeyError(payload)
        raise ValueError(payload)

    processor = Function(function, outcomes)
    results = [processor.attempt(task(payload)) for payload in (b"1", b"2", b"3", b"1")]
    assert [bool(one.fault and one.fault.trace) for one in results if isinstance(one, Failure)] == [
        True,
        True,
        False,
        False,
    ]


def attempt(error: Exception, raises: Callable[..., object] | None = None, *, quote: bool = True) -> Failure:
    def function(_payload: object) -> object:
        if raises is not None:
            raises(error)
        raise error

    failed = Function(function, OutcomeFactory(retries=0, quote=quote)).attempt(task())
    assert isinstance(failed, Failure)
    return failed


def task(payload: bytes = b"0") -> Task:
    return Task(Key("r", bytes(16), 0), payload, 1, Lease(0, 0))
