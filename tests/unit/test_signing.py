"""Signatures (R21): as the specification has them, as its reference library has them, and as files keep the secrets."""

from __future__ import annotations

import base64
import os
import stat
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from collator.errors import ConfigError
from collator.signing import (
    PREFIX,
    Secret,
    SecretFile,
    Unverified,
    ensure_secret_file,
    finish_rotation,
    generate_secret,
    parse_secrets,
    read_secret_file,
    rotate_secret_file,
    sign,
    verify,
)

# Published with the tests of Svix's server.
SVIX_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SVIX_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
SVIX_TIME = 1614265330
SVIX_BODY = b'{"test": 2432232314}'
SVIX_SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

MAKE_ONE = "create one with: collator secret new"
SAME = "all bytes of this secret are equal, which is easy to guess"


def encoded(key: bytes) -> str:
    return PREFIX + base64.b64encode(key).decode()


OLD, NEW, OTHER = (encoded(bytes(range(number, number + 32))) for number in (1, 2, 3))

ids = st.from_regex(r"msg_[a-z2-7]{52}", fullmatch=True)
keys = st.binary(min_size=24, max_size=64).filter(lambda key: len({*key}) > 1).map(encoded)


def headers(signature: str, *, webhook_id: str = SVIX_ID, timestamp: object = SVIX_TIME) -> dict[str, str]:
    return {"webhook-id": webhook_id, "webhook-timestamp": str(timestamp), "webhook-signature": signature}


def why_not(given: Mapping[str, str], *, body: bytes = SVIX_BODY, now: float = SVIX_TIME) -> str:
    with pytest.raises(Unverified) as caught:
        verify(parse_secrets(SVIX_SECRET), given, body, now=now)
    return caught.value.detail


def test_r21_the_published_vector_of_svix_holds() -> None:
    secrets = parse_secrets(SVIX_SECRET)
    assert sign(secrets, SVIX_ID, SVIX_TIME, SVIX_BODY) == SVIX_SIGNATURE
    assert verify(secrets, headers(SVIX_SIGNATURE), SVIX_BODY, now=SVIX_TIME) == SVIX_ID


@given(key=keys, webhook_id=ids, body=st.text())
def test_r21_the_reference_library_accepts_what_is_signed_here(key: str, webhook_id: str, body: str) -> None:
    now = int(time.time())
    content = body.encode("utf-8", "replace")
    signature = sign(parse_secrets(key), webhook_id, now, content)
    standardwebhooks.Webhook(key).verify(
        content, headers(signature, webhook_id=webhook_id, timestamp=now), json_parse=False
    )


@given(key=keys, webhook_id=ids, body=st.text(), now=st.integers(10**9, 2 * 10**9))
def test_r21_what_the_reference_library_signs_is_accepted_here(key: str, webhook_id: str, body: str, now: int) -> None:
    text = body.encode("utf-8", "replace").decode()
    signature = standardwebhooks.Webhook(key).sign(webhook_id, datetime.fromtimestamp(now, UTC), text)
    given = headers(signature, webhook_id=webhook_id, timestamp=now)
    assert verify(parse_secrets(key), given, text.encode(), now=now) == webhook_id


def test_r21_while_a_secret_is_rotated_a_receiver_of_either_accepts() -> None:
    now = int(time.time())
    signature = sign(parse_secrets(f"{NEW}\n{OLD}\n"), SVIX_ID, now, SVIX_BODY)
    assert len(signature.split(" ")) == 2
    for known in (OLD, NEW):
        standardwebhooks.Webhook(known).verify(SVIX_BODY, headers(signature, timestamp=now))
        verify(parse_secrets(known), headers(signature, timestamp=now), SVIX_BODY, now=now)
    with pytest.raises(standardwebhooks.WebhookVerificationError):
        standardwebhooks.Webhook(OTHER).verify(SVIX_BODY, headers(signature, timestamp=now))
    with pytest.raises(Unverified):
        verify(parse_secrets(OTHER), headers(signature, timestamp=now), SVIX_BODY, now=now)


