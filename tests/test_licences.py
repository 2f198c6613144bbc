"""What Collator is installed with, it may be: every library that it needs at run time is under a permissive licence."""

import re
from importlib.metadata import Distribution, distribution

from packaging.requirements import Requirement

PERMISSIVE = re.compile(r"(MIT|Apache|BSD|PSF|ISC|Python Software Foundation|any-OSI)[\w .,-]*", re.IGNORECASE)
"""The names of the licences that ask for no more than to be told, as packages write them."""


def needed(root: str) -> dict[str, Distribution]:
    """All that *root* needs here, extras aside, itself among it."""
    found: dict[str, Distribution] = {}
    wanted = [root]
    while wanted:
        name = wanted.pop()
        if name in found:
            continue
        found[name] = distribution(name)
        asked = map(Requirement, found[name].requires or ())
        wanted += [re.sub(r"[-_.]+", "-", one.name).lower() for one in asked if _applies(one)]
    return found


def test_every_library_that_is_needed_has_a_permissive_licence() -> None:
    libraries = needed("collator")
    assert {"httptools", "apsw", "msgspec", "yarl"} <= {*libraries}, "the libraries of libraries are looked at too"
    strange = {name: names for name, one in libraries.items() if not _permissive(names := licences(one))}
    assert not strange, f"look at the licences, and replace the library or add it with its reason: {strange}"


def licences(library: Distribution) -> list[str]:
    """The names of its licences: the expression, else the field, else the classifiers."""
    fields = library.metadata
    for expression in fields.get_all("License-Expression") or ():
        return re.split(r"\s+(?:AND|OR)\s+|[()]+", expression)
    for text in fields.get_all("License") or ():
        return [str(text).strip().partition("\n")[0]]
    return [one.rpartition(" :: ")[2] for one in fields.get_all("Classifier") or () if one.startswith("License ::")]


def _permissive(names: list[str]) -> bool:
    return bool(names) and all(PERMISSIVE.fullmatch(name) for name in names if name)


def _applies(one: Requirement) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": ""})
