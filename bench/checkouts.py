"""Other commits of this repository, each in a checkout and an environment of its own, kept for the next time."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.processes import ROOT, SOURCE
from collator.errors import CollatorError

KEPT = ROOT / ".compare"
"""Where they are, by the ids of their commits; ``make clean`` removes them."""
_READY = ".ready"
_PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


class Build(NamedTuple):
    """A state of the source, with the Python that has the libraries which it pins."""

    name: str
    """For a person."""
    source: Path
    python: str


def this() -> Build:
    """What is in the working tree, with what is not committed."""
    changed = "+" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return Build(_git("rev-parse", "--short", "HEAD") + changed, SOURCE, sys.executable)


def of_commit(commit: str, tell: Callable[[str], None]) -> Build:
    """The state at *commit*, anything that git understands; made where it is not there yet, which *tell* hears of.

    Raises `CollatorError`.
    """
    whole = _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}")
    place = KEPT / whole
    python = place / ".venv" / "bin" / "python"
    if not (place / _READY).exists():
        tell(f"building {commit} in {place.relative_to(ROOT)}")
        _remove(place)
        _git("worktree", "add", "--quiet", "--detach", str(place), whole)
        _run(sys.executable, "-m", "venv", str(place / ".venv"))
        _run(str(python), *_PIP, "--require-hashes", "-r", str(place / "requirements-dev.txt"))
        _run(str(python), *_PIP, "--no-deps", "--no-build-isolation", "-e", str(place))
        (place / _READY).touch()
    return Build(_git("rev-parse", "--short", whole), place / "src", str(python))


def _remove(place: Path) -> None:
    """Remove what a build that was cut off has left."""
    shutil.rmtree(place, ignore_errors=True)
    _git("worktree", "prune")


def _git(*arguments: str) -> str:
    return _run("git", "-C", str(ROOT), *arguments).strip()


def _run(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout
    except FileNotFoundError:
        raise CollatorError(f"{command[0]} is not on the PATH") from None
    except subprocess.CalledProcessError as error:
        said = error.stderr.strip().rpartition("\n")[2] or f"exit code {error.returncode}"
        raise CollatorError(f"{' '.join(command)}: {said}") from None
