"""Bytes in, a verdict out (R22): every prefix, every split, and whatever follows a head."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.egress.answer import READ, TEXT, Answer, NoAnswer, excerpt, text_of, words
from collator.egress.head import MAX_FIELDS, MAX_HEAD, NotHttp
from collator.egress.reader import MAX_ANSWER, MAX_INTERIM, AnswerReader, read_whole
from collator.text import one_line

HEAD = b"HTTP/1.1 200 OK\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n\r\n"


def read(pieces: Iterable[bytes], *, keep: int = 0, ended: bool = False) -> AnswerReader:
    reader = AnswerReader(keep)
    for piece in pieces:
        if not reader.over:
            reader.feed(piece)
    if ended:
        reader.end()
    return reader


def verdict(*pieces: bytes, keep: int = 0, ended: bool = False) -> Answer | NoAnswer | str:
    try:
        return read(pieces, keep=keep, ended=ended).answer(sent=True)
    except NotHttp as error:
        return str(error)


# An answer, its status, its body, and whether another may follow it.
WHOLE: dict[str, tuple[bytes, int, bytes, bool]] = {
    "a length": (HEAD + b"Content-Length: 2\r\n\r\nok", 200, b"ok", True),
    "no body": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b"", True),
    "not modified": (b"HTTP/1.1 304 No\r\ncontent-length: 9\r\n\r\n", 304, b"", True),
    "chunks": (HEAD + CHUNKED + b"2;a=b\r\nok\r\n1\r\n!\r\n0\r\nx: y\r\n\r\n", 200, b"ok!", True),
    "interim": (
        b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\n\r\n" + HEAD + b"content-length:0\r\n\r\n",
        200,
        b"",
        True,
    ),
    "the same length twice": (HEAD + b"content-length: 2\r\nContent-Length: 2, 2\r\n\r\nok", 200, b"ok", True),
    "folded": (HEAD + b"x: a\r\n\t b\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", True),
    "line feeds": (b"HTTP/1.1 503\ncontent-length: 2\n\nok", 503, b"ok", True),
    "an empty line first": (b"\r\n" + HEAD + b"content-length: 2\r\n\r\nok", 200, b"ok", True),
    "closing": (HEAD + b"connection: foo, Close\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
    "1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
    "1.0 kept": (b"HTTP/1.0 200 OK\r\nconnection: Keep-Alive\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", True),
    "a minor version of later": (b"HTTP/1.2 200 OK\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", True),
    "switching protocols": (b"HTTP/1.1 101 Never\r\nupgrade: x\r\n\r\n", 101, b"", False),
    "a length beside chunks": (HEAD + b"content-length: 9\r\n" + CHUNKED + b"2\r\nok\r\n0\r\n\r\n", 200, b"ok", False),
    "no field": (HEAD + b"nonsense\r\nx y: z\r\ncontent-length: 2\r\n\r\nok", 200, b"ok", False),
}


def whole(status: int, body: bytes) -> Answer:
    """An answer whose body was kept; of those that are no success its size is told."""
    return Answer(status, body=body, beginning=body, size=0 if status == 200 else len(body))


@pytest.mark.parametrize(("data", "status", "body", "reusable"), WHOLE.values(), ids=WHOLE.keys())
def test_an_answer_is_read_in_any_pieces_and_in_none_too_few(
    data: bytes, status: int, body: bytes, reusable: bool
) -> None:
    wanted = whole(status, body)
    for split in range(len(data) + 1):
        reader = read([data[:split], data[split:]], keep=100)
        assert (reader.over, reader.reusable, reader.answer(sent=True)) == (True, reusable, wanted)
        before = read([data[:split]], keep=100, ended=True)
        assert before.over == (before.head is not None)
        if split < len(data) - 1:
            assert before.answer(sent=True) != wanted or status == 101
    reader = read([data[at : at + 1] for at in range(len(data))], keep=100)
    assert (reader.over, reader.reusable, reader.answer(sent=True)) == (True, reusable, wanted)


@pytest.mark.parametrize(("data", "status", "body", "reusable"), WHOLE.values(), ids=WHOLE.keys())
def test_bytes_behind_an_answer_cost_the_connection_and_change_nothing(
    data: bytes, status: int, body: bytes, reusable: bool
) -> None:
    for more in (b"x", b"ok", HEAD + b"\r\n"):
        reader = read([data + more], keep=100)
        assert (reader.over, reader.reusable, reader.answer(sent=True)) == (
            True,
            False,
            whole(status, body),
        )


@pytest.mark.parametrize(
    "rest",
    [
        b"content-length: 9\r\n\r\nok",
        b"content-length: 2\r\ncontent-length: 3\r\n\r\nok",
        b"content-length: +2\r\n\r\nok",
    ]
    + [CHUNKED + chunks for chunks in (b"", b"9\r\nok", b"zz\r\n", b"2\r\nokay\r\n", b"f" * 99, b"2\r\nok\r\n0\r\nx")],
)
def test_a_body_without_its_end_is_of_use_to_none_but_who_wants_only_the_head(rest: bytes) -> None:
    assert verdict(HEAD + rest, ended=True) == Answer(200, complete=False)
    kept = verdict(HEAD + rest, keep=100, ended=True)
    assert isinstance(kept, Answer)
    assert kept == Answer(200, beginning=kept.beginning, complete=False)
    assert kept.beginning in rest


def test_the_end_of_the_connection_ends_a_body_that_nothing_else_does() -> None:
    assert verdict(HEAD + b"\r\nok", keep=9, ended=True) == Answer(200, body=b"ok", beginning=b"ok")
    assert verdict(HEAD + b"\r\nok", keep=9) == Answer(200, beginning=b"ok", complete=False)  # cut off


def test_heads_have_a_largest_size_and_number_of_fields() -> None:
    rest = b"\r\ncontent-length: 0\r\n\r\n"
    fits = HEAD + b"x: " + b"y" * (MAX_HEAD - len(HEAD + b"x: " + rest)) + rest
    assert verdict(fits) == Answer(200)
    assert verdict(fits.replace(b"y", b"yy", 1)) == "the headers of the answer are larger than 64 KiB"
    fields = b"a: b\r\n" * (MAX_FIELDS - 1) + b"content-length: 0\r\n"
    assert verdict(HEAD + fields + b"\r\n") == Answer(200)
    assert verdict(HEAD + b"a: b\r\n" + fields + b"\r\n") == "the answer has more than 256 header fields"


def test_interim_answers_are_bounded_by_count_and_by_bytes() -> None:
    interim, final = b"HTTP/1.1 102 Processing\r\n\r\n", HEAD + b"content-length: 0\r\n\r\n"
    assert verdict(interim * MAX_INTERIM + final) == Answer(200)
    assert verdict(interim * 36 + final) == "more than 20 interim answers without a final one"
    large = b"HTTP/1.1 103 Early\r\nlink: " + b"x" * 8000 + b"\r\n\r\n"
    assert verdict(large * 10 + final) == "the headers of the answer are larger than 64 KiB"


@pytest.mark.parametrize(
    "data", [b"220 mail\r\n", b"\x15\x03\x01", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 99 x\r\n\r\n", b"G"]
)
def test_what_is_no_answer_is_told_at_once(data: bytes) -> None:
    assert verdict(data) == "the answer is not HTTP"


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5), st.sampled_from([0, 50]))
def test_whatever_comes_the_pieces_make_no_difference(data: bytes, cuts: list[int], keep: int) -> None:
    edges = [0, *sorted(cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(edges)]
    for begin in (b"", HEAD, HEAD + b"\r\n", HEAD + CHUNKED, HEAD + b"content-length: 40\r\n\r\n"):
        assert verdict(begin, *pieces, keep=keep, ended=True) == verdict(begin + data, keep=keep, ended=True)


@given(st.binary(max_size=60), st.sampled_from([data for data, *_ in WHOLE.values()]), st.integers(0, 300))
def test_an_answer_that_is_read_whole_is_what_the_reader_says(more: bytes, answer: bytes, cut: int) -> None:
    for data in (answer, answer[:cut], answer[:cut] + more, answer + more):
        found = read_whole(data)
        assert found is read_whole(data)
        try:
            reader = read([data])
        except NotHttp:
            assert found is None
        else:
            assert found == ((reader.answer(sent=True), reader.idle) if reader.over else None)
            assert not reader.over or (reader.idle > 0) == reader.reusable


@given(st.binary(max_size=100), st.integers(100, 599), st.lists(st.integers(1, 9), max_size=20))
def test_a_whole_final_head_decides_whatever_follows(data: bytes, status: int, sizes: list[int]) -> None:
    if 100 < status < 200 or status == 100:
        return
    answer = verdict(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n" % (status, sum(sizes)) + data, ended=True)
    assert isinstance(answer, Answer)
    assert answer.status == status


def test_of_a_long_body_the_beginning_is_read() -> None:
    reader = read([HEAD + b"content-length: 999999999\r\n\r\n", *[bytes(4096)] * 99])
    assert (reader.over, reader.reusable) == (True, False)
    assert reader.answer(sent=True) == Answer(200)
    reader = read([HEAD + b"\r\n", *[b"x" * 4096] * 99], keep=MAX_ANSWER)
    assert (reader.over, reader.answer(sent=True)) == (True, Answer(200, beginning=b"x" * READ))


def test_a_success_before_the_body_is_out_is_none() -> None:
    assert read([HEAD + b"content-length: 0\r\n\r\n"]).answer(sent=False) == NoAnswer(
        "HTTP 200 before the whole body was sent"
    )
    assert read([b"HTTP/1.1 413 No\r\ncontent-length: 0\r\n\r\n"]).answer(sent=False) == Answer(413)


@pytest.mark.parametrize(
    ("media", "body", "said"),
    [
        ("text/plain", b"too  large\r\n\x00\x1b[31m", "too large [31m"),
        ("application/problem+json; charset=utf-8", b'{"title": "no"}', '{"title": "no"}'),
        ("text/html", b"<html><head><title>413 Too Large</title></head>\n<b>nginx", "413 Too Large nginx"),
        ("text/plain; charset=latin-1", b"gr\xfcn", "grün"),
        ("text/plain; charset=unheard-of", "grün".encode(), "grün"),
        ("text/plain; charset=idna", b"\xff", "\N{REPLACEMENT CHARACTER}"),
        ("application/octet-stream", b"text", ""),
        ("image/png", b"\x89PNG", ""),
        ("", b"ok", ""),
        ("text/plain", b"x" * 300, "x" * 199 + "…"),
    ],
)
def test_r22_what_a_receiver_says_is_told_in_a_line(media: str, body: bytes, said: str) -> None:
    assert excerpt(body, media) == said
    head = b"HTTP/1.1 400 No\r\ncontent-type: %b\r\ncontent-length: %d\r\n\r\n" % (media.encode(), len(body))
    answer = verdict(head + body)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.excerpt) == (400, said)


def test_what_is_compressed_is_not_told() -> None:
    head = b"HTTP/1.1 400 No\r\ncontent-type: text/plain\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\nok"
    answer = verdict(head)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.excerpt, text_of(answer), answer.size) == (400, "", "", 2)


def test_where_an_answer_leads_is_told() -> None:
    assert verdict(b"HTTP/1.1 302 F\r\nlocation: https://h/\x01\r\ncontent-length: 0\r\n\r\n") == Answer(
        302, location="https://h/"
    )
    assert len(one_line("x" * 1000, 200)) == 200


def test_a_secret_in_an_address_is_not_told_however_long_it_is() -> None:
    location = b"https://user:" + b"s3cret" * 100 + b"@h/"
    answer = verdict(b"HTTP/1.1 302 F\r\nlocation: " + location + b"\r\ncontent-length: 0\r\n\r\n")
    assert not isinstance(answer, str)
    assert words(answer, size=1) == "HTTP 302 to https://…@h/; redirects are not followed"


TEXTS: dict[str, tuple[bytes, str, str]] = {
    "no more than fits": (b"x" * TEXT, "text/plain", "x" * TEXT),
    "one byte too many": (b"x" * TEXT + b"y", "text/plain", "x" * TEXT),
    "a character across the end": (b"x" + "€".encode() * 999, "text/plain", "x" + "€" * 682),
    "what is no UTF-8": (b"no\xff\xfeway", "text/plain; charset=utf-8", "no\ufffd\ufffdway"),
    "what grows as UTF-8": ("é".encode("latin-1") * 1500, "text/html; charset=latin-1", "é" * 1024),
    "an unknown charset": (b"no", "text/plain; charset=klingon", "no"),
    "half a pair": (b"+2D0-", "text/plain; charset=utf-7", "?"),
    "a NUL": (b'{"a": "\0"}', "application/problem+json", '{"a": "\0"}'),
    "no text": (b"\x89PNG", "image/png", ""),
    "no type": (b"no", "", ""),
}


@pytest.mark.parametrize(("body", "media", "text"), TEXTS.values(), ids=TEXTS.keys())
def test_the_text_of_an_answer_ends_at_2_kib_between_two_characters(body: bytes, media: str, text: str) -> None:
    head = b"HTTP/1.1 500 no\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n" % (media.encode(), len(body))
    answer = verdict(head + body)
    assert isinstance(answer, Answer)
    assert (text_of(answer), answer.size) == (text, len(body))
