"""The broker: its address, and connections on which nothing blocks for long."""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from amqp.exceptions import AccessRefused, NotAllowed
from kombu import Connection
from redis.exceptions import AuthenticationError, ResponseError

from collator.errors import ConfigError
from collator.settings import hidden
from collator.text import one_line

CONNECT = 0.5
"""Seconds that a connection may take."""
ANSWER = 0.8
"""Seconds that the broker may take to answer."""

_REFUSALS = (AccessRefused, NotAllowed, AuthenticationError, ResponseError)
_SCHEMES = {"valkey": "redis", "valkeys": "rediss"}
_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")


def address(url: str) -> str:
    """*url*, of one or more addresses, in the schemes that kombu has."""
    return ";".join(_address(one) for one in url.split(";"))


def transport_options(url: str) -> dict[str, Any]:
    """Options for kombu beside the address of the broker at *url*: the name that sentinels know it by."""
    queries = [one.partition("?")[2] for one in url.split(";") if one.startswith("sentinel:")]
    master = [name for query in queries for name in parse_qs(query).get("master", [])]
    return {"master_name": master[0]} if master else {}


def quick(scheme: str) -> dict[str, Any]:
    """Options for kombu with which a broker of *scheme* answers within a second or counts as away.

    What is published to RabbitMQ is confirmed, or it would be lost without a word with a connection that has ended.
    """
    if "amqp" in scheme:
        return {"confirm_publish": True, "read_timeout": ANSWER, "write_timeout": ANSWER}
    return {
        "socket_connect_timeout": CONNECT,
        "socket_timeout": ANSWER,
        "retry_on_timeout": False,
        "health_check_interval": 0,
    }


def acknowledges(url: str) -> bool:
    """Return whether the broker at *url* gives what is not acknowledged again as soon as its receiver is away.

    Valkey would after an hour, when nobody wants it, and takes a millisecond for each message to keep it.
    """
    return url.startswith("amqp")


def connect(url: str) -> Connection:
    """A connection of a node, not opened yet: whoever uses it has its answer within a second."""
    known = address(url)
    options = {**quick(known.partition("://")[0]), **transport_options(url)}
    return Connection(known, connect_timeout=CONNECT, transport_options=options, heartbeat=0, ssl=tls(url) or False)


def check(connection: Connection) -> None:
    """Raise `ConfigError` where the broker of *connection* does not let it in, as it never will. It may be away."""
    try:
        connection.connect()
    except Exception as error:  # noqa: BLE001 - each kind of broker that is away has its own
        if isinstance(error, _REFUSALS):
            reason = one_line(str(error), 200)
            raise ConfigError(f"the broker {hidden(connection.as_uri())} refuses the connection: {reason}") from None
    finally:
        connection.release()


def tls(url: str) -> dict[str, Any] | None:
    """Options for TLS to a RabbitMQ at *url*; `None` for others, whose address says it.

    kombu takes the names in the query of an address for those of redis-py, whatever the transport is.
    """
    parts = urlsplit(url.partition(";")[0])
    if parts.scheme != "amqps":
        return None
    query = dict(parse_qsl(parts.query))
    files = {name.removeprefix("ssl_"): query[name] for name in _FILES if name in query}
    return {**files, "cert_reqs": ssl.CERT_REQUIRED, "server_hostname": parts.hostname}


def _address(url: str) -> str:
    scheme, _, rest = url.partition("://")
    scheme = _SCHEMES.get(scheme, scheme)
    place, _, query = rest.partition("?")
    if scheme in {"sentinel", "amqps"}:
        query = ""
    elif scheme == "rediss" and "ssl_cert_reqs" not in query:  # without it, kombu trusts any certificate
        query = f"{query}&ssl_cert_reqs=required".lstrip("&")
    return f"{scheme}://{place}{query and '?'}{query}"
