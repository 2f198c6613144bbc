"""Run the command behind this one with a name server that does not answer for `NAME`."""

import asyncio
import socket
import sys
import threading
from typing import Any

from collator import service
from collator.cli.main import main

NAME = "slow.invalid"
ASKED = f"{NAME} is looked up"
_ask = socket.getaddrinfo


def _look_up(host: Any, *rest: Any, **options: Any) -> Any:  # noqa: ANN401 - whatever a resolver takes and gives
    if host == NAME:
        sys.stderr.write(ASKED + "\n")
        threading.Event().wait(60.0)
    return _ask(host, *rest, **options)


if __name__ == "__main__":
    service._loop_factory = lambda: asyncio.new_event_loop  # one that asks in Python
    socket.getaddrinfo = _look_up
    sys.argv = sys.argv[sys.argv.index("collator") :]
    main()
