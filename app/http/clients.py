"""Clients as they are counted: by an IPv4 address, or by the network that one IPv6 client has."""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from app.caches import shared


def parse_address(host: str) -> IPv4Address | IPv6Address | None:
    """Return an address, an IPv4 one where it is written as IPv6; None for what is none."""
    try:
        address = ip_address(host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or address
    return address


def network_of(address: IPv4Address | IPv6Address) -> str:
    """Return an address, or the /64 network that one IPv6 client has."""
    if isinstance(address, IPv6Address):
        # Without the zone: it is of this machine alone.
        return str(IPv6Network((int(address), 64), strict=False))
    return str(address)


@shared("client networks", most=10_000, entry_bytes=300)
def client_network(host: str) -> str:
    """Return what the client at ``host`` is counted by; the text itself if it is no address."""
    address = parse_address(host[:64])
    return host[:64] if address is None else network_of(address)
