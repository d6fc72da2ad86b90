"""Who a request comes from, as proxies say by the `Forwarded` header of RFC 7239.

The header is read strictly and as a whole: what a client sends before the proxy adds its element
cannot hide that element. Its `host` is never read.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

UNKNOWN = "unknown"
"""The client of a request whose proxy does not say who it is, or says it in no valid form."""
_LONGEST = 8 * 2**10
"""Characters of a header: far more than any chain of proxies adds."""

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_PAIR = re.compile(
    rf'({_WORD})=(?:({_WORD})|"((?:[^"\\\x00-\x08\x0a-\x1f\x7f]|\\[\t\x20-\x7e\x80-\xff])*)")'
)
_SEPARATOR = re.compile(r"[ \t]*([,;])[ \t]*|\Z")
_NODE = re.compile(
    r"(?:(?P<ipv4>[0-9.]+)|\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<name>unknown|_[A-Za-z0-9._-]{1,63}))"
    r"(?::(?P<port>[0-9]{1,5}|_[A-Za-z0-9._-]+))?",
    re.IGNORECASE,
)


class Hop(NamedTuple):
    """A proxy's word on the request that it got: from whom, and by which scheme."""

    client: str
    """An address, or a name that hides one, which begins with `_`."""
    port: int
    """0 if it is not known."""
    scheme: str | None


class ForwardedMiddleware(ProxyHeadersMiddleware):
    """Takes client and scheme from `Forwarded`, if a proxy that is trusted sent the request."""

    def __init__(self, app: ASGIApp, proxies: str) -> None:
        # The server spells out the types of what Starlette calls a message.
        super().__init__(app, proxies)  # type: ignore[arg-type]
        self._application = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # type: ignore[override]  # as above
        peer = scope.get("client")
        if scope["type"] == "http" and (peer[0] if peer else None) in self.trusted_hosts:
            values = [value for name, value in scope["headers"] if name == b"forwarded"]
            if values:
                hop = self._client_hop(b", ".join(values).decode("latin-1"))
                scope["client"] = hop.client, hop.port
                scope["scheme"] = hop.scheme or scope["scheme"]
        await self._application(scope, receive, send)

    def _client_hop(self, header: str) -> Hop:
        """Return the word of the outermost proxy that is trusted."""
        hops = parse_forwarded(header)
        untrusted = (hop for hop in reversed(hops) if hop.client not in self.trusted_hosts)
        return next(untrusted, hops[0])


def parse_forwarded(header: str) -> list[Hop]:
    """Return the hops of a header, that of the nearest proxy last.

    A header that is not valid as a whole is one hop from an unknown client.
    """
    try:
        return [_hop(element) for element in _elements(header)]
    except ValueError:
        return [Hop(UNKNOWN, 0, None)]


def _elements(header: str) -> Iterator[dict[str, str]]:
    """Yield the parameters of each element. Raises ValueError."""
    if len(header) > _LONGEST:
        raise ValueError("the header is too long")
    element: dict[str, str] = {}
    text = header.strip(" \t")
    at = 0
    while True:
        pair = _PAIR.match(text, at)
        separator = pair and _SEPARATOR.match(text, pair.end())
        if pair is None or separator is None:
            raise ValueError("the header is not valid")
        name, token, quoted = pair.groups()
        if name.lower() in element:
            raise ValueError("an element has a parameter twice")
        element[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) if token is None else token
        if separator[1] != ";":
            yield element
            element = {}
        if separator[1] is None:
            return
        at = separator.end()


def _hop(element: dict[str, str]) -> Hop:
    """Return what an element says. Raises ValueError."""
    scheme = element.get("proto", "").lower()
    client, port = _node(element.get("for", UNKNOWN))
    return Hop(client, port, scheme if scheme in {"http", "https"} else None)


def _node(node: str) -> tuple[str, int]:
    """Return the client and the port of a node. Raises ValueError."""
    match = _NODE.fullmatch(node)
    if match is None:
        raise ValueError("a node is not valid")
    client = match["name"] or UNKNOWN
    if match["ipv4"]:
        client = str(IPv4Address(match["ipv4"]))
    elif match["ipv6"]:
        client = str(IPv6Address(match["ipv6"]))
    port = match["port"] or ""
    return client, int(port) if port.isdecimal() else 0
