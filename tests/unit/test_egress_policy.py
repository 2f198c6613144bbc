"""Where requests may go: what is denied from the start, what a person denies and allows, in every form of it."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collator.delivery import configure
from collator.egress import Policy
from collator.egress.policy import DENIED
from collator.errors import ConfigError
from collator.processor import open_processor
from collator.settings import EndpointSettings, Settings, from_keywords

NETWORKS = [str(network) for networks in DENIED.values() for network in networks]
INSIDE = ["127.0.0.1", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "fd00::1", "100.64.0.1"]
OUTSIDE = ["192.0.2.1", "8.8.8.8", "2001:db8::1", "2606:4700::1111", "2002:0808:0808::1", "64:ff9b::808:808"]


def policy(*, allow: str = "", deny: str = "") -> Policy:
    settings = from_keywords({"egress_allow": allow, "egress_deny": deny})
    return Policy(allow=settings.egress_allow, deny=settings.egress_deny)


def forms(address: str) -> list[str]:
    """Ways in which IPv6 leads to an IPv4 address."""
    four = int(IPv4Address(address))
    return [
        f"::ffff:{address}",
        f"::{address}",
        f"64:ff9b::{address}",
        f"64:ff9b:1::{address}",
        str(IPv6Address(0x0064FF9B0001 << 80 | four >> 16 << 64 | (four & 0xFFFF) << 40)),
        str(IPv6Address(0x2002 << 112 | four << 80 | 1)),
        str(IPv6Address(0x20010000 << 96 | 1 << 64 | four ^ 0xFFFFFFFF)),
        str(IPv6Address(0x20010DB8 << 96 | 0x5EFE << 32 | four)),
        str(IPv6Address(0x20010DB8 << 96 | 0x02005EFE << 32 | four)),
    ]


@pytest.mark.parametrize("address", INSIDE + OUTSIDE)
def test_from_the_start_all_may_be_sent_to(address: str) -> None:
    assert policy().refusal(address) is None


@pytest.mark.parametrize("network", NETWORKS)
def test_but_for_the_first_and_the_last_address_of_what_is_denied_from_the_start(network: str) -> None:
    held = ip_network(network)
    for address in (held.network_address, held.broadcast_address):
        assert (policy().refusal(str(address)) or "").startswith(f"address not allowed: {address} is ")
        assert policy(allow=network).refusal(str(address)) is None


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"),
        *("fe80::1", "fe80::1%eth0", "fe80::a9fe:a9fe%1", "0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"),  # noqa: S104 - not bound
    ],
)
def test_what_nobody_means_is_denied(address: str) -> None:
    assert policy().refusal(address) is not None


@pytest.mark.parametrize("address", forms("169.254.169.254"))
def test_what_is_denied_is_denied_in_every_form_of_it(address: str) -> None:
    assert "contains 169.254.169.254, which is link-local" in (policy().refusal(address) or "")
    assert policy(allow="169.254.169.254").refusal(address) is None
    assert policy(allow=f"{address}/128").refusal(address) is None, "named by itself"
    assert policy(allow="::/0").refusal(address) is not None, "both have to be allowed"


@given(st.ip_addresses(v=4).filter(lambda address: int(address) >> 24 and policy().refusal(str(address)) is None))
def test_an_address_that_a_person_denies_is_denied_in_every_form_of_it(address: IPv4Address) -> None:
    denying, allowing = policy(deny=str(address)), policy()
    for form in [str(address), *forms(str(address))]:
        assert denying.refusal(form) is not None, form
        assert allowing.refusal(form) is None, form


@given(st.ip_addresses())
def test_with_all_denied_only_what_is_allowed_may_be_sent_to(address: IPv4Address | IPv6Address) -> None:
    closed = policy(deny="0.0.0.0/0,::/0", allow="10.1.0.0/16,2001:db8::/32")
    inside = any(address in ip_network(network) for network in ("10.1.0.0/16", "2001:db8::/32"))
    mapped = getattr(address, "ipv4_mapped", None)
    inside = inside or (mapped is not None and mapped in ip_network("10.1.0.0/16"))
    assert (closed.refusal(str(address)) is None) == inside


def test_the_reason_says_what_denies_it() -> None:
    assert policy(deny="127.0.0.2/32").refusal("127.0.0.2") == (
        "address not allowed: 127.0.0.2 is in 127.0.0.2/32 (egress_deny)"
    )
    assert policy().refusal("fe80::1") == "address not allowed: fe80::1 is link-local (egress_allow can allow it)"


def test_a_network_of_mapped_addresses_is_one_of_ipv4() -> None:
    denied = Policy(deny=[IPv6Network("::ffff:127.0.0.0/104")])
    assert (denied.refusal("127.1.2.3"), denied.refusal("128.0.0.1")) != (None, None)
    assert denied.refusal("128.0.0.1") is None


@pytest.mark.parametrize("name", ["receiver.example", "localhost", "169.254.169.254.example"])
def test_a_name_is_looked_at_only_once_it_is_an_address(name: str) -> None:
    assert policy(deny="0.0.0.0/0,::/0").refusal(name) is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("10.0.0.0/33", "'10.0.0.0/33' is not a network; write 10.0.0.0/8, fd00::/8 or a single address"),
        ("localhost", "'localhost' is not a network"),
        ("10.1.2.3/8", "'10.1.2.3/8' has bits set beyond the prefix; write 10.0.0.0/8"),
        ("10.0.0.0/8,fd00::1/8", "'fd00::1/8' has bits set beyond the prefix; write fd00::/8"),
        ("010.0.0.1", "'010.0.0.1' is not a network"),
        ("10.0.0.0/8 fd00::/8", "is not a network"),
    ],
)
@pytest.mark.parametrize("setting", ["egress_allow", "egress_deny"])
def test_what_is_no_network_is_an_error_in_words(setting: str, text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_keywords({setting: text})
    assert problem in caught.value.detail
    assert setting in caught.value.detail


@pytest.mark.parametrize("written", ["10.0.0.0/8,fd00::/8", ["10.0.0.0/8", "fd00::/8"], " 10.0.0.0/8 , fd00::/8,"])
def test_networks_are_written_with_commas_or_as_a_list(written: object) -> None:
    assert [*map(str, from_keywords({"egress_deny": written}).egress_deny)] == ["10.0.0.0/8", "fd00::/8"]


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "127.0.0.2"]
)
def test_r20_a_url_whose_address_is_denied_fails_at_the_start(tmp_path: Path, host: str) -> None:
    url = f"http://user:hunter2@{host}:8080/?key=hunter2"
    endpoint = EndpointSettings(name="crm", url=url)
    denied = from_keywords({"egress_deny": "127.0.0.2"}).egress_deny
    for name, settings in (
        ("webhook", Settings(data_dir=tmp_path, webhook=url, egress_deny=denied)),
        ("endpoints.crm.url", Settings(data_dir=tmp_path, endpoints=(endpoint,), egress_deny=denied)),
    ):
        with pytest.raises(ConfigError) as caught:
            configure(settings)
        assert caught.value.detail.startswith(f"{name}: address not allowed: ")
        assert "hunter2" not in caught.value.detail
    with pytest.raises(ConfigError) as caught:
        open_processor(url, policy=Policy(deny=denied))
    assert caught.value.detail.startswith("processor: address not allowed: ")
    assert "hunter2" not in caught.value.detail
    assert not [*tmp_path.iterdir()]
