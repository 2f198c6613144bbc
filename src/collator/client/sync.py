"""The same client for programs without an event loop: a thread with a loop runs the one that there is.

The loop goes on between two calls, so that a connection that the service has closed is noticed, and it is a loop of
its own, so that a program that has one already (a notebook) can call this too.
"""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Self, TypeVar, Unpack

from collator.client.batch import Packets, Tally
from collator.client.client import Client, ClientOptions
from collator.client.handover import Handover
from collator.client.live_stream import LiveStream
from collator.client.poll import wait_for_end
from collator.errors import CollatorError

if TYPE_CHECKING:
    from types import TracebackType

P = ParamSpec("P")
R = TypeVar("R")


def _waiting(verb: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]]) -> Callable[Concatenate[SyncClient, P], R]:
    """*verb* of the client as a method that returns when it is done."""

    def call(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return self._wait(self._start(verb(self._client, *args, **kwargs)))

    update_wrapper(call, verb)
    return call


def _one_by_one(
    verb: Callable[Concatenate[Any, P], AsyncGenerator[R, None]],
) -> Callable[Concatenate[SyncClient, P], Iterator[R]]:
    """*verb* of the client, which gives one thing after the other, as a method that does so in this thread."""

    def call(self: SyncClient, /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        return self._each(verb(self._client, *args, **kwargs))

    update_wrapper(call, verb)
    return call


class SyncClient:
    """`Client` with verbs that return when they are done, as a context manager, or between `open` and `close`.

    For one thread at a time.
    """

    def __init__(self, url: str, **options: Unpack[ClientOptions]) -> None:
        """Open nothing yet; *options* are those of `Client`."""
        self._client = Client(url, **options)
        self._loop: asyncio.AbstractEventLoop | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._client.url} {'open' if self.is_open else 'closed'}>"

    @property
    def is_open(self) -> bool:
        """Whether it can be asked."""
        return self._loop is not None

    def open(self) -> Self:
        """Open it, unless it is: for a notebook, whose cells share a client. To be closed by `close`."""
        if self._loop is None:
            self._loop = loop = asyncio.new_event_loop()
            thread = threading.Thread(target=_run, args=(loop,), name="collator-client", daemon=True)
            thread.start()
            self._end = weakref.finalize(self, _end, self._client, loop, thread)  # also where nobody closes it
            self._wait(self._start(self._client.open()))
        return self

    def close(self) -> None:
        """Close every connection, and end the thread. It may be opened again."""
        if self._loop is not None:
            self._loop = None
            self._end()

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, packets: Packets, *, tally: Tally | None = None) -> Tally:
        """Send *packets* as `Client.send` does; the source is read in the calling thread, as packets come."""
        if not isinstance(packets, Iterable):
            return self._wait(self._start(self._client.send(packets, tally=tally)))
        handover = Handover(self._opened())
        sending = self._start(self._client.send(handover.packets(), tally=tally))
        sending.add_done_callback(lambda _: handover.stop())
        try:
            handover.read(packets)
        except BaseException:
            sending.cancel()
            raise
        return self._wait(sending)

    def stream(self, resource_id: str | int, *, metadata: object = None) -> SyncLiveStream:
        """`Client.stream` as a context manager whose verbs return when they are done."""
        return SyncLiveStream(self, self._client.stream(resource_id, metadata=metadata))

    def wait(self, verb: Coroutine[Any, Any, R]) -> R:
        """Run *verb* on the loop of the client, and return its result."""
        return self._wait(self._start(verb))

    status = _waiting(Client.status)
    resource = _waiting(Client.resource)
    packet = _waiting(Client.packet)
    resources = _waiting(Client.resources)
    outputs = _waiting(Client.outputs)
    follow = _one_by_one(Client.follow)
    ticket = _waiting(Client.ticket)
    result = _waiting(Client.result)
    deliveries = _waiting(Client.deliveries)
    delivery = _waiting(Client.delivery)
    endpoints = _waiting(Client.endpoints)
    audit = _waiting(Client.audit)
    complete = _waiting(Client.complete)
    cancel = _waiting(Client.cancel)
    retry = _waiting(Client.retry)
    retry_all = _waiting(Client.retry_all)
    replay = _waiting(Client.replay)
    replay_all = _waiting(Client.replay_all)
    give_up = _waiting(Client.give_up)
    pause = _waiting(Client.pause)
    resume = _waiting(Client.resume)
    try_now = _waiting(Client.try_now)
    test = _waiting(Client.test)
    purge = _waiting(Client.purge)

    def _each(self, things: AsyncGenerator[R, None]) -> Iterator[R]:
        async def following() -> tuple[R, ...]:
            try:
                return (await anext(things),)
            except StopAsyncIteration:
                return ()

        try:
            while found := self._wait(self._start(following())):
                yield found[0]
        finally:  # it may be left early; nobody waits then, as this may be the collector of garbage
            if self._loop is not None:
                asyncio.run_coroutine_threadsafe(things.aclose(), self._loop)

    def _opened(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise CollatorError("the SyncClient is not open: use it within `with`, or `open` it")
        return self._loop

    def _start(self, verb: Coroutine[Any, Any, R]) -> Future[R]:
        try:
            loop = self._opened()
        except CollatorError:
            verb.close()  # it will not be awaited
            raise
        return asyncio.run_coroutine_threadsafe(_result(verb), loop)

    def _wait(self, verb: Future[R]) -> R:
        try:
            return verb.result()
        except BaseException:  # Ctrl-C, in this thread: the verb ends too
            verb.cancel()
            raise


class SyncLiveStream:
    """`LiveStream`, for one thread at a time."""

    def __init__(self, client: SyncClient, stream: LiveStream) -> None:
        """Use `SyncClient.stream`."""
        self._client, self._stream = client, stream

    @property
    def tally(self) -> Tally:
        """The progress."""
        return self._stream.tally

    @property
    def next_index(self) -> int:
        """The index of the next packet, where it is not said."""
        return self._stream.next_index

    @property
    def through(self) -> int:
        """Every index up to this one is on the disk of the service."""
        return self._stream.through

    def send(self, payload: object, *, index: int | None = None, last: bool = False, total: int | None = None) -> int:
        """As `LiveStream.send`."""
        return self._client.wait(self._stream.send(payload, index=index, last=last, total=total))

    def flush(self) -> Tally:
        """As `LiveStream.flush`."""
        return self._client.wait(self._stream.flush())

    def stop(self, *, total: int | None = None) -> Tally:
        """As `LiveStream.stop`."""
        return self._client.wait(self._stream.stop(total=total))

    def __enter__(self) -> Self:
        self._client.wait(self._stream.__aenter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.wait(self._stream.__aexit__(kind, error, trace))


async def _result(verb: Coroutine[Any, Any, R]) -> R:
    return (await wait_for_end(verb)).result()


def _end(client: Client, loop: asyncio.AbstractEventLoop, thread: threading.Thread) -> None:
    closing = asyncio.run_coroutine_threadsafe(client.close(), loop)
    closing.add_done_callback(lambda _: loop.call_soon_threadsafe(loop.stop))
    if thread is not threading.current_thread():  # it may be, where the garbage is collected
        thread.join()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run *loop* until it is stopped, and end what is still under way then."""
    loop.run_forever()
    loop.run_until_complete(_end_all())
    loop.close()


async def _end_all() -> None:
    rest = asyncio.all_tasks() - {asyncio.current_task()}
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()


def send(url: str, packets: Packets, **options: Unpack[ClientOptions]) -> Tally:
    """`Client.send` in one call, for programs that have no event loop."""
    with SyncClient(url, **options) as client:
        return client.send(packets)
