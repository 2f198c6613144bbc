"""Errors of the driver and of the server, in the words of Collator: which may pass, and what a person can do."""

from __future__ import annotations

import asyncpg

from collator.errors import StorageFull, Unavailable

CONNECTION_ERRORS = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""The connection is lost, or was not made; TimeoutError is an OSError."""

_TRANSIENT = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)


def is_transient(error: Exception) -> bool:
    """Return whether the same step may succeed at once."""
    return isinstance(error, _TRANSIENT)


def refused(error: Exception) -> Unavailable | None:
    """Return the error for all callers where the server takes nothing; `None` where one call may be the culprit."""
    match error:
        case asyncpg.DiskFullError():
            return StorageFull("the disk of the database server is full; free some space, and the service continues")
        case asyncpg.InsufficientResourcesError() | asyncpg.OperatorInterventionError():
            return Unavailable(f"the database server: {error}")
        case _:
            return None


def in_words(error: Exception) -> str:
    """Say what *error* is; nothing of a password is in it."""
    match error:
        case asyncpg.TooManyConnectionsError():
            return f"the database server has no connection left ({error})"
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"the database server refuses the user ({error})"
        case asyncpg.ReadOnlySQLTransactionError():
            return "the database server takes no changes: it is a standby, or read-only"
        case asyncpg.InvalidCatalogNameError():
            return f"the database does not exist ({error})"
        case _:
            return f"the database server: {error or type(error).__name__}"
