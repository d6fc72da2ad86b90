"""Answers too long to hold: sent piece by piece, whole or visibly broken off.

Nothing is open between two pieces: whoever reads slowly holds no connection to the database.
"""

import zlib
from collections.abc import AsyncIterator

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from app.http.caching import HEAD_ASKED, REVALIDATED, accepts_gzip, etag_of, matches

_GZIP = zlib.MAX_WBITS | 16
_LEVEL = 6


async def streamed(
    request: Request,
    told: Response,
    pieces: AsyncIterator[bytes],
    *,
    version: str,
    media_type: str,
) -> Response:
    """Return an answer with the headers of ``told``, made of ``pieces`` as they are sent.

    The same address with the same ``version`` must be the same bytes. The first piece is made
    before the answer begins: a problem until then is told as one; a later one leaves the
    chunked body without its end, which no client takes for a whole one.
    """
    coding = "gzip" if accepts_gzip(request.headers.get("accept-encoding", "")) else ""
    headers = dict(told.headers)
    headers["etag"] = etag_of(f"{request.url} {version}".encode(), coding)
    headers["vary"] = "Accept-Encoding"
    headers.setdefault("cache-control", REVALIDATED)
    if matches(request.headers.get("if-none-match", ""), headers["etag"]):
        return Response(status_code=304, headers=headers)
    if coding:
        headers["content-encoding"] = coding
    if request.scope.get(HEAD_ASKED):
        bare = Response(headers=headers, media_type=media_type)
        del bare.headers["content-length"]
        return bare
    first = await anext(pieces, b"")
    body = _after(first, pieces)
    if coding:
        body = _compressed(body)
    return StreamingResponse(body, headers=headers, media_type=media_type)


async def _after(first: bytes, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in pieces:
        yield piece


async def _compressed(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    gzip = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    async for piece in pieces:
        yield gzip.compress(piece)
    yield gzip.flush()
