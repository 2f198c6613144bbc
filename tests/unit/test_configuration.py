"""What the configuration of endpoints comes to: which there are, whose secrets sign, what is refused (R20, R21)."""

from __future__ import annotations

from pathlib import Path

import pytest

from collator.delivery import configure, longest_timeout, names
from collator.errors import ConfigError
from collator.settings import EndpointSettings, Settings
from collator.signing import generate_secret

URL = "http://127.0.0.1:9/"


def settings(tmp_path: Path, *endpoints: EndpointSettings, webhook: str | None = None, **more: object) -> Settings:
    return Settings(data_dir=tmp_path / "data", endpoints=endpoints, webhook=webhook, **more)  # type: ignore[arg-type]


def secret_file(tmp_path: Path, name: str) -> Path:
    path = tmp_path / name
    path.write_text(generate_secret())
    return path


def test_r20_webhook_is_the_endpoint_default_beside_those_that_are_named(tmp_path: Path) -> None:
    crm = EndpointSettings(name="crm", url=URL + "crm", match="call-*", concurrency=3, timeout=5.0)
    endpoints = configure(settings(tmp_path, crm, webhook=URL, delivery_timeout=20.0, delivery_concurrency=7))
    found = [(one.name, one.url, one.match, one.concurrency, one.timeout) for one in endpoints.values()]
    assert found == [("default", URL, "*", 7, 20.0), ("crm", URL + "crm", "call-*", 3, 5.0)]
    assert [*endpoints] == names(settings(tmp_path, crm, webhook=URL)) == ["default", "crm"]
    assert longest_timeout(endpoints) == 20.0


def test_r20_named_endpoints_need_no_webhook(tmp_path: Path) -> None:
    assert [*configure(settings(tmp_path, EndpointSettings(name="crm", url=URL)))] == ["crm"]


def test_r20_none_says_that_results_are_only_pulled(tmp_path: Path) -> None:
    assert configure(settings(tmp_path, webhook="none")) == {}
    assert longest_timeout({}) == 0.0
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("names", "webhook", "wanted"),
    [
        ([], None, ["--webhook URL or [endpoints.NAME]", "--webhook none"]),
        (["crm"], "none", ["none disables webhooks", "[endpoints.crm]", "remove one of them"]),
        (["default"], URL, ["[endpoints.default]", "remove one of them"]),
    ],
)
def test_r20_what_contradicts_itself_or_says_nothing_is_refused(
    tmp_path: Path, names: list[str], webhook: str | None, wanted: list[str]
) -> None:
    endpoints = [EndpointSettings(name=name, url=URL) for name in names]
    with pytest.raises(ConfigError) as caught:
        configure(settings(tmp_path, *endpoints, webhook=webhook))
    assert [part for part in wanted if part not in caught.value.detail] == [], caught.value.detail


def test_r21_an_endpoint_without_a_secret_file_of_its_own_uses_the_services(tmp_path: Path) -> None:
    own = secret_file(tmp_path, "own")
    endpoints = configure(
        settings(
            tmp_path,
            EndpointSettings(name="own", url=URL, secret_file=own),
            EndpointSettings(name="a", url=URL),
            EndpointSettings(name="b", url=URL),
        )
    )
    assert (tmp_path / "data" / "webhook.secret").exists()
    assert endpoints["a"].secrets is endpoints["b"].secrets
    assert endpoints["own"].secrets is not endpoints["a"].secrets


def test_r21_no_secret_is_made_where_every_endpoint_has_its_own_or_one_is_named(tmp_path: Path) -> None:
    own = secret_file(tmp_path, "own")
    configure(settings(tmp_path, EndpointSettings(name="own", url=URL, secret_file=own)))
    configure(settings(tmp_path, EndpointSettings(name="a", url=URL), webhook_secret_file=own))
    assert not (tmp_path / "data").exists()


def test_r21_a_secret_file_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"secret file .*gone: No such file"):
        configure(settings(tmp_path, EndpointSettings(name="a", url=URL, secret_file=tmp_path / "gone")))