def test_r21_a_receiver_that_knows_two_secrets_accepts_either() -> None:
    for known in (OLD, NEW):
        signature = sign(parse_secrets(known), SVIX_ID, SVIX_TIME, SVIX_BODY)
        verify(parse_secrets(f"{NEW}\n{OLD}"), headers(signature), SVIX_BODY, now=SVIX_TIME)


@given(data=st.data(), body=st.binary(min_size=1))
def test_r21_one_changed_byte_is_not_accepted(data: st.DataObject, body: bytes) -> None:
    secrets = parse_secrets(SVIX_SECRET)
    signature = sign(secrets, SVIX_ID, SVIX_TIME, body)
    place = data.draw(st.integers(0, len(body) - 1))
    changed = bytes([*body[:place], body[place] ^ data.draw(st.integers(1, 255)), *body[place + 1 :]])
    with pytest.raises(Unverified):
        verify(secrets, headers(signature), changed, now=SVIX_TIME)
    with pytest.raises(Unverified):
        verify(secrets, headers(signature, webhook_id=SVIX_ID + "x"), body, now=SVIX_TIME)
    with pytest.raises(Unverified):
        verify(secrets, headers(signature, timestamp=SVIX_TIME + 1), body, now=SVIX_TIME)


@pytest.mark.parametrize("age", [-300, 0, 300])
def test_a_timestamp_may_be_five_minutes_off(age: int) -> None:
    verify(parse_secrets(SVIX_SECRET), headers(SVIX_SIGNATURE), SVIX_BODY, now=SVIX_TIME + age)


@pytest.mark.parametrize(("age", "side"), [(-301, "future"), (301, "past")])
def test_an_older_or_newer_timestamp_is_refused(age: int, side: str) -> None:
    assert why_not(headers(SVIX_SIGNATURE), now=SVIX_TIME + age) == f"webhook-timestamp is 301 s in the {side}"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_a_missing_header_is_named(name: str) -> None:
    given = headers(SVIX_SIGNATURE)
    del given[name]
    assert why_not(given) == f"{name} is missing"


@pytest.mark.parametrize("timestamp", ["", "soon", "-5", "1e9", "1614265330.0", " 1614265330", "٣", "9" * 5000, "nan"])
def test_a_timestamp_that_is_no_number_is_refused_in_words(timestamp: str) -> None:
    assert why_not(headers(SVIX_SIGNATURE, timestamp=timestamp)).startswith("webhook-timestamp is")


@pytest.mark.parametrize(
    "signature",
    [
        "v1",
        "v1,",
        ",",
        "v1,a,b",
        "v1a," + SVIX_SIGNATURE[3:],
        SVIX_SIGNATURE[3:],
        SVIX_SIGNATURE.upper(),
        SVIX_SIGNATURE + "x",
        SVIX_SIGNATURE[:-1],
        "v1,é",
        "v1,\ud800",
        "  ",
    ],
)
def test_a_signature_that_is_malformed_is_refused_in_words(signature: str) -> None:
    assert why_not(headers(signature)) == "no signature in webhook-signature matches"


@pytest.mark.parametrize("around", ["v1a,AAAA {} v2,x", "garbage {}", "{} ,"])
def test_entries_of_other_schemes_are_passed_over(around: str) -> None:
    verify(parse_secrets(SVIX_SECRET), headers(around.format(SVIX_SIGNATURE)), SVIX_BODY, now=SVIX_TIME)


@given(webhook_id=st.text(), timestamp=st.text(), signature=st.text())
def test_whatever_the_headers_hold_only_unverified_is_raised(webhook_id: str, timestamp: str, signature: str) -> None:
    why_not(headers(signature, webhook_id=webhook_id, timestamp=timestamp))
    why_not(headers(signature, webhook_id=webhook_id))


def test_r21_a_generated_secret_is_new_each_time_and_usable() -> None:
    texts = {generate_secret() for _ in range(20)}
    assert len(texts) == 20
    assert all(len(base64.b64decode(text.removeprefix(PREFIX))) == 32 for text in texts)
    assert len(parse_secrets("\n".join(texts))) == 20


def test_r21_the_first_secret_of_a_file_is_the_current_one() -> None:
    secrets = parse_secrets(f"# rotated on Tuesday\n\n  {NEW}  \r\n# the old one\n{OLD}\n\n")
    both = sign(secrets, SVIX_ID, SVIX_TIME, SVIX_BODY).split(" ")
    assert both == [sign(parse_secrets(one), SVIX_ID, SVIX_TIME, SVIX_BODY) for one in (NEW, OLD)]


