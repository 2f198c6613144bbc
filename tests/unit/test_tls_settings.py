"""What connections are secured by, as settings name it: checked at the start, in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from collator.delivery import configure
from collator.errors import ConfigError
from collator.settings import load

CERTIFICATE = Path(__file__).parents[1] / "http" / "self_signed.pem"
ENCRYPTED = """-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAjiu3oxFbzS1gICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEJx8yIURRdU59JESLUzZjjkEgZAf
DjkKqG34+2GDnoNhImsfvi/TaIAlA2m6marnkO1YEyrgYrognnP69Kg7kwktUn9f
z72UdMz7U8GJariuO+z2TvTzxYV3ASIegMH4bUVe8TsrZgM1FvdtfyPfCc/Irs83
cgMrwgRFpVUj7fipQ42iWrjRHT8Qiqm+hKTGo779hWFUG8ZKue9TIS2q9SuRiVk=
-----END ENCRYPTED PRIVATE KEY-----
"""
"""By the password `secret`."""


def endpoints(tmp_path: Path, text: str) -> dict[str, bool]:
    """Which endpoints are secured by something of their own."""
    (tmp_path / "collator.toml").write_text(f"data_dir = {str(tmp_path / 'data')!r}\n{text}")
    found = configure(load(environ={}, config=str(tmp_path / "collator.toml")))
    return {name: endpoint.tls is not None for name, endpoint in found.items()}


@pytest.mark.parametrize(
    ("top", "own", "wanted"),
    [
        ("", "", {"default": False, "crm": False}),
        (f"tls_ca_file = {str(CERTIFICATE)!r}", "", {"default": True, "crm": True}),
        ("", f"tls_ca_file = {str(CERTIFICATE)!r}", {"default": False, "crm": True}),
        ("", f"tls_client_cert = {str(CERTIFICATE)!r}", {"default": False, "crm": True}),
    ],
)
def test_what_an_endpoint_names_counts_for_it_and_what_the_service_names_for_all(
    tmp_path: Path, top: str, own: str, wanted: dict[str, bool]
) -> None:
    text = f"webhook = 'https://a.test/'\n{top}\n[endpoints.crm]\nurl = 'https://b.test/'\n{own}"
    assert endpoints(tmp_path, text) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tls_ca_file = 'gone.pem'", r"tls_ca_file: cannot read certificates from .*gone.pem: No such file"),
        ("tls_ca_file = 'collator.toml'", r"tls_ca_file: cannot read certificates from .*collator.toml: "),
        (
            "tls_client_cert = 'gone.pem'",
            r"tls_client_cert: .*gone.pem is not a certificate with its key: No such file",
        ),
        ("tls_client_key = 'gone.pem'", r"tls_client_key: it needs tls_client_cert, which is not set"),
    ],
)
def test_what_cannot_be_used_is_told_at_the_start(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        endpoints(tmp_path, f"webhook = 'https://a.test/'\n{text}")


@pytest.mark.parametrize("apart", [True, False])
def test_an_encrypted_key_is_named_as_what_it_is_and_nobody_is_asked_for_a_password(
    tmp_path: Path, *, apart: bool
) -> None:
    key = (tmp_path / "client.key") if apart else (tmp_path / "client.pem")
    pem = CERTIFICATE.read_text()
    begin = pem.index("-----BEGIN CERTIFICATE")
    (tmp_path / "client.pem").write_text(pem[begin : pem.index("-----END CERTIFICATE-----") + 26])
    with key.open("a") as file:
        file.write(ENCRYPTED)
    text = "tls_client_cert = 'client.pem'\n" + ("tls_client_key = 'client.key'\n" if apart else "")
    with pytest.raises(
        ConfigError, match=rf"tls_client_key: the key in .*{key.name} is encrypted; write it unencrypted"
    ):
        endpoints(tmp_path, f"webhook = 'https://a.test/'\n{text}")


def test_a_certificate_without_its_key_is_told_in_words(tmp_path: Path) -> None:
    pem = CERTIFICATE.read_text()
    begin = pem.index("-----BEGIN CERTIFICATE")
    (tmp_path / "client.pem").write_text(pem[begin : pem.index("-----END CERTIFICATE-----") + 26])
    with pytest.raises(ConfigError, match=r"is not a certificate with its key: not found, or not PEM"):
        endpoints(tmp_path, "webhook = 'https://a.test/'\ntls_client_cert = 'client.pem'\n")
