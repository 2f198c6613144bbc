"""No listener without the guard: who opens a port, in all that is shipped."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import collator

ROOT = Path(collator.__file__).parent
OPENERS = {
    "create_server", "create_unix_server", "start_server", "start_unix_server", "create_datagram_endpoint",
    "listen", "bind", "TCPSite", "UnixSite", "SockSite", "run_app", "TCPServer", "HTTPServer", "ThreadingHTTPServer",
    "WSGIServer",
}  # fmt: skip
"""What opens a port, in the standard library and in those that we use."""
MODULES = {"aiohttp.web", "http.server", "socketserver", "wsgiref.simple_server", "xmlrpc.server"}
GUARDED = "web/server.py"
"""`serve`, by which all others listen: a service, a receiver (`web/inbox.py`), and the yardstick in `bench/`."""
OF_THIS_MACHINE = {
    "cli/children.py": "a port that is free, at which nobody is answered",
    "cli/demo/balancer.py": "what stands before the nodes of a demo",
}
"""Others, which have to say the loopback address itself."""


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        name = getattr(node.func, "attr", getattr(node.func, "id", "")) if isinstance(node, ast.Call) else ""
        if isinstance(node, ast.Call) and name in OPENERS and not _of_a_signature(node):
            yield node


def _of_a_signature(call: ast.Call) -> bool:
    """Whether it is `inspect.Signature.bind`."""
    return (
        isinstance(call.func, ast.Attribute)
        and isinstance(call.func.value, ast.Name)
        and call.func.value.id == "signature"
    )


def modules() -> Iterator[tuple[str, ast.AST]]:
    for path in sorted(ROOT.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def test_all_listen_behind_the_guard_or_to_this_machine_alone() -> None:
    opened = {path: [*calls(tree)] for path, tree in modules()}
    assert {path for path, found in opened.items() if found} == {GUARDED, *OF_THIS_MACHINE}
    for path in OF_THIS_MACHINE:
        for call in opened[path]:
            assert '"127.0.0.1"' in ast.unparse(call).replace("'", '"'), path


def test_no_other_server_is_used() -> None:
    def imported(tree: ast.AST) -> set[str]:
        whole = {one.name for node in ast.walk(tree) if isinstance(node, ast.Import) for one in node.names}
        parts = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        return (
            whole
            | {f"{node.module}.{one.name}" for node in parts for one in node.names}
            | {str(node.module) for node in parts}
        )

    assert [path for path, tree in modules() if imported(tree) & MODULES] == []
