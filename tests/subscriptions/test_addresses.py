"""Webhooks go to the public internet alone, whatever a URL says and names resolve to."""

import socket
from datetime import timedelta
from ipaddress import ip_network
from uuid import uuid4

import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from app.subscriptions import addresses
from app.subscriptions.addresses import AddressPolicy, AddressRefused
from app.subscriptions.deliveries import Outcome
from app.subscriptions.sending import Message, Sender
from app.subscriptions.service import new_secret
from tests.api import Api, fields_of, problem
from tests.subscriptions.receivers import Receiver, answering

PRIVATE = [
    "0.0.0.1", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.8.9.1", "169.254.169.254",
    "172.16.0.1", "192.0.0.1", "192.0.2.1", "192.88.99.3", "192.168.1.1", "198.18.0.1",
    "198.51.100.7", "203.0.113.9", "224.1.2.3", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::", "fc00::1", "fd12::1",
    "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "4000::1", "1fff::1", "5f00::1",
    "2606:4700:4700::1111%lo",
]  # fmt: skip
PUBLIC = ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "::ffff:1.1.1.1"]
SPECIAL = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.0.0/29", "192.0.0.8/32", "192.0.0.170/31", "192.0.2.0/24",
    "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
    "240.0.0.0/4", "255.255.255.255/32", "::1/128", "::/128", "64:ff9b:1::/48",
    "100::/64", "100:0:0:1::/64", "2001::/23", "2001::/32", "2001:2::/48", "2001:10::/28",
    "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10",
]  # fmt: skip
"""What the IANA registries of special-purpose addresses have as not globally reachable."""
BESIDE = [
    "1.0.0.0", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
    "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
    "191.255.255.255", "192.0.1.0", "192.0.3.0", "192.88.98.255", "192.88.100.0",
    "192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "198.51.99.255",
    "198.51.101.0", "203.0.112.255", "203.0.114.0", "223.255.255.255", "2000::", "2001:200::",
    "2001:db7:ffff::", "2001:db9::", "2003::", "2001:ffff::", "3ffe:ffff::", "3fff:1000::",
    "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
]  # fmt: skip
"""The first addresses before and behind what is special."""
SPELLINGS = [
    "https://127.0.0.1/", "https://127.1/", "https://0x7f.1/", "https://2130706433/",
    "https://0177.0.0.1/", "https://0/", "https://localhost/", "https://LOCALHOST/",
    "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[::ffff:7f00:1]/",
    "https://[64:ff9b::7f00:1]/", "https://[2002:7f00:1::]/", "https://169.254.169.254/latest",
    "https://127。0。0。1/", "https://①②⑦.0.0.1/", "https://localhost./", "https://LOCALHOST./",
    "https://127.0.0.1./", "https://0x7f.1./", "https://169.254.169.254./latest",
]  # fmt: skip


class Rebinding(AbstractResolver):
    """Tells a public address at the first look, and loopback from then on."""

    def __init__(self, *addresses: str) -> None:
        self.left = list(addresses)

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
        ]

    async def close(self) -> None:
        """Keep nothing open."""


async def attempt(
    url: str, reach: AddressPolicy, *, resolver: AbstractResolver | None = None
) -> Outcome:
    message = Message(uuid4(), url, [new_secret()], "{}")
    async with Sender(reach, seconds=2, resolver=resolver) as sender:
        return await sender.send(message)


@pytest.mark.parametrize("address", PRIVATE)
def test_no_address_that_is_not_public_is_connected_to(address: str) -> None:
    with pytest.raises(AddressRefused):
        AddressPolicy().check(address, 443, secure=True)


