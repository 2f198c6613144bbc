"""The recording of the README: ``python -m docs.recording`` types its example, and writes docs/recording.svg.

The commands are those of the README, and what is shown is what they print; a test records again and compares.
"""

from __future__ import annotations

import io
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.text import Text

from tests.acceptance.programs import PATIENCE, run, running
from tests.acceptance.test_documents import Readme
from tests.wait import until_sync

FILE = Path(__file__).parent / "recording.svg"
WIDTH = 104
# That of rich, without the fonts that it would fetch from elsewhere.
FORMAT = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }}
.{unique_id}-matrix {{ font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: system-ui, sans-serif }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""


def recorded(home: Path) -> Iterator[str]:
    """Yield what is typed in *home*, behind ``$``, and what is printed, line by line."""
    readme = Readme()
    (home / "shout.py").write_text(readme.block("def shout"), "utf-8")
    yield from _typed(readme.block("collator try"))
    tried = run(*shlex.split(readme.block("collator try"), comments=True)[1:], cwd=home)
    yield tried.stdout.splitlines()[-1]
    with ExitStack() as stack:
        for line, ready in zip(
            readme.block("collator serve").splitlines(), ("event=serving", "receiving at .*"), strict=True
        ):
            yield from _typed(readme.told(line), " &")
            said = stack.enter_context(running(*readme.command(line), cwd=home)).says(ready)[0]
            if not said.startswith("event"):
                yield readme.told(said)
        curl = readme.block("curl ")
        yield from _typed(readme.told(curl))
        answer = subprocess.run(["bash", "-c", curl], capture_output=True, text=True, timeout=PATIENCE, check=True)
        yield answer.stdout.strip()
        file = home / "received" / "call-17.txt"
        until_sync(file.exists, PATIENCE)
        yield "$ cat received/call-17.txt"
        yield from file.read_text("utf-8").splitlines()


def _typed(command: str, end: str = "") -> Iterator[str]:
    first, *rest = command.partition("   ")[0].splitlines()
    yield f"$ {first}{end}"
    yield from rest


def svg(lines: list[str]) -> str:
    """The picture of a terminal with *lines* in it."""
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True, legacy_windows=False)
    for line in lines:
        console.print(Text(line, "bold" if line.startswith("$ ") else ""), soft_wrap=False, no_wrap=False)
    return console.export_svg(title="Collator", code_format=FORMAT, unique_id="recording")


def record() -> str:
    """Type it all anew, and draw it."""
    with TemporaryDirectory() as home:
        return svg([*recorded(Path(home))])


if __name__ == "__main__":
    sys.stdout.write("recording …\n")
    FILE.write_text(record(), "utf-8")
