"""The pages that are made from the code: ``python -m docs.pages`` writes them, and a test compares them.

A page that a person would have to keep in step by hand belongs here; all other pages are written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from collator.cli.manual import manual
from collator.packet import PacketLimits
from collator.settings import OPTIONS, TABLES, Option, default, flag, options_of, parts, variable
from collator.web.openapi import describe
from collator.web.routes import ROUTES

FOLDER = Path(__file__).parent
_SETTINGS = """\
# Settings

Written by `make docs` from the table of settings. `collator config --sample` prints the same as a file to begin with;
`collator config` shows each value that holds, and where it comes from.

A setting is a flag (`--max-open 5`), a variable of the environment (`COLLATOR_MAX_OPEN=5`) or a key of `collator.toml`
(`max_open = 5`), in this order of precedence. A DURATION is written `500ms`, `90s`, `5m`, `1h` or `7d`; a SIZE `64KiB`,
`1MiB` or `8GiB` (1 KiB is 1024 bytes), or `1MB` (1,000,000 bytes); N is a number. Which of them matter, and what they
cost: [tuning.md](tuning.md).
"""
_DECISIONS = """\
# Decisions

The choices that cost thought: what was chosen, what was rejected, and the figures that decided. Written by `make docs`
from the pages' titles.

## By number

"""
_HTTP = """\
# HTTP operations

Written by `make docs` from the description that the service gives at `/openapi.json`, which generators of clients can
read: [api.md](api.md) explains it, with examples. A role is what a token needs; it needs none where the service has no
tokens.
"""


def settings() -> str:
    """Every setting with the kind of its value, its default and the reason for it."""
    lines = [_SETTINGS]
    for title, options in parts():
        lines += [f"## {title}", "", "| setting | value | default | |", "|---|---|---|---|"]
        lines += [_row(name, option, default(name)) for name, option in options.items()]
        lines.append("")
    for table, tables in TABLES.items():
        lines += [f"## {table}.NAME", "", f"{tables.what} In the file only, as `[{table}.NAME]`.", ""]
        lines += ["| key | value | default | |", "|---|---|---|---|"]
        lines += [_row(name, option, option.instead) for name, option in options_of(tables.row).items()]
        lines.append("")
    return "\n".join(lines)


def _row(name: str, option: Option, value: str | None) -> str:
    own = OPTIONS.get(name) is option and flag(name) != "--" + name.replace("_", "-")
    shown = f"`{name}`" + (f" (flag `{flag(name)}`, variable `{variable(name)}`)" if own else "")
    kind = option.type.metavar.replace("|", "\\|") or "yes or no"
    text = f"{option.what} *Default:* {option.why[0].lower()}{option.why[1:]}".replace("|", "\\|")
    return f"| {shown} | {kind} | {f'`{value}`' if value else ''} | {text} |"


def decisions() -> str:
    """The index of the decisions."""
    titles = {
        path.name: path.read_text("utf-8").partition("\n")[0].removeprefix("# ")
        for path in sorted((FOLDER / "decisions").glob("[0-9]*.md"))
    }
    return _DECISIONS + "".join(f"- [{title}]({name})\n" for name, title in titles.items())


def http() -> str:
    """Every operation: what it takes, and what it answers."""
    described = describe(ROUTES, packet_limits=PacketLimits(), guarded=True)
    lines = [_HTTP]
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            lines += [f"## {method.upper()} {path}", "", *_operation(operation), ""]
    return "\n".join(lines)


def _operation(operation: Mapping[str, Any]) -> Iterator[str]:
    role = operation.get("x-role")
    yield f"{operation['summary']} `{operation['operationId']}`, {f'role `{role}`' if role else 'no token'}."
    if more := operation.get("description"):
        yield from ("", more)
    if parameters := operation.get("parameters"):
        yield from ("", "| parameter | in | |", "|---|---|---|")
        yield from (f"| `{one['name']}` | {one['in']} | {_parameter(one)} |" for one in parameters)
    if body := operation.get("requestBody"):
        yield from ("", "Takes " + _media(body) + ".")
    yield from ("", "| status | | |", "|---|---|---|")
    for status, answer in operation["responses"].items():
        yield f"| {status} | {answer['description']} | {_media(answer)} |"


def _parameter(parameter: Mapping[str, Any]) -> str:
    value = parameter["schema"].get("default")
    said = f" Default: `{value}`." if value is not None else ""
    return str(parameter["description"]).replace("|", "\\|") + said


def _media(content: Mapping[str, Any]) -> str:
    return ", ".join(f"`{media}`" for media in content.get("content", ()))


PAGES: Mapping[str, Callable[[], str]] = {
    "commands.md": manual,
    "settings.md": settings,
    "http.md": http,
    "decisions/README.md": decisions,
}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), "utf-8")
