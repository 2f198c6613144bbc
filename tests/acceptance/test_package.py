"""The wheel and the sdist, as they are uploaded: what is in them, and the wheel in an environment of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from email import message_from_bytes
from pathlib import Path, PurePosixPath
from typing import NamedTuple
from zipfile import ZipFile

import pytest

import collator
from tests.acceptance.programs import PATIENCE, environment
from tests.requirements import need

ROOT = Path(__file__).parents[2]
LEDGERS = ("sqlite", "postgresql")
TWINE = ROOT / ".release-venv" / "bin" / "twine"


class Built(NamedTuple):
    """What was built, and what is in it, by its path."""

    wheel: Path
    sdist: Path
    in_wheel: Mapping[str, bytes]
    in_sdist: Mapping[str, bytes]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Both, built by the pinned back end that is here: nothing is fetched."""
    place = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "-d", place, cwd=ROOT)
    (wheel,), (sdist,) = place.glob("*.whl"), place.glob("*.tar.gz")
    with ZipFile(wheel) as archive:
        in_wheel = {name: archive.read(name) for name in archive.namelist()}
    return Built(wheel, sdist, in_wheel, dict(unpacked(sdist)))


def unpacked(sdist: Path) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(sdist) as archive:
        for member in archive:
            if member.isfile() and (file := archive.extractfile(member)):
                yield member.name.partition("/")[2], file.read()


def run(*command: object, cwd: Path, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [*map(str, command)],
        cwd=cwd,
        env=env or environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=3 * PATIENCE,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def source() -> set[str]:
    files = (path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT / "src").as_posix() for path in files}


def test_the_wheel_has_the_package_and_nothing_else(built: Built) -> None:
    described = {name for name in built.in_wheel if PurePosixPath(name).parts[0].endswith(".dist-info")}
    assert {*built.in_wheel} - described == source()
    ledgers = [f"collator/ledgers/{one}/{file}.sql" for one in LEDGERS for file in ("statements", "migrations/001")]
    assert {"collator/py.typed", *ledgers} <= {*built.in_wheel}


def test_the_sdist_has_what_the_wheel_is_made_of_and_the_pages_and_no_tests(built: Built) -> None:
    pages = {path.name for path in ROOT.glob("*.md")} | {"docs"}
    more = {"src", "LICENSE", "PKG-INFO", "pyproject.toml", ".gitignore"}
    assert {name.partition("/")[0] for name in built.in_sdist} == pages | more
    assert {"docs/tutorial.md", "docs/flow.svg", "docs/decisions/README.md"} <= {*built.in_sdist}
    assert {PurePosixPath(name).suffix for name in built.in_sdist if name.startswith("docs/")} == {
        ".md",
        ".png",
        ".svg",
    }
    assert {name.removeprefix("src/") for name in built.in_sdist if name.startswith("src/")} == source()


def test_a_wheel_from_the_sdist_is_the_same(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=unpacked)
    (again,) = tmp_path.glob("*.whl")
    with ZipFile(again) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == built.in_wheel


def test_what_the_index_shows_is_there(built: Built) -> None:
    (text,) = (content for name, content in built.in_wheel.items() if name.endswith(".dist-info/METADATA"))
    told = message_from_bytes(text)
    assert (told["Version"], told["License-Expression"]) == (collator.__version__, "MIT")
    assert text.partition(b"\n\n")[2] == (ROOT / "README.md").read_bytes()
    assert {*told.get_all("Provides-Extra", [])} == {"celery", "demo", "dev", "otel", "postgresql"}


def test_twine_finds_nothing_wrong(built: Built, tmp_path: Path) -> None:
    need(TWINE.exists(), "twine (make release-tools)")
    told = run(TWINE, "check", "--strict", built.wheel, built.sdist, cwd=tmp_path)
    assert told.count("PASSED") == 2


def test_the_wheel_works_in_an_environment_of_its_own(built: Built, tmp_path: Path) -> None:
    """Its libraries are those that are here, but not the source that this environment has beside them."""
    home = tmp_path / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", home, cwd=tmp_path)
    (site,) = home.glob("lib/python*/site-packages")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-index", "--no-deps"]
    run(*pip, "--prefix", home, "--ignore-installed", built.wheel, cwd=tmp_path)
    (site / "libraries.pth").write_text(f"{Path(pytest.__file__).parents[1]}\n")
    env = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    where = run(home / "bin" / "python", "-c", "import collator; print(collator.__file__)", cwd=tmp_path, env=env)
    assert Path(where.strip()).is_relative_to(site)
    command = home / "bin" / "collator"
    assert run(command, "--version", cwd=tmp_path, env=env).strip().endswith(collator.__version__)
    assert os.access(command, os.X_OK)
    told = run(command, "demo", "--resources", "2", "--packets", "1-3", "--dir", "demo", cwd=tmp_path, env=env)
    assert len([*(tmp_path / "demo" / "received").iterdir()]) == 2, told
