"""Linux, macOS and Windows by construction: what one of them has not is asked for behind a guard."""

from __future__ import annotations

import ast
import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

import collator
from collator.durability import sync_directory
from collator.signals import on_stop

SOURCE = Path(collator.__file__).parent
ONE_SYSTEM = frozenset(
    {"fcntl", "grp", "msvcrt", "posix", "pty", "pwd", "resource", "termios", "tty", "uvloop", "winloop", "winreg"}
)
"""Modules that not every system has."""
ONE_SYSTEM_CALLS = frozenset(
    {
        "os.chown",
        "os.fchmod",
        "os.fork",
        "os.geteuid",
        "os.getpgid",
        "os.getuid",
        "os.killpg",
        "os.mkfifo",
        "os.posix_fadvise",
        "os.posix_fallocate",
        "os.posix_spawn",
        "os.setsid",
        "os.statvfs",
        "os.sync",
        "os.uname",
        "signal.SIGALRM",
        "signal.SIGHUP",
        "signal.SIGKILL",
        "signal.SIGUSR1",
        "signal.SIGUSR2",
        "signal.alarm",
        "signal.pause",
        "signal.setitimer",
        "socket.AF_UNIX",
        "socket.SO_REUSEPORT",
    }
)
"""Calls that not every system has; and these methods of event loops and sockets."""
ONE_SYSTEM_METHODS = frozenset({"add_signal_handler", "create_unix_server", "create_unix_connection", "socketpair"})
GUARDS = ("sys.platform", "os.name", "hasattr(")


def unguarded(tree: ast.AST, *, guarded: bool = False) -> Iterator[tuple[int, str]]:
    """Line and name of each thing that one system has, and that no question for the system stands before."""
    for node in ast.iter_child_nodes(tree):
        asked = guarded or (isinstance(node, ast.If) and any(guard in ast.unparse(node.test) for guard in GUARDS))
        if not guarded:
            yield from ((node.lineno, name) for name in names_in(node) if isinstance(node, ast.stmt | ast.expr))
        yield from unguarded(node, guarded=asked)
        # What stands behind an early return is guarded by it.
        guarded = guarded or (asked and isinstance(node, ast.If) and isinstance(node.body[-1], ast.Return | ast.Raise))


def names_in(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name.partition(".")[0] in ONE_SYSTEM)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ONE_SYSTEM:
        yield node.module or ""
    elif isinstance(node, ast.Attribute) and {node.attr, ast.unparse(node)} & (ONE_SYSTEM_METHODS | ONE_SYSTEM_CALLS):
        yield ast.unparse(node)


def test_what_one_system_has_is_asked_for_behind_a_guard() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {name} is not there on every system: ask sys.platform first"
        for path in sorted(SOURCE.rglob("*.py"))
        for line, name in unguarded(ast.parse(path.read_text("utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import fcntl",
        "def f():\n    import uvloop",
        "from resource import getrusage",
        "loop.add_signal_handler(1, f)",
        "if x:\n    os.kill(1, signal.SIGKILL)",
        "if sys.platform == 'win32':\n    pass\nimport pwd",
    ],
)
def test_the_guard_is_missed(source: str) -> None:
    assert len([*unguarded(ast.parse(source))]) == 1


@pytest.mark.parametrize(
    "source",
    [
        "if sys.platform == 'win32':\n    import msvcrt\nelse:\n    import fcntl",
        "def f():\n    if sys.platform == 'win32':\n        return\n    import uvloop",
        "import os, signal\nsignal.signal(signal.SIGTERM, f)",
    ],
)
def test_a_guard_is_seen(source: str) -> None:
    assert [*unguarded(ast.parse(source))] == []


def test_text_is_read_and_written_in_utf8_wherever_it_runs() -> None:
    """A Windows of the west would take it for cp1252."""
    found = [
        f"{path.relative_to(SOURCE)}:{node.lineno}: {ast.unparse(node)}"
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
        if (node.func.attr == "read_text" and not node.args and not node.keywords)
        or (node.func.attr == "write_text" and len(node.args) + len(node.keywords) < 2)
    ]
    assert found == []


@pytest.mark.skipif(os.name != "posix", reason="nobody can send a signal to a process of Windows")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
async def test_a_signal_is_told(number: signal.Signals) -> None:
    told = asyncio.Event()
    on_stop(told.set)
    try:
        os.kill(os.getpid(), number)
        await asyncio.wait_for(told.wait(), 5.0)
    finally:
        for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(each)


def test_a_system_that_cannot_sync_a_directory_is_not_asked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync_directory(tmp_path)
    monkeypatch.setattr(os, "name", "nt")
    sync_directory(tmp_path / "missing")  # which an opening would notice
