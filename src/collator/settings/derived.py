"""What follows from the table: the names of every setting, and its default as a user would write it."""

from __future__ import annotations

from typing import get_type_hints

from collator.settings.option import DURATION_OR_OFF, Option
from collator.settings.table import Settings

OPTIONS: dict[str, Option] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}
"""Every setting by name, in the order of the table."""


def default(name: str) -> str | None:
    """The default of the setting *name* as a user would write it; `None` where there is none."""
    value, option = getattr(Settings, name), OPTIONS[name]
    return option.kind.write(value) if value is not None or option.kind is DURATION_OR_OFF else None


def flag(name: str) -> str:
    """The flag of the setting *name*, as in ``--data-dir``."""
    return "--" + (OPTIONS[name].flag or name.replace("_", "-"))


def variable(name: str) -> str:
    """The environment variable of the setting *name*, as in ``COLLATOR_DATA_DIR``."""
    return "COLLATOR_" + name.upper()
