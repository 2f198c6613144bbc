"""A program that outlives the service by a moment, and ends what the user's functions have started and left behind.

Run by its path, so that it loads nothing of Collator. It reads lines from its standard input, which ends when the
service does, however that happens. They name *sessions*: each process of the pool is the leader of one. Another pipe
names the *forks* of the service and forks of these, which have the pipe too, as they may outlive the process that made
them. Programs that a thread of the service has started are known by a *mark* in their environment.
Whatever has begun a session of its own is left alone: that is how a program says that it is meant to stay. More than
the process group of a session is found on Linux only, where a process can be held while it is looked at, so that no
other is ended that has got its number since.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from contextlib import suppress
from pathlib import Path

VARIABLE = "STARTED_BY_COLLATOR"
"""Where the mark stands; not ``COLLATOR_…``, as each of those is a setting."""


def main() -> None:
    """Listen until the service has ended, and end what it has left.

    Arguments: the pipe of the forks; the session of the service; the mark, or nothing.
    """
    if sys.platform == "win32" or os.fork() > 0:  # so that it is no child of the service
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    source, session, mark = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    sessions, forks = _listen(source)
    for each in sessions:
        end_session(each)
    if mark:
        _end_marked(session, f"{VARIABLE}={mark}".encode(), forks)


def end_session(session: int) -> None:
    """End all that belongs to *session*, whose head this process or its parent has started."""
    if sys.platform == "win32":
        return
    with suppress(ProcessLookupError, PermissionError):  # all of it has ended; macOS says so in its own way
        os.killpg(session, signal.SIGKILL)
    ended: set[int] = set()
    while held := _held(session, but=ended):  # what has left the group of the head
        for descriptor in held.values():
            _end(descriptor)
        ended |= held.keys()


def _end_marked(session: int, mark: bytes, forks: set[int]) -> None:
    """End those in *session* that bear the *mark* or are *forks*, with all that they have started in it."""
    ended: set[int] = set()
    found = {0}
    while found:
        held = _held(session, but=ended)
        parents = {pid: _parent(pid) for pid in held}
        found = {pid for pid in held if pid in forks or _bears(pid, mark)}
        while more := {pid for pid in held if parents[pid] in found} - found:
            found |= more
        for pid, descriptor in held.items():
            if pid in found:
                _end(descriptor)
            else:
                os.close(descriptor)
        ended |= found


def _listen(source: int) -> tuple[set[int], set[int]]:
    """The sessions and the forks that there are when standard input has ended, and all is read that *source* holds."""
    sessions: set[int] = set()
    forks: dict[int, int] = {}  # by descriptors that tell of their end
    rests = {0: b"", source: b""}
    poll = select.poll()
    for descriptor in rests:
        poll.register(descriptor, select.POLLIN)
    ended = False
    while ready := [descriptor for descriptor, _ in poll.poll(0 if ended else None)]:
        for descriptor in ready:
            if descriptor not in rests:
                poll.unregister(descriptor)
                os.close(descriptor)
                del forks[descriptor]
            elif data := os.read(descriptor, 65536):
                *lines, rests[descriptor] = (rests[descriptor] + data).split(b"\n")
                _note(lines, sessions, forks, poll)
            else:
                poll.unregister(descriptor)
                ended = ended or descriptor == 0
    return sessions, {*forks.values()}


def _note(lines: list[bytes], sessions: set[int], forks: dict[int, int], poll: select.poll) -> None:
    for word, digits in map(bytes.split, lines):
        number = int(digits)
        if word == b"session":
            sessions.add(number)
        elif word == b"over":
            sessions.discard(number)
        elif (descriptor := _hold(number)) is not None:
            forks[descriptor] = number
            poll.register(descriptor, select.POLLIN)


def _held(session: int, *, but: set[int]) -> dict[int, int]:
    """The processes of *session* without those of *but*, each with a descriptor that holds it."""
    held: dict[int, int] = {}
    processes = Path("/proc").glob("[0-9]*") if sys.platform == "linux" else ()
    for pid in [int(path.name) for path in processes]:
        if pid in but or _session(pid) != session or (descriptor := _hold(pid)) is None:
            continue
        if _session(pid) == session:  # still, now that its number cannot become another's
            held[pid] = descriptor
        else:
            os.close(descriptor)
    return held


def _hold(pid: int) -> int | None:
    with suppress(OSError):
        if sys.platform == "linux":
            return os.pidfd_open(pid)
    return None


def _end(descriptor: int) -> None:
    with suppress(OSError):
        if sys.platform == "linux":
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    os.close(descriptor)


def _session(pid: int) -> int | None:
    with suppress(OSError):
        if sys.platform != "win32":
            return os.getsid(pid)
    return None


def _parent(pid: int) -> int:
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])
    return 0


def _bears(pid: int, mark: bytes) -> bool:
    with suppress(OSError):
        return mark in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    return False


if __name__ == "__main__":
    main()
