"""The shape of the code, tested like behaviour: what can be measured is not left to taste.

Everything here reads source text and imports nothing of it, so that it is fast and works on code that does not run.
Each message says where, what was measured, and what to do.
"""

import ast
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from statistics import median
from typing import NamedTuple

import pytest

# The budget. Every line of a body counts that comes after the docstring, comments too.
FILE_LINES = 300
FUNCTION_LINES = 40
MEDIAN_FUNCTION_LINES = 5
SHORT_FUNCTION_LINES = 10
SHARE_OF_SHORT_FUNCTIONS = 0.75
NESTING = 3
# A private function with one caller has at least so many lines of body, or stands in its caller; unless it explains a
# numbered rule.
HELPER_LINES = 5
NUMBERED_RULE = re.compile(r"\b[PR][1-9]\d?\b")

# Files under tests/ that may sleep, each with a reason beside it.
MAY_SLEEP: frozenset[str] = frozenset()
SLEEPERS = frozenset({"time", "asyncio", "anyio", "trio"})

# Written so that this file does not hold what it forbids.
MACHINE_PATH = re.compile(r"(?<![\w.~)}>-])/(?:work|root|home)/")
REGISTRY_HOST = re.compile(r"pypi[.]org|pythonhosted[.]org|registry[.]npmjs[.]org|deb[.]debian[.]org")

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
TESTS = ROOT / "tests"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Public = Function | ast.ClassDef
Block = ast.If | ast.For | ast.AsyncFor | ast.While | ast.With | ast.AsyncWith | ast.Try | ast.TryStar | ast.Match
Comprehension = ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp
Lazy = Comprehension | ast.Lambda | ast.IfExp | ast.BoolOp
Displays = ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
MUTABLE_TYPES = frozenset({"list", "dict", "set", "bytearray", "defaultdict", "deque", "Counter", "OrderedDict"})


class Module(NamedTuple):
    """One source file, read and parsed once."""

    path: str
    name: str
    lines: int
    tree: ast.Module


@cache
def modules(folder: Path) -> tuple[Module, ...]:
    return tuple(read(path, folder) for path in sorted(folder.rglob("*.py")))


def read(path: Path, folder: Path) -> Module:
    text = path.read_text("utf-8")
    parts = path.relative_to(folder).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(path.relative_to(ROOT).as_posix(), name, len(text.splitlines()), ast.parse(text, path))


def functions() -> Iterator[tuple[Module, Function]]:
    for module in modules(SOURCE):
        for node in ast.walk(module.tree):
            if isinstance(node, Function):
                yield module, node


def body_lines(function: Function) -> int:
    """Lines from the first statement after the docstring to the last; 0 where there is only a docstring."""
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def tell(offences: Iterable[str]) -> None:
    """Fail with one line an offence."""
    found = list(offences)
    if found:
        pytest.fail("\n".join(found), pytrace=False)


def test_files_are_short() -> None:
    tell(
        f"{module.path}: {module.lines} lines, at most {FILE_LINES}: make it a folder with one file a concept"
        for module in modules(SOURCE)
        if module.lines > FILE_LINES
    )


def test_functions_are_short() -> None:
    tell(
        f"{module.path}:{function.lineno}: {function.name} has {lines} lines, at most {FUNCTION_LINES}: "
        "give its steps names and functions of their own"
        for module, function in functions()
        if (lines := body_lines(function)) > FUNCTION_LINES
    )


def test_most_functions_are_very_short() -> None:
    sizes = {f"{module.path}:{f.lineno} {f.name}": body_lines(f) for module, f in functions()}
    if not sizes:
        return
    middle = median(sizes.values())
    share = sum(size <= SHORT_FUNCTION_LINES for size in sizes.values()) / len(sizes)
    longest = sorted(sizes, key=lambda where: -sizes[where])[:8]
    where = "; the longest: " + ", ".join(f"{name} ({sizes[name]} lines)" for name in longest)
    assert middle <= MEDIAN_FUNCTION_LINES, (
        f"the median function has {middle} lines, at most {MEDIAN_FUNCTION_LINES}: split the middling ones" + where
    )
    assert share >= SHARE_OF_SHORT_FUNCTIONS, (
        f"{share:.0%} of the functions have at most {SHORT_FUNCTION_LINES} lines, at least "
        f"{SHARE_OF_SHORT_FUNCTIONS:.0%} must: split the long ones" + where
    )


