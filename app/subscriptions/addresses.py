"""Addresses that webhooks may be sent to: public ones, and networks that the operator allows.

A name may resolve differently each time, and an address has many spellings. So the address of
each connection is checked just before it is made; the check of a URL when it is submitted only
gives early feedback.
"""

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from yarl import URL

PORTS = frozenset({443, 8443})

_LOOK_UP_SECONDS = 2.0
_GLOBAL_UNICAST = IPv6Network("2000::/3")
# The registries of special-purpose addresses (RFC 6890), independent of the version of Python.
# What they call reachable within 192.0.0.0/24 and 2001::/23 is of no use for webhooks.
_SPECIAL = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",
            "10.0.0.0/8",
            "100.64.0.0/10",
            "127.0.0.0/8",
            "169.254.0.0/16",
            "172.16.0.0/12",
            "192.0.0.0/24",
            "192.0.2.0/24",
            "192.88.99.0/24",
            "192.168.0.0/16",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/3",
            "2001::/23",
            "2001:db8::/32",
            "2002::/16",
            "3fff::/20",
        ),
    )
)

Address = IPv4Address | IPv6Address
AddressInfo = tuple[
    int | socket.AddressFamily, int | socket.SocketKind, int, str, tuple[object, ...]
]


class AddressRefused(OSError):
    """Webhooks may not be sent to this address."""


@dataclass(frozen=True, slots=True)
class AddressPolicy:
    """Which addresses are allowed. ``allowed`` networks may be used on any port and over HTTP."""

    allowed: tuple[IPv4Network | IPv6Network, ...] = ()

    async def require(self, url: str) -> bool:
        """Return whether the operator allowed all addresses of a URL: then it need not agree.

        Raises ValueError, with what is wrong, for a URL that could not be delivered to. A name that
        does not resolve now may do so later, and is checked again then.
        """
        parsed = URL(url)
        if parsed.scheme not in {"http", "https"} or not parsed.host or not parsed.port:
            raise ValueError("must be an absolute https URL")
        if parsed.raw_user is not None or parsed.raw_password is not None:
            raise ValueError("must not have a user or a password")
        if parsed.raw_fragment:
            raise ValueError("must not have a fragment")
        # A dot at its end does not change a name, but not every resolver accepts it.
        addresses = await _look_up(parsed.host.removesuffix("."), parsed.port)
        secure = parsed.scheme == "https"
        try:
            if not addresses:
                # Its address may not be in an allowed network later.
                self._check_scheme_and_port(parsed.port, secure=secure)
            for address in addresses:
                self.check(address, parsed.port, secure=secure)
        except AddressRefused as refusal:
            raise ValueError(str(refusal)) from refusal
        return bool(addresses) and all(map(self.exempts, addresses))

    async def is_exempt(self, url: str) -> bool:
        """Return whether the operator allowed all addresses of a URL, that was checked before."""
        parsed = URL(url)
        if not self.allowed or parsed.host is None or parsed.port is None:
            return False
        addresses = await _look_up(parsed.host, parsed.port)
        return bool(addresses) and all(map(self.exempts, addresses))

    def exempts(self, address: str) -> bool:
        """Return whether webhooks may be sent to an address without asking it first."""
        return self._is_allowed(_parsed(address))

    def check(self, address: str, port: int, *, secure: bool) -> None:
        """Raise AddressRefused unless webhooks may be sent there."""
        ip = _parsed(address)
        if self._is_allowed(ip):
            return
        if secure and not _is_public(ip):
            raise AddressRefused("must lead to a public address")
        self._check_scheme_and_port(port, secure=secure)

    def _is_allowed(self, address: Address) -> bool:
        return any(address in network for network in self.allowed)

    @staticmethod
    def _check_scheme_and_port(port: int, *, secure: bool) -> None:
        if not secure:
            raise AddressRefused("must be an absolute https URL")
        if port not in PORTS:
            raise AddressRefused(f"must have one of the ports {', '.join(map(str, sorted(PORTS)))}")

    def open(self, info: AddressInfo, *, secure: bool) -> socket.socket:
        """Return the socket of a connection. Raises AddressRefused before it is made."""
        family, kind, protocol, _, address = info
        self.check(str(address[0]), int(str(address[1])), secure=secure)
        return socket.socket(family, kind, protocol)


def _parsed(address: str) -> Address:
    ip = ip_address(address)
    return ip.ipv4_mapped or ip if isinstance(ip, IPv6Address) else ip


def _is_public(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (
        address not in _GLOBAL_UNICAST or address.scope_id is not None
    ):
        return False
    return not any(address in network for network in _SPECIAL)


async def _look_up(host: str, port: int) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(_LOOK_UP_SECONDS):
            infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (socket.gaierror, TimeoutError):
        return ()
    except UnicodeError as error:
        raise ValueError("does not have a valid host name") from error
    return [str(address[0]) for *_, address in infos]
