"""The files of the page, each an answer that is made once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable

from collator.web.problems import Headers
from collator.web.request_body import HttpAnswer

PREFIX = "/ui/"
"""What the path of each file begins with, but for that of the page itself."""
_POLICY = (
    b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECURITY: Headers = (
    (b"content-security-policy", _POLICY),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
"""The browser runs and loads nothing but files of the page, asks nobody but its service, and shows it in no frame."""
_TYPES = {
    ".html": b"text/html; charset=utf-8",
    ".css": b"text/css; charset=utf-8",
    ".js": b"text/javascript; charset=utf-8",
    ".svg": b"image/svg+xml",
    ".txt": b"text/plain; charset=utf-8",
}


def load_assets() -> Mapping[str, HttpAnswer]:
    """The answer for each path, out of the package."""
    found = {}
    for name, file in _walk(files(__package__) / "static"):
        path = "/" if name == "index.html" else PREFIX + name
        media_type = _TYPES[name[name.rindex(".") :]]
        found[path] = HttpAnswer(200, ((b"content-type", media_type), *SECURITY), file.read_bytes())
    return found


def _walk(folder: Traversable, above: str = "") -> Iterator[tuple[str, Traversable]]:
    for file in folder.iterdir():
        if file.is_dir():
            yield from _walk(file, f"{above}{file.name}/")
        else:
            yield above + file.name, file