def test_padding_of_a_secret_may_be_left_out() -> None:
    signatures = {sign(parse_secrets(one), SVIX_ID, SVIX_TIME, SVIX_BODY) for one in (NEW, NEW.rstrip("="))}
    assert len(signatures) == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "it contains no secret"),
        ("# nothing\n\n", "it contains no secret"),
        (OLD.removeprefix(PREFIX), "line 1: a secret starts with whsec_"),
        (f"{OLD}\n\nwhsk_abc", "line 3: a secret starts with whsec_"),
        (OLD + NEW, "line 1: it has two secrets: each needs a line of its own"),
        ("whsec_***", "line 1: the text after whsec_ is not base64"),
        ("whsec_é", "line 1: the text after whsec_ is not base64"),
        ("whsec_", f"line 1: a secret must have 24 to 64 bytes, this one has 0; {MAKE_ONE}"),
        (
            PREFIX + base64.b64encode(b"k" * 23).decode(),
            f"line 1: a secret must have 24 to 64 bytes, this one has 23; {MAKE_ONE}",
        ),
        (
            PREFIX + base64.b64encode(b"k" * 65).decode(),
            f"line 1: a secret must have 24 to 64 bytes, this one has 65; {MAKE_ONE}",
        ),
        *((PREFIX + base64.b64encode(key).decode(), f"line 1: {SAME}; {MAKE_ONE}") for key in (bytes(32), b"k" * 24)),
    ],
)
def test_r21_a_secret_that_cannot_be_used_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_secrets(text)
    assert caught.value.detail == problem


def test_no_text_of_a_secret_is_in_an_error_or_a_repr() -> None:
    assert SVIX_SECRET[6:] not in repr(Secret(SVIX_SECRET))
    with pytest.raises(ConfigError) as caught:
        parse_secrets(SVIX_SECRET[6:])
    assert SVIX_SECRET[6:16] not in repr(caught.value)


def signer(path: Path) -> Callable[[], str]:
    """What *path* signs with now: the text of the secrets, found by their signatures."""
    file = SecretFile(path)
    names = {sign(parse_secrets(one), "m", 1, b""): name for name, one in (("old", OLD), ("new", NEW))}
    return lambda: " ".join(names[entry] for entry in sign(file.current(), "m", 1, b"").split(" "))


def test_r21_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text(OLD)
    signs_with = signer(path)
    assert signs_with() == "old"
    path.write_text(f"{NEW}\n{OLD}\n")
    assert signs_with() == "new old"
    replacement = tmp_path / "replacement"
    replacement.write_text(f"{OLD}\n{NEW}\n")  # of the same size: told apart by its inode
    os.utime(replacement, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    replacement.replace(path)
    assert signs_with() == "old new"


@pytest.mark.parametrize("broken", [b"", b"whsec_AAAA", b"\xff\xfe", None])
def test_r21_a_file_that_becomes_unusable_leaves_the_old_secrets_and_says_so_once(
    tmp_path: Path, broken: bytes | None
) -> None:
    path = tmp_path / "secret"
    path.write_text(OLD)
    signs_with = signer(path)
    if broken is None:
        path.unlink()
    else:
        path.write_bytes(broken)
    with capture_logs() as logs:
        assert [signs_with() for _ in range(5)] == ["old"] * 5
    assert [line["log_level"] for line in logs] == ["error"]
    path.write_text(NEW)
    assert signs_with() == "new"


@pytest.mark.parametrize("content", [None, b"", b"hello", b"\xff"])
def test_r21_a_file_that_cannot_be_used_at_the_start_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"secret file .*secret: \w"):
        SecretFile(path)


