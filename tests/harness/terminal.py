"""A terminal that a program writes to, as a person sees it: lines that are too long wrap, and the cursor moves."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_TOKEN = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b\]8;[^\x1b]*\x1b\\|[\r\n]|[^\x1b\r\n]")


class Screen:
    """What a terminal of *columns* shows after what was written to it, with all that has scrolled off its top."""

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.rows: list[list[str]] = [[]]
        self._row = self._column = 0

    def write(self, text: str) -> None:
        """Obey *text*: what Rich needs of a terminal, and no more."""
        for token in _TOKEN.finditer(text):
            if token[2]:
                self._control(token[1], token[2])
            elif token[0] == "\r":
                self._column = 0
            elif token[0] == "\n":
                self._down()
                self._column = 0
            elif not token[0].startswith("\x1b"):
                self._put(token[0])

    def lines(self) -> Sequence[str]:
        """Its lines, without blank ones."""
        return [line for row in self.rows if (line := "".join(row).rstrip())]

    def _control(self, argument: str, letter: str) -> None:
        if letter == "A":
            self._row = max(0, self._row - int(argument or 1))
        elif letter == "K":
            self.rows[self._row] = [] if argument == "2" else self.rows[self._row][: self._column]

    def _put(self, character: str) -> None:
        if self._column == self.columns:
            self._down()
            self._column = 0
        row = self.rows[self._row]
        row.extend(" " * (self._column + 1 - len(row)))
        row[self._column] = character
        self._column += 1

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self.rows):
            self.rows.append([])


class Terminal:
    """A program in a terminal of its own, which it does not outlive: a context."""

    def __init__(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], columns: int) -> None:
        """Start *command*."""
        self._outer, inner = os.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        shown = {name: value for name, value in env.items() if name != "COLUMNS"} | {"TERM": "xterm-256color"}
        self.process = subprocess.Popen(command, cwd=cwd, env=shown, stdin=inner, stdout=inner, stderr=inner)
        os.close(inner)
        self.screen = Screen(columns)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join()
        os.close(self._outer)

    def end(self, timeout: float) -> int:
        """Its exit code, once it has ended."""
        code = self.process.wait(timeout)
        self._reader.join(timeout)
        return code

    def _read(self) -> None:
        try:
            while data := os.read(self._outer, 65536):
                self.screen.write(data.decode("utf-8", "replace"))
        except OSError:  # EIO: nobody holds the other end any more
            pass
