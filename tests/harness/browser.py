"""A browser that a test drives: Chromium without a window, by its DevTools protocol."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp

from tests.requirements import need
from tests.wait import until

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # it runs as root in CI, and loads pages of ours alone
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
_USUAL = frozenset({"network", "recommendation"})
"""Entries of the browser's log that are about neither script nor policy: an answer that was no good news, advice."""
PATIENCE = 40.0
"""Seconds after which a test gives up waiting for the browser."""


class Held(NamedTuple):
    """What a page holds."""

    heap: int
    """Bytes of its scripts."""
    nodes: int
    listeners: int


class Browser:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self.console: list[str] = []
        """What the page said: errors, and what its policy forbade."""
        self.asked: list[str] = []
        """The URLs of all requests that it made."""

    async def listen(self) -> None:
        """Take what the browser says, until it ends."""
        async for message in self._socket:
            said = json.loads(message.data)
            if (answer := self._answers.pop(said.get("id", 0), None)) is not None:
                if not answer.done():  # who asked may have given up
                    answer.set_result(said)
            elif said.get("method") == "Network.requestWillBeSent":
                self.asked.append(said["params"]["request"]["url"])
            elif said.get("method") == "Runtime.exceptionThrown":
                self.console.append(json.dumps(said["params"]["exceptionDetails"]))
            elif said.get("method") == "Log.entryAdded" and said["params"]["entry"]["source"] not in _USUAL:
                self.console.append(json.dumps(said["params"]["entry"]))
            elif said.get("method") == "Page.javascriptDialogOpening":
                self.console.append("a dialog was opened: " + said["params"]["message"])

    async def call(self, method: str, **params: object) -> Any:  # noqa: ANN401 - what the browser gives
        """Have the browser do something; what it gives."""
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async with asyncio.timeout(PATIENCE):
            said = await answer
        assert "error" not in said, said
        return said["result"]

    async def run(self, script: str) -> Any:  # noqa: ANN401 - JSON
        """The value of an expression on the page."""
        done = await self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def held(self) -> Held:
        """What the page holds, once nothing is left that could be collected."""
        await self.call("HeapProfiler.collectGarbage")
        heap, there = await self.call("Runtime.getHeapUsage"), await self.call("Memory.getDOMCounters")
        return Held(heap["usedSize"], there["nodes"], there["jsEventListeners"])

    async def open(self, url: str) -> None:
        """Go to *url*."""
        await self.call("Page.navigate", url=url)

    async def text(self) -> str:
        """What a person can read on the page."""
        return str(await self.run("document.body?.innerText ?? ''"))

    async def sees(self, *texts: str) -> None:
        """Wait until the page shows all of *texts*."""
        seen = ""
        try:
            async with asyncio.timeout(PATIENCE):
                while not all(text in seen for text in texts):
                    await self.run("new Promise((again) => setTimeout(again, 30))")
                    seen = await self.text()
        except TimeoutError:
            raise AssertionError(f"{texts} are not on the page:\n{seen}\n{self.console}") from None

    async def click(self, selector: str, text: str = "") -> None:
        """Wait for what fits *selector* and says *text*, and can be pressed, and press it."""
        find = (
            f"[...document.querySelectorAll({json.dumps(selector)})]"
            f".find((one) => !one.disabled && one.innerText.trim().startsWith({json.dumps(text)}))"
        )
        await self.reaches(f"(() => {{ const it = {find}; it?.click(); return Boolean(it); }})()")

    async def reaches(self, condition: str) -> None:
        """Wait until the expression *condition* is true."""
        try:
            async with asyncio.timeout(PATIENCE):
                while not await self.run(condition):
                    await self.run("new Promise((again) => setTimeout(again, 30))")
        except TimeoutError:
            raise AssertionError(f"never true: {condition}\n{await self.text()}\n{self.console}") from None

    async def write(self, selector: str, text: str) -> None:
        """Write *text* into a field, as from a keyboard, and send its form."""
        await self.run(f"document.querySelector({json.dumps(selector)}).focus()")
        await self.call("Input.insertText", text=text)
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, key="Enter", text="\r", windowsVirtualKeyCode=13)


@asynccontextmanager
async def open_browser(home: Path) -> AsyncIterator[Browser]:
    """A browser that keeps what it has to in *home*, and ends with the context."""
    profile = home / "profile"
    port = profile / "DevToolsActivePort"
    process = _start(profile, home / "browser.log")
    try:
        await until(lambda: port.exists() and port.read_text().count("\n"))
        async with aiohttp.ClientSession() as session:
            where = f"http://127.0.0.1:{port.read_text().splitlines()[0]}/json/list"
            async with session.get(where) as found:
                (tab,) = [one for one in await found.json() if one["type"] == "page"]
            async with session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                browser = Browser(socket)
                listening = asyncio.create_task(browser.listen())
                for domain in ("Page", "Runtime", "Log", "Network"):
                    await browser.call(f"{domain}.enable")
                yield browser
                listening.cancel()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # it has many children
        process.wait()


def _start(profile: Path, log: Path) -> subprocess.Popen[bytes]:
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    need(program, "Chromium on the PATH")
    command = [str(program), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    with log.open("wb") as output:
        return subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
