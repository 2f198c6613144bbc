"""How far a run has come: bars where a person looks at a terminal, plain lines, one a second at most, where not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import NamedTuple

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

FRAME, LINE = 0.1, 1.0
"""Seconds between two looks in a terminal, and between two lines in a pipe."""


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
    """How far it is now."""

    bars: tuple[Bar, ...]
    """The same ones in every picture."""
    note: str
    """Why it does not go on at the moment; empty where it does."""

    def __str__(self) -> str:
        """In a line of text."""
        return ", ".join(map(str, self.bars)) + (f"  ({self.note})" if self.note else "")


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


@contextmanager
def _lines(look: Look, console: Console) -> Iterator[tuple[Callable[[], None], float]]:
    shown = ""

    def update() -> None:
        nonlocal shown
        text = str(look())
        if text != shown:
            console.print(text, markup=False, highlight=False, soft_wrap=True)
            shown = text

    yield update, LINE


@contextmanager
def _bars(look: Look, console: Console) -> Iterator[tuple[Callable[[], None], float]]:
    columns = (TextColumn("{task.description:>12}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("[yellow]{task.fields[note]}"), console=console) as progress:
        tasks = [progress.add_task(bar.name, total=bar.of, note="") for bar in look().bars]
        yield lambda: _paint(progress, tasks, look()), FRAME


def _paint(progress: Progress, tasks: list[TaskID], picture: Picture) -> None:
    for task, bar in zip(tasks, picture.bars, strict=True):
        progress.update(task, completed=bar.done, total=bar.of)
    progress.update(tasks[-1], note=picture.note.replace("[", r"\["))
