"""The settings: `table` declares each once, with what `option` offers for it; `values` and `sources` read them.

To add one: a field in `table.Settings`. Its flag, its variable, its key in the file and its line in the help follow.
What comes as tables in the file, as endpoints do, is declared in the same way in a module of its own.
"""

from __future__ import annotations

from collator.settings.endpoint import EndpointSettings
from collator.settings.names import OPTIONS, TABLES, default, flag, options_of, variable
from collator.settings.option import SWITCH, Option, Scope, Tables
from collator.settings.raw_value import RawValue
from collator.settings.sources import CONFIG_FILE, CONFIG_VARIABLE, Effective, effective, from_keywords, gather, load
from collator.settings.table import Settings
from collator.settings.values import NO_WEBHOOK, hidden

__all__ = [
    "CONFIG_FILE",
    "CONFIG_VARIABLE",
    "NO_WEBHOOK",
    "OPTIONS",
    "SWITCH",
    "TABLES",
    "Effective",
    "EndpointSettings",
    "Option",
    "RawValue",
    "Scope",
    "Settings",
    "Tables",
    "default",
    "effective",
    "flag",
    "from_keywords",
    "gather",
    "hidden",
    "load",
    "options_of",
    "variable",
]
