"""What every command gets from the table of settings: its flags, its help, and the effective settings."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from collator.cli.command import command
from collator.cli.serve import serve
from collator.errors import ConfigError
from collator.service import check
from collator.settings import OPTIONS, Scope, Settings, flag, load

EXAMPLES = (("Do it", "collator it --own 1"),)


@command(Scope.SERVICE, examples=EXAMPLES)
@click.option("--own", type=int)
def it(*, settings: Settings, own: int | None) -> tuple[Settings, int | None]:
    """Give back what it was called with."""
    return settings, own


def called(*arguments: str) -> tuple[Settings, int | None]:
    settings, own = it.main(arguments, standalone_mode=False)
    assert isinstance(settings, Settings)
    return settings, own


@pytest.fixture(autouse=True)
def no_settings_lie_around(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in OPTIONS:
        monkeypatch.delenv(f"COLLATOR_{name.upper()}", raising=False)


def test_a_command_is_called_with_the_effective_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.toml").write_text("port = 1\nhost = 'file'")
    monkeypatch.setenv("COLLATOR_PORT", "2")
    settings, own = called("--config", "c.toml", "--own", "5", "--retention", "1h", "--insecure")
    assert (settings.host, settings.port, settings.retention, settings.insecure, own) == ("file", 2, 3600.0, True, 5)
    assert called() == (load(), None)


@pytest.mark.parametrize("name", [name for name, option in OPTIONS.items() if option.scope is Scope.SERVICE])
def test_serve_has_a_flag_for_every_setting_of_the_service(name: str) -> None:
    option = next(param for param in serve.params if param.name == name)
    assert isinstance(option, click.Option)
    assert option.opts == [flag(name)]
    assert option.help is not None
    assert option.help.startswith(OPTIONS[name].what)


def test_what_is_unsafe_has_no_flag() -> None:
    assert not [param for param in serve.params if "unsafe" in str(param.name)]
    assert load(environ={"COLLATOR_UNSAFE_SYNCHRONOUS": "normal"}).unsafe_synchronous == "normal"


def test_own_options_come_first_in_the_help_and_examples_last() -> None:
    text = it.get_help(click.Context(it, info_name="it"))
    assert text.index("--own") < text.index("--host") < text.index("--config") < text.index("Examples:")
    assert text.endswith("    # Do it\n    collator it --own 1")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "localhost"])
def test_a_service_may_listen_to_this_machine(host: str) -> None:
    check(Settings(host=host))


@pytest.mark.parametrize("host", ["10.0.0.1", "::", "collator.example"])
def test_a_service_listens_to_others_only_when_told(host: str) -> None:
    check(Settings(host=host, insecure=True))
    check(Settings(host=host, tokens_file=Path("tokens")))
    with pytest.raises(ConfigError, match="--insecure"):
        check(Settings(host=host))
