"""`collator try`: one payload through the processor, and what became of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from collator import logs, workers
from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.service_call import json_option, print_answer
from collator.egress import Answer, words
from collator.errors import Malformed
from collator.files import read_file
from collator.messages import Key, Lease, Output, Retry, Task
from collator.packet import Packet, PacketLimits, check
from collator.processor import Exchange, Trial
from collator.settings import Settings, hidden
from collator.settings.addresses import HIDDEN
from collator.text import counted, shown

_CUT = 2_000
"""Characters of a body that are shown."""


@command(
    some=(
        "processor",
        "processor_request",
        "processor_output",
        "processor_headers_file",
        "processor_method",
        "processor_timeout",
        "batch",
        "max_payload",
        "max_output",
        "egress_allow",
        "egress_deny",
        "tls_ca_file",
        "tls_client_cert",
        "tls_client_key",
    ),
    short="Send one payload through the processor, to see what it does.",
    examples=(
        ("A function", "collator try --processor words:lengths '\"the quick brown fox\"'"),
        ("A service, with the payload in a file", "collator try --processor http://127.0.0.1:8080/ @payload.json"),
        (
            "A service that wants another shape, and wraps its answer",
            """collator try --processor-request '{"text": "{{payload}}"}' --processor-output /summary '"a story"'""",
        ),
        ("The processor of collator.toml, for a program", "collator try --json @payload.json"),
    ),
)
@click.argument("payload", metavar="PAYLOAD")
@click.option("--resource-id", default="try", metavar="ID", help="Id of the resource.  [try]")
@click.option("--index", type=click.IntRange(0), default=0, metavar="N", help="Index of the packet.  [0]")
@click.option("--metadata", metavar="JSON", help="Metadata of the resource, an object.")
@json_option
def try_(
    *, settings: Settings, payload: str, resource_id: str, index: int, metadata: str | None, as_json: bool
) -> Exit:
    """Send one payload through the configured processor, and show what becomes of it.

    PAYLOAD is JSON, such as '"hello"' or '{"text": "hello"}'; @FILE reads it from a file, and - from the standard
    input. No service has to run, and nothing is stored. Of a request that is sent, the values of the headers in
    --processor-headers-file are hidden; of a function that raises, the traceback of its own code is shown. A function
    runs in this process, whatever --pool says. The exit code is 0 where there is an output, and 1 where there is none.
    """
    logs.configure_for_library()  # warnings go to the standard error
    task = _task(settings, payload, resource_id, index, metadata)
    trial = workers.try_out(settings, task)
    print_answer(_answer(settings, trial), _lines(settings, trial), as_json=as_json)
    return Exit.OK if isinstance(trial.result, Output) else Exit.FAILED


def _task(settings: Settings, payload: str, resource_id: str, index: int, metadata: str | None) -> Task:
    raw, about = msgspec.Raw(_read(payload, settings.max_payload)), msgspec.Raw((metadata or "").encode())
    try:
        packet = check(
            Packet(resource_id, index, raw, metadata=about),
            PacketLimits(max_packets=settings.max_packets, max_payload=settings.max_payload),
        )
    except Malformed as error:
        hint = "; a text needs its quotes, as in '\"hello\"'" if error.detail.startswith("payload: JSON is") else ""
        raise click.UsageError(error.detail + hint) from None
    key = Key(str(packet.resource_id), os.urandom(16), packet.index)  # no earlier call had its idempotency key
    return Task(key, bytes(packet.payload), 1, Lease(0, 0), bytes(packet.metadata) or None)


def _read(payload: str, most: int) -> bytes:
    """The bytes that *payload* means, at most *most* of them."""
    if payload == "-":
        data = sys.stdin.buffer.read(most + 1)
    elif payload.startswith("@"):
        try:
            _, data = read_file(Path(payload[1:]), most + 1)
        except OSError as error:
            raise click.UsageError(f"{payload[1:]} cannot be read: {error.strerror}") from None
    else:
        data = payload.encode()
    if len(data) > most:
        raise click.UsageError(f"payload: more than {most} bytes (max_payload)")
    return data.strip(b" \t\r\n")


def _answer(settings: Settings, trial: Trial) -> dict[str, object]:
    """*trial* as programs get it."""
    result, exchange = trial.result, trial.exchange
    return {
        "processor": hidden(settings.processor),
        "seconds": round(trial.seconds, 6),
        "request": exchange
        and {
            "method": settings.processor_method,
            "headers": _headers(exchange),
            "body": exchange.request.body.decode(errors="replace"),
        },
        "answer": exchange
        and {
            "told": _told(exchange),
            "body": None if (body := _body(exchange)) is None else body.decode(errors="replace"),
        },
        "output": msgspec.Raw(_hide(exchange, result.output)) if isinstance(result, Output) else None,
        "reason": None if isinstance(result, Output) else result.reason,
        "repeated": isinstance(result, Retry),
        "traceback": trial.frames or None,
    }


def _lines(settings: Settings, trial: Trial) -> Iterator[str]:
    """*trial* as a person reads it."""
    exchange = trial.exchange
    if exchange is not None:
        yield f"{settings.processor_method} {hidden(settings.processor)}"
        yield from (f"  {name}: {value}" for name, value in _headers(exchange).items())
        yield f"  {shown(exchange.request.body, _CUT)}"
        yield f"{_told(exchange)}, after {_took(trial.seconds)}"
        if body := _body(exchange):
            yield f"  {shown(body, _CUT)}"
    else:
        yield f"{hidden(settings.processor)}, {_took(trial.seconds)}"
    yield from (f"  {line}" for line in trial.frames.splitlines())
    if isinstance(trial.result, Output):
        yield f"output: {shown(_hide(exchange, trial.result.output), _CUT)}"
    else:
        yield f"failed: {trial.result.reason}"
    match trial.result:
        case Retry(counted=True):
            yield f"The service would try again, up to {counted(settings.processor_retries, 'time')}."
        case Retry():
            yield "The service would keep the packet, and try again: this is no failed attempt."


def _took(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 1 else f"{seconds:.1f} s"


def _headers(exchange: Exchange) -> dict[str, str]:
    """The headers of the request, without those values that are secret."""
    secret = exchange.request.secret
    return {name: HIDDEN if name in secret else value for name, value in exchange.request.headers.items()}


def _told(exchange: Exchange) -> str:
    """The answer in words, with the type and the size of its body where they are known."""
    answer, size = exchange.answer, len(exchange.request.body)
    known = [words(answer, size=size)]
    if isinstance(answer, Answer):
        known += [answer.media, "" if answer.body is None else counted(len(answer.body), "byte")]
    return ", ".join(filter(None, known))


def _body(exchange: Exchange) -> bytes | None:
    """The body of the answer, where there is one."""
    body = exchange.answer.body if isinstance(exchange.answer, Answer) else None
    return None if body is None else _hide(exchange, body)


def _hide(exchange: Exchange | None, said: bytes) -> bytes:
    """Hide in *said* the secrets that the service was sent."""
    return said if exchange is None else exchange.request.without_secrets(said)
