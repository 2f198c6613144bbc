"""Addresses of PostgreSQL databases: what is understood, and what is refused in words, without a secret."""

from __future__ import annotations

import pytest

from collator.settings.addresses import ledger
from collator.settings.postgresql import Host, parse

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        ("postgresql://me@db/calls", [Host("db", 5432)]),
        ("postgres://me@db:6432/calls", [Host("db", 6432)]),
        ("postgresql://me@one,two:6000,[::1]:7000/calls", [Host("one", 5432), Host("two", 6000), Host("::1", 7000)]),
        ("postgresql://me@%2Frun%2Fpostgresql/calls", [Host("/run/postgresql", 5432)]),
        ("postgresql://me@/calls?host=/run/postgresql&port=5433", [Host("/run/postgresql", 5433)]),
        ("postgresql://me@/calls?host=one,two&port=1,2", [Host("one", 1), Host("two", 2)]),
        ("postgresql://me@/calls?host=one,two&port=1", [Host("one", 1), Host("two", 1)]),
    ],
)
def test_the_hosts_of_an_address(text: str, hosts: list[Host]) -> None:
    assert ledger(text) == text
    found = parse(text)
    assert (found.user, found.hosts, found.database) == ("me", hosts, "calls")


def test_what_an_address_says_besides() -> None:
    found = parse("postgresql://a%40b@db/x%2Fy?sslmode=verify-full&sslrootcert=/a%20b&target_session_attrs=read-write")
    assert (found.user, found.database) == ("a@b", "x/y")
    assert found.parameters == {"sslmode": "verify-full", "sslrootcert": "/a b"}
    assert found.without_hosts == "postgresql://a%40b@/x%2Fy?sslmode=verify-full&sslrootcert=%2Fa+b"
    assert [str(host) for host in parse("postgresql://[::1],db:1,%2Frun/x").hosts] == [
        "[::1]:5432",
        "db:1",
        "/run:5432",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("postgresql://db/calls?connect_timeout=3", "has the parameter connect_timeout, which is not supported"),
        ("postgresql://db/calls?application_name=x", "has the parameter application_name, which is not supported"),
        (f"postgresql://db/calls?{SECRET}=x", "has the parameter that is no name, which is not supported"),
        (f"postgresql://db/calls?sslpassword={SECRET}", "has sslpassword in it; use a key file that is not encrypted"),
        (f"postgresql://me:{SECRET}@db/calls", "has a password in it; put it into a file"),
        (f"postgresql://db/calls?passwor%64={SECRET}", "has a password in it; put it into a file"),
        ("postgresql:///calls?host=one&host=two", "has the parameter host twice"),
        ("postgresql://one/calls?host=two", "names hosts twice"),
        ("postgresql:///calls?host=one,two&port=1,2,3", "do not name as many hosts as ports"),
        ("postgresql:///calls?host=one,", "do not name as many hosts as ports"),
        ("postgresql://one,,two/calls", "has a host that is not valid"),
        (f"postgresql://one:{SECRET}/calls", "has a host that is not valid"),
        ("postgresql://one:70000/calls", "has a port that is not valid; ports are 1 to 65535"),
        ("postgresql:///calls?host=one&port=x", "has a port that is not valid"),
        ("postgresql://db/calls?sslmode=yes", "sslmode in the address of the database must be one of disable, allow,"),
        ("postgresql://db/calls?sslrootcert=", "sslrootcert in the address of the database has no value"),
        ("postgresql://db/calls?target_session_attrs=any", "must be one of read-write, primary"),
        ("postgresql://db/calls?sslmode", "write NAME=VALUE&…"),
        ("postgresql://db/calls#x", "has a # in it"),
        ("postgresql://o\nne/calls", "has a control character in it"),
        ("postgresql://db\uff0f/calls?x", "write NAME=VALUE&…"),
        ("postgresql://db", "names no database; write postgresql://USER@HOST"),
        ("postgresql:///calls", "names no host; write postgresql://USER@HOST"),
    ],
)
def test_an_address_that_cannot_work_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r"the address|sslmode|sslrootcert|target_session|host=") as refused:
        ledger(text)
    assert words in str(refused.value)
    assert SECRET not in str(refused.value)
