"""Settings: how values are written, which source counts, and what is said of a mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.errors import ConfigError
from collator.settings import (
    OPTIONS,
    TABLES,
    Scope,
    Settings,
    default,
    flag,
    from_keywords,
    gather,
    load,
    options_of,
    values,
    variable,
)
from collator.settings.option import DIR, FILE

MIB = 1024 * 1024


def effective(tmp_path: Path, *, toml: str = "", environ: dict[str, str] | None = None, **flags: str) -> Settings:
    file = tmp_path / "collator.toml"
    file.write_text(toml)
    return load(flags, environ=environ or {}, config=str(file))


def complaint(tmp_path: Path, *, toml: str = "", environ: dict[str, str] | None = None, **flags: str) -> str:
    with pytest.raises(ConfigError) as caught:
        effective(tmp_path, toml=toml, environ=environ, **flags)
    return caught.value.detail


def test_without_any_source_the_defaults_hold(tmp_path: Path) -> None:
    assert effective(tmp_path) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("host", "127.0.0.1"),
        ("port", 8000),
        ("data_dir", Path.cwd() / "collator-data"),
        ("webhook", None),
        ("idle_timeout", 3600.0),
        ("deadline", None),
        ("retention", 86_400.0),
        ("dead_retention", None),
        ("delivery_timeout", 15.0),
        ("processor_timeout", 60.0),
        ("processor_retries", 3),
        ("max_payload", MIB),
        ("max_body", 64 * MIB),
        ("max_packets", 1_000_000),
        ("unsafe_synchronous", "full"),
    ],
)
def test_the_defaults_are_what_the_contract_says(name: str, value: object) -> None:
    assert getattr(Settings(), name) == value


def test_flags_count_before_environment_before_file_before_default(tmp_path: Path) -> None:
    toml = 'port = 1\nretention = "1h"\nhost = "file"\n'
    environ = {"COLLATOR_PORT": "2", "COLLATOR_RETENTION": "2h"}
    settings = effective(tmp_path, toml=toml, environ=environ, port="3")
    assert (settings.port, settings.retention, settings.host) == (3, 7200.0, "file")
    assert settings.data_dir == Settings().data_dir


def test_what_counts_is_known_with_its_source(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text("port = 1\nhost = 'h'\n")
    given = gather({"data_dir": "d", "url": None}, {"COLLATOR_PORT": "2"}, str(file))
    assert {name: item.source for name, item in given.items()} == {
        "port": "COLLATOR_PORT",
        "host": f"{file}: host",
        "data_dir": "--data-dir",
    }


def test_a_file_named_by_flag_counts_before_one_named_by_variable(tmp_path: Path) -> None:
    by_flag, by_variable = tmp_path / "flag.toml", tmp_path / "variable.toml"
    by_flag.write_text("port = 1")
    by_variable.write_text("port = 2")
    environ = {"COLLATOR_CONFIG": str(by_variable)}
    assert load(environ=environ).port == 2
    assert load(environ=environ, config=str(by_flag)).port == 1


def test_the_file_in_the_working_directory_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert load(environ={}).port == 8000
    Path("collator.toml").write_text("port = 1")
    assert load(environ={}).port == 1


def test_a_relative_path_in_the_file_starts_where_the_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    elsewhere = str((tmp_path / "elsewhere").absolute())
    text = f"data_dir = 'data'\nwebhook_secret_file = '{elsewhere}'\ntokens_file = '~/tokens'\n"
    (tmp_path / "conf" / "c.toml").write_text(
        text + "[endpoints.crm]\nurl = 'http://h/'\nsecret_file = '../secrets/crm'"
    )
    monkeypatch.chdir(tmp_path)
    settings = load({"token_file": "mine"}, environ={}, config="conf/c.toml")
    assert settings.data_dir == tmp_path / "conf/data"
    assert settings.endpoints[0].secret_file == tmp_path / "conf/../secrets/crm"
    assert (settings.webhook_secret_file, settings.token_file) == (Path(elsewhere), tmp_path / "mine")
    assert settings.tokens_file == Path("~/tokens").expanduser()


PATHS = [name for name, option in OPTIONS.items() if option.type in {DIR, FILE}]
ROW_PATHS = [
    (table, name)
    for table in TABLES
    for name, option in options_of(TABLES[table].row).items()
    if option.type in {DIR, FILE}
]


def test_every_path_is_absolute_whatever_source_it_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows = "".join(
        f"[{table}.one]\nurl = 'http://h/'\n" + "".join(f"{name} = 'a/b'\n" for one, name in ROW_PATHS if one == table)
        for table in TABLES
    )
    Path("c.toml").write_text("".join(f"{name} = 'a/b'\n" for name in PATHS) + rows)
    keywords: dict[str, object] = dict.fromkeys(PATHS, "a/b")
    keywords |= {
        table: {"one": {"url": "http://h/"} | {name: Path("a/b") for one, name in ROW_PATHS if one == table}}
        for table in TABLES
    }
    for settings in (
        load(dict.fromkeys(PATHS, "a/b"), environ={}, config="c.toml"),
        load(environ={variable(name): "a/b" for name in PATHS}, config="c.toml"),
        load(environ={}, config="c.toml"),
        from_keywords(keywords),
    ):
        assert {name: getattr(settings, name) for name in PATHS} == dict.fromkeys(PATHS, tmp_path / "a/b")
        for table, name in ROW_PATHS:
            assert [getattr(row, name) for row in getattr(settings, table)] == [tmp_path / "a/b"]
    by_default = [getattr(Settings(), name) for name in PATHS]
    assert [path for path in by_default if path is not None and not path.is_absolute()] == []
    assert PATHS
    assert ROW_PATHS


def test_a_working_directory_that_is_gone_is_no_matter_to_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert load({"token_file": str(tmp_path / "mine")}, environ={}).token_file == tmp_path / "mine"


def test_a_number_in_the_file_is_written_as_in_a_flag(tmp_path: Path) -> None:
    settings = effective(tmp_path, toml="retention = 90\nprocessor_timeout = 0.5\nmax_payload = 2048\n")
    assert (settings.retention, settings.processor_timeout, settings.max_payload) == (90.0, 0.5, 2048)


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"toml": "prot = 1"}, ["collator.toml", "'prot' is not a setting", "did you mean port?"]),
        ({"toml": "data-dir = 'd'"}, ["'data-dir'", "did you mean data_dir?"]),
        ({"toml": "unsafe_synchronous = 'normal'"}, ["'unsafe_synchronous' is not a setting"]),
        ({"toml": "port = [1]"}, ["collator.toml: port: expected a string or a number", "list"]),
        ({"toml": "port = true"}, ["collator.toml: port: expected a string or a number", "bool"]),
        ({"toml": "insecure = 2"}, ["collator.toml: insecure: '2' is neither yes nor no"]),
        ({"toml": "port = "}, ["collator.toml", "not a TOML file", "Invalid value"]),
        ({"toml": "webhook = http://h/"}, ['(at line 1, column 11); a text needs its quotes, as in "60s"']),
        ({"toml": "port = 70000"}, ["collator.toml: port: 70000 is not between 0 and 65535"]),
        ({"environ": {"COLLATOR_RETENSION": "1h"}}, ["environment", "did you mean COLLATOR_RETENTION?"]),
        ({"environ": {"COLLATOR_DEADLINE": "soon"}}, ["COLLATOR_DEADLINE: 'soon' is not a duration", "or off"]),
        ({"retention": "off"}, ["--retention: 'off' is not a duration"]),
        ({"receive_dir": " "}, ["--dir: it is empty"]),
        ({"max_packets": "16777217"}, ["--max-packets: 16777217 is not between 1 and 16777216"]),
        ({"on_failure": "ignore"}, ["--on-failure: 'ignore' is not one of incomplete, fail_fast, hold"]),
        ({"webhook": "example.org/hook"}, ["--webhook: 'example.org/hook' is not a valid URL", "or none"]),
        ({"url": "ftp://example.org"}, ["--url: 'ftp://example.org' is not a URL"]),
        ({"url": "http://me:secret@example.org"}, ["--url: it contains a user name or a password"]),
        ({"processor": ""}, ["--processor: it is empty"]),
        ({"processor": "http://example.org:port/"}, ["--processor: 'http://example.org:port/' is not a valid URL"]),
        ({"max_payload": "9" * 400}, ["--max-payload: '99", "is not a size"]),
        ({"idle_timeout": "9" * 400}, ["--idle-timeout: '99", "is not a duration", "or off"]),
        ({"max_open": "9" * 5000}, ["--max-open: 99", "is not between 1 and"]),
        (
            {"tokens_file": "~nobody-of-this-name/tokens"},
            ["--tokens-file: '~nobody", "home directory of an unknown user"],
        ),
        ({"toml": "data_dir = 'a\\u0000'".replace("'", '"')}, ["collator.toml: data_dir: '", "a\\x00' is not a path"]),
        ({"toml": "tokens_file = ' '"}, ["collator.toml: tokens_file: it is empty"]),
        (
            {"toml": "[endpoints.a]\nurl = 'http://h/'\nmatch = true"},
            ["endpoints.a.match: expected a string or a number"],
        ),
        ({"allow_host": "a.example, b.example:8000"}, ["--allow-host: 'b.example:8000' is not a host name"]),
        ({"allow_host": "http://a.example/"}, ["--allow-host: 'http://a.example/'", "without http://, port and path"]),
        ({"allow_host": "[::1]:80"}, ["--allow-host: '[::1]:80' is not a host name"]),
        ({"allow_origin": "https://a.example, *"}, ["--allow-origin: '*' is not an origin"]),
        ({"allow_origin": "a.example"}, ["--allow-origin: 'a.example' is not an origin", "https://app.example"]),
        ({"allow_origin": "https://a.example/"}, ["--allow-origin: 'https://a.example/'", "without a path"]),
        ({"allow_origin": "https://a.example:443"}, ["--allow-origin: 'https://a.example:443'", "usual port"]),
        ({"allow_origin": "https://A.example"}, ["--allow-origin: 'https://A.example'", "small letters"]),
        ({"allow_origin": "null"}, ["--allow-origin: 'null' is not an origin"]),
    ],
)
def test_a_mistake_is_told_with_its_source_and_what_is_right(
    tmp_path: Path, said: dict[str, object], wanted: list[str]
) -> None:
    message = complaint(tmp_path, **said)  # type: ignore[arg-type]
    assert [part for part in wanted if part not in message] == [], message


@pytest.mark.parametrize("address", ["ftp://me:hunter2@example.org/", "http://example.org:x/?token=hunter2"])
def test_a_mistake_does_not_show_the_secrets_of_an_address(tmp_path: Path, address: str) -> None:
    message = complaint(tmp_path, webhook=address)
    assert ("--webhook: it is not a valid URL" in message, "hunter2" in message) == (True, False)


def test_hosts_are_names_addresses_or_any(tmp_path: Path) -> None:
    text = "localhost, a-b.example, 10.0.0.1, ::1, [fe80::1], *"
    assert effective(tmp_path, allow_host=text).allow_host == tuple(text.split(", "))


def test_a_switch_and_a_list_are_written_as_toml_has_them(tmp_path: Path) -> None:
    settings = effective(tmp_path, toml="insecure = true\nallow_host = ['a.example', 'b.example']")
    assert (settings.insecure, settings.allow_host) == (True, ("a.example", "b.example"))
    settings = effective(tmp_path, environ={"COLLATOR_INSECURE": "0", "COLLATOR_ALLOW_HOST": "a.example, b.example"})
    assert (settings.insecure, settings.allow_host) == (False, ("a.example", "b.example"))


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--config .*gone.toml: cannot be read: No such file"):
        load(environ={}, config=str(tmp_path / "gone.toml"))
    with pytest.raises(ConfigError, match=r"COLLATOR_CONFIG=.*gone.toml: cannot be read"):
        load(environ={"COLLATOR_CONFIG": str(tmp_path / "gone.toml")})


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90.0), ("90s", 90.0), ("1.5m", 90.0), ("1h", 3600.0), ("7d", 604_800.0), ("500ms", 0.5), ("2 H", 7200.0)],
)
def test_durations(text: str, seconds: float) -> None:
    assert values.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "0s", "-1", "1w", "1h30m", "inf", "nan", "1e3", "½", "٣"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|too short"):
        values.duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("64k", 65_536), ("64KiB", 65_536), ("1MiB", MIB), ("1 MB", 10**6), ("0.5m", MIB // 2)],
)
def test_sizes(text: str, size: int) -> None:
    assert values.size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1 parsec", "k", "1kk", "0.5"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|too small"):
        values.size(text)


@given(st.text())
def test_every_parser_takes_any_text_or_says_why_not(text: str) -> None:
    for option in OPTIONS.values():
        try:
            option.type.parse(text)
        except ValueError as error:
            assert str(error)  # noqa: PT017 - it may also parse


@pytest.mark.parametrize("name", OPTIONS)
def test_every_setting_says_what_it_is_and_why_its_default(name: str) -> None:
    option = OPTIONS[name]
    assert option.what.endswith(".")
    assert option.why.endswith(".")
    if (text := default(name)) is not None:
        value = option.type.parse(text)
        assert getattr(Settings(), name) == (value.absolute() if isinstance(value, Path) else value)


def test_values_are_written_as_a_person_would() -> None:
    assert [
        default(name) for name in ("retention", "idle_timeout", "deadline", "max_body", "max_backlog", "webhook")
    ] == ["1d", "1h", "off", "64MiB", "8GiB", None]
    assert [values.write_duration(seconds) for seconds in (0.5, 90.0, 0.0015, 7200.0)] == [
        "500ms",
        "90s",
        "1.5ms",
        "2h",
    ]


@given(st.integers(min_value=1, max_value=10**15))
def test_what_is_written_is_read_again(number: int) -> None:
    assert values.size(values.write_size(number)) == number
    assert values.duration(values.write_duration(number / 1000)) == pytest.approx(number / 1000)


def test_a_size_may_be_off() -> None:
    assert (values.size_or_off("off"), values.size_or_off("1KiB")) == (None, 1024)
    assert (values.write_size(None), default("pool_memory")) == ("off", "off")
    with pytest.raises(ValueError, match=r"'some' is not a size; write .*, or off"):
        values.size_or_off("some")


@pytest.mark.parametrize(("text", "share"), [("p50", 0.5), ("p95", 0.95), ("p99.9", 0.999), ("off", None)])
def test_a_quantile(text: str, share: float | None) -> None:
    assert values.quantile_or_off(text) == (None if share is None else pytest.approx(share))
    assert values.write_quantile(share) == text


@pytest.mark.parametrize("text", ["95", "p", "p9", "p49.9", "p100", "p99.95", "p99,9", "P95", "p-95"])
def test_a_quantile_that_is_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a quantile from p50 to p99.9; write p95, or off"):
        values.quantile_or_off(text)


@pytest.mark.parametrize("scope", Scope)
def test_no_two_settings_of_a_scope_share_a_flag_and_none_a_variable(scope: Scope) -> None:
    flags = [flag(name) for name, option in OPTIONS.items() if option.scope is scope]
    assert len(set(flags)) == len(flags)
    assert len({variable(name) for name in OPTIONS}) == len(OPTIONS)


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"port": 9001}, "http://127.0.0.1:9001"),
        ({"host": "0.0.0.0"}, "http://127.0.0.1:8000"),  # noqa: S104 - it is on purpose
        ({"host": "::"}, "http://[::1]:8000"),
        ({"host": "::1", "port": 1}, "http://[::1]:1"),
        ({"host": "collator.example"}, "http://collator.example:8000"),
        ({"host": "10.0.0.5", "url": "https://collator.example/below"}, "https://collator.example/below"),
        ({"port": 0, "url": "http://127.0.0.1:1"}, "http://127.0.0.1:1"),
    ],
)
def test_who_asks_looks_where_the_service_listens(given: dict[str, object], url: str) -> None:
    assert from_keywords(given).service_url == url


def test_who_asks_a_service_on_any_port_has_to_say_where() -> None:
    with pytest.raises(ConfigError, match="name the service with --url"):
        _ = from_keywords({"port": 0}).service_url
