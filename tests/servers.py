"""The real service as a process of its own."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

START_SECONDS = 60


@dataclass(frozen=True)
class RunningServer:
    """A `crossings serve` that is ready."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        return (self.data_dir / "admin.key").read_text(encoding="ascii").strip()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def running_server(data_dir: Path, *options: str) -> Iterator[RunningServer]:
    """Run `crossings serve` on ``data_dir`` until the block ends; stop it as Ctrl-C does."""
    port = free_port()
    log = data_dir.with_suffix(".log")
    command = [sys.executable, "-m", "app.cli", "serve", "--data-dir", str(data_dir)]
    environment = {name: value for name, value in os.environ.items() if "DATABASE_" not in name}
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port), *options],
            stdout=output,
            stderr=output,
            env=environment,
        )
        server = RunningServer(process, port, data_dir)
        try:
            _await_ready(server, log)
            yield server
        finally:
            process.terminate()
            process.wait(timeout=START_SECONDS)


def _await_ready(server: RunningServer, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if httpx2.get(f"{server.url}/health/ready", trust_env=False).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.05)
    raise AssertionError(log.read_text(encoding="utf-8", errors="replace"))
