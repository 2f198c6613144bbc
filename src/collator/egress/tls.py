"""TLS of one connection: bytes in, bytes out, no sockets. And what a connection is secured by, as settings name it.

The standard library's own transport over TLS does not tell when its last byte is out, which a 2xx is held against, so
the transport below stays in sight.
"""

from __future__ import annotations

import os
import ssl
from contextlib import suppress
from pathlib import Path

from collator.errors import ConfigError
from collator.files import read_file, require_file

_READ = 64 * 1024


def context(ca_file: Path | None = None, cert: Path | None = None, key: Path | None = None) -> ssl.SSLContext:
    """The TLS context of connections.

    Whom the system trusts is trusted (or ``SSL_CERT_FILE`` in its place), and those in *ca_file* beside it. *cert* is
    shown to receivers that ask; its key is in *key*, or in the same file. Raises `ConfigError`.
    """
    made = ssl.create_default_context()
    made.options |= ssl.OP_NO_RENEGOTIATION
    made.set_alpn_protocols(["http/1.1"])
    try:
        if ca_file is not None:
            require_file(ca_file)
            made.load_verify_locations(ca_file)
    except OSError as error:
        raise ConfigError(f"tls_ca_file: cannot read certificates from {ca_file}: {_why(error)}") from None
    if cert is not None:
        _show(cert, key, by=made)
    return made


def missing_trust() -> str | None:
    """The reason why no receiver is trusted, in words, where ``SSL_CERT_FILE`` names a list that cannot be read."""
    variable = ssl.get_default_verify_paths().openssl_cafile_env
    named = os.environ.get(variable)
    if named is None:
        return None
    try:
        read_file(Path(named), 1)
    except OSError as error:
        return (
            f"{variable} names {named}, which cannot be read ({error.strerror}): no https:// receiver is trusted, "
            f"except by tls_ca_file; correct the path, or unset {variable}"
        )
    return None


def _show(cert: Path, key: Path | None, *, by: ssl.SSLContext) -> None:
    encrypted = False

    def password() -> str:  # called for an encrypted key alone, for which OpenSSL would ask the terminal
        nonlocal encrypted
        encrypted = True
        return ""

    try:
        for file in (cert, key or cert):
            require_file(file)
        by.load_cert_chain(cert, key, password=password)
    except OSError as error:
        if encrypted:
            raise ConfigError(f"tls_client_key: the key in {key or cert} is encrypted; write it unencrypted") from None
        files = cert if key is None else f"{cert} and {key}"
        raise ConfigError(f"tls_client_cert: {files} is not a certificate with its key: {_why(error)}") from None


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason.lower().replace("_", " ") if error.reason else "not found, or not PEM"
    return error.strerror or type(error).__name__


class Tls:
    """One connection as the client sees it."""

    def __init__(self, secured_by: ssl.SSLContext, host: str) -> None:
        """Talk to *host*, which has to prove its name."""
        self.ready = False
        """The handshake is over."""
        self.ended = False
        """The other side has said that no more is coming."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._talk = secured_by.wrap_bio(self._incoming, self._outgoing, server_hostname=host.removesuffix("."))

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the connection, none to begin with; what they hold. Raises `ssl.SSLError`."""
        self._incoming.write(data)
        parts = []
        try:
            if not self.ready:
                self._talk.do_handshake()
                self.ready = True
            while part := self._talk.read(_READ):
                parts.append(part)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        return b"".join(parts)

    def seal(self, data: bytes | memoryview) -> bytes:
        """*data* as it travels."""
        self._talk.write(data)
        return self._outgoing.read()

    def end(self) -> None:
        """Say that no more is coming; `pending` has it as it travels."""
        with suppress(ssl.SSLError):  # it expects the receiver's own closing message, which is not waited for
            self._talk.unwrap()

    def pending(self) -> bytes:
        """The bytes that TLS itself has to send: handshake and alerts."""
        return self._outgoing.read()