@pytest.mark.parametrize("network", SPECIAL)
def test_nothing_special_is_connected_to_from_its_first_address_to_its_last(network: str) -> None:
    special = ip_network(network)
    for address in (special[0], special[-1], special[special.num_addresses // 2]):
        with pytest.raises(AddressRefused):
            AddressPolicy().check(str(address), 443, secure=True)


@pytest.mark.parametrize("address", BESIDE)
def test_what_lies_beside_it_is_public(address: str) -> None:
    AddressPolicy().check(address, 443, secure=True)


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_fine_by_https_on_two_ports(address: str) -> None:
    for port in (443, 8443):
        AddressPolicy().check(address, port, secure=True)
    with pytest.raises(AddressRefused):
        AddressPolicy().check(address, 22, secure=True)
    with pytest.raises(AddressRefused):
        AddressPolicy().check(address, 443, secure=False)


def test_an_allowed_network_is_fine_by_http_on_any_port_and_nothing_beside_it() -> None:
    reach = AddressPolicy((ip_network("127.0.0.1/32"), ip_network("fd00::/8")))

    for address in ("127.0.0.1", "::ffff:127.0.0.1", "fd12::1"):
        reach.check(address, 8000, secure=False)
    with pytest.raises(AddressRefused):
        reach.check("127.0.0.2", 8000, secure=False)


@pytest.mark.parametrize("url", SPELLINGS)
async def test_every_spelling_of_a_private_address_is_refused(seeded_api: Api, url: str) -> None:
    """At registration with a clear word, and again when it would be connected to."""
    refused = await seeded_api.post("/v1/subscriptions", {"url": url})

    assert fields_of(problem(refused, 422, "invalid")) == ["url"]
    outcome = await attempt(url, AddressPolicy())
    assert outcome.status is None
    assert outcome.error in {
        "refused: the URL must lead to a public address",
        "refused: the URL does not have a valid host name",
        "the host name does not resolve",
    }


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/", "https://user@example.com/", "https://user:word@example.com/",
        "https://example.com/#part", "ftp://example.com/", "https://", "https:///path",
        "https://1.1.1.1:22/", "https://example.com:99999/", "//example.com/", "https://a b/", "",
    ],
)  # fmt: skip
async def test_other_urls_are_refused_at_registration(seeded_api: Api, url: str) -> None:
    refused = await seeded_api.post("/v1/subscriptions", {"url": url})

    assert fields_of(problem(refused, 422, "invalid")) == ["url"]


@pytest.mark.parametrize("host", ["unknown.invalid", "unknown.invalid."])
@pytest.mark.parametrize(
    ("scheme", "port", "is_taken"),
    [("https", 443, True), ("https", 8443, True), ("https", 444, False), ("http", 443, False)],
)
async def test_scheme_and_port_count_also_while_a_name_does_not_resolve(
    api: Api, host: str, scheme: str, port: int, is_taken: bool
) -> None:
    answer = await api.post("/v1/subscriptions", {"url": f"{scheme}://{host}:{port}/"})
    if is_taken:
        assert answer.status_code == 201
    else:
        assert fields_of(problem(answer, 422, "invalid")) == ["url"]


async def test_a_name_is_looked_at_again_at_every_connection(receiver: Receiver) -> None:
    """What it resolved to before is of no use to whoever owns the name."""
    allowed = AddressPolicy((ip_network("127.0.0.1/32"),))
    url = f"http://rebinding.example:{receiver.port}/"
    fine = await attempt(url, allowed, resolver=Rebinding("127.0.0.1"))
    assert (fine.status, fine.error) == (200, None)

    resolver = Rebinding("127.0.0.1", "127.0.0.2")
    async with Sender(allowed, seconds=2, resolver=resolver) as sender:
        message = Message(uuid4(), url, [new_secret()], "{}")
        receiver.answer = answering(200, headers=("Connection: close",))
        assert (await sender.send(message)).error is None
        sender.forget_names()
        refused = await sender.send(message)

    assert (refused.status, len(receiver.arrived)) == (None, 2)
    assert str(refused.error).startswith("refused")


@pytest.mark.parametrize(
    ("url", "fault"),
    [
        ("https://nobody.invalid:8080/", "must have one of the ports 443, 8443"),
        ("https://nobody.invalid:22/", "must have one of the ports 443, 8443"),
        ("http://nobody.invalid:443/", "must be an absolute https URL"),
    ],
)
async def test_a_refused_port_is_told_also_while_the_name_does_not_resolve(
    url: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(host: str, port: int) -> list[str]:
        assert host
        assert port
        return []

    monkeypatch.setattr(addresses, "_look_up", unknown)
    for port in (443, 8443):
        await AddressPolicy().require(f"https://nobody.invalid:{port}/")
    with pytest.raises(ValueError, match=fault):
        await AddressPolicy().require(url)


async def test_a_redirect_is_not_followed(receiver: Receiver) -> None:
    receiver.answer = answering(302, headers=(f"Location: {receiver.url}",))

    outcome = await attempt(receiver.url, AddressPolicy((ip_network("127.0.0.1/32"),)))

    assert (outcome.status, outcome.error) == (302, "status 302")
    assert len(receiver.arrived) == 1


async def test_the_environment_sends_no_webhook_elsewhere(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.2:9/")
    monkeypatch.setenv("http_proxy", "http://127.0.0.2:9/")

    outcome = await attempt(receiver.url, AddressPolicy((ip_network("127.0.0.1/32"),)))

    assert outcome.error is None


async def test_a_busy_receiver_may_tell_a_date(receiver: Receiver) -> None:
    receiver.answer = answering(429, headers=("Retry-After: Fri, 31 Dec 2199 23:59:59 GMT",))

    outcome = await attempt(receiver.url, AddressPolicy((ip_network("127.0.0.1/32"),)))

    assert outcome.retry_after is not None
    assert outcome.retry_after > timedelta(days=365)
