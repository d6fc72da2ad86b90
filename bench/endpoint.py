"""A push service that takes every message, and remembers when each arrived.

GET returns the instants, in seconds since 1970, and forgets them.
"""

import json
import time

from starlette.types import Receive, Scope, Send

_arrivals: list[float] = []


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    body = b""
    status = 201
    if scope["method"] == "POST":
        while (await receive()).get("more_body"):
            pass
        _arrivals.append(time.time())
    else:
        status, body = 200, json.dumps(_arrivals).encode()
        _arrivals.clear()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
