"""Failures of a connection, in words that hold nothing of the URL and nothing that the receiver wrote."""

from __future__ import annotations

import errno
import os
import socket
import ssl

from collator.egress.answer import NoAnswer

_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
_CLOSED = frozenset({errno.EPIPE, errno.ESHUTDOWN, errno.ECONNABORTED})


class OwnShortage(Exception):
    """This process lacks something, as the text says; it says nothing about a receiver."""


class AddressDenied(Exception):
    """The policy lets nothing go there, as the text says."""


def own_shortage(error: BaseException) -> bool:
    """Return whether *error* is a lack of descriptors, memory or threads of this process or machine."""
    return isinstance(error, MemoryError | OwnShortage) or (isinstance(error, OSError) and error.errno in _SHORTAGES)


def no_answer(error: BaseException | None, *, reached: bool) -> NoAnswer:
    """There is no answer because of *error*, or because the connection was closed in good order."""
    if error is not None and own_shortage(error):
        return NoAnswer(f"this service lacks resources: {_words(error)}", own_shortage=True)
    settings = isinstance(error, ssl.SSLError | AddressDenied)
    return NoAnswer(_words(error), reached=reached, broken=reached and not settings, settings=settings)


def _words(error: BaseException | None) -> str:
    if error is None:
        return "connection closed before the answer"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: certificate not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {(error.reason or 'failed').lower().replace('_', ' ')}"
    if isinstance(error, socket.gaierror):
        return "host name not resolved"
    if isinstance(error, OSError) and error.errno:
        return "connection closed before the answer" if error.errno in _CLOSED else os.strerror(error.errno).lower()
    return str(error) if isinstance(error, OwnShortage | AddressDenied) else type(error).__name__
