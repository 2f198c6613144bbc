"""What fault tests share: a PostgreSQL server that loses nothing, as long as the machine goes on; a bounded memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from tests.harness.memory import bounded
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


@pytest.fixture
def under() -> Iterator[Sequence[str]]:
    """What a program is started under that has 512 MB of memory, with all that it starts."""
    with bounded(512 * 1024 * 1024) as under:
        yield under
