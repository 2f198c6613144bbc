"""One value that somebody gave: in a flag, in the environment or in the file."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from collator.errors import ConfigError
from collator.settings.names import option_of


@dataclass(frozen=True)
class RawValue:
    """One value that somebody gave."""

    name: str
    """``port``, or in a table ``endpoints.NAME.url``."""
    text: str
    source: str
    """``--port``, ``COLLATOR_PORT`` or ``collator.toml: port``."""

    def value(self) -> Any:  # noqa: ANN401 - what the kind of the setting gives
        """The value in the unit that the program uses. Raises `ConfigError`, which names the source."""
        try:
            return option_of(self.name).type.parse(self.text)
        except ValueError as error:
            raise ConfigError(f"{self.source}: {error}") from None


def nearest(name: str, known: Iterable[str]) -> str:
    """Of what is *known*, that which the unknown *name* was probably meant to be."""
    return difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
