"""Security headers, CORS and `security.txt`.

Scripts of every site may use public reads, feeds and the stream. They may not use what writes, or
what requires a key.
"""

from datetime import UTC, datetime
from http import HTTPStatus

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse
from starlette.datastructures import Headers
from starlette.types import Message, Scope, Send

from app.config import Settings
from app.errors import NotFound
from app.http.routing import hidden_router

SECURITY_TXT_EXPIRES = datetime(2027, 11, 1, tzinfo=UTC)
"""When `security.txt` expires (RFC 9116). A test fails in time for a later one to be set."""

_OPEN = ("/v1", "/feeds", "/badges", "/openapi", "/problems")
_KEY_HOLDERS = "/v1/subscriptions"
_READS = {"GET", "HEAD"}
_PREFLIGHT_SECONDS = 86_400

_Header = tuple[bytes, bytes]
ALWAYS: list[_Header] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
]
"""For every response that does not set them itself."""
_EXPOSED = (
    b"ETag", b"Change-Number", b"Knowledge-Age", b"Link", b"RateLimit", b"RateLimit-Policy",
    b"Retry-After", b"X-Request-Id",
)  # fmt: skip
_FOR_EVERY_SITE: list[_Header] = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b", ".join(_EXPOSED)),
    (b"cross-origin-resource-policy", b"cross-origin"),
]

OF_PUBLIC_READS = [*ALWAYS, *_FOR_EVERY_SITE]

router = hidden_router()


def _is_for_every_site(path: str) -> bool:
    return path.startswith(_OPEN) and not path.startswith(_KEY_HOLDERS)


class SecurityHeaders:
    """The headers of every response; with ``hsts_seconds`` 0, HSTS is left to the proxy."""

    def __init__(self, hsts_seconds: int = 0) -> None:
        self.hsts: list[_Header] = []
        """For responses over HTTPS."""
        if hsts_seconds:
            value = b"max-age=%d" % hsts_seconds
            self.hsts = [(b"strict-transport-security", value)]

    def securing(self, scope: Scope, send: Send) -> Send:
        """Return ``send`` for a response that gets the headers which it lacks."""
        headers = ALWAYS + self.hsts if scope["scheme"] == "https" else ALWAYS
        if scope["method"] in _READS and _is_for_every_site(scope["path"]):
            headers = headers + _FOR_EVERY_SITE

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                names = {name.lower() for name, _ in message["headers"]}
                missing = [header for header in headers if header[0] not in names]
                message = {**message, "headers": [*message["headers"], *missing]}
            await send(message)

        return secured


def preflight(scope: Scope) -> Response | None:
    """Return the response to a CORS preflight of a public read; None for any other request.

    The allowed methods are the same for all, so that the browser itself refuses a write.
    """
    if scope["method"] != "OPTIONS" or not _is_for_every_site(scope["path"]):
        return None
    request_headers = Headers(scope=scope)
    if "origin" not in request_headers or "access-control-request-method" not in request_headers:
        return None
    return Response(
        status_code=HTTPStatus.NO_CONTENT,
        headers={
            "Access-Control-Allow-Origin": "*",
            "Access-Control-Allow-Methods": "GET, HEAD",
            "Access-Control-Allow-Headers": "At-Least-Change, If-None-Match, Last-Event-ID,"
            " X-Request-Id",
            "Access-Control-Max-Age": str(_PREFLIGHT_SECONDS),
            "Cache-Control": f"public, max-age={_PREFLIGHT_SECONDS}",
            "Vary": "Access-Control-Request-Method, Access-Control-Request-Headers",
        },
    )


@router.get("/.well-known/security.txt")
async def security_txt(request: Request) -> Response:
    """Say where to report a vulnerability (RFC 9116), if the operator said so."""
    settings: Settings = request.app.state.settings
    if settings.security_contact is None:
        raise NotFound("The operator has not named a security contact.")
    lines = [
        f"Contact: {settings.security_contact}",
        f"Expires: {SECURITY_TXT_EXPIRES.isoformat().replace('+00:00', 'Z')}",
        "Preferred-Languages: en",
    ]
    if settings.public_url is not None and settings.public_url.startswith("https:"):
        lines.append(f"Canonical: {settings.public_url}{request.scope['path']}")
    return PlainTextResponse(
        "".join(f"{line}\n" for line in lines), headers={"Cache-Control": "public, max-age=86400"}
    )
