"""The real service as a process of its own."""

import contextlib
import signal
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx2
import psutil
import uvicorn

from tests import clients
from tests.api import Api
from tests.commands import BIN, environment
from tests.conftest import SECRET_KEY, service_on
from tests.waiting import PATIENCE, eventually


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
        return [one for one in filter(is_alive, self.family()[1:]) if _holds(one, self.port)]

    def kill(self) -> None:
        """End its main process as the kernel does when memory is short."""
        self.process.kill()
        self.process.wait()

    @asynccontextmanager
    async def api(self, key: str) -> AsyncIterator[Api]:
        async with clients.async_client(base_url=self.url) as client:
            yield Api(client, key)


@dataclass(frozen=True)
class ThreadedService:
    """The service in a thread of this process, which is ready in a tenth of the time."""

    url: str


@contextmanager
def service_in_thread(database_url: str, **settings: object) -> Iterator[ThreadedService]:
    """Run the service behind a real server until the block ends."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        application = service_on(database_url, **settings)
        config = uvicorn.Config(application, log_config=None, timeout_graceful_shutdown=1)
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            running = ThreadedService(f"http://127.0.0.1:{listener.getsockname()[1]}")
            eventually(lambda: thread.is_alive() and _answers_ready(running.url))
            yield running
        finally:
            server.should_exit = True
            thread.join()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def service(
    log: Path,
    port: int | None = None,
    workers: int = 1,
    data_dir: Path | None = None,
    database_url: str | None = None,
    drain_seconds: int = 5,
    worker: bool = True,
    more: Mapping[str, str] | None = None,
    within: Sequence[str] = (),
) -> Iterator[Service]:
    """Run `crossings serve` until the block ends; see that it leaves no process behind.

    ``more`` are settings, by their names in the environment; ``within`` is a command that runs it.
    """
    port = port or free_port()
    settings = {
        "CROSSINGS_DRAIN_SECONDS": str(drain_seconds),
        "CROSSINGS_DELIVERY_WORKER": str(worker),
        # However slow the machine, no writer is refused where that is not what is tested.
        "CROSSINGS_WRITE_DEADLINE": str(PATIENCE),
        "CROSSINGS_REQUEST_DEADLINE": str(PATIENCE),
    }
    if database_url:
        settings |= {"DATABASE_URL": database_url, "CROSSINGS_SECRET_KEY": SECRET_KEY}
    options = ["--port", str(port), "--workers", str(workers)]
    if data_dir:
        options += ["--data-dir", str(data_dir)]
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*within, BIN / "crossings", "serve", *options],
            stdout=output,
            stderr=output,
            env=environment() | settings | dict(more or {}),
        )
    running = Service(process, port, log)
    try:
        _await_ready(running, workers)
        yield running
    finally:
        _stop(running)


def _stop(running: Service) -> None:
    if running.process.poll() is not None:
        return
    family = running.family()
    running.process.terminate()
    try:
        running.process.wait(PATIENCE)
        eventually(lambda: not any(map(is_alive, family)))
    finally:
        for one in filter(is_alive, family):
            one.kill()
        running.process.wait()


def _await_ready(running: Service, workers: int) -> None:
    """Wait until each process that should serve is ready, whichever a connection comes to."""
    eventually(lambda: _is_ready(running))
    if workers > 1:
        ready: set[psutil.Process] = set()
        eventually(lambda: _are_ready(running, workers, ready))


def _are_ready(running: Service, workers: int, ready: set[psutil.Process]) -> bool:
    """Ask each worker that is not known to be ready, while the others halt."""
    found = running.workers()
    for one in set(found) - ready:
        others = [other for other in found if other != one]
        signal_all(others, signal.SIGSTOP)
        try:
            if _is_ready(running, within=HALT_SECONDS):
                ready.add(one)
        finally:
            signal_all(others, signal.SIGCONT)
    return len(found) == workers and ready.issuperset(found)


HALT_SECONDS = 15
"""Not for so long that a worker would be taken to hang, and begun anew."""


def _holds(process: psutil.Process, port: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return any(one.laddr.port == port for one in process.net_connections("tcp"))
    return False


def _is_ready(running: Service, within: float = PATIENCE) -> bool:
    log = running.log.read_text(encoding="utf-8", errors="replace")
    assert running.process.poll() is None, log
    return _answers_ready(running.url, within)


def _answers_ready(url: str, within: float = PATIENCE) -> bool:
    with contextlib.suppress(httpx2.TransportError):
        return bool(clients.get(f"{url}/health/ready", timeout=within).status_code == 200)
    return False


def signal_all(processes: list[psutil.Process], how: signal.Signals) -> None:
    for one in processes:
        # Some workers of PostgreSQL come and go.
        with contextlib.suppress(psutil.NoSuchProcess):
            one.send_signal(how)


def is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
