"""The page in a browser, as a person on call uses it, and hostile texts on it: none of them runs, each is read."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import aiohttp
import pytest

from collator.tokens import Role, generate_token, line_for
from tests.harness.browser import Browser, Held, open_browser
from tests.harness.service import ROOT, ServiceProcess
from tests.harness.sink import Sink
from tests.wait import until

pytestmark = pytest.mark.anyio

TOKENS = {role: generate_token() for role in (Role.READ, Role.ADMIN)}
NARROW = 390
"""Pixels of the screen of a telephone."""
ATTACK = '<img src=x onerror="window.ran=1"><script>window.ran=2</script>\'"&lt;'
PROCESSOR = f"""
import asyncio
from pathlib import Path

from collator import Partial

ATTACK = {ATTACK!r}
GO = Path(__file__).with_name("go")


async def work(payload):
    if payload == "bad":
        raise ValueError(ATTACK + " error")
    while payload == "slow" and not GO.exists():
        yield Partial(ATTACK + " so far")  # what nobody follows is forgotten
        await asyncio.sleep(0.05)
    yield {{ATTACK: ATTACK + " output"}}
"""


class Stage(NamedTuple):
    """A service with a page, its receiver, which is down, and a browser."""

    home: Path
    """Where the processor is."""
    service: ServiceProcess
    sink: Sink
    browser: Browser


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """All of it, for all tests; the processor repeats what is hostile."""
    home = tmp_path_factory.mktemp("page")
    (home / "tokens").write_text("\n".join(line_for(TOKENS[role], roles=[role], name=role.value) for role in TOKENS))
    (home / "own.py").write_text(PROCESSOR)
    async with (
        open_browser(home) as browser,
        Sink(home / "service" / "data" / "webhook.secret", up=False) as sink,
        ServiceProcess(
            home / "service",
            webhook=sink.url,
            tokens_file=home / "tokens",
            processor="own:work",
            processor_retries=0,
            breaker_failures=1,
            breaker_pause="1h",
        ) as service,
    ):
        path = os.pathsep.join((str(home), str(ROOT / "src")))
        service.environment = {"PYTHONPATH": path, "COLLATOR_UI_PAYLOADS": "yes"}
        await service.start()
        yield Stage(home, service, sink, browser)


async def send(service: ServiceProcess, *packets: dict[str, object]) -> None:
    """Send *packets*, all of which are taken."""
    fields = {"authorization": f"Bearer {TOKENS[Role.ADMIN]}"}
    async with (
        aiohttp.ClientSession(headers=fields) as session,
        session.post(service.url + "/v1/packets", json=packets) as answer,
    ):
        assert answer.status == 202, await answer.text()


async def sign_in(browser: Browser, service: ServiceProcess, role: Role, place: str = "") -> None:
    """Open the page at *place*, and sign in."""
    await browser.call("Network.clearBrowserCookies")
    await browser.open("about:blank")
    await browser.open(f"{service.url}/{place}")
    await browser.sees("Access token")
    await browser.write("#token", TOKENS[role])
    await browser.sees("Sign out")


async def try_endpoint(browser: Browser) -> None:
    """Have the only endpoint try one delivery now."""
    await browser.click("nav a", "Endpoints")
    await browser.click(".endpoint button", "Try now")
    await browser.click("dialog button.solid", "Try now")
    await browser.sees("Try now: 1 of 1 done")


async def nothing_ran(browser: Browser, service: ServiceProcess) -> None:
    """See that no text of others ran, that the policy forbade nothing, and that nobody else was asked."""
    assert await browser.run("window.ran") is None
    assert browser.console == []
    assert {urlsplit(url).netloc for url in browser.asked if url.startswith("http")} == {urlsplit(service.url).netloc}


async def test_on_call_finds_a_dead_receiver_and_replays_until_nothing_is_left(stage: Stage) -> None:
    _, service, sink, browser = stage
    await send(service, {"resource_id": "order-17", "index": 0, "payload": "good", "last": True})
    await sign_in(browser, service, Role.ADMIN)
    await browser.sees("Ready", "Needs attention", "default: breaker open", "connection refused")
    await browser.write(".search input", "order-17")
    await browser.sees("Resource", "order-17", "1 done", "endpoint default")
    sink.sorry = f"Sorry! {ATTACK}"
    await sink.up()
    await try_endpoint(browser)
    await until(lambda: sink.webhooks)
    await sink.down()
    await browser.write(".search input", "order-17")
    await browser.sees("What default answered: HTTP 503")
    await browser.click("summary", "Show the beginning of the text")
    await browser.sees(sink.sorry)
    await browser.click("td a", "Attempts")
    await browser.sees("order-17 → default", "connection refused", "What the receiver answered")
    await browser.click(".actions button", "Give up")
    await browser.sees("It is dead then")
    await browser.click("dialog button.solid", "Give up")
    await browser.sees("given up")

    await browser.click("nav a", "Endpoints")
    await browser.click(".endpoint button", "Send a test")
    await browser.click("dialog button.solid", "Send a test")
    await browser.sees("connection refused, in")
    sink.sorry = ""  # mended
    await sink.up()
    await browser.click("dialog button.solid", "Try again")
    await browser.sees("Send a test: HTTP 204")
    await browser.click("nav a", "Overview")
    await browser.sees("1 dead delivery")
    await browser.click(".needs a", "Look and replay")
    await browser.click(".bulk button", "Replay all that fit")
    await browser.sees("1 delivery\n")  # what it is about is counted first
    await browser.click("dialog button.solid", "Replay all that fit")
    await browser.sees("No delivery fits")
    await try_endpoint(browser)
    taken = ["test", "resource.collated"]
    await until(lambda: [json.loads(one.body)["type"] for one in sink.webhooks if one.taken] == taken)
    await browser.write(".search input", sink.webhooks[-1].id)
    await browser.sees("order-17 → default", "delivered")
    await browser.click("nav a", "Overview")
    await browser.sees("Nothing needs you.")
    await until(lambda: any(url.endswith("/v1/events") for url in browser.asked))
    await browser.click("nav a", "System")
    await browser.sees("Audit log", "stop", "test", "replay", "try")
    await nothing_ran(browser, service)


async def test_hostile_texts_are_read_and_never_run(stage: Stage) -> None:
    _, service, _, browser = stage
    name = ATTACK + " id"
    metadata = {ATTACK + " key": ATTACK + " value"}
    await send(
        service,
        {"resource_id": name, "index": 0, "payload": "bad", "metadata": metadata},
        {"resource_id": name, "index": 1, "payload": ATTACK + " payload"},
    )
    await sign_in(browser, service, Role.READ, "#/resources")
    await browser.sees(name)
    await browser.write(".search input", name)
    await browser.sees(name, "1 done", "1 failed", ATTACK + " error", ATTACK + " key", ATTACK + " value")
    await browser.click("button", "Follow")
    await browser.sees("output")
    await browser.write('input[type="number"]', "1")
    await browser.sees(ATTACK + " payload")
    await browser.write(".search input", "#/" + ATTACK)
    await browser.sees("No resource fits")
    await browser.click("nav a", "Overview")
    await browser.sees("Calls fail: ValueError: " + ATTACK)
    await nothing_ran(browser, service)


async def test_what_a_call_shows_is_seen_until_its_output_is_there(stage: Stage) -> None:
    home, service, _, browser = stage
    await send(service, {"resource_id": "live", "index": 0, "payload": "slow"})
    await sign_in(browser, service, Role.READ, "#/resources/live")
    await browser.click("button", "Follow")
    await browser.sees("interim", ATTACK + " so far")
    (home / "go").touch()
    await browser.sees(' output"')
    assert "interim" not in await browser.text()
    await nothing_ran(browser, service)


async def test_who_may_look_finds_nothing_to_press(stage: Stage) -> None:
    _, service, _, browser = stage
    await send(service, {"resource_id": "order-18", "index": 0, "payload": "bad"})
    await sign_in(browser, service, Role.READ, "#/resources/order-18")
    await browser.sees("order-18", "1 failed")
    for label in ("Retry", "Complete now", "Cancel", "Set total"):
        assert label not in await browser.text()
    await browser.click("nav a", "System")
    await browser.sees("The audit log is shown to tokens with the role admin.")
    await browser.click("button", "Sign out")
    await browser.sees("Access token")
    assert await browser.run("document.cookie") == ""
    await nothing_ran(browser, service)


async def test_the_page_does_not_grow_while_it_is_open_and_is_as_wide_as_its_screen(stage: Stage) -> None:
    _, service, _, browser = stage
    size, packets = 1000, [{"resource_id": "flood", "index": index, "payload": "good"} for index in range(7000)]
    await send(service, {"resource_id": "order-19", "index": 0, "payload": "good", "last": True}, *packets[:size])
    await browser.call(
        "Emulation.setDeviceMetricsOverride", width=NARROW, height=800, deviceScaleFactor=1, mobile=False
    )
    await sign_in(browser, service, Role.READ, "#/resources/flood")
    await browser.click("button", "Follow")
    await browser.sees("The last 300.", "1,000 done")
    before = await browser.held()
    for start in range(size, len(packets), size):
        await send(service, *packets[start : start + size])
    await browser.sees("7,000 done")
    await send(service, {"resource_id": "flood", "index": len(packets), "payload": "good"})  # the last that is recorded
    await browser.reaches(f"document.querySelector('.outputs li:last-child span').innerText === '{len(packets)}'")
    after = await browser.held()
    assert after.heap - before.heap < 1024 * 1024, (before, after)
    assert after.nodes - before.nodes < 5000, (before, after)

    walks = [await walk(browser) for _ in range(4)]
    assert walks[-1].heap - walks[1].heap < 256 * 1024, walks
    assert walks[-1].nodes - walks[1].nodes < 200, walks
    assert walks[-1].listeners - walks[1].listeners < 20, walks


async def walk(browser: Browser) -> Held:
    """See each view, which is no wider than the screen; what the page holds then."""
    for view in ("Resources", "Deliveries", "Endpoints", "System", "Overview"):
        await browser.click("nav a", view)
        await browser.reaches(f"document.title.startsWith('{view}') && !document.querySelector('.loading')")
        assert await browser.run("document.documentElement.scrollWidth") <= NARROW, view
    return await browser.held()
