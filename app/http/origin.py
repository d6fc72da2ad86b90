"""Where the service is reached from outside: every link that it tells begins here.

A request says by its `Host` what its client calls the service. That shapes the answer to this
request alone: what is remembered for others holds no origin, or one that the operator set.
"""

from collections.abc import Collection, Iterable, Mapping
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import Request
from starlette.types import Scope

from app.config import HOST
from app.errors import HostRefused, Problem

_HEALTH = "/health/"
"""Asked by whoever knows the machine rather than its name; it tells of no address."""


class Origins:
    """What the service may be called.

    ``public_url`` is what it is always called. Without that it is called what the request says,
    among ``allowed_hosts`` if there are any.
    """

    def __init__(self, public_url: str | None = None, allowed_hosts: Collection[str] = ()) -> None:
        self._public_url = public_url
        self._allowed = frozenset(host.lower().encode() for host in allowed_hosts)
        self.root = urlsplit(public_url or "").path
        """The path under which a proxy serves it, without a slash at the end."""
        if self._allowed and public_url:
            self._allowed |= {urlsplit(public_url).netloc.lower().encode()}

    @property
    def is_bounded(self) -> bool:
        """Whether the operator says what it is called, so that answers may be remembered by it."""
        return self._public_url is not None or bool(self._allowed)

    def refusal(self, scope: Scope, host: bytes) -> Problem | None:
        """Return what is wrong with the ``Host`` of a request; several are joined by commas."""
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
        """Return what a request calls the service: scheme, host and path, no slash at the end.

        The host was checked by ``refusal``.
        """
        if self._public_url is not None:
            return self._public_url
        # A proxy that speaks of web sockets means the same connection.
        scheme = "https" if scope["scheme"] in {"https", "wss"} else "http"
        host = next((value for name, value in scope["headers"] if name == b"host"), None)
        if host is not None:
            return f"{scheme}://{host.decode('ascii').lower()}"
        address, port = scope["server"] or ("localhost", None)
        literal = f"[{address}]" if ":" in address else address
        return f"{scheme}://{literal}" if port is None else f"{scheme}://{literal}:{port}"


def origin_of(request: Request) -> str:
    """Return the beginning of every address of the service, as the request may be told it."""
    origins: Origins = request.app.state.origins
    return origins.of(request.scope)


def address_of(request: Request, **changed: str | int) -> str:
    """Return the full address that was asked for, with ``changed`` parameters."""
    return origin_of(request) + path_of(request.scope, **changed)


def path_of(scope: Scope, **changed: str | int | None) -> str:
    """Return the path and the query that were asked for, with ``changed`` parameters.

    None takes a parameter away. Two slashes at the beginning would name another host.
    """
    path = "/" + quote(scope["path"].lstrip("/"), safe="/:@!$&'()*+,;=~")
    given = [(name, value) for name, value in asked_of(scope) if name not in changed]
    return path + query_of(given, changed)


def asked_of(scope: Scope) -> list[tuple[str, str]]:
    """Return the parameters that were asked with, in their order."""
    return parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)


def query_of(
    pairs: Iterable[tuple[str, str]] = (), more: Mapping[str, str | int | None] | None = None
) -> str:
    """Return the query of an address with its question mark; None is left out."""
    given = [*pairs, *((name, value) for name, value in (more or {}).items() if value is not None)]
    return f"?{urlencode(given)}" if given else ""
