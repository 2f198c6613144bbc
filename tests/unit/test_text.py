"""How the texts of others enter a message."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from collator.text import SHOWN, escaped, quoted, shown

HOSTILE = "\x00\x07\t\n\r\x1b[2J\x7f\x85\x9b31m\xad\u061c\u200b\u200e\u2028\u2029\u202e\u2066\ufeff\ud800\U000e0041"

LONG = ["x" * 1_000_000, "\x1b" * 1_000_000, HOSTILE * 50_000, b"\xff" * 1_000_000, 10**4000, ["y"] * 100_000]


@pytest.mark.parametrize("put", [shown, quoted])
@pytest.mark.parametrize("value", LONG, ids=["plain", "escapes", "hostile", "bytes", "number", "list"])
def test_however_long_a_text_is_its_words_are_short_and_printable(put: Callable[[object], str], value: object) -> None:
    said = put(value)
    assert len(said) == SHOWN
    assert said.isprintable()


def test_a_short_text_is_shown_whole() -> None:
    assert shown("call-17 é 日本") == "call-17 é 日本"
    assert quoted("it's") == '"it\'s"'
    assert shown(b"caf\xc3\xa9 \xff") == "café \\xff"
    assert shown(7) == "7"


def test_what_is_cut_out_of_a_long_text_is_its_middle() -> None:
    said = shown("begin" + "x" * 1000 + "end")
    assert said.startswith("beginxx")
    assert said.endswith("xxend")


def test_what_a_terminal_obeys_or_nobody_sees_is_escaped() -> None:
    assert escaped("a\x1b[31m\x9b\u202e\u2028\ud800\nb") == r"a\x1b[31m\x9b\u202e\u2028\ud800\nb"
    assert escaped(HOSTILE).isprintable()
