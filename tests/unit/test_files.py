"""Files that a person names are read without waiting; files that are made are their owner's alone."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import structlog.testing

from collator.cli.exits import Exit
from collator.cli.main import run
from collator.egress import context, missing_trust
from collator.errors import CollatorError, ConfigError, Occupied
from collator.files import make_directory, new_file, open_private, read_file
from collator.ledgers.sqlite.lock import LOCK, DirectoryLock
from collator.ledgers.sqlite.origin import begin
from collator.settings import load
from collator.signing import SecretFile, generate_secret
from collator.tokens import Role, TokenFile, generate_token, line_for

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes, pipes and devices are those of POSIX")


def fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def directory(path: Path) -> Path:
    path.mkdir()
    return path


def unix_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


def device(_path: Path) -> Path:
    return Path("/dev/zero")


NO_FILES = [fifo, directory, unix_socket, device]


def _config(path: Path) -> object:
    return load(config=str(path))


READERS: dict[str, Callable[[Path], object]] = {
    "tokens": TokenFile,
    "secrets": SecretFile,
    "settings": _config,
    "tls_ca_file": context,
    "tls_client_cert": lambda path: context(None, path),
    "tls_client_key": lambda path: context(None, Path(__file__).parents[1] / "http" / "self_signed.pem", path),
}


@pytest.mark.parametrize("make", NO_FILES)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_p5_what_is_no_file_is_refused_at_once_and_in_words(
    tmp_path: Path, read: Callable[[Path], object], make: Callable[[Path], Path]
) -> None:
    path = make(tmp_path / "given")
    with pytest.raises(CollatorError, match=r"not a regular file|Is a directory|No such device|is a directory"):
        read(path)


@pytest.mark.parametrize("make", [fifo, device])
def test_a_token_is_added_to_files_alone(
    tmp_path: Path, make: Callable[[Path], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["token", "me", "--add-to", str(make(tmp_path / "tokens"))]) == Exit.CONFIG
    said = capsys.readouterr()
    assert "cannot be written: it is a pipe, a device or a socket, not a regular file" in said.err
    assert not said.out


def tokens(name: str) -> str:
    return line_for(generate_token(), roles=[Role.SEND], name=name) + "\n"


@pytest.mark.parametrize("make", NO_FILES[:3])
def test_p5_a_file_that_becomes_a_pipe_leaves_what_it_said(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = tmp_path / "tokens"
    path.write_text(tokens("one"))
    file = TokenFile(path)
    path.unlink()
    make(path)
    with structlog.testing.capture_logs() as events:
        assert len(file.current()) == len(file.current()) == 1
    assert [event["event"] for event in events] == ["file invalid; its previous content stays in use"]


def test_a_change_is_seen_though_size_and_time_stay_the_same(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    old, new = generate_token(), generate_token()
    path.write_text(line_for(old, roles=[Role.SEND], name="one"))
    before = path.stat()
    file = TokenFile(path)
    for _ in range(20):  # at whatever moment of the file system's clock
        old, new = new, old
        with path.open("r+") as written:
            written.write(line_for(old, roles=[Role.SEND], name="one"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
        assert file.current().find(old.encode()) is not None
        assert file.current().find(new.encode()) is None


@pytest.fixture
def no_umask() -> Iterator[None]:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("no_umask")
def test_what_is_made_is_its_owners_alone(tmp_path: Path) -> None:
    make_directory(tmp_path / "a" / "b" / "c")
    with new_file(tmp_path / "file") as file:
        assert stat.S_IMODE(os.fstat(file.fileno()).st_mode) == 0o600
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "a", tmp_path / "a/b", tmp_path / "a/b/c")]
    assert modes == [0o755, 0o755, 0o700]
    with pytest.raises(FileExistsError):
        new_file(tmp_path / "file")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        open_private(tmp_path / "link", os.O_WRONLY | os.O_CREAT)
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_that_others_could_read_is_made_private(tmp_path: Path) -> None:
    (tmp_path / LOCK).touch(mode=0o644)
    DirectoryLock(tmp_path).release()
    assert stat.S_IMODE((tmp_path / LOCK).stat().st_mode) == 0o600


def test_a_pipe_in_the_place_of_a_file_of_ours_holds_up_no_start(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    note = fifo(tmp_path / "data" / "collator.db-origin")
    begin(tmp_path / "data" / "collator.db")
    assert note.is_file()  # another one: what stood there told nothing
    fifo(tmp_path / "data" / LOCK)
    lock = DirectoryLock(tmp_path / "data")
    with pytest.raises(Occupied):
        DirectoryLock(tmp_path / "data")
    lock.release()


def test_a_lock_that_is_a_link_changes_no_other_file(tmp_path: Path) -> None:
    service_process = tmp_path / "victim"
    service_process.write_text("kept")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / LOCK).symlink_to(service_process)
    with pytest.raises(ConfigError):
        DirectoryLock(tmp_path / "data")
    assert service_process.read_text() == "kept"


@pytest.mark.parametrize(
    ("mode", "secret", "said"),
    [
        (0o600, True, ""),
        (0o640, True, ""),
        (0o644, True, "read"),
        (0o666, True, "read and write"),
        (0o620, True, "write"),
        (0o644, False, ""),
        (0o664, False, "write"),
        (0o602, False, "write"),
    ],
)
def test_a_file_that_is_open_to_others_is_told_of_once(tmp_path: Path, mode: int, secret: bool, said: str) -> None:
    path = tmp_path / "file"
    path.write_text(generate_secret() if secret else tokens("one"))
    path.chmod(mode)
    with structlog.testing.capture_logs() as events:
        file = SecretFile(path) if secret else TokenFile(path)
        file.current()
        file.current()
    words = [event["reason"] for event in events if event["event"] == "file accessible to other users"]
    assert len(words) == bool(said)
    for problem in words:
        assert problem.startswith(f"other users of this machine can {said} it: chmod g")
        assert problem.endswith(str(path))


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * 100)
    found, content = read_file(tmp_path / "file", 10)
    assert (found.st_size, content) == (100, b"x" * 10)


def test_a_list_of_certificates_that_is_missing_is_told_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert missing_trust() is None
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert "SSL_CERT_FILE" in (missing_trust() or "")
    (tmp_path / "none.pem").touch()
    assert missing_trust() is None
