"""`collator serve`: the service. Parses, calls `collator.service`, and says what is wrong where it cannot start."""

from __future__ import annotations

from collator.cli.command import command
from collator.settings import Scope, Settings


@command(
    Scope.SERVICE,
    short="Run the service.",
    examples=(
        (
            "Deliver to a receiver on this machine, for example collator receive",
            "collator serve --webhook http://127.0.0.1:9000/",
        ),
        (
            "Process payloads with lengths(payload) in words.py, in the working directory",
            "collator serve --webhook http://127.0.0.1:9000/ --processor words:lengths",
        ),
        ("Send no webhooks; read results from /v1/resources/ID/outputs", "collator serve --webhook none"),
        (
            "Accept requests with a token from other machines",
            "collator serve --webhook none --host 0.0.0.0 --allow-host collator.example --tokens-file tokens",
        ),
        ("Read settings from a file", "collator serve --config collator.toml"),
    ),
)
def serve(*, settings: Settings) -> None:
    """Take packets, process and collate them, and deliver a webhook for every finished resource.

    Stop it with Ctrl-C or SIGTERM: it refuses new packets, finishes what is under way, and goes on with the rest at the
    next start. What it has acknowledged survives kill -9 and a power cut.
    """
    from collator import service

    service.run(settings)
