"""Every error of Collator: one base, one class for each reaction of the caller.

The first line of a class's docstring is its message where none is given. Errors of drivers (SQLite, sockets) are
translated where they arise; none of them crosses a seam.
"""

from __future__ import annotations

import errno


class CollatorError(Exception):
    """The operation failed."""

    def __init__(self, detail: str | None = None) -> None:
        """Keep *detail*, a sentence for a person: what was wrong, where, and what to do."""
        self.detail = detail or (self.__doc__ or "").partition("\n")[0]
        super().__init__(self.detail)


# The asker is wrong: mend the request and ask again.


class Malformed(CollatorError):
    """The packet or the request is invalid."""


class Conflict(CollatorError):
    """The request contradicts the stored state of the resource."""


class Unknown(CollatorError):
    """The resource, delivery or endpoint is unknown: it was never seen, or has been purged."""


class Removed(Unknown):
    """The resource has ended and was removed after its retention."""


class Ended(CollatorError):
    """The resource has ended; nothing can be added to it."""


class Denied(CollatorError):
    """The token is missing, unknown, or not sufficient."""


class ConfigError(CollatorError):
    """The configuration is invalid."""


# Collator cannot take it now: the same request may pass later. Nothing was stored, where it is not `Uncertain`.


class Unavailable(CollatorError):
    """The service is not available at the moment; try again later."""

    def __init__(self, detail: str | None = None, *, retry_after: float = 1.0) -> None:
        """Keep *detail*, and *retry_after* in seconds."""
        super().__init__(detail)
        self.retry_after = retry_after


class Uncertain(Unavailable):
    """It is unknown whether the data was stored, because the answer was lost; repeat the request, which is harmless."""

    def __init__(self, detail: str | None = None, *, retry_after: float = 0.2) -> None:
        """Keep *detail*, and *retry_after* in seconds."""
        super().__init__(detail, retry_after=retry_after)


class StorageFull(Unavailable):
    """The disk of the store is full; free some space, and the service continues."""


class StorageLow(Unavailable):
    """The disk of the store has too little free space; free some, and the service continues."""


class ReadOnly(Unavailable):
    """The disk failed to make data durable; nothing is accepted until the service is restarted."""


# The store cannot be used: a person has to act.


class Occupied(CollatorError):
    """The store or the port is in use by another process."""


class Vanished(CollatorError):
    """The store was removed or replaced while it was in use."""


class SchemaTooNew(CollatorError):
    """The store was written by a newer version of Collator."""


class Broken(CollatorError):
    """The store failed with an internal error; see the log."""


class Damaged(CollatorError):
    """The store is damaged: a checksum does not match the stored data."""


def cannot_listen(host: str, port: int, error: OSError) -> CollatorError:
    """The error that says why nobody can listen on *port* of *host*."""
    if error.errno == errno.EADDRINUSE:
        return Occupied(f"port {port} on {host} is in use; choose another with --port")
    return ConfigError(f"cannot listen on {host} port {port}: {error.strerror or error}")


# The processor.


class ProcessorFailed(CollatorError):
    """The processor gave no output, and did not say why.

    Raise it from your own function: the packet is tried again.
    """

    def __init__(self, detail: str | None = None, *, retry_after: float | None = None) -> None:
        """Keep *detail*, and *retry_after*: seconds, a day at most, before which it is not tried again."""
        super().__init__(detail)
        self.retry_after = retry_after


class Permanent(ProcessorFailed):
    """The processor said that no further attempt can succeed, and did not say why.

    Raise it from your own function.
    """
