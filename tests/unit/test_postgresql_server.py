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
from collator.ledgers.postgresql.server import Server

SAFE = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "data_sync_retry": "off"}
URL = "postgresql://me@db/calls"


def found(**other: object) -> server.ServerState:
    """A server that is as it should be, but for *other*."""
    fields: dict[str, object] = {
        "version": "17.2",
        "number": 170_002,
        "encoding": "UTF8",
        "settings": SAFE,
        "standbys": "",
        "recovers": False,
        "read_only": False,
    }
    return server.ServerState(**{**fields, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("standbys", "commit"), [("", "on"), ("", "local"), ("one", "on"), ("one", "remote_apply"), ("one", "remote_write")]
)
def test_a_server_that_keeps_what_it_acknowledges_is_taken(standbys: str, commit: str) -> None:
    server.refuse_unusable(found())
    server.refuse_unfit(found(settings={**SAFE, "synchronous_commit": commit}, standbys=standbys))


@pytest.mark.parametrize(("name", "value"), [(name, "on" if value == "off" else "off") for name, value in SAFE.items()])
def test_p1_a_server_that_may_lose_it_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is {value}: .*--ledger-durability relaxed"):
        server.refuse_unfit(found(settings={**SAFE, name: value}))


def test_p1_commits_that_wait_for_no_synchronous_standby_are_refused_where_there_is_to_be_one() -> None:
    with pytest.raises(ConfigError, match="no commit waits for the synchronous standby"):
        server.refuse_unfit(found(settings={**SAFE, "synchronous_commit": "local"}, standbys="ANY 1 (*)"))


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"number": 140_013, "version": "14.13"}, "has version 14.13; Collator needs 15 or later"),
        ({"encoding": "LATIN1"}, "the encoding LATIN1; create it with encoding UTF8"),
        ({"recovers": True}, "is a standby; name the primary"),
        ({"read_only": True}, "takes no changes: default_transaction_read_only is on"),
    ],
)
def test_a_server_on_which_the_ledger_does_not_work_is_refused_in_any_case(
    other: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        server.refuse_unusable(found(**other))


def test_the_password_comes_from_a_file_as_it_is_now(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("open sesame \n")
    file.chmod(0o600)
    settings = Settings(ledger=URL, ledger_password_file=file)
    address = address_of(settings)
    assert address.password is not None
    assert address.password() == "open sesame "  # it may end with a space, and no line
    file.write_text("another\n")
    assert address.password() == "another"
    for text in ("", "\n", "one\ntwo\n"):
        file.write_text(text)
        assert address.password() == "another"
        with pytest.raises(
            ConfigError, match=r"--ledger-password-file .*it has to contain the password, and nothing else"
        ):
            address_of(settings)
    file.unlink()
    with pytest.raises(ConfigError, match=r"--ledger-password-file .*password"):
        address_of(settings)


def test_a_file_that_the_address_names_has_to_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--ledger: sslrootcert: the file .*/ca.pem does not exist"):
        address_of(Settings(ledger=f"{URL}?sslmode=verify-full&sslrootcert={tmp_path}/ca.pem"))


async def test_a_server_is_examined_and_one_that_is_not_there_is_unavailable() -> None:
    missing = postgresql.missing()
    need(missing is None, str(missing))
    url = postgresql.server_url()
    answered = await Server(Address(f"{url}/postgres"), relaxed=True).examine()
    assert answered.settings["fsync"] == "off"
    assert server.unfit(answered)
    with pytest.raises(ConfigError, match="fsync is off"):
        await Server(Address(f"{url}/postgres")).examine()
    with pytest.raises(ConfigError, match="the database does not exist"):
        await Server(Address(f"{url}/nothing_here")).examine()
    with pytest.raises(Unavailable, match="the database server"):
        await Server(Address("postgresql://me@127.0.0.1:9/calls")).examine()
    with pytest.raises(Unavailable, match=r"127.0.0.1:9: the database server: .*; 127.0.0.1:7: the database server"):
        await Server(Address("postgresql://me@127.0.0.1:9,127.0.0.1:7/calls")).examine()
