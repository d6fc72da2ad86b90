"""The origin of the service as clients see it, with which every absolute link begins.

Without a configured one it comes from the `Host` of the request, and is used in responses to
requests with that `Host` alone: it is part of the key of each cached response that contains it.
"""

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import Request
from starlette.types import Scope

from app.config import HOST
from app.errors import HostRefused, Problem

_HEALTH = "/health/"
"""Health checks often use an IP address instead of the host name."""


class Origins:
    """The origins that the service may have.

    With ``public_url`` that is the only one. Without it, the origin is that of the request, whose
    host must be one of ``allowed_hosts`` if there are any.
    """

    def __init__(self, public_url: str | None = None, allowed_hosts: Collection[str] = ()) -> None:
        self._public_url = public_url
        self._allowed = frozenset(host.lower().encode() for host in allowed_hosts)
        self.root = urlsplit(public_url or "").path
        """The path under which a proxy serves it, without a slash at the end."""
        if self._allowed and public_url:
            self._allowed |= {urlsplit(public_url).netloc.lower().encode()}

    def refusal(self, scope: Scope, host: bytes) -> Problem | None:
        """Return the problem of the ``Host`` of a request; several are joined by commas."""
        if not host:
            if scope["http_version"] == "1.0":
                return None
            return HostRefused("Send one Host header.")
        if HOST.fullmatch(host) is None:
            return HostRefused("Send one Host header: a host name or an address, and its port.")
        if self._allowed and host.lower() not in self._allowed:
            return (
                None
                if scope["path"].startswith(_HEALTH)
                else HostRefused("This host name is not served here.")
            )
        return None

    def of(self, scope: Scope) -> str:
        """Return the origin for a request: scheme, host and path, without a slash at the end.

        The host must have been checked by ``refusal``.
        """
        if self._public_url is not None:
            return self._public_url
        # A proxy that forwards web sockets may give their scheme.
        scheme = "https" if scope["scheme"] in {"https", "wss"} else "http"
        host = next((value for name, value in scope["headers"] if name == b"host"), None)
        if host is not None:
            return f"{scheme}://{host.decode('ascii').lower()}"
        address, port = scope["server"] or ("localhost", None)
        literal = f"[{address}]" if ":" in address else address
        return f"{scheme}://{literal}" if port is None else f"{scheme}://{literal}:{port}"


def origin_of(request: Request) -> str:
    """Return the origin with which every link in the response to a request begins."""
    origins: Origins = request.app.state.origins
    return origins.of(request.scope)


def address_of(request: Request, **changed: str | int) -> str:
    """Return the full address of a request with ``changed`` parameters."""
    return origin_of(request) + path_of(request.scope, **changed)


def path_of(scope: Scope, **changed: str | int | None) -> str:
    """Return the path and the query of a request with ``changed`` parameters.

    None removes a parameter. Two slashes at the beginning would name another host.
    """
    path = "/" + quote(scope["path"].lstrip("/"), safe="/:@!$&'()*+,;=~")
    unchanged = [(name, value) for name, value in query_parameters(scope) if name not in changed]
    return path + query_of(unchanged, changed)


def query_parameters(scope: Scope) -> list[tuple[str, str]]:
    """Return the query parameters of a request, in their order."""
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def query_of(
    pairs: Iterable[tuple[str, str]] = (), more: Mapping[str, str | int | None] | None = None
) -> str:
    """Return the query of an address with its question mark; None is left out."""
    all_pairs = [
        *pairs,
        *((name, value) for name, value in (more or {}).items() if value is not None),
    ]
    return f"?{urlencode(all_pairs)}" if all_pairs else ""
