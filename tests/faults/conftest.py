"""What fault tests share: a PostgreSQL server that loses nothing, as long as the machine goes on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.requirements import need
from tests.servers import postgresql
from tests.servers.postgresql import DURABLE, Server


@pytest.fixture(scope="module")
def postgresql_server() -> Iterator[Server]:
    """A server of this module's own: tests crash it, and set it anew."""
    missing = postgresql.missing()
    need(missing is None, str(missing))
    server = Server(DURABLE)
    yield server
    server.remove()
