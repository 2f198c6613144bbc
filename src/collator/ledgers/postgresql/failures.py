"""Errors of the driver and of the server, in the words of Collator: which may pass, and what a person can do."""

from __future__ import annotations

import ssl

import asyncpg

from collator.errors import CollatorError, ConfigError, StorageFull, Unavailable

CONNECTION_ERRORS = (
    OSError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.CannotConnectNowError,
    asyncpg.IdleInTransactionSessionTimeoutError,
)
"""The connection is lost, or was not made; TimeoutError is an OSError."""
PASSING = (*CONNECTION_ERRORS, asyncpg.InsufficientResourcesError, asyncpg.OperatorInterventionError)
"""The same call may succeed later."""
NOT_CONNECTED = (*CONNECTION_ERRORS, asyncpg.PostgresError)
"""What comes of a connection that is not made; the server may say why."""


class Changed(Exception):
    """What a step had found has changed before it could lock it: the step is taken again."""


_TRANSIENT = (
    Changed,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.LockNotAvailableError,
    asyncpg.InvalidCachedStatementError,  # a node of a later version has changed the schema
    asyncpg.OutdatedSchemaCacheError,
)


def is_lost(error: Exception) -> bool:
    """Return whether the connection is of no use any more, or its server takes no changes.

    What the driver cannot put into words of the protocol, a number that is too large, is a `ValueError` besides.
    """
    lost = isinstance(error, (*CONNECTION_ERRORS, asyncpg.ReadOnlySQLTransactionError))
    return lost and not isinstance(error, ValueError)


def is_transient(error: Exception) -> bool:
    """Return whether the same step may succeed at once."""
    return isinstance(error, _TRANSIENT)


def refused(error: Exception) -> Unavailable | None:
    """Return the error for all callers where the server takes nothing; `None` where one call may be the culprit."""
    match error:
        case asyncpg.DiskFullError():
            return StorageFull(in_words(error))
        case asyncpg.InsufficientResourcesError() | asyncpg.OperatorInterventionError():
            return Unavailable(f"the database server: {error}")
        case asyncpg.UndefinedTableError() | asyncpg.InsufficientPrivilegeError():
            return Unavailable(f"the database has no ledger that can be used ({error}); restart, to make or migrate it")
        case _:
            return None


SHARED = (
    "the database is behind a pooler that shares a session between clients, which the ledger cannot use: "
    "set pool_mode = session for this database in PgBouncer, or connect to the server itself"
)
_SHARED = (asyncpg.InvalidSQLStatementNameError, asyncpg.DuplicatePreparedStatementError)
"""A session is another, or used by others: statements that were prepared are gone, or there already."""

_FOR_PERSONS = (
    *_SHARED,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.exceptions.ClientConfigurationError,
    ssl.SSLCertVerificationError,
)
"""These do not pass by themselves."""


def translated(error: Exception) -> CollatorError:
    """Return *error*, met while connecting, as `ConfigError` where a person has to act, otherwise as `Unavailable`."""
    if isinstance(error, CollatorError):
        return error
    if "statement pooling mode" in str(error):  # PgBouncer ends the connection with that
        return ConfigError(SHARED)
    return ConfigError(in_words(error)) if isinstance(error, _FOR_PERSONS) else Unavailable(in_words(error))


def in_words(error: Exception) -> str:  # noqa: C901, PLR0911 - a table
    """Say what *error* is; nothing of a password is in it."""
    match error:
        case CollatorError():
            return error.detail
        case asyncpg.InvalidSQLStatementNameError() | asyncpg.DuplicatePreparedStatementError():
            return SHARED
        case asyncpg.InsufficientPrivilegeError() | asyncpg.InvalidSchemaNameError():
            return f"the database user lacks a right ({error}): let it own the schema collator, or create it"
        case asyncpg.exceptions.ClientConfigurationError():
            return f"the address of the database: {error}"
        case ssl.SSLCertVerificationError():
            return f"the certificate of the database server is not accepted: {error.verify_message}"
        case TimeoutError():
            return "the database server does not answer"
        case asyncpg.DiskFullError():
            return "the disk of the database server is full; free some space, and the service continues"
        case asyncpg.TooManyConnectionsError():
            return f"the database server has no connection left ({error})"
        case asyncpg.InvalidAuthorizationSpecificationError():
            return f"the database server refuses the user ({error})"
        case asyncpg.ReadOnlySQLTransactionError() | asyncpg.TargetServerAttributeNotMatched():
            return "the database server takes no changes: it is a standby, or read-only"
        case asyncpg.InvalidCatalogNameError():
            return f"the database does not exist ({error})"
        case _:
            return f"the database server: {error or type(error).__name__}"
