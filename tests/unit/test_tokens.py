"""Tokens: made, hashed, known again; and the file that holds them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collator.errors import ConfigError
from collator.tokens import PREFIX, Role, TokenFile, generate_token, line_for, parse_tokens

HASH = "sha256:" + "ab" * 32


def test_a_new_token_is_known_by_its_line_and_no_other_is() -> None:
    token, other = generate_token(), generate_token()
    tokens = parse_tokens(line_for(token, roles=[Role.SEND, Role.READ], name="front desk"))
    caller = tokens.find(token.encode())
    assert caller is not None
    assert (caller.name, caller.roles) == ("front desk", frozenset({Role.SEND, Role.READ}))
    for foreign in (other, token[:-1], token + " ", token.removeprefix(PREFIX), ""):
        assert tokens.find(foreign.encode()) is None


def test_the_line_holds_the_hash_and_not_the_token() -> None:
    token = generate_token()
    line = line_for(token, roles=[Role.ADMIN], name="me")
    assert token not in line
    assert line == f"admin sha256:{hashlib.sha256(token.encode()).hexdigest()} me"


@pytest.mark.parametrize(
    ("roles", "allowed"),
    [("send", {"send"}), ("read", {"read"}), ("send,read", {"send", "read"}), ("admin", {"send", "read", "admin"})],
)
def test_a_role_allows_what_it_says_and_admin_everything(roles: str, allowed: set[str]) -> None:
    caller = parse_tokens(f"{roles} sha256:{hashlib.sha256(b't').hexdigest()} x").find(b"t")
    assert caller is not None
    assert {role for role in Role if caller.may(role)} == allowed


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("\nroot " + HASH + " x", "line 2: 'root' is not a role; the roles are send, read, admin"),
        ("send, " + HASH + " x", "line 1: '' is not a role"),
        ("send " + HASH, "line 1: expected ROLES sha256:HASH NAME"),
        ("send " + HASH + " " + "x" * 65, "line 1: expected ROLES sha256:HASH NAME"),
        ("send " + HASH + " a\x1bb", "line 1: expected ROLES sha256:HASH NAME"),
        ("send md5:" + "ab" * 16 + " x", "line 1: expected ROLES sha256:HASH NAME"),
        ("send " + HASH[:-1] + " x", "line 1: expected ROLES sha256:HASH NAME"),
        (f"send {HASH} a\nread {HASH} b", "line 2: this token is already listed, as 'a'"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_tokens(text)
    assert caught.value.detail.startswith(problem)


def test_an_error_does_not_show_a_token_that_was_put_in_place_of_its_hash() -> None:
    token = generate_token()
    with pytest.raises(ConfigError) as caught:
        parse_tokens(f"send {token} me")
    assert token not in str(caught.value)


def test_a_token_is_given_and_taken_back_without_a_restart(tmp_path: Path) -> None:
    path, old, new = tmp_path / "tokens", generate_token(), generate_token()
    path.write_text(line_for(old, roles=[Role.SEND], name="old"))
    file = TokenFile(path)
    path.write_text("# a change\n" + line_for(new, roles=[Role.SEND], name="new"))
    assert file.current().find(new.encode()) is not None
    assert file.current().find(old.encode()) is None
    with capture_logs() as logs:
        path.write_text("nonsense")
        assert file.current().find(new.encode()) is not None
        path.unlink()
        assert file.current().find(new.encode()) is not None
    assert [line["log_level"] for line in logs] == ["error", "error"]


@pytest.mark.parametrize("text", ["", "# nobody\n\n"])
def test_the_last_token_can_be_taken_back(tmp_path: Path, text: str) -> None:
    path, token = tmp_path / "tokens", generate_token()
    path.write_text(line_for(token, roles=[Role.ADMIN], name="lost"))
    file = TokenFile(path)
    path.write_text(text)
    assert file.current().find(token.encode()) is None
    with pytest.raises(ConfigError, match="it contains no token; create one with: collator token"):
        TokenFile(path)


def test_a_file_that_cannot_be_used_at_the_start_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"tokens file .*: No such file"):
        TokenFile(tmp_path / "gone")


def test_a_file_that_is_too_large_is_refused_and_not_read_in_part(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    lines = [line_for(generate_token(), roles=[Role.SEND], name=name) for name in ("first", "last")]
    path.write_text(f"{lines[0]}\n#{'-' * 65_000}\n")
    TokenFile(path)
    path.write_text(f"{lines[0]}\n#{'-' * 65_536}\n{lines[1]}\n")
    with pytest.raises(ConfigError, match="larger than 64 KiB"):
        TokenFile(path)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (" ", "the name is empty"),
        ("a\nb", "the name 'a\\nb' is invalid"),
        ("x" * 65, "at most 64 printable characters"),
    ],
)
def test_a_name_that_does_not_fit_on_a_line_is_told_as_one(name: str, why: str) -> None:
    with pytest.raises(ConfigError) as caught:
        line_for(generate_token(), roles=[Role.SEND], name=name)
    assert why in caught.value.detail
    assert "line 1" not in caught.value.detail
