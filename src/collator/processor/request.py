"""The request that is sent to an HTTP service for a packet, as the settings shape it (R29)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar
from urllib.parse import parse_qsl, unquote, urlsplit

from collator import __version__, target
from collator.errors import ConfigError
from collator.messages import Task
from collator.processor.headers import HeadersFile, packet_headers
from collator.processor.outputs import Unusable
from collator.processor.pointer import NothingFoundError, Pointer
from collator.processor.template import Template

T = TypeVar("T")

_STANDARD = {
    "content-type": "application/json",
    "accept": "application/json",
    "accept-encoding": "identity",
    "user-agent": f"collator/{__version__}",
}
_HIDDEN = b"***"
_LEAST_SECRET = 6
"""Characters of a value that is taken for a secret where a service repeats it: ``X-Version: 2`` has none."""


class Request(NamedTuple):
    """A request for one packet."""

    headers: Mapping[str, str]
    """By their names in small letters."""
    body: bytes
    secret: Mapping[str, str]
    """Those of `headers` that come from the file of the operator, and are shown to nobody."""
    in_url: Sequence[str] = ()
    """What the URL has of secrets."""

    def without_secrets(self, said: bytes) -> bytes:
        """Hide in *said* the secrets that the service was sent, which some services repeat."""
        secrets = {*self.in_url}
        for name in self.secret.keys() - _STANDARD.keys():
            secrets |= {self.secret[name], self.secret[name].rpartition(" ")[2]}  # the latter: behind ``Bearer``
        for secret in sorted(secrets, key=len, reverse=True):
            if len(secret) >= _LEAST_SECRET:
                said = said.replace(secret.encode(), _HIDDEN)
        return said


class ShapeOptions(NamedTuple):
    """The settings that shape requests and answers, as given; nothing is checked yet."""

    request: str | None = None
    """A `Template`; without one, the payload is sent as it is."""
    output: str | None = None
    """A `Pointer`; without one, the whole answer is the output."""
    headers_file: Path | None = None
    method: str = "POST"

    def given(self) -> list[str]:
        """The names of the settings that are not the default."""
        default = ShapeOptions()
        return [f"processor_{name}" for name in self._fields if getattr(self, name) != getattr(default, name)]


class Shape:
    """Makes the request for a packet, and finds the output in the answer to it."""

    def __init__(self, options: ShapeOptions, url: str) -> None:
        """Read *options* for requests to *url*. Raises `ConfigError`, which names the setting."""
        self.method = options.method
        self._template = _parse(Template, options.request, "processor_request")
        self._pointer = _parse(Pointer, options.output, "processor_output")
        self._in_url = [*_secrets_of(url)]
        authorized = bool(target.parse(url).authorization)
        self._file = HeadersFile(options.headers_file, authorized=authorized) if options.headers_file else None

    @property
    def wants_metadata(self) -> bool:
        """Whether a request contains metadata of the resource."""
        return self._template is not None and "metadata" in self._template.names

    def request(self, task: Task) -> Request:
        """Make the request for *task*. Raises `ProcessorFailed` where it lacks what the template asks for."""
        body = task.payload if self._template is None else self._template.render(task)
        secret = self._file.current() if self._file else {}
        return Request({**_STANDARD, **secret, **packet_headers(task)}, body, secret, self._in_url)

    def output(self, answer: bytes) -> bytes:
        """Return the output in *answer*. Raises `Unusable`."""
        if self._pointer is None:
            return answer
        try:
            return self._pointer.find(answer, what="the answer")
        except NothingFoundError as error:
            raise Unusable(str(error)) from None
        except (ValueError, RecursionError) as error:
            raise Unusable(f"not JSON: {error}") from None


def _secrets_of(url: str) -> Iterator[str]:
    """The password and the values of the query, as they are written and as they are meant."""
    parts = urlsplit(url)
    if authorization := target.parse(url).authorization:
        yield authorization.rpartition(" ")[2]
    if parts.password:
        yield from (parts.password, unquote(parts.password))
    if parts.query:
        yield parts.query
        yield from (value for _, value in parse_qsl(parts.query))


def _parse(kind: Callable[[str], T], text: str | None, setting: str) -> T | None:
    try:
        return None if text is None else kind(text)
    except ValueError as error:
        raise ConfigError(f"{setting}: {error}") from None
