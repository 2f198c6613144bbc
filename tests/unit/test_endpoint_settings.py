"""Endpoints in the configuration (R20): tables of the file, each key declared once, each mistake told."""

from __future__ import annotations

from pathlib import Path

import pytest

from collator.errors import ConfigError
from collator.settings import TABLES, EndpointSettings, effective, gather, load, options_of

FILE = """
webhook = "https://example.org/all"
delivery_timeout = "20s"

[endpoints.crm]
url = "https://crm.example/hooks"
match = "call-*"
secret_file = "crm.secret"
concurrency = 8
timeout = "5s"

[endpoints.archive-2]
url = "http://127.0.0.1:9000/"
"""


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "collator.toml"
    path.write_text(text)
    return str(path)


def test_r20_a_configuration_holds_many_endpoints(tmp_path: Path) -> None:
    settings = load(environ={}, config=written(tmp_path, FILE))
    crm = EndpointSettings(
        name="crm",
        url="https://crm.example/hooks",
        match="call-*",
        secret_file=tmp_path / "crm.secret",
        concurrency=8,
        timeout=5.0,
    )
    assert settings.endpoints == (crm, EndpointSettings(name="archive-2", url="http://127.0.0.1:9000/"))
    assert settings.webhook == "https://example.org/all"


def test_without_tables_there_is_no_further_endpoint(tmp_path: Path) -> None:
    assert load(environ={}, config=written(tmp_path, "[endpoints]\n")).endpoints == ()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[endpoint.crm]\nurl = 'http://h/'", ["'endpoint' is not a setting", "did you mean endpoints?"]),
        (
            "[endpoints.crm]\nuri = 'http://h/'",
            ["endpoints.crm: 'uri' is not a setting of this table; did you mean url?"],
        ),
        ("[endpoints.crm]\nsecretfile = 's'\nurl = 'http://h/'", ["'secretfile'", "did you mean secret_file?"]),
        ("[endpoints.crm]\nmatch = 'a*'", ["endpoints.crm: url is missing"]),
        ("[endpoints.crm]", ["endpoints.crm: url is missing"]),
        ("[endpoints.crm]\nurl = 'crm'", ["endpoints.crm.url: 'crm' is not a valid URL"]),
        ("[endpoints.crm]\nurl = 'http://h/'\ntimeout = 'soon'", ["endpoints.crm.timeout: 'soon' is not a duration"]),
        ("[endpoints.crm]\nurl = 'http://h/'\nconcurrency = 0", ["crm.concurrency: 0 is not between 1 and 10000"]),
        (
            "[endpoints.crm]\nurl = 'http://h/'\nmatch = ['a*', 'b*']",
            ["crm.match: expected a string or a number", "list"],
        ),
        ("[endpoints.crm]\nurl = 'http://h/'\nmatch = ' '", ["crm.match: it is empty"]),
        ("endpoints = 'http://h/'", ["endpoints: expected a table [endpoints.NAME], found str"]),
        ("[endpoints]\nurl = 'http://h/'", ["endpoints.url: expected a table [endpoints.NAME], found str"]),
        ("[endpoints.CRM]\nurl = 'http://h/'", ["endpoints: 'CRM' is not a valid name: use 1 to 32 of a-z, 0-9"]),
        ("[endpoints.'a b']\nurl = 'http://h/'", ["'a b' is not a valid name"]),
        ("[endpoints.'a.b']\nurl = 'http://h/'", ["'a.b' is not a valid name"]),
        ("[endpoints.-a]\nurl = 'http://h/'", ["'-a' is not a valid name"]),
        (f"[endpoints.{'a' * 33}]\nurl = 'http://h/'", ["is not a valid name"]),
    ],
)
def test_r20_a_mistake_in_an_endpoint_is_told_with_its_place_and_what_is_right(
    tmp_path: Path, text: str, wanted: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environ={}, config=written(tmp_path, text))
    assert [part for part in ["collator.toml", *wanted] if part not in caught.value.detail] == [], caught.value.detail


def test_endpoints_are_in_the_file_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="COLLATOR_ENDPOINTS is not a setting"):
        load(environ={"COLLATOR_ENDPOINTS": "x"}, config=written(tmp_path, FILE))


def test_what_holds_is_shown_with_its_source(tmp_path: Path) -> None:
    path = written(tmp_path, FILE)
    shown = {item.name: (item.text, item.source) for item in effective(gather({"port": "1"}, {}, path))}
    assert shown["port"] == ("1", "--port")
    assert shown["host"] == ("127.0.0.1", "default")
    assert shown["webhook_secret_file"] == (None, "default")
    assert shown["endpoints.crm.timeout"] == ("5s", f"{path}: endpoints.crm.timeout")
    assert shown["endpoints.archive-2.url"] == ("http://127.0.0.1:9000/", f"{path}: endpoints.archive-2.url")
    assert shown["endpoints.archive-2.match"] == ("*", "default")
    assert shown["endpoints.archive-2.timeout"] == ("20s", "delivery_timeout")
    assert shown["endpoints.archive-2.secret_file"] == (None, "webhook_secret_file")
    assert "unsafe_synchronous" not in shown


@pytest.mark.parametrize("name", TABLES)
def test_every_key_of_a_table_says_what_it_is_and_why_its_default(name: str) -> None:
    table = TABLES[name]
    for what, why in [(table.what, table.why), *((key.what, key.why) for key in options_of(table.row).values())]:
        assert what.endswith(".")
        assert why.endswith(".")
