"""What `import collator` offers, and what it costs."""

from __future__ import annotations

import subprocess
import sys

import pytest

import collator

SERVERS = frozenset({"aiohttp", "apsw", "uvicorn", "starlette"})
HEAVY = SERVERS | {"msgspec", "structlog", "click", "rich", "asyncio", "prometheus_client"}


@pytest.mark.parametrize("name", collator.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(collator, name) is not None
    assert name in dir(collator)


def test_nothing_but_the_public_names_is_listed() -> None:
    assert dir(collator) == sorted(collator.__all__)


def test_a_name_that_is_not_there_is_said_as_python_says_it() -> None:
    with pytest.raises(AttributeError, match="module 'collator' has no attribute 'nothing'"):
        getattr(collator, "nothing")  # noqa: B009 - a checker knows it too


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True).stdout.split())


def test_importing_collator_is_light() -> None:
    assert modules_after("import collator").isdisjoint(HEAVY)


def test_a_processor_that_raises_permanent_loads_no_server_and_no_store() -> None:
    assert modules_after("from collator import Permanent, Context").isdisjoint(SERVERS)


def test_a_client_is_loaded_without_a_server_or_a_store() -> None:
    assert modules_after("from collator import Client").isdisjoint({"apsw", "uvicorn", "starlette", "click", "rich"})


def test_the_command_line_loads_a_command_when_it_is_asked_for() -> None:
    loaded = modules_after("import collator.cli.main; collator.cli.main.cli.commands['serve']")
    assert "collator.cli.serve" in loaded
    assert loaded.isdisjoint({*(HEAVY - {"click", "msgspec"}), "collator.cli.send"})


def test_a_ledger_and_workers_are_loaded_where_they_are_chosen() -> None:
    loaded = modules_after("import collator.service, collator.library, collator.ledgers, collator.workers")
    assert "apsw" not in loaded
    assert {name for name in loaded if name.startswith(("collator.ledgers.", "collator.workers."))} == set()
