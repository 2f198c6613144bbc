"""JSON Pointers lead where those of RFC 6901 do, and give the bytes that stand there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.processor.pointer import NothingFoundError, Pointer

NAMES = st.sampled_from(["", "a", "b", "0", "1", "01", "-", "a/b", "m~n", "~1", " ", "é", '"'])
NUMBERS = st.sampled_from(["0", "1e2", "-0.0", "12345678901234567890", "0.10000000000000000001"])
SCALARS = NUMBERS | st.sampled_from(["null", "true", '"text"', '"\\u00e9/~"', '""'])
BLANKS = st.sampled_from(["", " ", "\n\t"])
documents = st.recursive(
    SCALARS,
    lambda inner: (
        st.tuples(BLANKS, st.lists(inner, max_size=3)).map(lambda one: f"[{one[0]}{(one[0] + ',').join(one[1])}]")
        | st.tuples(BLANKS, st.lists(st.tuples(NAMES.map(json.dumps), inner), max_size=4)).map(
            lambda one: f"{{{one[0]}{','.join(f'{name}{one[0]}:{one[0]}{value}' for name, value in one[1])}{one[0]}}}"
        )
    ),
    max_leaves=12,
)
RFC = r'{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}'


def naive(value: Any, tokens: list[str]) -> Any:  # noqa: ANN401 - any JSON
    """What section 4 of the RFC says, on values."""
    for token in tokens:
        if isinstance(value, dict):
            value = value[token]
        elif isinstance(value, list) and token.isascii() and token.isdigit() and str(int(token)) == token:
            value = value[int(token)]
        else:
            raise LookupError(token)
    return value


def written(tokens: list[str]) -> str:
    return "".join("/" + token.replace("~", "~0").replace("/", "~1") for token in tokens)


@given(document=documents, tokens=st.lists(NAMES, max_size=4))
def test_r29_a_pointer_finds_what_a_naive_one_finds(document: str, tokens: list[str]) -> None:
    pointer, data = Pointer(written(tokens)), document.encode()
    try:
        expected = naive(json.loads(document, parse_float=str, parse_int=str), tokens)
    except LookupError:
        with pytest.raises(NothingFoundError):
            pointer.find(data, what="the answer")
        return
    found = pointer.find(data, what="the answer")
    assert json.loads(found, parse_float=str, parse_int=str) == expected
    assert found in data
    assert found == found.strip()


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", RFC),
        ("/foo", '["bar","baz"]'),
        ("/foo/0", '"bar"'),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/i\\j", "5"),
        ('/k"l', "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ],
)
def test_r29_the_examples_of_the_rfc(pointer: str, found: str) -> None:
    assert Pointer(pointer).find(RFC.encode(), what="it") == found.encode()


def test_an_index_has_no_zeros_before_it_and_an_escape_is_read_once() -> None:
    for token in "00", "01", "+1", "-1", "1.0", "\u0661":
        with pytest.raises(NothingFoundError):
            Pointer(f"/{token}").find(b"[1, 2]", what="it")
    assert Pointer("/~01").find(b'{"/": 1, "~1": 2}', what="it") == b"2"


@pytest.mark.parametrize("text", ["a", "$.choices[0]", "#/a", "choices/0"])
def test_what_is_no_pointer_is_refused_with_what_one_looks_like(text: str) -> None:
    with pytest.raises(ValueError, match="is not a JSON Pointer; write a / before each name or index, as in /a/0/b"):
        Pointer(text)


@pytest.mark.parametrize("text", ["/a~", "/~2", "/a/~/b"])
def test_a_wrong_escape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="write ~0 for a ~, and ~1 for a / in a name"):
        Pointer(text)


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ('{"error": {"message": "no"}, "id": 1}', "the answer is an object with 'error', 'id'"),
        (
            '{"a":0,"b":0,"c":0,"d":0,"e":0,"f":0,"g":0}',
            "the answer is an object with 'a', 'b', 'c', 'd', 'e' and 2 more",
        ),
        ('{"choices": []}', "/choices is an empty array"),
        ('{"choices": [{}]}', "/choices/0 is an empty object"),
        ('{"choices": {"0": "x"}}', "/choices/0 is a string"),
        ('{"choices": [7]}', "/choices/0 is a number"),
        ('{"choices": null}', "/choices is null"),
        ("[1, 2]", "the answer is an array of 2 items"),
        ("false", "the answer is false"),
        (json.dumps({"x" * 500: 0}), "the answer is an object with 'xxxxxxx"),
        ('{"\\u001b[0m": 0}', "the answer is an object with '\\x1b[0m'"),
    ],
)
def test_r29_the_error_names_the_pointer_and_what_was_there(document: str, told: str) -> None:
    with pytest.raises(NothingFoundError) as found:
        Pointer("/choices/0/text").find(document.encode(), what="the answer")
    assert str(found.value).startswith(f"the answer has nothing at /choices/0/text: {told}")
    assert len(str(found.value)) < 300


def test_the_name_of_a_huge_object_is_cut_and_a_pointer_too() -> None:
    with pytest.raises(NothingFoundError) as found:
        Pointer("/" + "x" * 9_999).find(json.dumps({str(n): n for n in range(10_000)}).encode(), what="the answer")
    assert len(str(found.value)) < 600


@pytest.mark.parametrize("document", ["", "{", '{"a": }', "[1] 2", "text"])
def test_what_is_no_json_is_a_value_error(document: str) -> None:
    with pytest.raises(ValueError, match=r"JSON is malformed|truncated"):
        Pointer("/a").find(document.encode(), what="the answer")
