"""The real service as a process of its own."""

import contextlib
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import psutil

from tests.api import Api
from tests.commands import BIN, environment

START_SECONDS = 60
"""However busy the machine is."""

CALM_SECONDS = 60
"""However long a recovery may take."""


def eventually(holds: Callable[[], object], *, within: float = CALM_SECONDS) -> None:
    """Poll until something holds."""
    deadline = time.monotonic() + within
    while not holds():
        assert time.monotonic() < deadline, "it did not come about in time"
        time.sleep(0.01)


@dataclass(frozen=True)
class Service:
    """A `crossings serve` that was ready."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    @property
    def key(self) -> str:
        """The key that the first start put beside the data."""
        return (self.log.parent / "data" / "admin.key").read_text(encoding="ascii").strip()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def family(self) -> list[psutil.Process]:
        """Return its main process, and all that it started, PostgreSQL and workers included."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Return the living processes that serve at its port, besides the main one."""
        return [
            one
            for one in filter(is_alive, self.family()[1:])
            if any(socket.laddr.port == self.port for socket in one.net_connections("tcp"))
        ]

    def kill(self) -> None:
        """End its main process as the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    @asynccontextmanager
    async def api(self, key: str) -> AsyncIterator[Api]:
        async with httpx2.AsyncClient(
            base_url=self.url, timeout=CALM_SECONDS, trust_env=False
        ) as client:
            yield Api(client, key)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def service(
    log: Path,
    *options: str,
    port: int | None = None,
    data_dir: Path | None = None,
    database_url: str | None = None,
    drain_seconds: int = 5,
    courier: bool = True,
    more: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Run `crossings serve` until the block ends; see that it leaves no process behind.

    ``more`` are settings, by their names in the environment.
    """
    port = port or free_port()
    settings = {
        "CROSSINGS_DRAIN_SECONDS": str(drain_seconds),
        "CROSSINGS_COURIER": str(courier),
    }
    if database_url:
        settings["DATABASE_URL"] = database_url
    if data_dir:
        options = ("--data-dir", str(data_dir), *options)
    with log.open("ab") as output:
        process = subprocess.Popen(
            [BIN / "crossings", "serve", "--port", str(port), *options],
            stdout=output,
            stderr=output,
            env=environment() | settings | dict(more or {}),
        )
    running = Service(process, port, log)
    try:
        _await_ready(running)
        yield running
    finally:
        _stop(running)


def _stop(running: Service) -> None:
    if running.process.poll() is not None:
        return
    family = running.family()
    running.process.terminate()
    try:
        running.process.wait(CALM_SECONDS)
        eventually(lambda: not any(map(is_alive, family)))
    finally:
        for one in filter(is_alive, family):
            one.kill()
        running.process.wait()


def _await_ready(running: Service) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and running.process.poll() is None:
        with contextlib.suppress(httpx2.TransportError):
            ready = httpx2.get(f"{running.url}/health/ready", trust_env=False, timeout=10)
            if ready.status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError(running.log.read_text(encoding="utf-8", errors="replace"))


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
