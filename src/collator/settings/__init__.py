"""The settings: `table` declares each once, with what `option` offers for it; `values` and `sources` read them.

To add one: a field in `table.Settings`. Its flag, its variable, its key in the file and its line in the help follow.
"""

from __future__ import annotations

from collator.settings.derived import OPTIONS, default, flag, variable
from collator.settings.option import SWITCH, Option, Scope
from collator.settings.sources import CONFIG_FILE, CONFIG_VARIABLE, Given, gather, load
from collator.settings.table import Settings
from collator.settings.values import NO_WEBHOOK

__all__ = [
    "CONFIG_FILE",
    "CONFIG_VARIABLE",
    "NO_WEBHOOK",
    "OPTIONS",
    "SWITCH",
    "Given",
    "Option",
    "Scope",
    "Settings",
    "default",
    "flag",
    "gather",
    "load",
    "variable",
]
