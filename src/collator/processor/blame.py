"""The place in the user's code at which an error was raised, and its traceback without a word of the payload.

Theory. Who reads that a packet has failed wants the line to look at: the last frame of the user's *own* code, neither
of Collator nor of a library that it calls. Its file is named as the user would: relative to where Python found it or to
the working directory, for a reason goes to receivers too, and nobody there needs the home directory of a machine.

The text of an error may quote the payload, and a log must not. So a traceback has the lines of the code and the types
of the errors, and of their texts nothing; its files have their whole paths, as editors and tools read them.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from types import FrameType, TracebackType

from collator.text import one_line

MOST_PLACE = 160
"""Characters of a place."""
MOST_TRACE = 8_000
"""Characters of a traceback: of one that is longer the beginning is left out."""
FRAMES = 30
"""Frames of one error, the last ones, and errors of one chain."""

OURS = str(Path(__file__).parents[1]) + os.sep
"""Where Collator's own code is."""
_STANDARD = tuple({os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib")})  # noqa: PTH118 - with a separator at its end
# As the types of the user may give other things under these names.
_errors_of: Callable[[BaseExceptionGroup[BaseException]], Sequence[BaseException]] = vars(BaseExceptionGroup)[
    "exceptions"
].__get__
_name_of_type: Callable[[type], str] = vars(type)["__name__"].__get__
_INSTALLED = frozenset({"site-packages", "dist-packages"})


def place_of(error: BaseException) -> str:
    """The last line of the user's own code that *error* came through; empty where there is none. Never raises."""
    with suppress(Exception):  # memory may be short
        # An error of a group may never have been raised: then the group was.
        if (found := _last_own(leaf(error).__traceback__ or error.__traceback__)) is not None:
            frame, line = found
            path = _as_named(frame.f_code.co_filename)
            return one_line(
                f"{path}, line {line}, in {frame.f_code.co_qualname.replace('.<locals>', '')[-60:]}", MOST_PLACE
            )
    return ""


def trace_of(error: BaseException) -> str:
    """The traceback of *error* and of what it came from, without texts of errors. Never raises."""
    with suppress(Exception):
        parts = [_one_trace(one) for one in _chain(leaf(error))]
        text = "\n".join(part for part in reversed(parts) if part)
        return text if len(text) <= MOST_TRACE else f"…{text[1 - MOST_TRACE :]}"
    return ""


def leaf(error: BaseException) -> BaseException:
    """The first error of a group, or *error* itself."""
    while isinstance(error, BaseExceptionGroup):
        error = _errors_of(error)[0]
    return error


def name_of(error: BaseException) -> str:
    """The name of the type of *error*, on one line. Never raises, whatever the user's type says of itself."""
    return one_line(_name_of_type(type(error))[: 2 * MOST_PLACE], MOST_PLACE)


def is_raised_by_user(error: BaseException) -> bool:
    """Return whether *error* came through any code that is not Collator's."""
    return from_user(error.__traceback__) is not None


def from_user(trace: TracebackType | None) -> TracebackType | None:
    """*trace* from the first frame on that is not Collator's."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(OURS):
        trace = trace.tb_next
    return trace


def _last_own(trace: TracebackType | None) -> tuple[FrameType, int] | None:
    """The last frame of the user's code; where that is installed as a library is, the last of its package."""
    frames = [*traceback.walk_tb(from_user(trace))]
    own = [found for found in frames if _is_own(found[0].f_code.co_filename)]
    if not own:
        installed = [found for found in frames if _is_installed(found[0].f_code.co_filename)]
        own = [found for found in installed if _package(found[0]) == _package(installed[0][0])]
    return own[-1] if own else None


@lru_cache(1024)
def _is_own(filename: str) -> bool:
    if filename.startswith((OURS, "<frozen ")) or _is_installed(filename):
        return False
    return not filename.startswith(_STANDARD)


def _is_installed(filename: str) -> bool:
    return not _INSTALLED.isdisjoint(Path(filename).parts)


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


@lru_cache(1024)
def _as_named(filename: str) -> str:
    """The name of a file as its user would say it."""
    if filename.startswith("<"):
        return filename
    path = Path(filename)
    within = [root for root in _roots() if path.is_relative_to(root)]
    nearest = max(within, key=lambda root: len(root.parts), default=path.parent)
    name = str(path.relative_to(nearest))
    return name if len(name) <= MOST_PLACE // 2 else f"…{name[1 - MOST_PLACE // 2 :]}"


def _roots() -> Iterator[Path]:
    """The folders that files are named from."""
    for root in (*sys.path, ""):
        with suppress(OSError):  # it stands for the working directory, which is gone
            if isinstance(root, str):
                yield Path(root).absolute()


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """*error*, and what it came from, as Python shows it."""
    for _ in range(FRAMES):
        if error is None:
            return
        yield error
        error = error.__cause__ if error.__cause__ or error.__suppress_context__ else error.__context__


def _one_trace(error: BaseException) -> str:
    frames = from_user(error.__traceback__)
    if frames is None:
        return ""
    lines = traceback.format_list(traceback.extract_tb(frames, limit=-FRAMES))
    return "Traceback (most recent call last):\n" + "".join(lines) + name_of(error)
