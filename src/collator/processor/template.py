r"""The template of a request: JSON with placeholders for the values of a packet. Pure (R29).

Theory. A template is JSON, and its placeholders stand in texts, as in ``"{{payload}}"``. So every tool for JSON can
make and check a template, and the request is JSON whatever the values are. A text that is nothing but a placeholder
is replaced by the value, byte for byte. Within a longer text the value becomes text: a text keeps its characters,
which are escaped already, and any other value is written as its JSON. A JSON Pointer may follow the name, as in
``{{payload/speech/text}}``. Two braces that are no placeholder are written ``\u007b{``.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from collator import json_text
from collator.errors import Permanent, ProcessorFailed
from collator.json_text import HALF_A_PAIR, TOO_DEEP
from collator.messages import Task
from collator.processor.pointer import NothingFoundError, Pointer
from collator.text import quoted

MOST_PLACEHOLDERS = 32
"""A payload of 1 MiB makes a request of at most so many MiB."""

_VALUES: Mapping[str, Callable[[Task], bytes]] = MappingProxyType(
    {
        "payload": lambda task: task.payload,
        "resource_id": lambda task: _encode(task.key.resource_id),
        "index": lambda task: b"%d" % task.key.index,
        "attempt": lambda task: b"%d" % task.attempt,
        "metadata": lambda task: task.metadata or b"{}",
    }
)
_PAYLOAD = "payload"
"""The value that every template needs, and that stays the same at every attempt."""
_DOCUMENTS = (_PAYLOAD, "metadata")
"""The values that a pointer can lead into."""
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*+)"(\s*:)?', re.DOTALL)
_PLACEHOLDER = re.compile(r"\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_encode: Callable[[str], bytes] = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(float_hook=float).decode


class Placeholder(NamedTuple):
    """The place of a value."""

    name: str
    pointer: Pointer | None
    within: bool
    """Whether it is only a part of its text."""

    def render(self, task: Task) -> bytes:
        """The value in the request for *task*."""
        value = _VALUES[self.name](task)
        if self.pointer is not None:
            value = self._find(self.pointer, value)
        if not self.within:
            return value
        return (value if value.startswith(b'"') else _encode(value.decode()))[1:-1]

    def _find(self, pointer: Pointer, value: bytes) -> bytes:
        try:
            return pointer.find(value, what=f"the {self.name}")
        except NothingFoundError as error:
            kind = Permanent if self.name == _PAYLOAD else ProcessorFailed
            raise kind(f"processor_request: {error}") from None


class Template:
    """The body of a request, as a function of the packet."""

    def __init__(self, text: str) -> None:
        """Parse *text*. Raises `ValueError`, which names the place, where no request can be made by it."""
        _check(text)
        self._parts = [*_parts(text)]
        placeholders = [part for part in self._parts if isinstance(part, Placeholder)]
        if len(placeholders) > MOST_PLACEHOLDERS:
            raise ValueError(f"it has {len(placeholders)} placeholders, more than {MOST_PLACEHOLDERS}")
        self.names = frozenset(placeholder.name for placeholder in placeholders)
        """The names of the values in it."""
        if _PAYLOAD not in self.names:
            raise ValueError('it has no {{payload}}; write it where the payload goes, as in {"text": "{{payload}}"}')

    def render(self, task: Task) -> bytes:
        """Return the body of the request for *task*.

        Raises `ProcessorFailed` where a value has nothing at its pointer, and `Permanent` where it never will.
        """
        return b"".join([part if isinstance(part, bytes) else part.render(task) for part in self._parts])


def _check(text: str) -> None:
    """Raise `ValueError` unless *text* is JSON."""
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise ValueError(f"a text contains {HALF_A_PAIR}") from None
    except json.JSONDecodeError as error:
        bare = text.find("{{", max(0, error.pos - 1), error.pos + 2)
        if bare >= 0:
            raise ValueError(f'{_place(text, bare)}: write a placeholder in quotes, as "{{{{payload}}}}"') from None
        raise ValueError(f"{_place(text, error.pos)}: not JSON: {error.msg}") from None
    except RecursionError:
        raise ValueError(TOO_DEEP) from None
    data = text.encode()
    _decode(data)  # it is stricter
    if fault := json_text.fault(data):
        raise ValueError(fault)


def _parts(text: str) -> Iterator[bytes | Placeholder]:
    """Split *text*, which is JSON, into fixed bytes and placeholders."""
    end = 0
    for found in _TEXT.finditer(text):
        inner = [*_inner_parts(text, found)]
        if len(inner) == 1 and isinstance(inner[0], Placeholder):
            yield text[end : found.start()].encode()
            yield inner[0]
            end = found.end(1) + 1
        elif len(inner) > 1:
            yield text[end : found.start(1)].encode()
            for part in inner:
                yield part._replace(within=True) if isinstance(part, Placeholder) else part
            end = found.end(1)
    yield text[end:].encode()


def _inner_parts(text: str, found: re.Match[str]) -> Iterator[bytes | Placeholder]:
    """Split the inside of one text of *text*."""
    end, last = found.span(1)
    for placeholder in _PLACEHOLDER.finditer(text, end, last):
        if found[2]:
            raise ValueError(f"{_place(text, placeholder.start())}: a placeholder cannot be the name of a member")
        if placeholder.start() > end:
            yield text[end : placeholder.start()].encode()
        yield _placeholder(text, placeholder)
        end = placeholder.end()
    if (begun := text.find("{{", end, last)) >= 0:
        raise ValueError(f"{_place(text, begun)}: a placeholder ends with }}}}; write \\u007b{{ for two braces as text")
    if last > end:
        yield text[end:last].encode()


def _placeholder(text: str, found: re.Match[str]) -> Placeholder:
    name, slash, rest = json.loads(f'"{found[1]}"').partition("/")
    place = _place(text, found.start())
    if name not in _VALUES:
        nearest = _nearest(name)
        raise ValueError(
            f"{place}: {quoted(name)} is no placeholder; did you mean {nearest}? There are {', '.join(_VALUES)}"
        )
    if slash and name not in _DOCUMENTS:
        raise ValueError(f"{place}: {{{{{name}}}}} is a single value; only {' and '.join(_DOCUMENTS)} have parts")
    try:
        return Placeholder(name, Pointer(slash + rest) if slash else None, within=False)
    except ValueError as error:
        raise ValueError(f"{place}: {error}") from None


def _nearest(name: str) -> str:
    """The placeholder that *name* may be meant for; dots are how other templates write a pointer."""
    first, dot, rest = name.partition(".")
    if dot and first in _DOCUMENTS:
        return f"{first}/{rest.replace('.', '/')}"
    return difflib.get_close_matches(name, _VALUES, n=1, cutoff=0.0)[0]


def _place(text: str, at: int) -> str:
    before = text[:at]
    return f"line {before.count(chr(10)) + 1}, column {at - before.rfind(chr(10))}"
