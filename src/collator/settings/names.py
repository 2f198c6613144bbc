"""Names that follow from the table: those of every setting, and its default as a user would write it."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, get_type_hints

from collator.settings.option import DURATION_OR_OFF, SIZE_OR_OFF, Option, Tables
from collator.settings.table import Settings


def options_of(table: type[Any]) -> dict[str, Option]:
    """Every option that *table* declares, by name, in its order."""
    return {name: found for name, found in _declared(table).items() if isinstance(found, Option)}


def required_of(table: type[Any]) -> list[str]:
    """The options of *table* that have no default."""
    options = options_of(table)
    return [field.name for field in fields(table) if field.name in options and field.default is MISSING]


def option_of(name: str) -> Option:
    """The option *name*: of the table, or as in ``endpoints.NAME.url`` of one in it."""
    outer, _, inner = name.partition(".")
    return options_of(TABLES[outer].row)[inner.partition(".")[2]] if inner else OPTIONS[name]


def _declared(table: type[Any]) -> dict[str, Option | Tables]:
    hints = get_type_hints(table, include_extras=True)
    return {name: hint.__metadata__[0] for name, hint in hints.items() if hasattr(hint, "__metadata__")}


OPTIONS: dict[str, Option] = options_of(Settings)
"""Every setting by name, in the order of the table."""
TABLES: dict[str, Tables] = {name: found for name, found in _declared(Settings).items() if isinstance(found, Tables)}
"""What comes as tables within the table, by name."""


def default(name: str) -> str | None:
    """The default of the setting *name* as a user would write it; `None` where there is none."""
    return written(OPTIONS[name], getattr(Settings, name))


def written(option: Option, value: object) -> str | None:
    """*value* of *option* as a user would write it; `None` where there is none."""
    return option.type.write(value) if value is not None or option.type in {DURATION_OR_OFF, SIZE_OR_OFF} else None


def flag(name: str) -> str:
    """The flag of the setting *name*, as in ``--data-dir``."""
    return "--" + (OPTIONS[name].flag or name.replace("_", "-"))


def variable(name: str) -> str:
    """The environment variable of the setting *name*, as in ``COLLATOR_DATA_DIR``."""
    return "COLLATOR_" + name.upper()
