"""Starts what is measured, on loopback, and ends it: by its process, whatever happens."""

import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import psutil

from app.config import PROJECT

BIN = Path(sys.executable).parent
_OURS = {"CROSSINGS", "DATABASE", "PGHOST", "PGPORT"}
_PATIENCE = 120.0
"""Seconds until something is ready, and until it has ended."""


class BenchError(Exception):
    """Nothing can be measured; the message is for a terminal."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer over HTTP; the names of headers are in lower case, the date is left out."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        return dict(self.headers).get(name)


@dataclass(frozen=True, slots=True)
class Web:
    """A running process that answers on a port; ``ready_after`` is in seconds."""

    process: psutil.Process
    port: int
    ready_after: float

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        with connection(self.port) as client:
            return ask(client, "GET", path, headers=headers)

    def cpu_seconds(self) -> float:
        """Return the processor time that the process has taken so far."""
        times = self.process.cpu_times()
        return float(times.user + times.system)


@contextmanager
def connection(port: int) -> Iterator[http.client.HTTPConnection]:
    """Give a connection that stays open from request to request."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        yield client
    finally:
        client.close()


def ask(
    client: http.client.HTTPConnection,
    method: str,
    path: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    client.request(method, path, body=body, headers=dict(headers or {}))
    response = client.getresponse()
    told = [(name.lower(), value) for name, value in response.getheaders()]
    return Answer(response.status, tuple(one for one in told if one[0] != "date"), response.read())


def environment(**extra: str) -> dict[str, str]:
    """Return our environment without what would set up the service or reach a database."""
    others = {k: v for k, v in os.environ.items() if k.partition("_")[0] not in _OURS}
    # Counted like everybody, and never refused.
    generous = {"CROSSINGS_RATE_LIMIT_BOARD": "1000000000", "CROSSINGS_RATE_LIMIT_DATABASE": "0"}
    return {**others, **generous, **extra}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def answering(
    *command: str | Path,
    port: int,
    log: Path,
    ready: str = "/",
    env: Mapping[str, str] | None = None,
) -> Iterator[Web]:
    """Run a command until the block ends; it is there once ``ready`` is answered without an error.

    Raises BenchError if it ends before.
    """
    began = time.perf_counter()
    with log.open("ab") as output, started(*command, output=output, env=env) as process:
        while not _is_ready(port, ready):
            if process.poll() is not None or time.perf_counter() - began > _PATIENCE:
                raise BenchError(
                    f"{Path(command[0]).name} did not become ready\nIts log ends:\n"
                    + log.read_text(encoding="utf-8")[-2000:]
                )
            time.sleep(0.01)
        yield Web(psutil.Process(process.pid), port, time.perf_counter() - began)


@contextmanager
def started(
    *command: str | Path, output: IO[bytes], env: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command until the block ends; what it left running ends with it."""
    # In a session of its own: a Ctrl-C is for us, and we end all in order.
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=PROJECT,
        env=env or environment(),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE)
        for one in psutil.wait_procs(family, timeout=5)[1]:
            one.kill()
    process.kill()
    process.wait()


def _is_ready(port: int, path: str) -> bool:
    try:
        with connection(port) as client:
            return ask(client, "GET", path).status < http.HTTPStatus.BAD_REQUEST
    except OSError:
        return False
