"""URLs taken apart (R20): what goes out byte for byte, and what is refused because it can never work."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path

import pytest

from collator.errors import ConfigError
from collator.settings import load
from collator.target import parse


@pytest.mark.parametrize(
    ("written", "sent"),
    [
        ("/run?sp=%2Ftriggers%2Frun&sig=a%2Bb%2Fc%27", "/run?sp=%2Ftriggers%2Frun&sig=a%2Bb%2Fc%27"),
        ("/%3A%40%7E/:@~", "/%3A%40%7E/:@~"),
        ("/a/../b/./c//d", "/a/../b/./c//d"),
        ("/a?", "/a?"),
        ("?", "/?"),
        ("?a=/b?c", "/?a=/b?c"),
        ("", "/"),
        ("/a#fragment?no", "/a"),
        ("/a?b#fragment", "/a?b"),
        ("/%zz|^{}", "/%zz|^{}"),
        ("/straße?ä=€", "/stra%C3%9Fe?%C3%A4=%E2%82%AC"),
    ],
)
def test_r20_path_and_query_go_out_byte_for_byte(written: str, sent: str) -> None:
    assert parse(f"http://h{written}").path == sent


@pytest.mark.parametrize(
    ("url", "tls", "host", "port", "authority"),
    [
        ("http://h", False, "h", 80, "h"),
        ("HTTPS://EXAMPLE.org:443/", True, "example.org", 443, "example.org"),
        ("http://h:/", False, "h", 80, "h"),
        ("http://h:8080/", False, "h", 8080, "h:8080"),
        ("https://a_b.c-:80/", True, "a_b.c-", 80, "a_b.c-:80"),
        ("http://[::1]:9/", False, "::1", 9, "[::1]:9"),
        ("http://127.0.0.1/", False, "127.0.0.1", 80, "127.0.0.1"),
        ("http://bücher.example/", False, "xn--bcher-kva.example", 80, "xn--bcher-kva.example"),
    ],
)
def test_r20_a_host_is_connected_to_and_named(url: str, tls: bool, host: str, port: int, authority: str) -> None:
    found = parse(url)
    assert (found.tls, found.host, found.port, found.authority) == (tls, host, port, authority)
    assert found.authorization == ""


@pytest.mark.parametrize(
    ("userinfo", "sent"),
    [
        ("user:pass", "user:pass"),
        ("user:p%C3%BCss", "user:püss"),
        ("user:p%E2%82%ACss", "user:p€ss"),
        ("user:püss", "user:püss"),
        ("user", "user:"),
        (":x", ":x"),
        ("u:a:b@c", "u:a:b@c"),
    ],
)
def test_r20_credentials_are_utf_8(userinfo: str, sent: str) -> None:
    scheme, _, coded = parse(f"http://{userinfo}@h/").authorization.partition(" ")
    assert (scheme, b64decode(coded).decode()) == ("Basic", sent)


NEVER = {
    "http://us%3Aer:x@h/": "a user name cannot contain a colon",
    "http://u:a%0Ab@h/": "a user name or password cannot contain a control character",
    "http://127.1/": "write an IPv4 address in full, as 127.0.0.1",
    "http://2130706433/": "write an IPv4 address in full",
    "http://0x7f.1/": "write an IPv4 address in full",
    "http://1.2.3.256/": "write an IPv4 address in full",
    "http://[fe80::1%25eth0]/": "an address with a zone is valid on one machine only",
    "http://[::1/": "write http://HOST:PORT/PATH",
    "http://[1::2::3]/": "the text in brackets is not an IPv6 address",
    "http://a..b/": "invalid host name",
    f"http://{'x' * 64}/": "invalid host name",
    f"http://{'x.' * 127}x/": "invalid host name",
    "http://exa%6Dple/": "invalid host name",
    "http://-a.b/": "invalid host name",
    "http://ü..b/": "invalid host name",
    "http://h:0/": "the port must be a number from 1 to 65535",
    "http://h:65536/": "the port must be a number from 1 to 65535",
    f"http://h:{'9' * 5000}/": "the port must be a number from 1 to 65535",
    "http://h:x/": "write http://HOST:PORT/PATH",
    "http://h/a b": "it contains a space or a control character",
    "http://h/\n": "it contains a space or a control character",
    "http://h/\udcff": "it is not valid text",
    "http://": "write http://HOST:PORT/PATH",
    "http:///path": "write http://HOST:PORT/PATH",
    "ftp://h/": "write http://HOST:PORT/PATH",
    "": "write http://HOST:PORT/PATH",
}


@pytest.mark.parametrize(("url", "words"), NEVER.items(), ids=range(len(NEVER)))
def test_r20_what_can_never_work_is_refused_in_words(url: str, words: str) -> None:
    with pytest.raises(ValueError, match=words.replace("(", "\\(")):
        parse(url)


@pytest.mark.parametrize("setting", ["webhook", "processor"])
@pytest.mark.parametrize("url", ["http://127.1/", "http://us%3Aer:x@h/", "http://[fe80::1%25eth0]/", "http://a..b/"])
def test_r20_what_can_never_work_fails_at_the_start(setting: str, url: str) -> None:
    with pytest.raises(ConfigError, match=f"--{setting}: .* is not a valid URL: "):
        load({setting: url}, environ={})


def test_r20_what_can_never_work_fails_at_the_start_in_an_endpoint_too(tmp_path: Path) -> None:
    (tmp_path / "collator.toml").write_text("[endpoints.crm]\nurl = 'https://127.1/x'")
    with pytest.raises(
        ConfigError, match=r"endpoints.crm.url: 'https://127.1/x' is not a valid URL: write an IPv4 address"
    ):
        load(environ={}, config=str(tmp_path / "collator.toml"))
