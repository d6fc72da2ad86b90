"""How tests wait: for conditions, with a deadline that is only for what hangs."""

import inspect
import time
from collections.abc import Callable

import anyio

PATIENCE = 120
"""Seconds after which what is waited for counts as missing: far more than a slow machine needs.

A test that ends by this fails; none passes or fails by how fast the machine is.
"""


def eventually(holds: Callable[[], object]) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


async def until(holds: Callable[[], object]) -> None:
    """Poll until something holds, and let others work meanwhile; ``holds`` may be a coroutine's."""
    with anyio.fail_after(PATIENCE):
        while not (await found if inspect.isawaitable(found := holds()) else found):  # noqa: ASYNC110 -- no event of ours
            await anyio.sleep(0.01)
