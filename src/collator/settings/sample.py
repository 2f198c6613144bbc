"""Every setting written out: `collator config --sample` and the page of the settings come from here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from collator.settings.delivery import DeliverySettings
from collator.settings.listener import ListenerSettings
from collator.settings.option import SWITCH, Option, Scope, options_of
from collator.settings.processor import ProcessorSettings
from collator.settings.table import OPTIONS, TABLES, default

_HEAD = """\
# Every setting with its default. Remove the # before what is to be changed.
# A duration is written 500ms, 90s, 5m, 1h or 7d; a size 64KiB, 1MiB or 8GiB (1 KiB is 1024 bytes), or 1MB (1000000).
"""


def parts() -> Iterator[tuple[str, Mapping[str, Option]]]:
    """Yield the settings that are for use, in parts, each under a title."""
    here = {
        "Requests": options_of(ListenerSettings),
        "The processor": options_of(ProcessorSettings),
        "Webhooks": options_of(DeliverySettings),
    }
    named = {name for part in here.values() for name in part}
    rest = {name: option for name, option in OPTIONS.items() if name not in named}
    yield from here.items()
    for title, scope in (("The store and its limits", Scope.SERVICE), ("Clients", Scope.CLIENT)):
        yield title, {name: option for name, option in rest.items() if option.scope is scope}
    yield "collator receive", {name: option for name, option in rest.items() if option.scope is Scope.RECEIVER}


def sample() -> str:
    """A ``collator.toml`` that changes nothing: each setting, what it is, why its default is that, commented out."""
    lines = [_HEAD]
    for title, options in parts():
        lines.append(f"\n## {title}\n")
        lines += [line for name, option in options.items() for line in _lines(name, option, default(name))]
    for table, tables in TABLES.items():
        lines.append(f"\n## {tables.what} {tables.why}\n\n#[{table}.NAME]\n")
        lines += [line for name, option in options_of(tables.row).items() for line in _lines(name, option, None)]
    return "\n".join(lines)


def _lines(name: str, option: Option, value: str | None) -> Iterator[str]:
    """Yield what stands of one setting; where it has no default, the kind of its value."""
    yield f"# {option.what}\n# Why: {option.why}"
    kind = option.type.metavar.replace("|", " or ") or "true or false"
    yield f"#{name} = {_toml(option, value)}{'' if value else f'  # {kind}'}\n"


def _toml(option: Option, value: str | None) -> str:
    if option.type is SWITCH:
        return str(value == SWITCH.write(True)).lower()  # noqa: FBT003 - the value that is written
    return value if value and value.isdigit() else json.dumps(value or "", ensure_ascii=False)
