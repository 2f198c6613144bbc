"""The settings: each is declared once, with what `option` offers for it; `values` and `sources` read them.

To add one: a field in `table.Settings`, or in `listener`, `processor` or `delivery`, which it puts together. Its flag,
its variable, its key in the file and its line in the help follow. What comes as tables in the file is declared in the
same way, as `delivery.EndpointSettings`.
"""

from __future__ import annotations

from collator.settings.addresses import NO_WEBHOOK, hidden
from collator.settings.delivery import EndpointSettings
from collator.settings.option import SWITCH, Option, Scope, Tables, options_of
from collator.settings.sample import parts, sample
from collator.settings.sources import (
    CONFIG_FILE,
    CONFIG_VARIABLE,
    Effective,
    RawValue,
    effective,
    from_keywords,
    gather,
    load,
)
from collator.settings.table import OPTIONS, TABLES, Settings, default, flag, variable

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
    "parts",
    "sample",
    "variable",
]
