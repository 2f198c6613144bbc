"""`collator chaos`: kill a service of its own at random moments, and see that nothing acknowledged is lost.

Lives here: the command. `chaos_run` has the run, `service_process` the service that is killed, `checker` what must
hold.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from collator.cli.chaos.chaos_run import ChaosRun
from collator.cli.command import command
from collator.cli.exits import Exit
from collator.cli.service_call import json_option, print_answer
from collator.cli.terminal import print_lines
from collator.directory import make_new
from collator.errors import ConfigError
from collator.text import counted

SHOWN = 20
"""Complaints that are printed; --json has all."""


@command(
    short="Kill a service repeatedly, and check that nothing is lost.",
    examples=(
        ("Test a machine for a minute", "collator chaos"),
        ("Test it for a night", "collator chaos --rounds 20000"),
        (
            "Repeat an earlier run, on the disk that will hold the data",
            "collator chaos --seed 7 --dir /data/t",
        ),
    ),
)
@click.option("--rounds", type=click.IntRange(1), metavar="N", default=20, help="Number of kills.  [20]")
@click.option("--seed", type=int, metavar="N", help="Use the packets of an earlier run.  [a new run]")
@click.option(
    "--dir", "directory", type=click.Path(path_type=Path), help="New directory, which is kept.  [a temporary one]"
)
@json_option
def chaos(*, rounds: int, seed: int | None, directory: Path | None, as_json: bool) -> Exit:
    """Kill a service of its own again and again, and see that nothing acknowledged is lost.

    A sender sends without pause; the service is killed (kill -9) at random moments, while it starts too, and started
    again. In the end every packet that was acknowledged must have been delivered, in order, each resource under one id
    with one body, and the database must be sound. Where something is wrong the directory stays, with the logs.
    Ctrl-C and SIGTERM end the run and its service, and remove a directory that was made for it.
    """
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    home = _made(directory)
    chaos_run = ChaosRun(home, rounds=rounds, seed=seed)
    print_lines(f"seed {seed}, in {home}", err=True)
    try:
        asyncio.run(chaos_run.run(lambda line: print_lines(line, err=True)))
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _interrupted(home, stays=directory is not None)
    answer = chaos_run.as_dict()
    print_answer(answer, _lines(answer), as_json=as_json)
    if chaos_run.complaints:
        print_lines(f"everything is in {home}, the logs too", err=True)
        return Exit.FAILED
    if directory is None:
        shutil.rmtree(home)
    return Exit.OK


def _interrupted(home: Path, *, stays: bool) -> Exit:
    if not stays:
        shutil.rmtree(home)
    where = f"everything is in {home}" if stays else "its directory is removed"
    print_lines(f"interrupted; the service has ended, and {where}", err=True)
    return Exit.INTERRUPTED


def _made(directory: Path | None) -> Path:
    if directory is not None:
        return make_new(directory, option="--dir")
    try:
        return Path(tempfile.mkdtemp(prefix="collator-chaos-"))
    except OSError as error:
        raise ConfigError(
            f"cannot create a temporary directory: {error.strerror}; choose a new one with --dir"
        ) from None


def _lines(answer: dict[str, Any]) -> Iterator[str]:
    yield from answer["complaints"][:SHOWN]
    if len(answer["complaints"]) > SHOWN:
        yield f"… and {len(answer['complaints']) - SHOWN} more (--json has all)"
    yield (
        f"{counted(answer['kills'], 'kill')}: {answer['acknowledged']} packets of {answer['resources']} resources "
        f"acknowledged, {answer['delivered']} resources delivered, {answer['repeats']} webhooks repeated, "
        f"{answer['unlucky']} packets in work at too many deaths"
    )
    yield "nothing was lost" if not answer["complaints"] else "FAILED"