def too_deep(node: ast.AST, depth: int = 0) -> Iterator[tuple[ast.stmt, int]]:
    """Yield the outermost blocks that lie deeper than the budget allows; a function in a function starts anew."""
    if isinstance(node, Block):
        depth += 1
        if depth > NESTING:
            yield node, depth
            return
    for child in ast.iter_child_nodes(node):
        yield from too_deep(child, depth_of_child(node, child, depth))


def depth_of_child(node: ast.AST, child: ast.AST, depth: int) -> int:
    if isinstance(child, Function | ast.Lambda | ast.ClassDef):
        return 0
    if isinstance(node, ast.If) and isinstance(child, ast.If) and child.col_offset == node.col_offset:
        return depth - 1  # an elif stands beside its if, though the tree puts it inside
    return depth


def test_nesting_is_shallow() -> None:
    tell(
        f"{module.path}:{node.lineno}: {type(node).__name__.lower()} at depth {depth}, at most {NESTING}: "
        "return early, or move the inner block to a function"
        for module in modules(SOURCE)
        for node, depth in too_deep(module.tree)
    )


def runs_at_import(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield what runs when the module is imported: no function bodies, nothing that only a type checker reads."""
    for statement in statements:
        if isinstance(statement, Function) or (isinstance(statement, ast.If) and for_types(statement.test)):
            continue
        yield statement
        inner = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
        handlers = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.ExceptHandler)]
        yield from runs_at_import(inner + [line for handler in handlers for line in handler.body])


def for_types(condition: ast.expr) -> bool:
    return ast.unparse(condition) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def imported(module: Module, names: frozenset[str]) -> Iterator[str]:
    """Yield the modules among ``names`` that this one asks for while it is imported."""
    for statement in runs_at_import(module.tree.body):
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names if alias.name in names)
        elif isinstance(statement, ast.ImportFrom):
            origin = absolute(module, statement)
            wanted = (f"{origin}.{alias.name}" for alias in statement.names)
            yield from (full if full in names else origin for full in wanted if {full, origin} & names)


def absolute(module: Module, statement: ast.ImportFrom) -> str:
    if not statement.level:
        return statement.module or ""
    own = module.name.split(".")
    up = statement.level - module.path.endswith("/__init__.py")
    return ".".join([*own[: len(own) - up], *([statement.module] if statement.module else [])])


def cycle_through(start: str, graph: dict[str, frozenset[str]]) -> list[str] | None:
    """Return the shortest way from a module back to itself."""
    ways = [[start]]
    seen = set[str]()
    for way in ways:
        for target in sorted(graph[way[-1]]):
            if target == start:
                return [*way, start]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return None


def test_imports_have_no_cycle() -> None:
    names = frozenset(module.name for module in modules(SOURCE))
    graph = {module.name: frozenset(imported(module, names)) - {module.name} for module in modules(SOURCE)}
    cycles = {frozenset(cycle): cycle for name in graph if (cycle := cycle_through(name, graph))}
    tell(
        f"import cycle of {len(cycle) - 1} modules: {' -> '.join(cycle)}: move what both need to a module below them"
        for cycle in cycles.values()
    )


def public(node: ast.Module | ast.ClassDef) -> Iterator[tuple[Public, bool]]:
    """Yield the public classes and functions of a module or class, and whether each belongs to a class."""
    for child in runs_at_import_or_function(node.body):
        if isinstance(child, Public) and not child.name.startswith("_"):
            yield child, isinstance(node, ast.ClassDef)
            if isinstance(child, ast.ClassDef):
                yield from public(child)


def runs_at_import_or_function(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for child in body:
        yield child
        if isinstance(child, ast.If | ast.Try):
            yield from runs_at_import_or_function([c for c in ast.iter_child_nodes(child) if isinstance(c, ast.stmt)])


def decorators(node: Public) -> set[str]:
    return {ast.unparse(decorator).rsplit(".", 1)[-1] for decorator in node.decorator_list}


def test_public_names_have_docstrings() -> None:
    without = [
        f"{module.path}:1: no docstring: open the module with what lives here and what may not"
        for module in modules(SOURCE)
        if ast.get_docstring(module.tree) is None
    ]
    without += [
        f"{module.path}:{node.lineno}: {node.name} is public without a docstring: say what it promises, or give it an _"
        for module in modules(SOURCE)
        for node, _ in public(module.tree)
        # The getter and the implementation speak for a setter and an overload.
        if ast.get_docstring(node) is None and not decorators(node) & {"overload", "setter", "deleter", "override"}
    ]
    tell(without)


def bare(function: Function, *, method: bool) -> list[str]:
    """Return the names of the arguments without a type, and "return"."""
    arguments = function.args
    positional = [*arguments.posonlyargs, *arguments.args]
    if method and "staticmethod" not in decorators(function):
        positional = positional[1:]
    every = [*positional, *arguments.kwonlyargs, *filter(None, (arguments.vararg, arguments.kwarg))]
    return [a.arg for a in every if a.annotation is None] + (["return"] if function.returns is None else [])


def test_public_functions_are_typed() -> None:
    tell(
        f"{module.path}:{node.lineno}: {node.name} has {len(names)} without a type ({', '.join(names)}): annotate them"
        for module in modules(SOURCE)
        for node, method in public(module.tree)
        if isinstance(node, Function) and (names := bare(node, method=method))
    )


def is_mutable(value: ast.expr | None) -> bool:
    if isinstance(value, ast.Call):
        maker = value.func.value if isinstance(value.func, ast.Subscript) else value.func  # dict[str, int]()
        return ast.unparse(maker).rsplit(".", 1)[-1] in MUTABLE_TYPES
    return isinstance(value, Displays)


def module_state(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each mutable value that a module holds. ALL_CAPS promises that nobody changes it."""
    bodies = (s for s in module.tree.body if not isinstance(s, ast.ClassDef))
    for statement in runs_at_import(bodies):
        if not isinstance(statement, ast.Assign | ast.AnnAssign) or not is_mutable(statement.value):
            continue
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            name = ast.unparse(target)
            if not name.isupper() and not (name.startswith("__") and name.endswith("__")):
                yield statement.lineno, name


def test_modules_hold_no_mutable_state() -> None:
    tell(
        f"{module.path}:{line}: {name} is mutable state of a module: give it to an object that someone makes and "
        "closes, or make it a constant in ALL_CAPS (better still a tuple, frozenset or MappingProxyType)"
        for module in modules(SOURCE)
        for line, name in module_state(module)
    )


def sleeps(module: Module) -> Iterator[ast.expr | ast.stmt]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr == "sleep" and ast.unparse(node.value) in SLEEPERS:
            yield node
        elif isinstance(node, ast.ImportFrom) and node.module in SLEEPERS:
            yield from [node for alias in node.names if alias.name == "sleep"]


def test_no_test_sleeps() -> None:
    tell(
        f"{module.path}:{node.lineno}: a test sleeps: wait for a condition with a deadline, or inject the clock"
        for module in modules(TESTS)
        if module.path not in MAY_SLEEP
        for node in sleeps(module)
    )


@cache
def tracked() -> tuple[tuple[str, str], ...]:
    """Return path and text of every tracked text file. The owner of the checkout may be someone else."""
    listing = ["git", "-c", "safe.directory=*", "-C", str(ROOT), "ls-files", "-z"]
    try:
        names = subprocess.run(listing, capture_output=True, check=True).stdout.decode().split("\0")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git checkout")
    files = ((name, ROOT / name) for name in names if name)
    contents = ((name, path.read_bytes()) for name, path in files if path.is_file() and not path.is_symlink())
    return tuple((name, content.decode("utf-8", "replace")) for name, content in contents if b"\0" not in content)


def found_in_files(pattern: re.Pattern[str]) -> Iterator[tuple[str, str]]:
    for name, text in tracked():
        for match in pattern.finditer(text):
            yield f"{name}:{text.count(chr(10), 0, match.start()) + 1}", match[0]


def test_no_file_names_a_machine() -> None:
    tell(
        f"{where}: {path} is an absolute path of one machine: make it relative, or take it from a setting"
        for where, path in found_in_files(MACHINE_PATH)
    )


def test_no_file_names_a_registry() -> None:
    tell(
        f"{where}: {host} is the host of a package registry: name the package; each machine has an index of its own"
        for where, host in found_in_files(REGISTRY_HOST)
    )


# What ends as a participle or a gerund does, and is a noun of the trade.
NOUNS = frozenset({"feed", "paging", "signing", "testing"})
PARTICIPLE = re.compile(r"(?:ing|ed)$")
# Private metaphors and dialect that were replaced by the words of the trade (docs/glossary.md).
DIALECT = frozenset(
    {
        *("apart", "bear", "born", "bury", "deadly", "desk", "disown", "door", "embedded", "endings", "era", "forsake"),
        *("forsaken", "gate", "ground", "hands", "hire", "house", "lane", "lanes", "lend", "lingering", "newborn"),
        *("ordeal", "room", "rooms", "rouse", "standings", "torment", "tray", "victim", "witness", "workforce"),
    }
)


def test_file_names_are_nouns() -> None:
    files = [*SOURCE.rglob("*.py"), *(path for path in TESTS.rglob("*.py") if not path.name.startswith("test_"))]
    last_words = {path: path.stem.rpartition("_")[2] for path in sorted(files)}
    tell(
        f"{path.relative_to(ROOT)}: {word!r} is no noun: name the file after what lives there"
        for path, word in last_words.items()
        if PARTICIPLE.search(word) and word not in NOUNS
    )
    unused = NOUNS - {*last_words.values()}
    assert not unused, f"no file is called {sorted(unused)} any more: take it from the list of nouns"


def names_of(module: Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of everything that a module defines."""
    for node in ast.walk(module.tree):
        if isinstance(node, Public):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr


def test_names_are_words_of_the_trade() -> None:
    tell(
        f"{module.path}:{line}: {name} holds {sorted(words)}: take the word of the trade, see docs/glossary.md"
        for module in modules(SOURCE)
        for line, name in names_of(module)
        if (words := DIALECT & set(re.findall(r"[a-z]+", re.sub(r"(?<!^)(?=[A-Z][a-z])", "_", name).lower())))
    )


def mentions(tree: ast.Module) -> Mapping[str, Sequence[ast.expr]]:
    """Every place where a name is read, by the name."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.setdefault(node.id if isinstance(node, ast.Name) else node.attr, []).append(node)
    return found


def short_helpers(module: Module) -> Iterator[Function]:
    """Yield the private functions of a few lines that one place calls, and that could as well stand in that place."""
    parents = {child: node for node in ast.walk(module.tree) for child in ast.iter_child_nodes(node)}
    named = mentions(module.tree)
    defined = Counter(node.name for node in parents if isinstance(node, Function))  # more than once: overridden
    for node in parents:
        if isinstance(node, Function) and re.match("_[^_]", node.name) and body_lines(node) < HELPER_LINES:
            where = named.get(node.name, ())
            if len(where) == defined[node.name] == 1 and could_stand_in_caller(node, where[0], parents):
                yield node


def could_stand_in_caller(function: Function, mention: ast.expr, parents: Mapping[ast.AST, ast.AST]) -> bool:
    call = parents[mention]
    if not (isinstance(call, ast.Call) and call.func is mention) or function.decorator_list:
        return False  # a callback, a property, something cached
    if isinstance(function, ast.AsyncFunctionDef):
        call = parents[call]
        if not isinstance(call, ast.Await):
            return False  # a task
    around = [parents[call]]
    while not isinstance(around[-1], Function | ast.Module):
        around.append(parents[around[-1]])
    inner, last = [*ast.walk(function)], function.body[-1]
    returns = [node for node in inner if isinstance(node, ast.Return)]
    if not (isinstance(last, ast.Return | ast.Expr) and body_lines(function) == lines_of(last)):
        if any(isinstance(node, Lazy) for node in around) or isinstance(around[0], ast.While | ast.match_case):
            return False  # statements where only an expression has its place
        if returns not in ([], [last]) and not isinstance(around[0], ast.Return):
            return False  # it ends early where its caller does not
    caught = any(isinstance(node, ast.Try) for node in around) and any(isinstance(node, ast.Raise) for node in inner)
    return not (
        caught
        or any(isinstance(node, ast.Yield | ast.YieldFrom) for node in inner)
        or not isinstance(caller := around[-1], Function)
        or body_lines(caller) + body_lines(function) > FUNCTION_LINES
        or sum(isinstance(node, Block) for node in around) + depth(function) > NESTING
        or NUMBERED_RULE.search(ast.get_docstring(function) or "")
    )


def lines_of(statement: ast.stmt) -> int:
    return (statement.end_lineno or 0) - statement.lineno + 1


def depth(node: ast.AST) -> int:
    """Return how many blocks lie in one another."""
    return isinstance(node, Block) + max(map(depth, ast.iter_child_nodes(node)), default=0)


def test_short_helpers_stand_in_their_caller() -> None:
    tell(
        f"{module.path}:{function.lineno}: {function.name} has one caller and {body_lines(function)} lines, "
        f"at least {HELPER_LINES}: let it stand in its caller"
        for module in modules(SOURCE)
        for function in short_helpers(module)
    )