def test_r21_a_secret_file_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "webhook.secret"
    assert ensure_secret_file(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(SecretFile(path).current()) == 1
    assert [*tmp_path.iterdir()] == [path]


def test_r21_the_file_that_is_made_is_taken_as_it_is_by_a_library_that_is_strict(tmp_path: Path) -> None:
    path = tmp_path / "webhook.secret"
    ensure_secret_file(path)
    assert len(base64.b64decode(path.read_bytes().removeprefix(b"whsec_"), validate=True)) == 32


@pytest.mark.parametrize("text", [OLD, f"{OLD}\n", f"{NEW}\n{OLD}\n", f"# as before\r\n{OLD}\r\n"])
def test_r21_a_receiver_gives_the_text_of_a_file_as_it_is_and_headers_in_any_case(text: str) -> None:
    now = int(time.time())
    signature = sign(parse_secrets(OLD), SVIX_ID, now, SVIX_BODY)
    given = {name.title(): value for name, value in headers(signature, timestamp=now).items()}
    assert verify(text, given, SVIX_BODY) == SVIX_ID
    with pytest.raises(Unverified):
        verify(OTHER, given, SVIX_BODY)


def test_r21_a_rotation_keeps_the_old_secret_until_it_is_finished(tmp_path: Path) -> None:
    path = tmp_path / "webhook.secret"
    path.write_text(f"# of this service\n{OLD}\n")
    path.chmod(0o640)
    new, old = rotate_secret_file(path)
    assert (old, path.read_text()) == (OLD, f"{new}\n{OLD}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    with pytest.raises(ConfigError, match="2 secrets sign already: finish that rotation first"):
        rotate_secret_file(path)
    assert finish_rotation(path) == [new]
    assert path.read_text() == new
    assert [*tmp_path.iterdir()] == [path]


def test_r21_what_a_link_leads_to_is_rotated_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    file, link = tmp_path / "secrets" / "mine", tmp_path / "webhook.secret"
    file.write_text(OLD)
    link.symlink_to(file)
    new, old = rotate_secret_file(link)
    assert (file.read_text(), old) == (f"{new}\n{OLD}", OLD)
    assert link.is_symlink()


@pytest.mark.parametrize("content", [None, b"", b"hello", b"\xff"])
def test_r21_a_file_that_cannot_be_used_is_not_rotated(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "webhook.secret"
    if content is not None:
        path.write_bytes(content)
    for change in (rotate_secret_file, finish_rotation):
        with pytest.raises(ConfigError, match=r"secret file .*webhook.secret: \w"):
            change(path)
    assert (path.read_bytes() if path.exists() else None) == content


def test_r21_a_rotation_that_cannot_keep_the_owner_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    path = tmp_path / "webhook.secret"
    path.write_text(OLD)
    monkeypatch.setattr(os, "fchown", refused)
    with pytest.raises(ConfigError, match="cannot be replaced: Operation not permitted"):
        rotate_secret_file(path)
    assert [(one, one.read_text()) for one in tmp_path.iterdir()] == [(path, OLD)]


def test_r21_a_secret_file_that_is_there_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "webhook.secret"
    path.write_text("mine")
    assert not ensure_secret_file(path)
    assert path.read_text() == "mine"


def test_r21_of_many_that_make_the_file_at_once_one_does(tmp_path: Path) -> None:
    path = tmp_path / "webhook.secret"
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: ensure_secret_file(path), range(32)))
    assert sum(made) == 1
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.parametrize(("parent", "reason"), [("nowhere", "No such file or directory"), ("file", "Not a directory")])
def test_where_a_secret_cannot_be_made_is_told_with_what_to_do(tmp_path: Path, parent: str, reason: str) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / parent / "webhook.secret"
    with pytest.raises(ConfigError) as caught:
        ensure_secret_file(path)
    assert caught.value.detail == (
        f"secret file {path}: cannot be created: {reason}; make {path.parent} a directory that this user may write in, "
        "or name a file with --webhook-secret-file, made by: collator secret new >FILE"
    )


@pytest.mark.parametrize("read", [SecretFile, read_secret_file])
def test_a_secret_file_that_is_not_there_is_told_with_what_makes_one(
    tmp_path: Path, read: Callable[[Path], object]
) -> None:
    with pytest.raises(ConfigError, match=r"webhook.secret: No such file or directory; .*: collator secret new >FILE"):
        read(tmp_path / "webhook.secret")
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"Not a directory$"):  # no advice that would not help
        read(tmp_path / "file" / "webhook.secret")
