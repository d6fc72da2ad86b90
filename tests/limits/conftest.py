"""Limits that a test can reach exactly: nothing comes back within the time of a test."""

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from shutil import which
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError

from app.config import Settings
from app.limits.requests import RequestLimits
from app.limits.stores import MemoryAllowances, Rate
from tests.api import Api
from tests.conftest import Database
from tests.servers import free_port
from tests.waiting import eventually

NEVER = 10**6
"""Seconds in which a rate gives nothing back."""

StartLimited = Callable[..., Any]


def slow(burst: int) -> Rate:
    """Return a rate that allows ``burst`` requests, and then no more in the time of a test."""
    return Rate(1, NEVER, burst)


@pytest.fixture
def limited(seeded: Database, monkeypatch: pytest.MonkeyPatch) -> StartLimited:
    """What starts the service with some limits: ``board``, ``database`` and ``wrong_keys``."""

    @asynccontextmanager
    async def start(**limits: Any) -> AsyncIterator[Api]:  # noqa: ANN401 -- as the class takes them
        def of(_: Settings, __: object) -> RequestLimits:
            return RequestLimits(MemoryAllowances(), **limits)

        monkeypatch.setattr(RequestLimits, "of", of)
        async with seeded.api() as api:
            yield api

    return start


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of these tests' own."""
    program = which("redis-server") or which("valkey-server")
    if program is None:
        pytest.skip("there is no Redis here")
    port, folder = free_port(), tmp_path_factory.mktemp("redis")
    process = subprocess.Popen(
        [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
    )
    try:
        eventually(lambda: _answers(port))
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait()


def _answers(port: int) -> bool:
    try:
        with Redis(port=port) as client:
            return bool(client.ping())
    except RedisError:
        return False
