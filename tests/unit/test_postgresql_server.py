"""The PostgreSQL servers that the ledger works on: none that may lose what it acknowledged (P1), unless told so."""

from __future__ import annotations

from pathlib import Path

import pytest

from collator.errors import ConfigError, Unavailable
from collator.settings import Settings
from tests.requirements import need
from tests.servers import postgresql

pytest.importorskip("asyncpg")

from collator.ledgers.postgresql import server
from collator.ledgers.postgresql.address import Address, address_of

SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on"}


def found(**other: object) -> server.Found:
    """A server that is as it should be, but for *other*."""
    fields: dict[str, object] = {
        "version": "17.2",
        "number": 170_002,
        "encoding": "UTF8",
        "settings": SAFE,
        "standby": "none",
        "recovers": False,
    }
    return server.Found(**{**fields, **other})  # type: ignore[arg-type]


def test_a_server_that_keeps_what_it_acknowledges_is_taken() -> None:
    server.refuse_unfit(found(), relaxed=False)
    server.refuse_unfit(found(settings={**SAFE, "synchronous_commit": "remote_apply"}), relaxed=False)


@pytest.mark.parametrize("name", SAFE)
def test_p1_a_server_that_may_lose_it_is_refused_unless_that_is_accepted(name: str) -> None:
    unsafe = found(settings={**SAFE, name: "off"})
    with pytest.raises(ConfigError, match=f"{name} is off: .*--ledger-durability relaxed"):
        server.refuse_unfit(unsafe, relaxed=False)
    server.refuse_unfit(unsafe, relaxed=True)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"number": 140_013, "version": "14.13"}, "has version 14.13; Collator needs 15 or later"),
        ({"encoding": "LATIN1"}, "the encoding LATIN1; create it with encoding UTF8"),
        ({"recovers": True}, "is a standby; name the primary"),
    ],
)
def test_a_server_on_which_the_ledger_does_not_work_is_refused_in_any_case(
    other: dict[str, object], words: str
) -> None:
    for relaxed in (False, True):
        with pytest.raises(ConfigError, match=words):
            server.refuse_unfit(found(**other), relaxed=relaxed)


def test_the_password_comes_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame\n")
    settings = Settings(ledger="postgresql://me@db/calls", ledger_password_file=file)
    assert address_of(settings) == Address("postgresql://me@db/calls", "open sesame")
    file.unlink()
    with pytest.raises(ConfigError, match=r"--ledger-password-file: .*password"):
        address_of(settings)


async def test_a_server_is_examined_and_one_that_is_not_there_is_unavailable() -> None:
    missing = postgresql.missing()
    need(missing is None, str(missing))
    url = postgresql.server_url()
    answered = await server.examine(Address(f"{url}/postgres"))
    assert answered.settings["fsync"] == "off"
    assert server.unfit(answered)
    with pytest.raises(ConfigError, match="the database does not exist"):
        await server.examine(Address(f"{url}/nothing_here"))
    with pytest.raises(Unavailable, match="the database server"):
        await server.examine(Address("postgresql://me@127.0.0.1:9/calls"))
