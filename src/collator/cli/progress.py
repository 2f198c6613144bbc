"""Progress of a run: bars where a person looks at a terminal, plain lines, one a second at most, where not.

Why it does not go on is a line of its own: below the bars, or on standard error.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Column
from rich.text import Text

from collator.cli.terminal import print_lines
from collator.text import escaped

FRAME, LINE = 0.1, 1.0
"""Seconds between two looks in a terminal, and between two lines in a pipe."""
AGAIN, ANOTHER = 10.0, 2.0
"""Seconds before the same reason is told once more in a pipe, and before another one is."""
_FIGURES = re.compile("[0-9]+")


class Bar(NamedTuple):
    """One thing that is counted."""

    name: str
    done: int
    of: int | None
    """`None` while nobody knows."""

    def __str__(self) -> str:
        """In a line of text."""
        return f"{self.name} {self.done}" if self.of is None else f"{self.name} {self.done} of {self.of}"


class Picture(NamedTuple):
    """The progress at this moment."""

    bars: tuple[Bar, ...]
    """The same ones in every picture."""
    note: str
    """Why it does not go on at the moment; empty where it does."""

    def __str__(self) -> str:
        """In a line of text."""
        return ", ".join(map(str, self.bars))


Look = Callable[[], Picture]


@asynccontextmanager
async def showing(look: Look, console: Console) -> AsyncIterator[None]:
    """Show on *console* what *look* sees, as long as the context is open."""
    draw = _bars if console.is_terminal else _lines
    with draw(look, console) as (update, pause):
        task = asyncio.create_task(_repeat(update, pause))
        try:
            yield
        finally:
            task.cancel()
            update()


async def _repeat(update: Callable[[], None], pause: float) -> None:
    while True:
        await asyncio.sleep(pause)
        update()


class Notes:
    """Tells why a run does not go on, by *tell*: at once, and not again and again."""

    def __init__(self, tell: Callable[[str], object], now: Callable[[], float] = time.monotonic) -> None:
        """Nothing was told yet."""
        self._tell, self._now = tell, now
        self._told, self._at = "", float("-inf")

    def look(self, note: str) -> None:
        """Tell *note*, unless it is empty or it is too early."""
        reason = _FIGURES.sub("", note)  # a countdown in it makes it no other
        if note and self._now() - self._at >= (AGAIN if reason == self._told else ANOTHER):
            self._told, self._at = reason, self._now()
            self._tell(note)


@contextmanager
def _lines(look: Look, console: Console) -> Iterator[tuple[Callable[[], None], float]]:
    shown = ""
    notes = Notes(lambda note: print_lines(f"collator: {note}", err=True))

    def update() -> None:
        nonlocal shown
        picture = look()
        if str(picture) != shown:
            shown = str(picture)
            console.print(shown, markup=False, highlight=False, soft_wrap=True)
        notes.look(picture.note)

    yield update, LINE


class _Bars(Progress):
    """Bars, and a note in a line of its own below them, which is cut rather than wrapped."""

    note = ""

    def get_renderables(self) -> Iterator[RenderableType]:
        """The bars, and the note where there is one."""
        yield self.make_tasks_table(self.tasks)
        if self.note:
            yield Text(self.note, style="yellow", no_wrap=True, overflow="ellipsis")


@contextmanager
def _bars(look: Look, console: Console) -> Iterator[tuple[Callable[[], None], float]]:
    name = TextColumn("{task.description:>12}", table_column=Column(no_wrap=True))
    bar = BarColumn(bar_width=None, table_column=Column(ratio=1, max_width=40))
    with _Bars(name, bar, MofNCompleteColumn(), TimeElapsedColumn(), console=console, expand=True) as progress:
        tasks = [progress.add_task(bar.name, total=bar.of) for bar in look().bars]
        yield lambda: _paint(progress, tasks, look()), FRAME


def _paint(progress: _Bars, tasks: list[TaskID], picture: Picture) -> None:
    progress.note = escaped(" ".join(picture.note.split()))  # of a receiver's words there may be several lines
    for task, bar in zip(tasks, picture.bars, strict=True):
        progress.update(task, completed=bar.done, total=bar.of)
