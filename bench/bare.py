"""The least that ASGI can do: one answer, always the same, whatever is asked.

The answer is the JSON file that ``BENCH_ANSWER`` names, else "hello".
"""

import json
import os
from pathlib import Path

from starlette.types import Message, Receive, Scope, Send

_HELLO = """{"status": 200, "body": "hello",
             "headers": [["content-type", "text/plain"], ["content-length", "5"]]}"""


def _answer() -> tuple[Message, Message]:
    name = os.environ.get("BENCH_ANSWER")
    told = json.loads(Path(name).read_text(encoding="utf-8") if name else _HELLO)
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told["headers"]]
    start = {"type": "http.response.start", "status": told["status"], "headers": headers}
    return start, {"type": "http.response.body", "body": told["body"].encode("latin-1")}


START, BODY = _answer()


async def app(scope: Scope, _: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await send(START)
        await send(BODY)
