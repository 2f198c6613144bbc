"""The hands of a thread that has its calls made by a process: one that can be killed, and that may die.

Theory. The process does its jobs in order, so what it has not answered is known to the last task: the first of it was
in the call that killed the process, and what is behind that was not begun and goes to others. The process is replaced
before the next chunk is taken, so no task waits for a start.
"""

from __future__ import annotations

from typing import Final

import structlog

from collator.engines.embedded.workforce.chunks import Chunk
from collator.engines.embedded.workforce.line import Line
from collator.errors import ProcessorFailed
from collator.processor import Apart, Child, Isolated
from collator.processor.wire import Reply, Returned, result_of

SLOW_START = 10.0
"""Seconds after which a process that is not ready is told of: what it waits for may never come."""

log = structlog.get_logger("collator.workforce")


class Process:
    """Have a function called by a process."""

    deadly: Final = True

    def __init__(self, isolated: Isolated, line: Line) -> None:
        """Tasks that the process did not begin, or that failed together, go back into *line*."""
        self._trouble: str | None = None
        self._starting: float | None = None  # since when, monotonic seconds
        self._isolated = isolated
        self._line = line
        self._child: Child | None = None
        self._now = isolated.endings.running

    @property
    def trouble(self) -> str | None:
        """Why there is no process."""
        since = self._starting
        if since is None or (seconds := self._now() - since) < SLOW_START:
            return self._trouble
        return f"a process that calls the processor is not ready after {seconds:.0f} s; its module is being imported"

    def ready(self) -> bool:
        """Start a process where there is none."""
        if self._child is not None and not self._child.alive():
            log.warning("a process of the processor has ended while it had nothing to do", how=self._child.end())
            self._child = None
        return self._child is not None or self._start()

    def work(self, chunk: Chunk) -> tuple[int, float]:
        """Send it all there is, and take the answers."""
        child, tasks = self._child, chunk.rest()
        if child is None or not tasks:
            self._line.put(tasks)
            return 0, 0.0
        begun = self._now()
        with self._line.change:
            chunk.begin(tasks, begun)
        child.send([tasks] if self._isolated.batch > 1 else [[task] for task in tasks])
        calls = 0
        while chunk.call is not None:
            reply = child.receive()
            if reply is None:
                self._bury(child, chunk)
                break
            with self._line.change:
                self._take(reply, chunk)
            calls += 1
        if chunk.abandoned:
            self.close()  # it was killed, or will be, and must not be taken for one that can work
        return calls, self._now() - begun

    def look(self) -> None:
        """A process may die and leave others behind that hold its pipe open, so that its end is not seen there."""
        child = self._child
        if child is not None and not child.alive():
            child.kill()

    def kill(self) -> None:
        """End the process."""
        child = self._child
        if child is not None:
            child.kill()

    def close(self) -> None:
        """Let the process end."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _start(self) -> bool:
        self._starting = self._now()
        try:
            self._child = self._isolated.start()
            self._child.ready()
        except (OSError, ProcessorFailed) as error:
            self.close()
            self._trouble = f"no process can be started that calls the processor: {error}"
            return False
        finally:
            self._starting = None
        self._trouble = None
        return True

    def _take(self, reply: Reply, chunk: Chunk) -> None:
        """Do as *reply* says. Whoever has given up *chunk* has taken what was left of it."""
        if chunk.abandoned or chunk.call is None:
            chunk.recall()
        elif isinstance(reply, Returned):
            self._line.put(chunk.recall(reply.count))
        elif isinstance(reply, Apart):
            self._line.put_apart(chunk.recall(), reply.reason)
        else:
            now = self._now()
            chunk.answer(result_of(reply, chunk.call[0].lease, now), now)

    def _bury(self, child: Child, chunk: Chunk) -> None:
        """The process has ended within a call."""
        how = child.end()
        self._child = None
        with self._line.change:
            task, *others = chunk.recall()
            if chunk.abandoned:
                return  # it was killed, as nobody waits for it any more
            if self._isolated.batch > 1 and others:
                self._line.put_apart([task, *others], how)
            else:
                chunk.done.append(self._isolated.endings.failed(task, ProcessorFailed(how)))
                self._line.put(others)
        log.warning(
            "a process of the processor has ended", how=how, resource_id=task.key.resource_id, index=task.key.index
        )
